package admit

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// shop is a queue of requests in front of processors, in virtual time: all that
// come are read in the order in which they come, then wait their turn once more
// at its end, as the gate lets them. It is that of a machine with two
// processors where one is as fast as both.
type shop struct {
	law   law
	now   time.Duration
	queue []stage
	// inside are those that wait to be worked for.
	inside int
	// slow, when set, is how much longer everything takes at a time.
	slow func(time.Duration) float64
	// stops, when set, is for how long nothing goes on from a time on.
	stops func(time.Duration) time.Duration
	// client is how long an answer waits until its client reads it.
	client time.Duration
	// free are the connections that carry nothing, the one used last at the end, and
	// back those whose answers wait to be read.
	free    []int
	back    []answered
	clients []Client

	// turns says that the connections are used in turn, and briefCost is what a brief
	// answer costs.
	turns     bool
	briefCost time.Duration

	live, brief, late, cheap, refused, unsent int
	// connections are how many requests may be on their way.
	connections int
}

// stage is a request that is ready to run: to be read, or, once read, to be
// worked for.
type stage struct {
	// due is when it was to be sent, came when a connection was free for it.
	due, came time.Duration
	// on is the connection it came by.
	on          int
	read, crowd bool
}

// answered is a connection whose client will have read the answer at that time.
type answered struct {
	at time.Duration
	on int
}

// take is a connection that carries nothing, -1 for none.
func (s *shop) take() int {
	if s.free == nil {
		for i := range s.connections {
			s.free = append(s.free, i)
		}
		s.clients = make([]Client, s.connections)
		s.law.clients.Store(int64(s.connections))
	}
	for len(s.back) > 0 && s.back[0].at <= s.now {
		s.free = append(s.free, s.back[0].on)
		s.back = s.back[1:]
	}
	if len(s.free) == 0 {
		return -1
	}
	at := len(s.free) - 1
	if s.turns {
		at = 0
	}
	on := s.free[at]
	s.free = slices.Delete(s.free, at, at+1)
	return on
}

// answer ends a request.
func (s *shop) answer(at stage) {
	s.back = append(s.back, answered{s.now + s.client, at.on})
}

// Costs of a request on two processors with its client: to be read and answered,
// to be refused, to be worked for, and to be answered cheaply.
const (
	readCost   = 24 * time.Microsecond / 2
	refuseCost = 16 * time.Microsecond / 2
	workCost   = 170 * time.Microsecond / 2
	briefCost  = 85 * time.Microsecond / 2
	cheapCost  = 15 * time.Microsecond / 2
	// knee is what can be done a second.
	knee = float64(time.Second) / float64(readCost+workCost)
	// manyConnections are as many as the benchmark has.
	manyConnections = 1024
)

// run offers a rate for a while; counts are of this time.
func (s *shop) run(rate float64, during time.Duration) {
	s.live, s.brief, s.late, s.cheap, s.refused, s.unsent = 0, 0, 0, 0, 0, 0
	begin, next := s.now, 0
	due := func() time.Duration { // in bursts of a millisecond
		return begin + time.Duration(float64(next)/rate*float64(time.Second)).Truncate(time.Millisecond)
	}
	for s.now < begin+during {
		for due() <= s.now {
			on := s.take()
			if on < 0 {
				break
			}
			s.queue = append(s.queue, stage{due: due(), came: s.now, on: on})
			next++
		}
		if len(s.queue) == 0 {
			if s.now = max(s.now, due()); len(s.back) > 0 {
				s.now = max(s.now, s.back[0].at)
			}
			continue
		}
		at := s.queue[0]
		s.queue = s.queue[1:]
		if !at.read {
			s.law.roll(s.now)
			s.law.comes(&s.clients[at.on])
			if s.law.turnsAway() {
				s.refused++
				s.spend(refuseCost)
				s.answer(at)
				continue
			}
			s.spend(readCost)
			s.queue = append(s.queue, stage{due: at.due, came: at.came, on: at.on, read: true, crowd: s.inside >= 2*crowd})
			s.inside++
			continue
		}
		s.inside--
		switch s.law.decide(s.now-at.came, at.crowd) {
		case Cheap:
			s.cheap++
			s.spend(cheapCost)
			s.answer(at)
			continue
		case Brief:
			s.brief++
			s.spend(s.briefCost)
		default:
			s.spend(workCost)
		}
		s.answer(at)
		if s.now-at.due <= 100*time.Millisecond {
			s.live++
		} else {
			s.late++
		}
	}
	for ; due() < s.now; next++ {
		s.unsent++
	}
}

func (s *shop) spend(d time.Duration) {
	if s.stops != nil {
		s.now += s.stops(s.now)
	}
	if s.slow != nil {
		d = time.Duration(float64(d) * s.slow(s.now))
	}
	s.now += d
}

// per is a count as a share of what can be done.
func (s *shop) per(n int, during time.Duration) float64 { return float64(n) / during.Seconds() / knee }

// open is a shop with no law applied yet.
func open() *shop {
	s := &shop{connections: manyConnections, briefCost: briefCost}
	s.law.roll(0)
	return s
}

// TestOverload: whatever is offered, most of what can be done is done in time,
// the rest is answered in another way, and when less comes all is as before.
func TestOverload(t *testing.T) {
	for _, c := range []struct{ times, live, refused float64 }{
		{0.5, 0.499, 0},
		{0.8, 0.799, 0},
		{0.95, 0.949, 0},
		// From here on some lists are brief, then all of them, and reading and refusing
		// takes what is missing.
		{1.2, 1.15, 0.02},
		{1.5, 1.4, 0.1},
		{2, 1.5, 0.5},
		{3, 1.3, 1.7},
		{4, 1.15, 2.9},
	} {
		s := open()
		const during = 2 * time.Second
		s.run(c.times*knee, time.Second)
		s.run(c.times*knee, during)
		live, cheap, refused := s.per(s.live, during), s.per(s.cheap, during), s.per(s.refused, during)
		if whole := s.live - s.brief; c.times < 1 && s.brief > 0 || c.times >= 2 && whole > s.live/20 {
			t.Errorf("%.2f times the knee: %d whole lists, %d brief ones", c.times, whole, s.brief)
		}
		t.Logf("%.2f times the knee: live in time %.2f, late %.2f, cheap %.2f, refused %.2f", c.times, live, s.per(s.late, during), cheap, refused)
		if live < c.live || refused > c.refused || cheap > live*0.6 || s.unsent > manyConnections || s.late > s.live/100 {
			t.Errorf("%.2f times the knee: live in time %.2f, late %.2f, cheap %.2f, refused %.2f, %d waited at the door",
				c.times, live, s.per(s.late, during), cheap, refused, s.unsent)
		}
		s.run(0.7*knee, 2*time.Second)
		if s.run(0.7*knee, time.Second); s.brief+s.late+s.cheap+s.refused > 0 {
			t.Errorf("two seconds after %.2f times the knee: %d brief, %d late, %d cheap, %d refused", c.times, s.brief, s.late, s.cheap, s.refused)
		}
	}
}

// TestFlood: what has gathered before a queue is known to stand, and waits where
// it cannot be seen as no connection is free, does not make late what comes
// behind it. A share refused that only keeps the queue as it is left nothing in
// time for seconds. The same holds where a little more than can be done came
// before, so that a queue stands already and was got rid of once.
func TestFlood(t *testing.T) {
	for _, c := range []struct {
		connections int
		before      float64
	}{
		{manyConnections, 0},
		{manyConnections / 2, 0},
		{manyConnections / 2, 1.02},
		{manyConnections / 2, 1.05},
		{manyConnections / 2, 1.1},
		{manyConnections / 2, 1.2},
	} {
		s := open()
		s.connections = c.connections
		if c.before > 0 {
			s.run(c.before*knee, 4*time.Second)
		}
		const during = 2 * time.Second
		s.run(3*knee, during)
		live := s.per(s.live, during)
		t.Logf("%d connections behind %.2f times the knee: live in time %.2f, late %.2f, cheap %.2f", c.connections, c.before, live, s.per(s.late, during), s.per(s.cheap, during))
		if live < 1 {
			t.Errorf("%d connections behind %.2f times the knee, the first two seconds of 3 times: live in time %.2f, late %.2f", c.connections, c.before, live, s.per(s.late, during))
		}
	}
}

// TestUnsteady: where what a request takes is not the same from one to the next,
// and now and then other programs have their turn, the part that is saved does not
// swing, which leaves the processors without work in one window and more than can
// be done in the next.
func TestUnsteady(t *testing.T) {
	const runs, during = 8, 3 * time.Second
	for _, c := range []struct{ times, live float64 }{{3, 1.1}, {4, 1}} {
		live, late := 0, 0
		for seed := range uint64(runs) {
			s := open()
			s.unsteady(seed)
			s.run(c.times*knee, 300*time.Millisecond)
			s.run(c.times*knee, during)
			live, late = live+s.live, late+s.late
		}
		s := open()
		t.Logf("%.0f times the knee: live in time %.3f, late %.3f", c.times, s.per(live, runs*during), s.per(late, runs*during))
		if got := s.per(live, runs*during); got < c.live {
			t.Errorf("%.0f times the knee: live in time %.3f, want %.2f", c.times, got, c.live)
		}
	}
}

// unsteady makes what a request takes as different as on a machine that does
// other things, too.
func (s *shop) unsteady(seed uint64) {
	rng := rand.New(rand.NewPCG(1, seed))
	pace, since, next := 1.0, time.Duration(0), 50*time.Millisecond
	s.slow = func(at time.Duration) float64 {
		if at > since+10*time.Millisecond {
			since = at
			pace += 0.3*(1-pace) + 0.08*rng.NormFloat64()
		}
		return pace * (0.3 + 0.7*rng.ExpFloat64())
	}
	s.stops = func(at time.Duration) time.Duration {
		if at <= next {
			return 0
		}
		next = at + time.Duration(rng.ExpFloat64()*float64(60*time.Millisecond))
		return time.Duration(rng.ExpFloat64() * float64(4*time.Millisecond))
	}
}

// TestBursts: what takes processors for a while is no overload.
func TestBursts(t *testing.T) {
	for _, c := range []struct {
		name  string
		load  float64
		lasts time.Duration
		slow  float64 // how much longer everything takes meanwhile
	}{
		{"a collection of garbage", 0.8, 300 * time.Millisecond, 4. / 3},
		{"a collection of garbage near the knee", 0.9, 150 * time.Millisecond, 4. / 3},
		{"one of two processors", 0.6, 300 * time.Millisecond, 2},
		{"one of two processors for less long", 0.8, 60 * time.Millisecond, 2},
		{"nothing goes on", 0.8, 20 * time.Millisecond, 200},
	} {
		s := open()
		s.slow = func(at time.Duration) float64 {
			if at%time.Second < c.lasts && at > time.Second {
				return c.slow
			}
			return 1
		}
		s.run(c.load*knee, 3*time.Second)
		if s.cheap+s.refused+s.late > 0 {
			t.Errorf("%s: %d cheap, %d refused, %d late of %d", c.name, s.cheap, s.refused, s.late, s.live)
		}
	}
}

// TestStops: where nothing goes on for a while, everybody gets his own list behind
// it, however late that makes it.
func TestStops(t *testing.T) {
	for _, c := range []struct {
		load       float64
		stop, each time.Duration
		late       float64 // the most, of all
	}{
		{0.35, 20 * time.Millisecond, 40 * time.Millisecond, 0},
		{0.6, 10 * time.Millisecond, 30 * time.Millisecond, 0},
		{0.35, 120 * time.Millisecond, time.Second, 0.05},
		{0.5, 120 * time.Millisecond, time.Second, 0.07},
		{0.35, 100 * time.Millisecond, 200 * time.Millisecond, 0.05},
	} {
		s := open()
		s.stops = func(at time.Duration) time.Duration { return max(0, c.stop-at%c.each) }
		s.run(c.load*knee, 3*time.Second)
		if s.cheap+s.refused > 0 || float64(s.late) > c.late*float64(s.live) {
			t.Errorf("%.2f of the knee, %v of %v nothing goes on: %d live, %d late, %d cheap, %d refused",
				c.load, c.stop, c.each, s.live, s.late, s.cheap, s.refused)
		}
	}
}

// TestShare: what is told of the share follows it, and at rest it is all.
func TestShare(t *testing.T) {
	s := open()
	if got := s.law.share(s.now); got != 1 {
		t.Errorf("at the start: %v", got)
	}
	s.run(4*knee, 2*time.Second)
	if got := s.law.share(s.now); got > 0.6 || got < 0.2 {
		t.Errorf("at four times the knee: %v", got)
	}
	s.run(0.5*knee, 3*time.Second)
	if got := s.law.share(s.now); got < 0.99 {
		t.Errorf("at half the knee: %v", got)
	}
	s.run(2*knee, 2*time.Second)
	if got := s.law.share(s.now + 2*time.Second); got != 1 {
		t.Errorf("when nobody comes: %v", got)
	}
	// After a rest nothing of before counts.
	s.now += time.Minute
	s.law.roll(s.now)
	if s.law.refuses() || s.law.decide(late, true) != Work {
		t.Error("the first after a rest is turned away")
	}
}

// TestHidden: after a stutter requests wait for a connection, where nobody sees
// them. The gate lets them catch up; otherwise each stutter adds to them, and all
// lists are late for as long as the overload lasts.
func TestHidden(t *testing.T) {
	const runs, during = 8, 4 * time.Second
	for _, connections := range []int{300, 400, 700} {
		live, late := 0, 0
		for seed := range uint64(runs) {
			s := open()
			s.connections = connections
			s.unsteady(seed)
			s.client = 4 * time.Millisecond
			s.run(3*knee, 300*time.Millisecond)
			s.run(3*knee, during)
			live, late = live+s.live, late+s.late
		}
		s := open()
		t.Logf("%d connections: live in time %.3f, late %.3f", connections, s.per(live, runs*during), s.per(late, runs*during))
		if got := s.per(live, runs*during); got < 1.1 || s.per(late, runs*during) > 0.05 {
			t.Errorf("%d connections: live in time %.3f, late %.3f", connections, got, s.per(late, runs*during))
		}
	}
}

// tally runs a load in several unsteady shops, behind a second of it, and returns
// shares of what can be done.
func tally(times float64, as func(*shop)) (live, late, away float64) {
	const runs, during = 8, 4 * time.Second
	per := 1 / (knee * runs * during.Seconds())
	for seed := range uint64(runs) {
		s := open()
		as(s)
		s.unsteady(seed)
		s.run(times*knee, time.Second)
		s.run(times*knee, during)
		live, late, away = live+per*float64(s.live), late+per*float64(s.late), away+per*float64(s.cheap+s.refused)
	}
	return live, late, away
}

// TestNear: where brief answers are enough, a queue that comes to stand again and
// again is got rid of by these, and next to nobody is refused.
func TestNear(t *testing.T) {
	for _, c := range []struct{ times, away float64 }{{0.9, 0.04}, {0.95, 0.06}, {1, 0.06}} {
		live, late, away := tally(c.times, func(*shop) {})
		t.Logf("%.2f times the knee: live in time %.3f, late %.3f, turned away %.3f", c.times, live, late, away)
		if away > c.away || late > 0.01 {
			t.Errorf("%.2f times the knee: live in time %.3f, late %.3f, turned away %.3f", c.times, live, late, away)
		}
	}
}

// TestFewConnections: so few that the queue which the gate sees is short keep most
// of what is due at the client; the longer that lasts, the less is let in.
func TestFewConnections(t *testing.T) {
	for _, inTurn := range []bool{false, true} {
		live, late, away := tally(3, func(s *shop) { s.connections, s.turns = 100, inTurn })
		t.Logf("in turn %v: live in time %.3f, late %.3f, turned away %.3f", inTurn, live, late, away)
		if live < 0.95 || late > 0.25 {
			t.Errorf("in turn %v: live in time %.3f, late %.3f, turned away %.3f", inTurn, live, late, away)
		}
	}
}

// TestInTurn: connections that are used in turn are never at rest, which costs
// little.
func TestInTurn(t *testing.T) {
	for _, c := range []struct{ times, live float64 }{{1.1, 1}, {1.5, 1.2}, {3, 1.1}} {
		live, late, away := tally(c.times, func(s *shop) { s.turns = true })
		t.Logf("%.1f times the knee: live in time %.3f, late %.3f, turned away %.3f", c.times, live, late, away)
		if live < c.live || late > 0.01 {
			t.Errorf("%.1f times the knee: live in time %.3f, late %.3f, turned away %.3f", c.times, live, late, away)
		}
	}
}

// TestNothingToShorten: where the factors answer alone brief answers save nothing,
// and as much as can be done is done all the same.
func TestNothingToShorten(t *testing.T) {
	for _, c := range []struct{ times, live float64 }{{1.1, 0.8}, {3, 0.6}} {
		live, late, away := tally(c.times, func(s *shop) { s.briefCost = workCost })
		t.Logf("%.1f times the knee: live in time %.3f, late %.3f, turned away %.3f", c.times, live, late, away)
		if live < c.live || late > 0.01 {
			t.Errorf("%.1f times the knee: live in time %.3f, late %.3f, turned away %.3f", c.times, live, late, away)
		}
	}
}

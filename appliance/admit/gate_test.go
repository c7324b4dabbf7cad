package admit

import (
	"context"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestSlots: beyond the slots a request waits a while, then is answered
// cheaply; beyond what may be inside it is refused.
func TestSlots(t *testing.T) {
	g := NewGate(Options{Slots: 2, InFlight: 4, Wait: 30 * time.Millisecond})
	ctx := t.Context()
	if first := g.Enter(ctx); first != Work || g.Enter(ctx) != Work {
		t.Fatal("the slots are not free")
	}
	start := time.Now()
	if v := g.Enter(ctx); v != Cheap || time.Since(start) < 20*time.Millisecond {
		t.Errorf("the third: %v after %v", v, time.Since(start))
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if v := g.Enter(gone); v != Cheap {
		t.Errorf("one whose caller is gone: %v", v)
	}
	if v := g.Enter(ctx); v != Refuse || g.InFlight() != 4 {
		t.Errorf("the fifth: %v, %d inside", v, g.InFlight())
	}
	g.Leave(Cheap)
	g.Leave(Cheap)
	g.Leave(Work)
	if v := g.Enter(ctx); v != Work {
		t.Errorf("when one has left: %v", v)
	}
	g.Leave(Work)
	g.Leave(Work)
	if g.InFlight() != 0 {
		t.Errorf("%d inside", g.InFlight())
	}
}

// TestQueue: a request asks how long the queue is now and then, each one where
// it is long, and is answered cheaply where it waited for too long in a crowd.
func TestQueue(t *testing.T) {
	g := NewGate(Options{InFlight: 1 << 20})
	g.law.ends.Store(math.MaxInt64) // no window ends here
	var now, waits time.Duration
	passed := 0
	g.now = func() time.Duration { return now }
	g.pass = func() { passed++; now += waits }
	enter := func() (v Verdict, asked bool) {
		before := passed
		v = g.Enter(t.Context())
		if v != Refuse {
			g.Leave(v)
		}
		return v, passed > before
	}
	for n, want := range []bool{true, false, false, true, false} {
		if n == 0 || n == 3 {
			now += askEvery
		}
		if v, asked := enter(); v != Work || asked != want {
			t.Errorf("request %d: %v, went through the queue: %v", n, v, asked)
		}
	}
	if g.Queues() {
		t.Error("there is a queue where nobody waits")
	}
	now, waits = now+askEvery, late+1
	for range 3 {
		if v, asked := enter(); v != Work || !asked {
			t.Errorf("one that other programs keep waiting: %v, went through the queue: %v", v, asked)
		}
	}
	if !g.Queues() {
		t.Error("there is no queue where requests wait")
	}
	pass := g.pass
	g.pass = func() { pass(); g.inFlight.Add(2 * g.crowd) }
	if v, _ := enter(); v != Work {
		t.Errorf("one that waited for who came behind it: %v", v)
	}
	g.pass = pass
	g.inFlight.Store(g.crowd)
	if v, _ := enter(); v != Cheap {
		t.Errorf("a late one of a crowd: %v", v)
	}
	waits = late
	if v, _ := enter(); v != Work {
		t.Errorf("one of a crowd that is not late: %v", v)
	}
	waits = 0
	enter()
	enter()
	if v, asked := enter(); v != Work || asked {
		t.Errorf("when the queue is short again: %v, went through the queue: %v", v, asked)
	}
}

// door has asked, or not.
type door bool

func (d door) Asked() bool { return bool(d) }

// TestIdle: it is told when nobody comes.
func TestIdle(t *testing.T) {
	g := NewGate(Options{})
	var now time.Duration
	g.now = func() time.Duration { return now }
	for _, c := range []struct {
		after time.Duration
		comes bool
		want  bool
	}{{0, false, false}, {2 * time.Second, false, true}, {0, true, false}, {time.Second, false, false}, {time.Second, false, true}} {
		now += c.after
		if c.comes {
			g.Leave(g.Enter(t.Context()))
		}
		if g.Idle() != c.want {
			t.Errorf("at %v: idle is %v", now, g.Idle())
		}
	}
}

// TestBehind: who was asked about at the door is let in.
func TestBehind(t *testing.T) {
	g := NewGate(Options{})
	c := g.Client()
	if c.TurnsAway() {
		t.Error("at rest one is turned away")
	}
	g.law.refused.Store(math.Float64bits(1))
	for ctx, want := range map[context.Context]Verdict{
		t.Context(): Refuse, Behind(t.Context(), door(false)): Refuse, Behind(t.Context(), door(true)): Work,
	} {
		v := g.Enter(ctx)
		if v != want {
			t.Errorf("%v, want %v", v, want)
		}
		if v != Refuse {
			g.Leave(v)
		}
	}
	if !c.TurnsAway() {
		t.Error("where all are refused one is not")
	}
}

// TestClients: a connection counts from its first request to its end, once, however
// often that is told.
func TestClients(t *testing.T) {
	g := NewGate(Options{})
	want := func(when string, n int64) {
		t.Helper()
		if got := g.law.clients.Load(); got != n {
			t.Errorf("%s: %d clients, want %d", when, got, n)
		}
	}
	c, sender := g.Client(), g.Client()
	want("nothing was asked", 0)
	for range 3 {
		c.TurnsAway()
	}
	want("one has asked", 1)
	sender.Gone()
	want("one that never asked has gone", 1)
	for range 2 {
		c.Gone()
	}
	want("all have gone", 0)
	c.TurnsAway()
	want("one asks while it is closed", 0)
}

// TestBrief: where half of the work is to be saved every answer is brief, and gives
// its slot back; where a quarter is, about every second.
func TestBrief(t *testing.T) {
	g := NewGate(Options{Slots: 1})
	for _, c := range []struct {
		saved       float64
		least, most int
	}{{0, 0, 0}, {(1 - briefPart) / 2, 300, 700}, {1 - briefPart, 1000, 1000}} {
		g.law.save(c.saved)
		brief := 0
		for range 1000 {
			v := g.Enter(t.Context())
			if !v.Works() || g.law.refuses() {
				t.Fatalf("where %v is to be saved: %v", c.saved, v)
			}
			if v == Brief {
				brief++
			}
			g.Leave(v)
		}
		if brief < c.least || brief > c.most {
			t.Errorf("where %v is to be saved %d of 1000 are brief", c.saved, brief)
		}
	}
}

// TestCrowd: with far more to do than processors the gate turns some away, and
// at rest it lets everybody in again.
func TestCrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("it keeps every processor busy")
	}
	g := NewGate(Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got [4]int
	// 400 ms of work for each processor at once.
	for range 400 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			v := g.Enter(t.Context())
			if v == Work {
				for start := time.Now(); time.Since(start) < time.Millisecond; {
				}
			}
			if v != Refuse {
				g.Leave(v)
			}
			mu.Lock()
			got[v]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if got[Work] == 0 || got[Cheap] == 0 {
		t.Errorf("work, cheap, refused: %v", got)
	}
	if g.InFlight() != 0 {
		t.Errorf("%d inside at the end", g.InFlight())
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		v := g.Enter(t.Context())
		if v != Refuse {
			g.Leave(v)
		}
		if v == Work && g.Share() > 0.99 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("at rest: %v, share %v", v, g.Share())
		}
	}
}

func TestBudget(t *testing.T) {
	b := NewBudget(10)
	if !b.Take(6) || b.Take(5) || !b.Take(4) || b.Used() != 10 {
		t.Errorf("%d of 10", b.Used())
	}
	b.Give(10)
	if b.Used() != 0 {
		t.Errorf("%d", b.Used())
	}
}

// BenchmarkGate: the limit is a look at the clock, three atomic additions and a
// send and receive on a free channel, about 100 ns.
func BenchmarkGate(b *testing.B) {
	g := NewGate(Options{})
	b.ReportAllocs()
	for b.Loop() {
		g.Leave(g.Enter(b.Context()))
	}
}

// TestWatch: what a byte waits to be read counts as the wait of a request, and
// the gate goes on without when nobody watches any more.
func TestWatch(t *testing.T) {
	g := NewGate(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- g.Watch(ctx) }()
	u := &g.unread
	for u.last.Load() == 0 || u.sent.Load() != 0 { // one went its way
		u.wait(g.now() + tryEvery)
		runtime.Gosched()
	}
	// That one's time was however long this process stood still meanwhile.
	u.took.Store(0)
	now := g.now()
	u.sent.Store(int64(now))
	if got := u.wait(now + late + 1); got != late+1 {
		t.Errorf("behind a byte that has not been read for %v: %v", late+1, got)
	}
	u.sent.Store(0)
	u.took.Store(int64(target))
	u.last.Store(int64(now))
	if got := u.wait(now); got != target {
		t.Errorf("after one that stayed for %v: %v", target, got)
	}
	g.inFlight.Store(10 * g.crowd)
	u.took.Store(int64(time.Hour))
	g.long.Store(true)
	if v := g.Enter(ctx); v != Cheap {
		t.Errorf("a request that lay unread for an hour: %v", v)
	}
	cancel()
	if err := <-watched; err != context.Canceled {
		t.Error(err)
	}
	if got := u.wait(g.now()); got != 0 {
		t.Errorf("when nobody watches: %v", got)
	}
}

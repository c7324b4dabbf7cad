package admit

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// Verdict is what may be done for a request.
type Verdict uint8

const (
	// Work is all that it asks for.
	Work Verdict = iota
	// Brief is as much of it as takes little time.
	Brief
	// Cheap is an answer that costs next to nothing.
	Cheap
	// Refuse is nothing: come again later.
	Refuse
)

const (
	// DefaultWait is how long a request waits for a slot before it is answered
	// cheaply: a quarter of what an answer may take. Less than the turns that a
	// busy machine gives to other programs would turn away work that has a slot
	// as soon as this program has a processor again.
	DefaultWait = 25 * time.Millisecond
	// DefaultInFlight is the most requests inside at a time, waiting ones
	// included. At 100 us each that is a tenth of a second of work.
	DefaultInFlight = 1024
	// askEvery is how often a request finds out how long the queue is while there
	// seems to be none, and crowded is a wait from which on each one does.
	askEvery = 2 * time.Millisecond
	crowded  = 500 * time.Microsecond
	// crowd is how many requests for each processor have to be inside for their
	// wait to be each other's doing: so few are answered in a millisecond or two.
	crowd = 8
)

// Works says whether a request is worked for.
func (v Verdict) Works() bool { return v == Work || v == Brief }

// Options of a gate; the zero value has the documented defaults.
type Options struct {
	// Slots are how many requests work at a time; 0 is twice the processors, so
	// that one that waits for memory or a lock leaves none idle.
	Slots int
	// InFlight is the most requests inside; 0 is DefaultInFlight.
	InFlight int
	// Wait is how long a request waits for a slot; 0 is DefaultWait.
	Wait time.Duration
}

// Gate lets requests in as far as they can be answered in time. Two things
// turn them away: slots, where work blocks; and the time that requests wait for
// a processor, where it does not.
//
// In Go that wait is nowhere to be seen: who has to wait is a goroutine that is
// ready and has not run, and finds every slot free once it does. So a request
// goes to the end of the scheduler's queue once more before it is worked for.
// Thereby all that the poller has handed over are read before any is worked for,
// and each knows how long the queue is by the time that it took to come through.
// While nobody waits, one request in two milliseconds does so. To this comes how
// long it lay unread in its socket, which Watch finds out.
type Gate struct {
	slots    chan struct{}
	most     int64
	crowd    int64
	wait     time.Duration
	inFlight atomic.Int64

	law    law
	unread unread
	// asked is when a request last went through the queue, long whether it took
	// its time.
	asked atomic.Int64
	long  atomic.Bool

	// now is the time since the gate was made; pass goes through the queue.
	now  func() time.Duration
	pass func()
}

// NewGate returns an open gate.
func NewGate(opt Options) *Gate {
	if opt.Slots <= 0 {
		opt.Slots = 2 * runtime.GOMAXPROCS(0)
	}
	if opt.InFlight <= 0 {
		opt.InFlight = DefaultInFlight
	}
	if opt.Wait <= 0 {
		opt.Wait = DefaultWait
	}
	start := time.Now()
	g := &Gate{
		slots: make(chan struct{}, opt.Slots), most: int64(opt.InFlight), crowd: int64(crowd * runtime.GOMAXPROCS(0)), wait: opt.Wait,
		now: func() time.Duration { return time.Since(start) }, pass: runtime.Gosched,
	}
	g.law.roll(0)
	return g
}

// Enter decides about a request. Unless it says Refuse, the caller must Leave
// with the same verdict. A caller that has gone meanwhile gets Cheap.
func (g *Gate) Enter(ctx context.Context) Verdict {
	now := g.now()
	g.law.roll(now)
	if g.law.refuses() && !asked(ctx) && g.law.turnsAway() {
		return Refuse
	}
	inside := g.inFlight.Add(1)
	if inside > g.most {
		g.inFlight.Add(-1)
		return Refuse
	}
	v := g.queue(now, inside > g.crowd)
	if v == Cheap {
		return Cheap
	}
	select {
	case g.slots <- struct{}{}:
		return v
	default:
	}
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return v
	case <-timer.C:
		// Where this whole program stood still, the time was nobody's in a slot.
		select {
		case g.slots <- struct{}{}:
			return v
		default:
		}
	case <-ctx.Done():
	}
	return Cheap
}

// Client is a connection that requests may come on, one at a time.
type Client struct {
	gate *Gate
	// seen is the window in which the last one came.
	seen int64
	// stage says whether the law counts it.
	stage atomic.Int32
}

// The stages of a client.
const (
	unasked int32 = iota
	asks
	left
)

// Client is one of a connection; Gone has to be called once that is closed. It
// counts from its first request on: what only sends events, or is held open for
// later, would be at rest for ever.
func (g *Gate) Client() *Client { return &Client{gate: g} }

// Gone tells that no more requests come. It may be called again, and beside
// TurnsAway.
func (c *Client) Gone() {
	if c.stage.Swap(left) == asks {
		c.gate.law.clients.Add(-1)
	}
}

// TurnsAway says whether to refuse a request before Enter. It has to be asked of
// every one of the connection, once, and those who do Enter be Behind the one who
// asked.
func (c *Client) TurnsAway() bool {
	l := &c.gate.law
	l.roll(c.gate.now())
	if c.stage.Load() == unasked && c.stage.CompareAndSwap(unasked, asks) {
		l.clients.Add(1)
	}
	l.comes(c)
	return l.refuses() && l.turnsAway()
}

// Door is where a request came in, and says whether it asked TurnsAway of it.
type Door interface{ Asked() bool }

type doorKey struct{}

// Behind is ctx for requests that come in by a door.
func Behind(ctx context.Context, d Door) context.Context { return context.WithValue(ctx, doorKey{}, d) }

func asked(ctx context.Context) bool {
	d, ok := ctx.Value(doorKey{}).(Door)
	return ok && d.Asked()
}

// queue goes through the scheduler's queue, where there may be one, and decides
// by the time that this takes. crowd says that there were many inside before.
func (g *Gate) queue(now time.Duration, crowd bool) Verdict {
	if !g.long.Load() {
		asked := g.asked.Load()
		if int64(now) < asked+int64(askEvery) || !g.asked.CompareAndSwap(asked, int64(now)) {
			return g.law.work()
		}
	}
	lay := g.unread.wait(now)
	g.pass()
	waited := lay + g.now() - now
	if long := waited >= crowded; long != g.long.Load() {
		g.long.Store(long)
	}
	return g.law.decide(waited, crowd)
}

// Leave ends what Enter has let in.
func (g *Gate) Leave(v Verdict) {
	g.inFlight.Add(-1)
	if v.Works() {
		<-g.slots
	}
}

// InFlight is how many requests are inside.
func (g *Gate) InFlight() int { return int(g.inFlight.Load()) }

// Queues says whether the last request that went through the queue took its time:
// work that can wait had better.
func (g *Gate) Queues() bool { return g.long.Load() }

// Idle says whether no request came for a second.
func (g *Gate) Idle() bool { return g.law.idle(g.now()) }

// Share is the part of requests that did their work of late.
func (g *Gate) Share() float64 { return g.law.share(g.now()) }

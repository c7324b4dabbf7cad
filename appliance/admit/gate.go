package admit

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// Verdict is what may be done for a request.
type Verdict uint8

const (
	// Work is all that it asks for.
	Work Verdict = iota
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
	// lookEvery is how often the wait for a processor is looked at.
	lookEvery = 20 * time.Millisecond
	// strained and drowning are waits at which work, and at which anything, is
	// turned away: a quarter of what an answer may take, and all of it.
	strained = 25 * time.Millisecond
	drowning = 100 * time.Millisecond
	// relieved is the wait down to which work is turned away once some is: who
	// offers more than can be done waits before the door, too, and only a
	// program with time to spare works that queue off.
	relieved = 10 * time.Millisecond
	// crowd is how many goroutines per processor have to be waiting for it to be
	// requests that do: when other programs keep the processors, few wait long,
	// and turning them away would help nobody.
	crowd = 8
	// Shares move by these: down fast, up slowly, so that they do not swing.
	down     = 0.7
	up       = 0.05
	leastAny = 1.0 / 32
)

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
// turn them away: slots, where work blocks; and the time that goroutines wait
// for a processor, where it does not, for then a request has waited before its
// handler begins and finds every slot free.
type Gate struct {
	slots    chan struct{}
	most     int64
	wait     time.Duration
	inFlight atomic.Int64
	// work and any are the shares of requests let through, as bits of float64.
	work, any atomic.Uint64
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
	g := &Gate{slots: make(chan struct{}, opt.Slots), most: int64(opt.InFlight), wait: opt.Wait}
	g.work.Store(math.Float64bits(1))
	g.any.Store(math.Float64bits(1))
	return g
}

// Enter decides about a request. Unless it says Refuse, the caller must Leave
// with the same verdict. A caller that has gone meanwhile gets Cheap.
func (g *Gate) Enter(ctx context.Context) Verdict {
	if g.inFlight.Add(1) > g.most || !passes(&g.any) {
		g.inFlight.Add(-1)
		return Refuse
	}
	if !passes(&g.work) {
		return Cheap
	}
	select {
	case g.slots <- struct{}{}:
		return Work
	default:
	}
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return Work
	case <-timer.C:
		// Where this whole program stood still, the time was nobody's in a slot.
		select {
		case g.slots <- struct{}{}:
			return Work
		default:
		}
	case <-ctx.Done():
	}
	return Cheap
}

// Leave ends what Enter has let in.
func (g *Gate) Leave(v Verdict) {
	g.inFlight.Add(-1)
	if v == Work {
		<-g.slots
	}
}

// InFlight is how many requests are inside.
func (g *Gate) InFlight() int { return int(g.inFlight.Load()) }

// Share is the part of requests that may do their work as things are.
func (g *Gate) Share() float64 { return math.Float64frombits(g.work.Load()) }

// passes draws by a share; whole shares draw nothing.
func passes(share *atomic.Uint64) bool {
	s := math.Float64frombits(share.Load())
	return s >= 1 || rand.Float64() < s
}

// Run watches how long goroutines wait for a processor, until ctx ends.
func (g *Gate) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var w waits
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			wait, waiting := w.look()
			if waiting < crowd*runtime.GOMAXPROCS(0) {
				wait = 0
			}
			g.adjust(wait)
		}
	}
}

// adjust moves the shares by the wait of late goroutines: work is turned away
// first, everything only when that is not enough.
func (g *Gate) adjust(wait time.Duration) {
	limit := strained
	if g.Share() < 1 {
		limit = relieved
	}
	move(&g.work, wait > limit)
	move(&g.any, wait > drowning && g.Share() <= leastAny)
}

func move(share *atomic.Uint64, less bool) {
	s := math.Float64frombits(share.Load())
	switch {
	case less:
		s = max(leastAny, s*down)
	case s < 1:
		s = min(1, s+up)
	default:
		return
	}
	share.Store(math.Float64bits(s))
}

// waits reads how long goroutines were ready to run before they ran; the
// runtime measures one in eight.
type waits struct {
	sample [2]metrics.Sample
	before []uint64
}

// look is the 90th percentile since the last look, 0 at the first, and how many
// goroutines wait now.
func (w *waits) look() (late time.Duration, waiting int) {
	w.sample[0].Name, w.sample[1].Name = "/sched/latencies:seconds", "/sched/goroutines/runnable:goroutines"
	metrics.Read(w.sample[:])
	if w.sample[0].Value.Kind() != metrics.KindFloat64Histogram || w.sample[1].Value.Kind() != metrics.KindUint64 {
		return 0, 0
	}
	waiting = int(w.sample[1].Value.Uint64())
	h := w.sample[0].Value.Float64Histogram()
	if w.before == nil {
		w.before = append(w.before, h.Counts...)
		return 0, waiting
	}
	total := uint64(0)
	for i, n := range h.Counts {
		total += n - w.before[i]
	}
	above, wait := total/10, 0.0
	for i := len(h.Counts) - 1; i >= 0 && total > 0; i-- {
		n := h.Counts[i] - w.before[i]
		if n > above {
			wait = h.Buckets[i]
			break
		}
		above -= n
	}
	copy(w.before, h.Counts)
	return time.Duration(max(0, min(wait, 3600)) * float64(time.Second)), waiting
}

package sandbox

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/pluginhost/breaker"
	"vitrine/sdk/abi"
)

const (
	// guardRate is what a unit of fuel costs by the guard's price list, in
	// nanoseconds. Modules whose loops pay for branches that they do not take,
	// as those of Go do, measure less.
	guardRate = 0.33
	minRate   = guardRate / 64
	maxRate   = 1000
	// Without a word from its author, a call may use headroom times what a
	// trial call of that size used, and floorFuel on top.
	headroom  = 8
	floorFuel = 1_000_000
	// trialFuel is the budget of a trial call: at most about 10 ms, and ten
	// times what a plain-Go scorer of that many rows and 16 features takes.
	trialFuel = 30_000_000
	// The first trial calls find cold caches and untrained branches: there are
	// so many, at least leastTrials, as fit into trialTime.
	leastTrials = 5
	mostTrials  = 100
	trialTime   = 2 * time.Millisecond
	// maxGrace bounds the doubling of that after calls that ran dry early.
	maxGrace = 1 << 20
	// A call shorter than this says nothing about the rate.
	rateSignal = 50 * time.Microsecond
	// rateWindow is the number of calls of which the quickest counts: one that
	// the system interrupted must not look like expensive fuel.
	rateWindow = 16
	// wholeSlack is how far a rate may be from the best and still be called
	// the same: processors change their clock.
	wholeSlack = 1.5
	// overrun is how many times its time a call may take before it is believed
	// at once that its fuel is so dear.
	overrun = 20
	// mostDoubt bounds the doubling, at each overrun, of the calls that it takes to
	// refute the price by half.
	mostDoubt = 10
	// doubt raises the best rate at each call that ran dry early, so that a
	// guest whose fuel has become dearer is found out in the end.
	doubt = 1.05
)

// cost is what is known about the calls of one kind of one version.
type cost struct {
	base, perRow float64 // units, from trial calls
	declared     abi.Fuel
	grace        atomic.Int64

	took time.Duration // of the quickest trial call of firstRows rows

	rate  atomicFloat // nanoseconds per unit
	best  atomicFloat // the lowest rate so far, that of an idle machine
	usual atomicFloat // units of a call per row, smoothed

	windowMin   atomicFloat
	windowCalls atomic.Int64

	// lastOverrun is when a call last overran (Unix nanoseconds), dear how many did
	// without a time between them for which they are forgiven; refuted counts the
	// calls that speak against them.
	lastOverrun   atomic.Int64
	dear, refuted atomic.Int64
}

// atomicFloat is a float64 that may be read while it is written. Lost updates
// of a moving average do no harm.
type atomicFloat struct{ bits atomic.Uint64 }

func (a *atomicFloat) load() float64   { return math.Float64frombits(a.bits.Load()) }
func (a *atomicFloat) store(f float64) { a.bits.Store(math.Float64bits(f)) }

// budget is the fuel for a call of n rows that may take at most allowed.
// timed says that it is the time, not the expected need, that bounds it. Cheap
// as the fuel of a guest may have looked, it buys no more than by the price
// list: what was paid for branches that were not taken may be paid for loads
// that miss all caches in the next call, which take a thousand times longer.
func (c *cost) budget(n int, allowed time.Duration) (units int64, timed bool) {
	byTime := float64(allowed) / max(c.rate.load(), guardRate)
	need := (headroom*(c.base+c.perRow*float64(n)) + floorFuel) * float64(max(c.grace.Load(), 1))
	if c.declared != (abi.Fuel{}) {
		need = max(need, float64(c.declared.Base+c.declared.PerItem*int64(n)))
	}
	if byTime <= need {
		return max(int64(byTime), 1), true
	}
	return int64(need), false
}

// expected is how long a call of n rows usually takes, from the fuel it uses:
// times alone would let a busy system look like a slow plugin.
func (c *cost) expected(n int) time.Duration {
	return time.Duration(c.usual.load() * float64(max(n, 1)) * c.rate.load())
}

// skipped lets the expectation fade, or a few costly requests would keep a
// plugin out for ever.
func (c *cost) skipped() { c.usual.store(c.usual.load() * 0.95) }

// observe learns from a call of n rows.
func (c *cost) observe(n int, spent int64, p Period, end time.Time) {
	took := end.Sub(p.Start)
	perRow := float64(spent) / float64(max(n, 1))
	usual := c.usual.load()
	c.usual.store(usual + (perRow-usual)/16)
	if c.overran(spent, p, end) {
		return
	}
	c.refute(spent, took)
	if took < rateSignal || spent <= 0 {
		return
	}
	rate := float64(took) / float64(spent)
	quickest := c.windowMin.load()
	calls := c.windowCalls.Add(1)
	if calls == 1 || rate < quickest {
		quickest = rate
		c.windowMin.store(rate)
	}
	if calls >= rateWindow {
		c.learn(sane(quickest))
		c.windowCalls.Store(0)
	}
}

// overran takes a call that took very much longer than it might, for fuel that
// is worth some time by itself, as what fuel costs from now on: its next calls
// get as little as that.
func (c *cost) overran(spent int64, p Period, end time.Time) bool {
	took := end.Sub(p.Start)
	if took <= overrun*p.Allowed || spent < floorFuel/2 {
		return false
	}
	c.rate.store(sane(float64(took) / float64(spent)))
	c.windowCalls.Store(0)
	if now := end.UnixNano(); now-c.lastOverrun.Swap(now) > int64(breaker.Forgiven) {
		c.dear.Store(0)
	}
	c.dear.Add(1)
	c.refuted.Store(0)
	return true
}

// refute lets go of a price that a call did not bear out. Where the machine
// stood still within a call, its fuel looked dear; those behind it get too
// little to end, or to tell what it costs, but how much they got in which time
// bounds that. A guest that overruns again and again is believed less and less.
func (c *cost) refute(spent int64, took time.Duration) {
	dear, rate := c.dear.Load(), c.rate.load()
	if dear == 0 || spent <= 0 || float64(took)/float64(spent) > rate/2 || rate <= guardRate {
		return
	}
	if c.refuted.Add(1)>>min(dear-1, mostDoubt) > 0 {
		c.refuted.Store(0)
		c.rate.store(sane(max(rate/2, float64(took)/float64(spent))))
	}
}

// dryCall is a call that ran out of fuel: what it spent, what its whole batch could,
// and whether time was what bounded that.
type dryCall struct {
	Period
	rows          int
	spent, bought int64
	timed         bool
}

// dry says what such a call is guilty of, and learns from it.
func (c *cost) dry(d dryCall, end time.Time) error {
	inTime := end.Sub(d.Start) < d.Allowed
	if !d.timed && inTime {
		c.ranDry()
	}
	if c.overran(d.spent, d.Period, end) {
		return errOverran
	}
	c.refute(d.spent, end.Sub(d.Start))
	// Fuel for the expected need that took all of the time all the same is the
	// guest's own doing.
	if (d.timed || inTime) && !c.whole(d.bought, d.Whole) {
		c.cut(d.rows, d.bought, d.timed)
		return errCut
	}
	return errFuel
}

// learn takes a measured rate.
func (c *cost) learn(rate float64) {
	c.rate.store(rate)
	c.best.store(min(c.best.load(), rate))
}

// whole says whether so much fuel is what the whole budget of a call buys. It
// is less when little of the request's time was left, when the need was
// underestimated, and when a busy machine made fuel look dear: none of that is
// the plugin's fault.
func (c *cost) whole(units int64, budget time.Duration) bool {
	return float64(units)*wholeSlack >= float64(budget)/max(c.best.load(), guardRate)
}

// cut is called when n rows ran dry before the whole budget was used. timed
// says that time was what bounded them: then calls like this are not worth
// trying until the expectation has faded.
func (c *cost) cut(n int, units int64, timed bool) {
	if timed {
		c.usual.store(max(c.usual.load(), wholeSlack*float64(units)/float64(n)))
		c.best.store(min(c.best.load()*doubt, max(c.rate.load(), c.best.load())))
	}
}

// sane keeps a measured rate in the range that is believed.
func sane(rate float64) float64 { return min(max(rate, minRate), maxRate) }

// ranDry is called when fuel ran out before the time did: the need was
// underestimated, so the next call gets more.
func (c *cost) ranDry() {
	if g := max(c.grace.Load(), 1); g < maxGrace {
		c.grace.Store(2 * g)
	}
}

// calibrate makes trial calls on made-up frames to learn what calls cost. A
// plugin that fails here is not refused for it: on a real frame it may not,
// and if it does the breaker deals with it. The result is the instance to go
// on with, nil when there is none left.
func (v *Version) calibrate(ctx context.Context, in *instance) *instance {
	for _, k := range v.manifest.Kinds {
		c := &v.costs[k]
		c.declared = v.manifest.Fuel
		c.rate.store(guardRate)
		c.best.store(guardRate)
		if in == nil {
			continue
		}
		st := NewStage(v, k, nil)
		for i := range st.reads {
			st.reads[i].trial = true
		}
		small, _, err := trial(st, in, firstRows/16)
		if err == nil { // what is known when the large one is too much
			c.perRow = float64(small) / (firstRows / 16)
			c.usual.store(c.perRow)
		}
		large, took := int64(0), time.Duration(math.MaxInt64)
		for n, begin := 0, time.Now(); n < leastTrials || n < mostTrials && time.Since(begin) < trialTime; n++ {
			if err == nil {
				var once time.Duration
				large, once, err = trial(st, in, firstRows)
				took = min(took, once)
			}
		}
		if err != nil {
			in.close()
			in, err = newInstance(ctx, v)
			if err != nil {
				in = nil
			}
			continue
		}
		c.perRow = float64(large-small) / (firstRows - firstRows/16)
		c.base = max(float64(small)-c.perRow*(firstRows/16), 0)
		c.usual.store(float64(large) / firstRows)
		c.took = took
		if took > rateSignal/4 {
			c.learn(sane(float64(took) / float64(large)))
		}
	}
	return in
}

// trial is one call on a made-up frame.
func trial(st *Stage, in *instance, rows int) (spent int64, took time.Duration, err error) {
	f := &frame.Frame{User: frame.NoUser}
	for i := range rows {
		f.Add(uint32(i), 1/float32(i+1))
	}
	r := &Scratch{}
	r.Prepare(rows, len(st.writes))
	start := time.Now()
	err = st.chunk(in, r, f, span{0, rows, trialFuel})
	return in.spent, time.Since(start), err
}

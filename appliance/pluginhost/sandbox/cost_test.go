package sandbox

import (
	"testing"
	"time"
)

func TestCost(t *testing.T) {
	start := time.Unix(0, 0)
	c := &cost{base: 1000, perRow: 100}
	c.rate.store(guardRate)
	if units, timed := c.budget(200, 100*time.Millisecond); timed || units != headroom*21_000+floorFuel {
		t.Errorf("%d units, timed %v", units, timed)
	}
	if units, timed := c.budget(200, time.Microsecond); !timed || units != 3030 {
		t.Errorf("%d units, timed %v", units, timed)
	}
	c.ranDry()
	if units, _ := c.budget(0, time.Second); units != 2*(headroom*1000+floorFuel) {
		t.Errorf("%d units after running dry", units)
	}
	// Cheap fuel buys no more than the price list says.
	c.rate.store(minRate)
	if units, timed := c.budget(200, time.Microsecond); !timed || units != 3030 {
		t.Errorf("%d units of cheap fuel, timed %v", units, timed)
	}
	// A call that took a little longer than it may says nothing, one with a lot
	// of fuel that took very much longer is believed at once, one with little
	// fuel was interrupted.
	over := Period{Start: start, Allowed: time.Millisecond}
	c.observe(100, floorFuel, over, start.Add(2*time.Millisecond))
	c.observe(100, 1000, over, start.Add(time.Second))
	if got := c.rate.load(); got != minRate {
		t.Errorf("rate %v after calls that were interrupted", got)
	}
	c.observe(100, floorFuel, over, start.Add(30*time.Millisecond))
	if got := c.rate.load(); got != 30 {
		t.Errorf("rate %v after a call that took 30 ns a unit", got)
	}
	for range rateWindow {
		c.observe(100, 1_000_000, over, start.Add(10*time.Millisecond))
	}
	if got := c.rate.load(); got != 10 {
		t.Errorf("rate %v after a window of slow calls, want 10 ns", got)
	}
	if c.expected(100) < time.Millisecond {
		t.Errorf("expects %v of a call that takes 10 ms", c.expected(100))
	}
}

func TestOnlyTheWholeBudgetIsAFault(t *testing.T) {
	c := &cost{}
	c.rate.store(0.05)
	c.best.store(0.05)
	const budget = 5 * time.Millisecond
	if !c.whole(15_000_000, budget) || c.whole(9_000_000, budget) {
		t.Error("the whole budget of 5 ms is 15 M units by the price list, however cheap they look")
	}
	c.rate.store(0.5)
	c.best.store(0.5)
	// A busy machine: fuel looks four times as dear, so less of it is granted.
	for range rateWindow {
		c.observe(100, 1_000_000, Period{Start: time.Unix(0, 0), Allowed: budget}, time.Unix(0, 0).Add(2*time.Millisecond))
	}
	c.grace.Store(maxGrace)
	units, timed := c.budget(100, budget)
	if !timed || units > 2_600_000 || c.whole(units, budget) {
		t.Errorf("%d units, timed %v, are the whole budget: %v", units, timed, c.whole(units, budget))
	}
	c.cut(100, units, timed)
	if c.expected(100) <= budget {
		t.Errorf("expects %v of a call that ran dry within %v", c.expected(100), budget)
	}
	for range 100 { // but not for ever
		c.cut(100, units, timed)
	}
	if !c.whole(units, budget) {
		t.Error("a guest that always runs dry is never found out")
	}
}

// guestOf calls, as Stage.Run does but with nothing but its cost, a plugin that
// needs so much fuel at such a price (nanoseconds), a call each millisecond; halt
// is for how long the machine stands still in the call.
func guestOf(c *cost) func(needs int64, price float64, halt time.Duration) error {
	const rows, allowed = 200, 5 * time.Millisecond
	c.base, c.perRow = 1000, 3000
	c.rate.store(guardRate)
	c.best.store(guardRate)
	now := time.Unix(1000, 0)
	return func(needs int64, price float64, halt time.Duration) error {
		now = now.Add(time.Millisecond)
		if c.expected(rows) > allowed {
			c.skipped()
			return errBusy
		}
		units, timed := c.budget(rows, allowed)
		spent := min(needs, units)
		p := Period{now, allowed, allowed}
		now = now.Add(halt + time.Duration(float64(spent)*price))
		if spent == needs {
			c.observe(rows, spent, p, now)
			return nil
		}
		return c.dry(dryCall{p, rows, spent, units, timed}, now)
	}
}

// TestHaltIsForgiven: a plugin in whose call the machine stood still is asked as
// before a few hundred lists later, and nothing of it is called its fault; one
// that takes that time itself, again and again, is asked less and less.
func TestHaltIsForgiven(t *testing.T) {
	for name, c := range map[string]struct {
		halt  time.Duration
		times int
	}{"a second": {time.Second, 1}, "an hour": {time.Hour, 1}, "again and again": {200 * time.Millisecond, 3}} {
		costs := new(cost)
		call := guestOf(costs)
		well := func() error { return call(600_000, guardRate, 0) }
		for range 100 {
			if err := well(); err != nil {
				t.Fatalf("%s: before: %v", name, err)
			}
		}
		for range c.times {
			if err := call(600_000, guardRate, c.halt); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			lists := 0
			for answered := 0; answered < 100; lists++ {
				err := well()
				if answered++; err != nil {
					answered = 0
				}
				if err == errFuel || err == errOverran || lists > 2000 {
					t.Fatalf("%s: list %d behind it: %v, at %v ns a unit", name, lists, err, costs.rate.load())
				}
			}
			t.Logf("%s: asked as before after %d lists", name, lists-100)
		}
	}
}

// TestOverrunsGetRare: fuel that is cheap while there is little of it and costs a
// microsecond a unit where there is more, of a guest that ends before it runs dry.
func TestOverrunsGetRare(t *testing.T) {
	c := new(cost)
	call := guestOf(c)
	overruns := [2]int{}
	const lists = 100_000
	for n := range lists {
		before := c.lastOverrun.Load()
		units, _ := c.budget(200, 5*time.Millisecond)
		price := guardRate
		if units > floorFuel/2 {
			price = 1000
		}
		_ = call(units-1, price, 0)
		if c.lastOverrun.Load() != before {
			overruns[n*len(overruns)/lists]++
		}
	}
	if t.Log(overruns); overruns[0] == 0 || overruns[0] > 40 || overruns[1] > 20 {
		t.Errorf("in %d lists a guest overran %d times", lists, overruns)
	}
}

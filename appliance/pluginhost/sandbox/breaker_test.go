package sandbox

import (
	"testing"
	"time"
)

func TestBreakerWantsBothCountAndShare(t *testing.T) {
	now := time.Unix(0, 0)
	b := &breaker{now: func() time.Time { return now }}
	b.failed("first")
	for range 10_000 {
		b.succeeded()
	}
	for range faultCount {
		if tripped, _ := b.failed("rare"); tripped {
			t.Fatal("trips at one fault in two thousand calls")
		}
	}
	now = now.Add(faultWindow + 1)
	for i := range faultCount {
		tripped, wait := b.failed("often")
		if tripped != (i == faultCount-1) || tripped && wait != firstBackoff {
			t.Fatalf("fault %d: %v, %v", i, tripped, wait)
		}
	}
}

func TestBreakerBacksOff(t *testing.T) {
	now := time.Unix(0, 0)
	b := &breaker{now: func() time.Time { return now }}
	fail := func() time.Duration {
		for range faultCount {
			if tripped, wait := b.failed("x"); tripped {
				return wait
			}
		}
		return 0
	}
	for want := firstBackoff; want < 2*lastBackoff; want *= 2 {
		if got := fail(); got != min(want, lastBackoff) {
			t.Fatalf("waits %v, want %v", got, want)
		}
		if b.allow() {
			t.Fatal("allowed before the wait is over")
		}
		now = now.Add(min(want, lastBackoff))
		if !b.allow() || b.allow() {
			t.Fatal("want exactly one probe")
		}
	}
	b.abandon()
	if !b.allow() {
		t.Fatal("a probe that was not made is lost")
	}
	if !b.succeeded() || !b.allow() || !b.allow() {
		t.Fatal("a good probe does not end the quarantine")
	}
	now = now.Add(forgiven + time.Second)
	if got := fail(); got != firstBackoff {
		t.Errorf("waits %v long after the last quarantine", got)
	}
}

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
	// A call that overran tells at once that its fuel was too cheap, up to the
	// price list; beyond that only a whole window does.
	c.rate.store(minRate)
	over := Period{start, time.Millisecond}
	c.observe(100, 1000, over, start.Add(time.Second))
	if got := c.rate.load(); got != guardRate {
		t.Errorf("rate %v after one overrun", got)
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

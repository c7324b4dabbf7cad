package breaker

import (
	"testing"
	"time"
)

func TestBreakerWantsBothCountAndShare(t *testing.T) {
	now := time.Unix(0, 0)
	b := &Breaker{Now: func() time.Time { return now }}
	b.Failed("first")
	for range 10_000 {
		b.Succeeded()
	}
	for range faultCount {
		if tripped, _ := b.Failed("rare"); tripped {
			t.Fatal("trips at one fault in two thousand calls")
		}
	}
	now = now.Add(faultWindow + 1)
	for i := range faultCount {
		tripped, wait := b.Failed("often")
		if tripped != (i == faultCount-1) || tripped && wait != firstBackoff {
			t.Fatalf("fault %d: %v, %v", i, tripped, wait)
		}
	}
}

func TestBreakerBacksOff(t *testing.T) {
	now := time.Unix(0, 0)
	b := &Breaker{Now: func() time.Time { return now }}
	fail := func() time.Duration {
		for range faultCount {
			if tripped, wait := b.Failed("x"); tripped {
				return wait
			}
		}
		return 0
	}
	for want := firstBackoff; want < 2*lastBackoff; want *= 2 {
		if got := fail(); got != min(want, lastBackoff) {
			t.Fatalf("waits %v, want %v", got, want)
		}
		if b.Allow() {
			t.Fatal("allowed before the wait is over")
		}
		now = now.Add(min(want, lastBackoff))
		if !b.Allow() || b.Allow() {
			t.Fatal("want exactly one probe")
		}
	}
	b.Abandon()
	if !b.Allow() {
		t.Fatal("a probe that was not made is lost")
	}
	if !b.Succeeded() || !b.Allow() || !b.Allow() {
		t.Fatal("a good probe does not end the quarantine")
	}
	now = now.Add(Forgiven + time.Second)
	if got := fail(); got != firstBackoff {
		t.Errorf("waits %v long after the last quarantine", got)
	}
}

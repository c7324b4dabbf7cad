package admit

import (
	"fmt"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	r := NewRates(10)
	now := time.Unix(1000, 0)
	allowed := func(caller string, n int) (ok int) {
		for range n {
			if _, fine := r.Allow(caller, now); fine {
				ok++
			}
		}
		return ok
	}
	if got := allowed("a", 50); got != 10 {
		t.Errorf("%d of 50 at once, want the share of a second", got)
	}
	if got := allowed("b", 5); got != 5 {
		t.Errorf("another caller pays: %d of 5", got)
	}
	wait, ok := r.Allow("a", now)
	if ok || wait <= 0 || wait > 100*time.Millisecond {
		t.Errorf("wait %v", wait)
	}
	if now = now.Add(wait); allowed("a", 3) != 1 {
		t.Error("after the wait it is one more")
	}
	if now = now.Add(time.Hour); allowed("a", 50) != 10 {
		t.Error("an hour of rest is worth more than a second")
	}
	if _, ok := NewRates(0).Allow("a", now); !ok {
		t.Error("no limit limits")
	}
	slow := NewRates(0.1)
	if _, ok := slow.Allow("a", now); !ok {
		t.Error("below one a second nothing passes")
	}
	if wait, ok := slow.Allow("a", now); ok || wait < 9*time.Second {
		t.Errorf("%v %v", wait, ok)
	}
}

// TestRatesAreBounded: inventing names fills no memory and wins nothing.
func TestRatesAreBounded(t *testing.T) {
	r := NewRates(1)
	now := time.Unix(1000, 0)
	passed := 0
	for n := range 3 * maxCallers {
		if _, ok := r.Allow(fmt.Sprint("caller", n), now); ok {
			passed++
		}
	}
	if len(r.callers) > maxCallers || passed > maxCallers+1 {
		t.Errorf("%d callers kept, %d passed", len(r.callers), passed)
	}
	now = now.Add(time.Minute)
	if _, ok := r.Allow("late", now); !ok || len(r.callers) != 1 {
		t.Errorf("those who rest are not forgotten: %d (%v)", len(r.callers), ok)
	}
}

// BenchmarkRates: the limit is one map look-up and store under a lock, about
// 50 ns.
func BenchmarkRates(b *testing.B) {
	r := NewRates(1e9)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r.Allow("0123abcd", now)
	}
}

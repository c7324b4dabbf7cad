package admit

import (
	"context"
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
	time.AfterFunc(5*time.Millisecond, func() { g.Leave(Work) })
	if v := g.Enter(ctx); v != Work {
		t.Errorf("when one leaves in time: %v", v)
	}
	g.Leave(Work)
	g.Leave(Work)
	if g.InFlight() != 0 {
		t.Errorf("%d inside", g.InFlight())
	}
}

// TestAdjust: long waits for a processor turn work away first, then
// everything; short ones let it all in again.
func TestAdjust(t *testing.T) {
	g := NewGate(Options{InFlight: 1 << 20})
	count := func() (out [3]int) {
		for range 2000 {
			v := g.Enter(t.Context())
			if out[v]++; v != Refuse {
				g.Leave(v)
			}
		}
		return out
	}
	if got := count(); got[Work] != 2000 {
		t.Errorf("at rest: %v", got)
	}
	g.adjust(strained)
	if got := count(); got[Work] != 2000 {
		t.Errorf("after a wait that may be: %v", got)
	}
	g.adjust(strained + 1)
	if got := count(); got[Cheap] < 400 || got[Cheap] > 800 || got[Refuse] != 0 {
		t.Errorf("after one late look: %v", got)
	}
	// Once strained, waits that were well before are too long.
	for range 20 {
		g.adjust(relieved + 1)
	}
	if got := count(); got[Work] > 200 || got[Refuse] != 0 {
		t.Errorf("strained for long: %v", got)
	}
	for range 20 {
		g.adjust(drowning + 1)
	}
	if got := count(); got[Refuse] < 1500 || got[Refuse] == 2000 {
		t.Errorf("drowning: %v", got)
	}
	for range 40 {
		g.adjust(0)
	}
	if got := count(); got[Work] != 2000 || g.Share() != 1 {
		t.Errorf("at rest again: %v, share %v", got, g.Share())
	}
}

// TestCrowd: with far more to do than processors the gate closes, and at rest
// it opens again, whatever else the machine does.
func TestCrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("it keeps every processor busy")
	}
	g := NewGate(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); g.Run(ctx) }()
	var wg sync.WaitGroup
	least := 1.0
	var mu sync.Mutex
	for range 800 {
		wg.Go(func() {
			for start := time.Now(); time.Since(start) < time.Millisecond; {
			}
			mu.Lock()
			least = min(least, g.Share())
			mu.Unlock()
		})
	}
	wg.Wait()
	if least > 0.8 {
		t.Errorf("with 800 goroutines at work the gate lets %v through", least)
	}
	for deadline := time.Now().Add(5 * time.Second); g.Share() < 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("at rest the gate lets %v through", g.Share())
		}
	}
	cancel()
	<-done
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

// BenchmarkGate: the limit is two atomic additions and a send and receive on a
// free channel, about 60 ns.
func BenchmarkGate(b *testing.B) {
	g := NewGate(Options{})
	b.ReportAllocs()
	for b.Loop() {
		g.Leave(g.Enter(b.Context()))
	}
}

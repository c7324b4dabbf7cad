package pluginhost

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/appliance/frame"
)

// TestSwapsUnderLoad replaces a plugin many times under concurrent requests:
// every request gets the answer of one of the versions, none fails, and no
// version is left behind.
func TestSwapsUnderLoad(t *testing.T) {
	swaps := 30 // the built-in benchmark makes 100
	if testing.Short() {
		swaps = 20
	}
	// Nothing may be skipped for lack of time, however busy the machine is.
	r := newRig(t, Options{CallBudget: time.Minute, RequestBudget: time.Minute}).start()
	r.add("p", scorer("p", scale(1)).wasm())
	var stop atomic.Bool
	var workers sync.WaitGroup
	var requests atomic.Int64
	for i := range 4 {
		workers.Go(func() {
			f, tr := frameOf(100+i*1000), &frame.Trace{} // long ones are in the middle of a call when a version goes
			for !stop.Load() {
				for i := range f.Scores {
					f.Scores[i] = 1
				}
				tr.Reset()
				r.Rank(context.Background(), f, tr)
				if len(tr.Calls) != 1 || tr.Calls[0].Status != statusOK {
					t.Errorf("calls %v", tr.Calls)
					return
				}
				for _, s := range f.Scores {
					if s != f.Scores[0] {
						t.Errorf("scores %v and %v of one request", f.Scores[0], s)
						return
					}
				}
				requests.Add(1)
				time.Sleep(50 * time.Microsecond) // the compiler needs a processor too
			}
		})
	}
	for i := range swaps {
		g := scorer("p", scale(float32(i+2)))
		g.manifest.Version = fmt.Sprintf("1.0.%d", i)
		if info := r.add("p", g.wasm()); info.State != Active || info.Version != g.manifest.Version {
			t.Fatalf("swap %d: %+v", i, info)
		}
	}
	stop.Store(true)
	workers.Wait()
	t.Logf("%d requests during %d swaps", requests.Load(), swaps)
	if f, _ := r.rank(1); f.Scores[0] != float32(swaps+1) {
		t.Errorf("score %v, want that of the last version", f.Scores[0])
	}
}

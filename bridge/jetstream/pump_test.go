package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"vitrine/bridge"
	"vitrine/bridge/event"
)

// tally is a consumer that keeps the ids it saw, in order.
type tally struct {
	ids []string
	n   int
}

func (c *tally) Apply(_ uint64, records []event.Record) {
	c.n += len(records)
	if c.ids != nil {
		for i := range records {
			c.ids = append(c.ids, records[i].Event.EventID)
		}
	}
}

func runPump(t testing.TB, p *bridge.Pump) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// view is a typical event of about 60 bytes in a frame.
func view(r *event.Record, caller, i int) {
	*r = event.Record{Kind: event.KindEvent, Event: event.Event{
		UserID: fmt.Sprint("user-", (caller*7919+i*31)%50000), ItemID: fmt.Sprint("item-", i*17%10000), Type: "view",
		Time: 1760000000000 + int64(i), EventID: fmt.Sprintf("%08x-%08x", caller, i), SessionID: fmt.Sprint("s-", i/20),
	}, Source: event.Source{Name: "http"}}
}

// The pump on the real bus: full, trimmed, closed and replayed, every
// accepted event is there once and in order.
func TestPumpOnBus(t *testing.T) {
	dir := t.TempDir()
	b := open(t, Options{Dir: dir, MaxBytes: 1 << 20})
	live := &tally{ids: []string{}}
	p := bridge.New(b, []bridge.Consumer{live}, bridge.Options{FrameBytes: 8 << 10})
	if err := p.Replay(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	stop := runPump(t, p)
	var wg sync.WaitGroup
	for caller := range 4 {
		wg.Go(func() {
			batch := make([]event.Record, 50)
			for i := 0; i < 10_000; i += len(batch) {
				for j := range batch {
					view(&batch[j], caller, i+j)
				}
				for {
					res, err := p.Submit(t.Context(), batch)
					if err == nil && res.Accepted == len(batch) {
						break
					}
					if !errors.Is(err, bridge.ErrBusFull) {
						t.Error(res, err)
						return
					}
					// What is in the full bus is known as a duplicate; now
					// half of it is taken away.
					first, last, err := b.Bounds(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if err := b.Trim(t.Context(), (first+last)/2); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	stop()
	if len(live.ids) != 40_000 {
		t.Fatalf("%d applied", len(live.ids))
	}
	st := b.Stats(t.Context())
	if st.Down != nil || st.Refused == 0 || st.Restarts != 0 {
		t.Fatalf("the bus was never full: %+v", st)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, Options{Dir: dir})
	again := &tally{ids: []string{}}
	p = bridge.New(b, []bridge.Consumer{again}, bridge.Options{})
	if err := p.Replay(t.Context(), st.First); err != nil {
		t.Fatal(err)
	}
	if n := len(again.ids); n == 0 || !slices.Equal(again.ids, live.ids[len(live.ids)-n:]) {
		t.Fatalf("%d replayed events are not the last ones that were applied", n)
	}
}

// 16 callers of batches of 100, as HTTP ingest sends them. The limit is one
// fsync per 1,600 events beside about 0.5 us of CPU per event.
func BenchmarkSubmit(b *testing.B) {
	for _, tc := range []struct{ callers, batch int }{{16, 100}, {1, 100}, {1, 1}, {64, 1}} {
		b.Run(fmt.Sprintf("callers=%d/batch=%d", tc.callers, tc.batch), func(b *testing.B) {
			bus := open(b, Options{MaxBytes: 32 << 30})
			p := bridge.New(bus, []bridge.Consumer{&tally{}}, bridge.Options{})
			stop := runPump(b, p)
			defer stop()
			batches := make([][]event.Record, tc.callers)
			for c := range batches {
				batches[c] = make([]event.Record, tc.batch*b.N)
				for i := range batches[c] {
					view(&batches[c][i], c, i)
				}
			}
			var worst time.Duration
			var mu sync.Mutex
			b.ResetTimer()
			var wg sync.WaitGroup
			for _, records := range batches {
				wg.Go(func() {
					var slow time.Duration
					for len(records) > 0 {
						start := time.Now()
						if _, err := p.Submit(b.Context(), records[:tc.batch]); err != nil {
							b.Error(err)
							return
						}
						slow = max(slow, time.Since(start))
						records = records[tc.batch:]
					}
					mu.Lock()
					worst = max(worst, slow)
					mu.Unlock()
				})
			}
			wg.Wait()
			b.StopTimer()
			n := float64(b.N * tc.callers * tc.batch)
			b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(p.Stats().FrameBytes)/n, "B/event")
			b.ReportMetric(n/float64(p.Stats().Frames), "events/frame")
			b.ReportMetric(float64(worst.Microseconds()), "worst-us")
		})
	}
}

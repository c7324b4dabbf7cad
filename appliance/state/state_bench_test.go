package state

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"vitrine/appliance/bench/gen"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/jetstream"
)

// BenchmarkOpen is a start of a large shop: 200,000 items of five attributes, a
// million users, three million events; once from the log, and from a snapshot. What
// is read cannot take less than its bytes from the disk and, for each of the
// 1.2 million ids, an entry of a map (0.2 us): a quarter of a second. The
// bar is 5 s with a model, from a snapshot.
//
//	go test ./appliance/state -run xxx -bench Open -benchtime 3x
func BenchmarkOpen(b *testing.B) {
	if testing.Short() {
		b.Skip("takes minutes")
	}
	w := largeWorld(b)
	start, busy := time.Now(), processorTime(b)
	s := w.open(w.options("a"))
	b.Logf("from the log in %v, %v of processors", time.Since(start), processorTime(b)-busy)
	w.feed(s, 20, nil)
	start, busy = time.Now(), processorTime(b)
	if err := s.Save(b.Context()); err != nil {
		b.Fatal(err)
	}
	_, size := s.Snapshot()
	b.Logf("%d MiB written in %v, %v of processors", size>>20, time.Since(start), processorTime(b)-busy)
	b.Run("freeze", func(b *testing.B) {
		for b.Loop() {
			s.freeze(1).profile.Thaw()
		}
	})
	b.Run("snapshot", func(b *testing.B) {
		busy := processorTime(b)
		defer func() { b.ReportMetric((processorTime(b)-busy).Seconds()/float64(b.N), "cpu-s/op") }()
		for b.Loop() {
			if s := w.open(w.options("a")); s.position.Load() == 0 {
				b.Fatal("no snapshot")
			}
		}
	})
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func largeWorld(b *testing.B) *world {
	w := newWorld(b)
	w.bus.Close()
	dir := filepath.Join(b.TempDir(), "archive")
	shape := gen.Sized(3_000_000)
	shape.Users, shape.Items = 1_000_000, 200_000
	if _, err := gen.Archive(b.Context(), dir, shape, true); err != nil {
		b.Fatal(err)
	}
	var err error
	if w.archive, err = archive.Open(b.Context(), archive.Options{Dir: dir}); err != nil {
		b.Fatal(err)
	}
	batch, err := w.archive.Begin(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	text := func(name, v string) event.Attribute {
		return event.Attribute{Name: name, Value: event.Value{Kind: event.String, Str: v}}
	}
	for i := range shape.Items {
		r := event.Record{Kind: event.KindItemPut, Item: event.Item{ID: fmt.Sprintf("item-%07d", i), Time: firstEvent, Attributes: []event.Attribute{
			text("brand", fmt.Sprint(i%500)), text("category", fmt.Sprint(i%40)), text("name", fmt.Sprint("the item ", i)),
			{Name: "price", Value: event.Value{Kind: event.Number, Num: float64(i % 1000)}},
			{Name: "stock", Value: event.Value{Kind: event.Number, Num: float64(i % 7)}},
		}}}
		if err := batch.Add(batch.First(), &r); err != nil {
			b.Fatal(err)
		}
	}
	if err := batch.Commit(b.Context(), batch.First()); err != nil {
		b.Fatal(err)
	}
	if w.bus, err = jetstream.Open(b.Context(), jetstream.Options{Dir: filepath.Join(b.TempDir(), "bus"), After: w.archive.Position()}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.bus.Close() })
	return w
}

package archive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
)

// The shape of a year of a mid-size shop, imported at once.
const (
	benchEvents = 541_000
	benchDays   = 370
)

// importBatch fills a batch as a bulk import does; the strings of each record
// are its own, as a decoder makes them.
func importBatch(b testing.TB, a *Archive) *Batch {
	r := rand.New(rand.NewPCG(1, 2))
	batch, err := a.Begin(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchEvents {
		rec := view(fmt.Sprint(12000+r.IntN(4300)), fmt.Sprint(20000+r.IntN(4000)),
			fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()), day0+int64(i)*benchDays*dayMillis/benchEvents)
		rec.Event.Type, rec.Event.HasValue, rec.Event.Value = "purchase", true, float64(1+r.IntN(12))
		rec.Source = event.Source{Name: "online_retail.csv", Offset: int64(i + 2)}
		if err := batch.Add(uint64(i/4000+1), &rec); err != nil {
			b.Fatal(err)
		}
	}
	return batch
}

// BenchmarkCommit: encoding costs some 1.2 us a row on two cores together; the
// rest is 370 file and as many folder syncs, whose floor is the disk's journal.
func BenchmarkCommit(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		a := open(b, b.TempDir())
		var before, filled runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		batch := importBatch(b, a)
		runtime.GC()
		runtime.ReadMemStats(&filled)
		b.ReportMetric(float64(filled.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-batch")
		b.StartTimer()
		if err := batch.Commit(context.Background(), benchEvents); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		sum, err := a.Summary(b.Context())
		if err != nil || sum.Events != benchEvents {
			b.Fatal(sum, err)
		}
		b.ReportMetric(float64(sum.Bytes)/benchEvents, "B/row")
		b.StartTimer()
	}
}

// BenchmarkScan reads a year in daily files with the exact removal of
// duplicates. The floor is that of parquet.BenchmarkScan and a cache miss or
// two a row for the set of ids.
func BenchmarkScan(b *testing.B) {
	a := open(b, b.TempDir())
	if err := importBatch(b, a).Commit(context.Background(), benchEvents); err != nil {
		b.Fatal(err)
	}
	b.Run("events", func(b *testing.B) {
		for b.Loop() {
			rows := 0
			columns := parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value | parquet.EventID
			err := a.ScanEvents(b.Context(), columns, func(batch *EventBatch) error { rows += batch.Len; return nil })
			if err != nil || rows != benchEvents {
				b.Fatal(rows, err)
			}
		}
		b.ReportMetric(benchEvents*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("footers", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			cold, err := OpenReadOnly(b.Context(), Options{Dir: a.dir})
			b.StartTimer()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := cold.Summary(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package parts

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
	"vitrine/internal/parallel"
)

// BenchmarkParts: a year of a mid-size shop, imported at once, listed and read on all cores. The floor is
// decompression: 370 files of 1,460 rows cost more to open than to read.
func BenchmarkParts(b *testing.B) {
	const events, days = 541_000, 370
	random := rand.New(rand.NewPCG(1, 2))
	records := make([]event.Record, events)
	for i := range records {
		r := view(fmt.Sprint(12000+random.IntN(4300)), fmt.Sprint(20000+random.IntN(4000)),
			fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()), day0+int64(i)*days*dayMillis/events)
		r.Event.Type, r.Event.HasValue, r.Event.Value = "purchase", true, float64(1+random.IntN(12))
		r.Source = event.Source{Name: "online_retail.csv", Offset: int64(i + 2)}
		records[i] = r
	}
	a := open(b, b.TempDir())
	commit(b, a, records...)
	for b.Loop() {
		parts, err := List(b.Context(), a)
		if err != nil {
			b.Fatal(err)
		}
		err = parallel.Each(runtime.GOMAXPROCS(0), parts.Len(), func(n int) error {
			r := parts.Reader(parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value)
			defer r.Close()
			return r.Scan(b.Context(), n, func(*parquet.EventBatch) error { return nil })
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

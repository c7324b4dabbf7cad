package topk

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSearchFromABar: wherever a search begins, its answer is the same; from the
// bar of the same search it looks at no more rows, but for the size of a pass.
func TestSearchFromABar(t *testing.T) {
	const rank = 16
	rng := rand.New(rand.NewPCG(3, 1))
	for _, skew := range []float64{0, 0.3} {
		n := 20_000
		ix := New(shop(rng, n, rank, skew), n, rank)
		var plain, from Scratch
		var before Bar
		for range 40 {
			q, k := gaussian(rng, rank), 1+rng.IntN(150)
			var hidden Mask
			hidden.Reset(ix)
			want := ix.Search(q, k, &hidden, nil, &plain)
			own := plain.Bar()
			if own.known != ix.coded {
				t.Fatalf("a search by codes has a bar, one by factors none: %v, codes %v", own, ix.coded)
			}
			for name, bar := range map[string]Bar{
				"none": {}, "its own": own, "another's": before, "all": {float32(math.Inf(-1)), true}, "nothing": {float32(math.Inf(1)), true},
				"a little high": {own.at * 1.01, true}, "low": {own.at / 2, true},
			} {
				from.From(bar)
				if got := ix.Search(q, k, &hidden, nil, &from); !slices.Equal(got, want) {
					t.Fatalf("skew %g, k %d, from %s: %v, want %v", skew, k, name, got, want)
				}
				if name == "its own" {
					if most := plain.Scanned() + passBlocks*blockRows; from.Scanned() > most {
						t.Errorf("skew %g, k %d: %d rows looked at, %d without a bar", skew, k, from.Scanned(), plain.Scanned())
					}
					if from.Bar().at < own.at {
						t.Errorf("skew %g, k %d: the bar falls from %g to %g", skew, k, own.at, from.Bar().at)
					}
				}
			}
			// What was best is hidden: the bar is too high.
			for _, hit := range want[:1+rng.IntN(k)] {
				hidden.Hide(hit.Row)
			}
			want = ix.Search(q, k, &hidden, nil, &plain)
			from.From(own)
			if got := ix.Search(q, k, &hidden, nil, &from); !slices.Equal(got, want) {
				t.Fatalf("skew %g, k %d, some hidden: %v, want %v", skew, k, got, want)
			}
			if low := own.Lower(from.Bar()); low != plain.Bar() && low.at > own.at {
				t.Errorf("the lower of %v and %v is %v", own, from.Bar(), low)
			}
			before = own
			// It holds for one search.
			if got := ix.Search(q, k, nil, nil, &from); from.from.known || len(got) == 0 {
				t.Error("a bar stays")
			}
		}
	}
}

// BenchmarkSearchFrom is BenchmarkSearch of 100k items from the bars of the same
// searches; the limit is the same.
func BenchmarkSearchFrom(b *testing.B) {
	const rank, n = 64, 100_000
	for _, skew := range []float64{0, 0.3} {
		rng := rand.New(rand.NewPCG(1, 1))
		ix := New(shop(rng, n, rank, skew), n, rank)
		queries, bars := make([][]float32, 64), make([]Bar, 64)
		var s Scratch
		var dst []Hit
		for i := range queries {
			queries[i] = gaussian(rng, rank)
			dst = ix.Search(queries[i], 20, nil, dst, &s)
			bars[i] = s.Bar()
		}
		b.Run(fmt.Sprintf("skew=%g", skew), func(b *testing.B) {
			i := 0
			for b.Loop() {
				s.From(bars[i%len(queries)])
				dst = ix.Search(queries[i%len(queries)], 20, nil, dst, &s)
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/item")
		})
	}
}

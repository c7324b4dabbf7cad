package topk

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkSearch: exact top k of 100k items of rank 64 and of the demo shop's
// 2000, with skewed norms and with flat ones (the worst case: all is scanned).
// The limit of a scan is fetching 64 bytes an item: 0.75 ns from the
// second-level cache at 2.7 GHz, about 1 ns from the third; ns/item is per item
// of the index.
func BenchmarkSearch(b *testing.B) {
	const rank = 64
	for _, n := range []int{2000, 100_000} {
		for _, skew := range []float64{0, 0.3} {
			rng := rand.New(rand.NewPCG(1, 1))
			ix := New(shop(rng, n, rank, skew), n, rank)
			queries := make([][]float32, 64)
			for i := range queries {
				queries[i] = gaussian(rng, rank)
			}
			for _, k := range []int{20, 100, 500} {
				b.Run(fmt.Sprintf("n=%d/skew=%g/k=%d", n, skew, k), func(b *testing.B) {
					var s Scratch
					var dst []Hit
					i := 0
					for b.Loop() {
						dst = ix.Search(queries[i%len(queries)], k, nil, dst, &s)
						i++
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/item")
				})
			}
		}
	}
}

// BenchmarkSimilar scans all: the limit is that of a flat BenchmarkSearch.
func BenchmarkSimilar(b *testing.B) {
	const rank, n = 64, 2000
	ix := New(shop(rand.New(rand.NewPCG(1, 1)), n, rank, 0.3), n, rank)
	var s Scratch
	var dst []Hit
	for b.Loop() {
		dst = ix.Similar(7, 20, nil, dst, &s)
	}
}

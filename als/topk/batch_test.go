package topk

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestSearchBatchEqualsSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 42))
	var s BatchScratch
	var one Scratch
	var dst [][]Hit
	rounds := 60
	if testing.Short() {
		rounds = 6
	}
	for range rounds {
		n, rank := []int{1, 70, 900, 3000, 6000}[rng.IntN(5)], []int{1, 5, 16, 64}[rng.IntN(4)]
		items := catalogue(rng, n, rank)
		ix := New(items, n, rank)
		queries := make([][]float32, rng.IntN(70))
		hidden := make([]*Mask, len(queries))
		for i := range queries {
			queries[i] = question(rng, items, rank)
			if rng.IntN(3) == 0 {
				hidden[i] = hide(ix, mask(rng, n, rng.Float64()))
			}
		}
		k := []int{0, 1, 20, 100, n}[rng.IntN(5)]
		for name, v := range variants(ix) {
			var masks []*Mask
			if rng.IntN(2) == 0 {
				masks = make([]*Mask, len(queries))
				for i, m := range hidden {
					if m != nil {
						masks[i] = new(Mask)
						masks[i].Copy(m)
						masks[i].ix = v
					}
				}
			}
			dst = v.SearchBatch(queries, k, masks, dst, &s)
			if len(dst) != len(queries) {
				t.Fatalf("%d answers to %d queries", len(dst), len(queries))
			}
			for i, q := range queries {
				var m *Mask
				if masks != nil {
					m = masks[i]
				}
				if want := v.Search(q, k, m, nil, &one); !same(dst[i], want) {
					t.Fatalf("%s, %d rows of rank %d, k %d, query %d of %d: got %v, want %v", name, n, rank, k, i, len(queries), dst[i], want)
				}
			}
		}
	}
}

func TestSearchBatchAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	ix := New(shop(rng, 5000, 16, 0.3), 5000, 16)
	queries := make([][]float32, 40)
	for i := range queries {
		queries[i] = gaussian(rng, 16)
	}
	var s BatchScratch
	var dst [][]Hit
	if n := testing.AllocsPerRun(20, func() { dst = ix.SearchBatch(queries, 100, nil, dst, &s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSearchBatchOfOtherMasksPanics(t *testing.T) {
	ix := New(make([]float32, 6), 3, 2)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	ix.SearchBatch([][]float32{{1, 2}, {3, 4}}, 1, []*Mask{nil}, nil, nil)
}

// BenchmarkSearchBatch: per query. The limit is one item a cycle (64 codes an
// instruction), 0.37 ns at 2.7 GHz; single queries wait for the codes to come
// from the third-level cache.
func BenchmarkSearchBatch(b *testing.B) {
	const rank, n = 64, 100_000
	for _, skew := range []float64{0, 0.3} {
		rng := rand.New(rand.NewPCG(1, 1))
		ix := New(shop(rng, n, rank, skew), n, rank)
		queries := make([][]float32, 64)
		for i := range queries {
			queries[i] = gaussian(rng, rank)
		}
		b.Run(fmt.Sprintf("skew=%g", skew), func(b *testing.B) {
			var s BatchScratch
			var dst [][]Hit
			for b.Loop() {
				dst = ix.SearchBatch(queries, 100, nil, dst, &s)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(queries)), "ns/query")
		})
	}
}

package dataset

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// Limit: a transposition reads 8 bytes of a cell twice over and writes them to
// a random place, 10 to 20 ns where that is not cached; building from triples
// does the same and sorts every row (100 cells: some 7 comparisons each).
func BenchmarkReshape(b *testing.B) {
	const rows, cols, cells = 100_000, 20_000, 10_000_000
	random := rand.New(rand.NewPCG(1, 2))
	t := Triples{Rows: rows, Cols: cols, R: make([]uint32, cells), C: make([]uint32, cells), W: make([]float32, cells)}
	for n := range cells {
		x := random.Float64()
		t.R[n], t.C[n], t.W[n] = uint32(random.IntN(rows)), uint32(cols*x*x*x), 1
	}
	var m *CSR
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("build/workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				var err error
				if m, err = t.Build(context.Background(), workers); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/cells, "ns/cell")
		})
		b.Run(fmt.Sprintf("transpose/workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				if _, err := m.TransposeWith(context.Background(), workers); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(m.NNZ()), "ns/cell")
		})
	}
}

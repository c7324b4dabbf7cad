package solve

import (
	"fmt"
	"testing"
)

// Limit: an exact row of n observations at rank k costs n k(k+1)/2 + k^3/6 +
// k^2 multiply-adds (n=30, k=64: 112k, 2.3 us at two vectors of 8 a cycle and
// 3 GHz); three gradient steps cost 7 n k + 4 k^2 (30k, 0.6 us); blocks of 64
// at rank 256 n k (64/2 + 3) + 2 k^2 + k 64^2/6 (575k, 12 us).
func BenchmarkRow(b *testing.B) {
	for _, c := range []struct{ k, n int }{{64, 5}, {64, 30}, {64, 300}, {256, 30}, {256, 300}} {
		p := newProblem(1, losses["implicit"], c.k, 4000, c.n, true)
		f := p.fixed(2)
		var s Scratch
		dst := make([]float32, c.k)
		for _, m := range []struct {
			name  string
			solve func() error
		}{
			{"exact", func() error { return f.Exact(dst, p.row, &s) }},
			{"cg3", func() error { return f.Gradient(dst, p.row, 3, &s) }},
			{"blocks", func() error { return f.Blocks(dst, p.row, &s) }},
		} {
			b.Run(fmt.Sprintf("%s/k=%d/n=%d", m.name, c.k, c.n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := m.solve(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

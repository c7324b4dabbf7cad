package solve

import (
	"fmt"
	"testing"
)

// Limit: an exact row of n observations at rank k costs n k(k+1)/2 + k^3/6 +
// k^2 multiply-adds (n=30, k=64: 112k, 20 us at the 11 GFLOP/s of scalar
// code); three gradient steps cost 4 (2 n k + k^2) (32k, 6 us).
func BenchmarkRow(b *testing.B) {
	for _, n := range []int{5, 30, 300} {
		p := newProblem(1, 64, 4000, n)
		f := p.fixed(2)
		var s Scratch
		dst := make([]float32, 64)
		b.Run(fmt.Sprintf("exact/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Exact(dst, p.cols, p.weights, &s); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("cg3/n=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Gradient(dst, p.cols, p.weights, 3, &s)
			}
		})
	}
}

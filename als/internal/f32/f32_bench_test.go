package f32

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Limit: scalar float32 code retires at most two multiply-adds per cycle with
// its loads from the first-level cache, about 12 GFLOP/s at 3 GHz; a vector
// kernel's limit is eight times that. Flops count a multiply and an add each.
func BenchmarkKernels(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range []int{32, 64, 128} {
		const n = 100
		rows, q, y := random(r, n*k), random(r, k), random(r, k)
		a, dots := make([]float32, k*k), make([]float32, n)
		for name, kernel := range map[string]struct {
			flops int
			run   func()
		}{
			"Dot":       {2 * k, func() { dots[0] = Dot(q, rows[:k]) }},
			"DotRows":   {2 * n * k, func() { DotRows(dots, rows, q) }},
			"ApplyRows": {4 * n * k, func() { clear(y); ApplyRows(y, q, rows) }},
			"Syrk":      {n * k * (k + 1), func() { clear(a); Syrk(a, rows, k) }},
			"Factor": {k * k * k / 3, func() {
				clear(a)
				for i := range k {
					a[i*k+i] = 1
				}
				Factor(a, k)
			}},
			"Substitute": {2 * k * k, func() { Substitute(a, y, k) }},
		} {
			b.Run(fmt.Sprintf("%s/k=%d", name, k), func(b *testing.B) {
				for b.Loop() {
					kernel.run()
				}
				b.ReportMetric(float64(kernel.flops)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

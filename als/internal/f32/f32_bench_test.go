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

// BenchmarkScan: rows that no threshold stops, from the second-level cache.
// Limit for one query of rank 64: fetching 64 bytes a row from there takes two
// cycles, 0.75 ns at 2.7 GHz, and their product one instruction with AVX-512
// VNNI, six with AVX2 (1.1 ns). A batch fetches once for eight queries: one
// cycle a row and query.
func BenchmarkScan(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 3))
	const blocks, k = 128, 64
	for l := Generic; l <= BestKernels(); l++ {
		p := randomPass(r, blocks, k, l.QueryLimit())
		p.Theta, p.Reach = 1e9, 1e10
		for i := range p.Shown {
			p.Shown[i] = ^uint64(0)
		}
		hits := Int8Hits{At: make([]uint32, Int8Batch*Int8Room(blocks)), Values: make([]float32, Int8Batch*Int8Room(blocks))}
		b.Run(l.String(), func(b *testing.B) {
			for b.Loop() {
				l.Scan(p, &hits)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(blocks*Int8Rows), "ns/row")
		})
		if !l.HasBatch() {
			continue
		}
		many := &Int8BatchPass{
			Codes: p.Codes, Scales: p.Scales, Bounds: p.Bounds,
			Shown: make([]uint64, Int8Batch*blocks), Query: make([]int8, Int8Batch*k),
		}
		for u := range Int8Batch {
			many.PutQuery(u, p.Query)
			many.Theta[u], many.Reach[u] = p.Theta, p.Reach
		}
		b.Run(l.String()+"/batch", func(b *testing.B) {
			for b.Loop() {
				l.ScanBatch(many, &hits)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(blocks*Int8Rows*Int8Batch), "ns/row")
		})
	}
}

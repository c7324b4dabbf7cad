//go:build !noasm

package f32

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// narrowed runs fn without the AVX-512 kernels, which no other machine of the
// tests may lack.
func narrowed(fn func()) {
	before := hasWide
	hasWide = false
	defer func() { hasWide = before }()
	fn()
}

// TestAVX2AgreesWithGeneric does for the AVX2 kernels what
// TestVectorAgreesWithGeneric does for those in use.
func TestAVX2AgreesWithGeneric(t *testing.T) {
	if !hasWide {
		t.Skip("the AVX2 kernels are in use, or none")
	}
	r := rand.New(rand.NewPCG(5, 7))
	narrowed(func() {
		if level := Level(); level != "avx2" {
			t.Fatalf("level %q", level)
		}
		for k := range 131 {
			compareKernels(t, r, k, 1+r.IntN(9))
		}
	})
}

func FuzzAVX2AgreesWithGeneric(f *testing.F) {
	f.Add(uint64(1), uint8(64), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint64, k, n uint8) {
		narrowed(func() { compareKernels(t, rand.New(rand.NewPCG(seed, 0)), int(k), int(n)%33) })
	})
}

// Limit: a row of rank 64 costs 128 multiply-adds and 256 bytes: 8 cycles of a
// core that multiplies 16 floats and fetches 64 bytes a cycle from the
// first-level cache, 2.5 ns at 3.2 GHz, whatever the width of its vectors. The
// narrow kernels fetch every row twice.
func BenchmarkApplyRows(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range []int{32, 64, 128} {
		const n = 100
		rows, p, q := random(r, n*k), random(r, k), make([]float32, k)
		run := func(b *testing.B) {
			for b.Loop() {
				ApplyRows(q, p, rows)
				p, q = q, p
				clear(q)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		}
		b.Run(fmt.Sprintf("%s/k=%d", Level(), k), run)
		if hasWide {
			narrowed(func() { b.Run(fmt.Sprintf("%s/k=%d", Level(), k), run) })
		}
	}
}

package machine

import (
	"math"
	"math/rand/v2"
	"time"

	"vitrine/als"
	"vitrine/appliance/bench/report"
)

// Rank of the factors that retrieval and training are measured with.
const Rank = 64

// dotRows of rank 64 are 256 KiB: they stay in the second-level cache, so the
// reference is the kernel's own speed and not the memory's.
const dotRows = 1024

// DotKernel measures the reference of retrieval and training: nanoseconds per
// inner product of two vectors. It is the quickest of many short passes, the
// one that nobody disturbed.
func DotKernel() float64 {
	const passes = 300
	rng := rand.New(rand.NewPCG(1, 1))
	rows, query := gaussian(rng, dotRows*Rank), gaussian(rng, Rank)
	sum := float32(0)
	best := math.Inf(1)
	for range passes {
		start := time.Now()
		for r := range dotRows {
			sum += als.ReferenceDot(query, rows[r*Rank:(r+1)*Rank])
		}
		best = min(best, float64(time.Since(start).Nanoseconds())/dotRows)
	}
	if sum != sum {
		return math.NaN() // never, but the compiler cannot know: the work is needed
	}
	return best
}

func gaussian(rng *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(rng.NormFloat64())
	}
	return out
}

// DotReference is the part's reference from its repetitions.
func DotReference(ns []float64) report.Reference {
	return report.Reference{Name: "dot kernel, rank 64, in cache", Value: report.Median(ns), Unit: "ns"}
}

package f32

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestKthLargest(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	rng := rand.New(rand.NewPCG(9, 10))
	for range 500 {
		v := make([]float32, 1+rng.IntN(60))
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
		for i := range v {
			switch rng.IntN(8) {
			case 0:
				v[i] = []float32{nan, inf, -inf, 0}[rng.IntN(4)]
			case 1:
				v[i] = v[rng.IntN(len(v))]
			}
		}
		sorted := slices.DeleteFunc(slices.Clone(v), func(x float32) bool { return x != x })
		slices.Sort(sorted)
		slices.Reverse(sorted)
		k := 1 + rng.IntN(len(v))
		// From a number that k of them reach the answer is no other; one that
		// fewer reach is the answer itself.
		if k <= len(sorted) && sorted[k-1] > -inf {
			for _, least := range []float32{sorted[k-1], sorted[len(sorted)-1], sorted[k-1] - 1} {
				got := KthLargest(v, k, least)
				if got < least || got > sorted[k-1] || k < len(sorted) && sorted[k] < sorted[k-1] && got <= sorted[k] {
					t.Fatalf("%d-th of %v from %v: %v", k, sorted, least, got)
				}
			}
			if least := sorted[k-1] + 1; least < inf && least > sorted[k-1] && least > sorted[0] {
				if got := KthLargest(v, k, least); got != least {
					t.Fatalf("%d-th of %v from %v: %v", k, sorted, least, got)
				}
			}
		}
		got := KthLargest(v, k, -inf)
		if k > len(sorted) {
			if got != -inf {
				t.Fatalf("%d-th of %v: %v", k, sorted, got)
			}
			continue
		}
		if got > sorted[k-1] || k < len(sorted) && sorted[k] < sorted[k-1] && got <= sorted[k] {
			t.Fatalf("%d-th of %v: %v", k, sorted, got)
		}
	}
}

package topk

import (
	"math/rand/v2"
	"testing"
)

// someSets are up to three sets of rows, with the factor that each row has.
func someSets(rng *rand.Rand, ix *Index) (sets []Lifted, factors []float32) {
	product := make([]float64, ix.Len())
	for r := range product {
		product[r] = 1
	}
	for range rng.IntN(4) {
		set := Lifted{Factor: []float64{1, 1.2, 2, 7.5, 1000}[rng.IntN(5)], Positions: make([]uint64, (len(ix.Rows())+63)/64)}
		for at, row := range ix.Rows() {
			if rng.IntN(4) == 0 {
				set.Positions[at/64] |= 1 << (at % 64)
				product[row] *= set.Factor
			}
		}
		sets = append(sets, set)
	}
	factors = make([]float32, ix.Len())
	for r, f := range product {
		factors[r] = float32(f)
	}
	return sets, factors
}

// TestLiftTooHigh: with factors that codes cannot hold nothing overflows.
func TestLiftTooHigh(t *testing.T) {
	items := make([]float32, 300)
	for r := range items {
		items[r] = 0x1p59
	}
	ix := New(items, len(items), 1)
	words := make([]uint64, 5)
	words[2] = 1 << 3
	hits, reached := ix.NewLift([]Lifted{{words, 1e6}}).Reach([]float32{0x1p60}, Goal{K: 1}, nil, nil, nil)
	if !reached || len(hits) != 1 || hits[0].Row != 131 || hits[0].Score != 0x1p119 {
		t.Errorf("%v %v", hits, reached)
	}
}

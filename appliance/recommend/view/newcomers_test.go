package view

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestBest holds the search by kinds against a look at every item.
func TestBest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := &Newcomers{kinds: make([]kind, 1+rng.IntN(6))}
		for j := range rng.IntN(20) {
			k := rng.IntN(len(n.kinds))
			n.kinds[k].items = append(n.kinds[k].items, uint32(j))
			n.of = append(n.of, uint32(k))
			n.Items = append(n.Items, uint32(100+j))
		}
		scores := make([]float32, len(n.kinds))
		for k := range scores {
			scores[k] = float32(rng.IntN(5) - 2) // equal ones, and some that are not above 0
		}
		if rng.IntN(4) == 0 {
			scores[0] = float32(math.NaN()) // none
		}
		taken := map[uint32]bool{}
		suits := func(item uint32) bool { return !taken[item] && item%3 != 0 }
		for range 4 {
			want, top := uint32(0), float32(0)
			for j, item := range n.Items {
				if score := n.Score(scores, j); score > top && suits(item) {
					want, top = item, score
				}
			}
			got, ok := n.Best(scores, suits)
			if got != want || ok != (top > 0) {
				t.Fatalf("%+v, %v: %d %v, want %d", n, scores, got, ok, want)
			}
			taken[got] = true
		}
	}
}

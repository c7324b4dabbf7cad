package neighbors_test

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als/dataset"
	"vitrine/als/neighbors"
)

// scored is an item with its score in a plain implementation.
type scored struct {
	item  uint32
	score float32
}

// exactRows computes the rows of a table from the sums of pairs, in the order in
// which the package adds them, with every score divided as it should be.
func exactRows(sums [][]float32, mass []float64, top int) (items [][]uint32, scores [][]float32) {
	items, scores = make([][]uint32, len(mass)), make([][]float32, len(mass))
	for i := range mass {
		var row []scored
		for j := range mass {
			v := float32(float64(sums[i][j]) / math.Sqrt(mass[i]*mass[j]))
			if j != i && v > 0 && !math.IsInf(float64(v), 1) {
				row = append(row, scored{uint32(j), v})
			}
		}
		slices.SortStableFunc(row, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
		for _, s := range row[:min(top, len(row))] {
			items[i], scores[i] = append(items[i], s.item), append(scores[i], s.score)
		}
	}
	return items, scores
}

func square(n int) [][]float32 {
	m := make([][]float32, n)
	for i := range m {
		m[i] = make([]float32, n)
	}
	return m
}

// TestTablesHoldExactlyTheBest: the same neighbours and scores, bit by bit, as
// from all scores sorted, with many ties at the end of a row, and with weights
// whose products are too small for a number or the sums of them too large.
func TestTablesHoldExactlyTheBest(t *testing.T) {
	const users, items = 300, 400
	weights := map[string][]float32{
		"few weights": {1, 2}, "ones": {1}, "any": nil,
		"far apart": {1e-30, 1e-23, 1e-3, 1}, "tiny": {1e-25, 2e-23}, "huge": {1e19, 3e18, 1},
	}
	for name, choice := range weights {
		r := rand.New(rand.NewPCG(3, uint64(len(name))))
		b := dataset.NewBuilder(items)
		for range users {
			for i := range items {
				if r.IntN(4) > 0 {
					continue
				}
				w := 0.1 + r.Float32()
				if choice != nil {
					w = choice[r.IntN(len(choice))]
				}
				if err := b.Add(uint32(i), w); err != nil {
					t.Fatal(err)
				}
			}
			b.EndRow()
		}
		data := b.Build()
		sums, mass := square(items), make([]float64, items)
		for u := range users {
			cols, weights := data.Row(u)
			for n, i := range cols {
				mass[i] += float64(weights[n]) * float64(weights[n])
				for m, j := range cols {
					sums[i][j] += weights[n] * weights[m]
				}
			}
		}
		for i := range mass {
			mass[i] += neighbors.DefaultShrink
		}
		for _, top := range []int{1, 3, 50, items} {
			table, err := neighbors.Similar(context.Background(), data, neighbors.SimilarOptions{Top: top})
			if err != nil {
				t.Fatal(err)
			}
			wantItems, wantScores := exactRows(sums, mass, top)
			for i := range items {
				gotItems, gotScores := table.Row(uint32(i))
				if !slices.Equal(gotItems, wantItems[i]) || !slices.Equal(gotScores, wantScores[i]) {
					t.Fatalf("%s, top %d: row %d is %v %v, want %v %v", name, top, i, gotItems, gotScores, wantItems[i], wantScores[i])
				}
			}
		}
	}
}

package model

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestSplitSumsUp: the shares of a score sum up to it, in every kind of model.
func TestSplitSumsUp(t *testing.T) {
	for name, p := range map[string]Params{
		"implicit":    {Alpha0: .1, Lambda: .05, Nu: 1},
		"explicit":    {Explicit: true, Lambda: .1, Nu: 1},
		"with biases": {Explicit: true, Biases: true, Mean: 3, Lambda: .1, Nu: 1, BiasLambda: .2},
	} {
		for _, rank := range []int{3, 16} {
			t.Run(fmt.Sprint(name, rank), func(t *testing.T) { splitSumsUp(t, p, rank) })
		}
	}
}

func splitSumsUp(t *testing.T, p Params, rank int) {
	const items = 60
	rng := rand.New(rand.NewPCG(7, uint64(rank)))
	m := &Model{Rank: rank, NumItems: items, Items: make([]float32, items*rank), ItemScale: make([]float32, items), Params: p}
	for i := range m.Items {
		m.Items[i] = float32(rng.NormFloat64())
	}
	for i := range m.ItemScale {
		m.ItemScale[i] = 1
		if p.Biases {
			m.Items[i*rank+rank-2] = 1
		}
	}
	f := NewFolder(m)
	var s Scratch
	vector, score := make([]float32, rank), make([]float32, 1)
	for _, n := range []int{1, 5, 40} {
		rows, weights := make([]uint32, n), make([]float32, n)
		for j := range rows {
			rows[j], weights[j] = uint32(j), float32(1+rng.IntN(4))
		}
		if err := f.FoldIn(vector, rows, weights, &s); err != nil {
			t.Fatal(err)
		}
		shares := make([]float32, n)
		for target := range uint32(items) {
			if err := f.Split(shares, rows, weights, target, &s); err != nil {
				t.Fatal(err)
			}
			m.Scores(score, vector, []uint32{target})
			sum := float64(m.ItemBias(int(target)))
			for _, share := range shares {
				sum += float64(share)
			}
			if math.Abs(sum-float64(score[0])) > 1e-4*(1+math.Abs(sum)) {
				t.Fatalf("%d items: the shares of row %d sum up to %v, its score is %v", n, target, sum, score[0])
			}
		}
	}
	if err := f.Split(make([]float32, 1), []uint32{0}, []float32{1}, items, &s); !errors.Is(err, ErrRow) {
		t.Errorf("a row beyond the model: %v", err)
	}
	if err := f.Split(nil, []uint32{0}, []float32{1}, 0, &s); !errors.Is(err, ErrLength) {
		t.Errorf("no room: %v", err)
	}
}

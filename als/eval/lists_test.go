package eval_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"vitrine/als/eval"
)

func TestListsByHand(t *testing.T) {
	// Items rank 0,1,2,... unless masked: the lists of two are 0,1 and 1,2.
	in := eval.Input{
		Targets: matrix(t, 10, []uint32{1}, []uint32{2}, nil), Mask: matrix(t, 10, nil, []uint32{0}, nil),
		Score: descending, Ks: []int{2, 1},
		Popularity: []float32{1, 40, 3, 0, 0, 0, 0, 0, 0, 0},
	}
	for _, workers := range []int{1, 2} {
		in.Workers = workers
		r := ranking(t, in)
		bits := func(weights ...float64) (sum float64) {
			for _, w := range weights {
				sum -= math.Log2((w + 1) / 54)
			}
			return sum / float64(len(weights))
		}
		for what, c := range map[string][2]float64{
			"coverage@2":      {r.Coverage(2), .3},
			"coverage@1":      {r.Coverage(1), .2},
			"novelty@2":       {r.Novelty(2), bits(1, 40, 40, 3)},
			"novelty@1":       {r.Novelty(1), bits(1, 40)},
			"popular share@2": {r.PopularShare(2), .5}, // item 1 is the tenth
			"popular share@1": {r.PopularShare(1), .5},
		} {
			if math.Abs(c[0]-c[1]) > 1e-12 {
				t.Errorf("%d workers: %s is %v, want %v", workers, what, c[0], c[1])
			}
		}
	}
	in.Popularity = nil
	r := ranking(t, in)
	if !math.IsNaN(r.Novelty(2)) || !math.IsNaN(r.PopularShare(2)) || !math.IsNaN(r.Coverage(3)) || r.Coverage(2) != .3 {
		t.Errorf("without popularity: %v %v, other cut %v", r.Novelty(2), r.PopularShare(2), r.Coverage(3))
	}
	in.Popularity = []float32{1}
	if _, err := eval.Ranking(context.Background(), in); err == nil {
		t.Error("popularity of one item was taken")
	}
}

func TestSlices(t *testing.T) {
	row := func(n int) (row []uint32) {
		for i := range n {
			row = append(row, uint32(i+3))
		}
		return row
	}
	train := matrix(t, 60, row(0), row(4), row(5), row(49), row(50))
	targets := matrix(t, 60, []uint32{0}, []uint32{1}, []uint32{2}, []uint32{59}, []uint32{0})
	r := ranking(t, eval.Input{Targets: targets, Mask: train, Score: descending, Ks: []int{1}})
	for s, want := range map[eval.Slice][]int{eval.Cold: {0, 1}, eval.Warm: {2, 3}, eval.Heavy: {4}} {
		part := r.Slice(s, train)
		if !slices.Equal(part.Users, want) {
			t.Errorf("%v users are %v, want %v", s, part.Users, want)
		}
		if got := part.PerUser(eval.HitRate, 1); len(got) != len(want) {
			t.Errorf("%v users have values %v", s, got)
		}
		if !math.IsNaN(part.Coverage(1)) {
			t.Errorf("%v users cover %v", s, part.Coverage(1))
		}
	}
	if got := r.Slice(eval.Cold, train).Mean(eval.HitRate, 1); got != .5 {
		t.Errorf("half of the cold users are hit, not %v", got)
	}
	names := ""
	for _, s := range eval.Slices() {
		names += s.String() + " "
	}
	if names != "cold warm heavy " {
		t.Error(names)
	}
}

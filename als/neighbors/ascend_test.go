package neighbors_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"vitrine/als/neighbors"
	"vitrine/als/topk"
)

// nextItem asks with all but the last item of every sequence.
func (s *shop) nextItem(_, n int) neighbors.Trial {
	row := s.q.At(n)
	last := len(row) - 1
	exclude := neighbors.Exclude(nil, s.items, row[:last])
	t := neighbors.Trial{Query: neighbors.Query{History: row[:last], Vector: s.vector(uint64(n)), Exclude: exclude, K: 10}}
	if exclude[row[last]/64]>>(row[last]%64)&1 == 0 {
		t.Targets = []uint32{row[last]}
	}
	return t
}

// TestAscendAgreesWithRank: what Ascend says of a choice is what its answers
// reach, for any number of workers, and no single change is better.
func TestAscendAgreesWithRank(t *testing.T) {
	s := newShop(t, 150)
	b := s.blend(1, 1, 1, 1, 1, 1)
	b.Sources, b.Depth = b.Sources[:3], s.items
	start := []float32{0, 0, 0, 1}
	const trials = 200
	var one [2]neighbors.Tuned
	for _, workers := range []int{1, 4} {
		got, err := b.Ascend(t.Context(), trials, s.nextItem, start, neighbors.AscendOptions{Grid: []float32{0, .3, 1}, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if workers == 1 {
			one = got
		}
		if fmt.Sprint(got) != fmt.Sprint(one) {
			t.Errorf("%d workers: %v, want %v", workers, got, one)
		}
	}
	if !slices.Equal(one[1].Weights, start) || !(one[0].NDCG > one[1].NDCG) {
		t.Fatalf("got %+v", one)
	}
	measured := func(weights []float32) float64 {
		b.Apply(weights)
		var scratch neighbors.Scratch
		sum := 0.0
		for n := range trials {
			trial := s.nextItem(0, n)
			for place, hit := range b.Rank(trial.Query, nil, &scratch) {
				if slices.Contains(trial.Targets, hit.Row) {
					sum += 1 / math.Log2(float64(place)+2)
				}
			}
		}
		return sum / trials
	}
	for _, c := range one {
		if got := measured(c.Weights); !near(got, c.NDCG) {
			t.Errorf("weights %v: Ascend says %v, the answers give %v", c.Weights, c.NDCG, got)
		}
	}
	for p := range start {
		for _, v := range []float32{0, .3, 1} {
			other := slices.Clone(one[0].Weights)
			other[p] = v
			if got := measured(other); got > one[0].NDCG*1.0051 {
				t.Errorf("weights %v reach %v, chosen were %+v", other, got, one[0])
			}
		}
	}
}

// TestAscendLeavesOutWhatDoesNotHelp: a part without use costs time on every
// request.
func TestAscendLeavesOutWhatDoesNotHelp(t *testing.T) {
	follow, err := neighbors.Transitions(t.Context(), pairs(), neighbors.TransitionOptions{Items: 200})
	if err != nil {
		t.Fatal(err)
	}
	noise := &neighbors.Ranked{Items: []uint32{150, 151, 152}, Scores: []float32{1, 1, 1}}
	b := neighbors.Blend{Items: 200, Sources: []neighbors.Weighted{{Source: noise}, {Source: &neighbors.Lookup{Table: follow}}}}
	at := func(_, n int) neighbors.Trial {
		return neighbors.Trial{Query: neighbors.Query{History: []uint32{uint32(n % 50)}}, Targets: []uint32{50 + uint32(n%50)}}
	}
	for _, start := range [][]float32{{0, 1}, {1, 0}, {0, 0}} {
		got, err := b.Ascend(t.Context(), 130, at, start, neighbors.AscendOptions{K: 1})
		if err != nil {
			t.Fatal(err)
		}
		if w := got[0].Weights; !near(got[0].NDCG, 1) || w[1] == 0 || start[0] == 0 && w[0] != 0 {
			t.Errorf("from %v: %+v", start, got)
		}
	}
}

func pairs() *neighbors.Sequences {
	var q neighbors.Sequences
	for n := range uint32(300) {
		q.Add([]uint32{n % 50, 50 + n%50})
	}
	return &q
}

func TestAscendRefuses(t *testing.T) {
	s := newShop(t, 20)
	b := s.blend(1, 1, 1, 1, 1, 1)
	six := make([]float32, 6)
	for name, c := range map[string]struct {
		n     int
		start []float32
		opt   neighbors.AscendOptions
	}{
		"no trials":    {0, six, neighbors.AscendOptions{}},
		"a short list": {3, six[:5], neighbors.AscendOptions{}},
		"negative cut": {3, six, neighbors.AscendOptions{K: -1}},
	} {
		if _, err := b.Ascend(t.Context(), c.n, s.nextItem, c.start, c.opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Ascend(ctx, 3, s.nextItem, six, neighbors.AscendOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCosineQueries compares with the cosine of every item by hand, alone and
// with a table beside it.
func TestCosineQueries(t *testing.T) {
	s := newShop(t, 300)
	copy(s.model.Items[16*7:16*8], make([]float32, 16)) // an item without factors
	norms := neighbors.Norms(s.model)
	cosine := func(a, b int) float64 {
		dot, na, nb := 0.0, 0.0, 0.0
		for k := range 16 {
			x, y := float64(s.model.Items[16*a+k]), float64(s.model.Items[16*b+k])
			dot, na, nb = dot+x*y, na+x*x, nb+y*y
		}
		if na*nb == 0 {
			return 0
		}
		return dot / math.Sqrt(na*nb)
	}
	var scratch neighbors.Scratch
	for _, tableWeight := range []float32{0, 1} {
		b := s.blend(tableWeight, 0, 0, 0, 0, 1)
		b.Factors.Norms, b.Depth = norms, s.items
		for row := range uint32(20) {
			exclude := neighbors.Exclude(nil, s.items, []uint32{row + 1})
			hits := b.Rank(neighbors.Query{History: []uint32{row}, Cosine: true, Row: row, Exclude: exclude, K: 300}, nil, &scratch)
			highest, best := 0.0, 0.0
			var table neighbors.Scores
			table.Reset(s.items)
			s.sources[0].Score([]uint32{row}, &table, &scratch)
			for other := range s.items {
				if uint32(other) != row && uint32(other) != row+1 {
					v, _ := table.Get(uint32(other))
					highest, best = max(highest, cosine(int(row), other)), max(best, float64(v))
				}
			}
			for place, hit := range hits {
				want := cosine(int(row), int(hit.Row)) / highest
				if row == 7 {
					want = 0
				}
				if v, ok := table.Get(hit.Row); ok && best > 0 {
					want += float64(tableWeight) * float64(v) / best
				}
				if hit.Row == row || hit.Row == row+1 || !near(float64(hit.Score), want) {
					t.Fatalf("item %d, place %d: %+v, want score %v", row, place, hit, want)
				}
			}
			if len(hits) < 290 && row != 7 {
				t.Fatalf("item %d: %d hits", row, len(hits))
			}
		}
	}
}

// TestHiddenIsLikeExclude: the two forms of what may not be shown.
func TestHiddenIsLikeExclude(t *testing.T) {
	s := newShop(t, 200)
	b := s.blend(1, .5, 1, 1, .3, 1)
	var hidden topk.Mask
	hidden.Reset(b.Factors.Index)
	out := []uint32{3, 1, 17, 64, 199}
	for _, row := range out {
		hidden.Hide(row)
	}
	var scratch neighbors.Scratch
	for n := range 40 {
		q := neighbors.Query{History: s.q.At(n), Vector: s.vector(uint64(n)), Exclude: neighbors.Exclude(nil, s.items, out), K: 30}
		want := slices.Clone(b.Rank(q, nil, &scratch))
		q.Exclude, q.Hidden = nil, &hidden
		if got := b.Rank(q, nil, &scratch); !slices.Equal(got, want) {
			t.Fatalf("query %d: %v, want %v", n, got, want)
		}
		q.Exclude = neighbors.Exclude(nil, s.items, []uint32{want[0].Row})
		if got := b.Rank(q, nil, &scratch); slices.ContainsFunc(got, func(h topk.Hit) bool { return h.Row == want[0].Row || h.Row == 17 }) {
			t.Fatalf("query %d, both: %v", n, got)
		}
	}
}

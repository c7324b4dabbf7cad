package tuning_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tuning"
	"vitrine/als/topk"
)

// shop is a small catalogue of random sequences, with a blend of three sources and
// a factor model.
type shop struct {
	items int
	q     neighbors.Sequences
	blend *neighbors.Blend
}

const rank = 16

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{items: 150}
	random := rand.New(rand.NewPCG(5, 0))
	for range 4000 {
		row := make([]uint32, 2+random.IntN(6))
		for n := range row {
			row[n] = uint32(float64(s.items) * math.Pow(random.Float64(), 2))
		}
		s.q.Add(row)
	}
	follow, err := neighbors.Transitions(t.Context(), &s.q, neighbors.TransitionOptions{Items: s.items})
	if err != nil {
		t.Fatal(err)
	}
	index, err := neighbors.NewSessions(t.Context(), &s.q, neighbors.SessionOptions{Items: s.items})
	if err != nil {
		t.Fatal(err)
	}
	knn, err := neighbors.NewSessionKNN(index, neighbors.KNNOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := &model.Model{Rank: rank, NumItems: s.items, Items: normal(rank*s.items, 9), ItemScale: make([]float32, s.items)}
	s.blend = &neighbors.Blend{
		Items: s.items, Depth: s.items, Factors: &neighbors.Factors{Index: topk.New(m.Items, s.items, rank), Model: m},
		Sources: []neighbors.Weighted{{Source: &neighbors.Lookup{Table: follow}}, {Source: knn}, {Source: neighbors.Repeat{}}},
	}
	return s
}

func normal(n int, seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, n)
	for n := range v {
		v[n] = float32(random.NormFloat64())
	}
	return v
}

func (s *shop) vector(seed uint64) []float32 { return normal(rank, seed) }

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-5*max(1, math.Abs(a), math.Abs(b)) }

// nextItem asks with all but the last item of every sequence.
func (s *shop) nextItem(_, n int) tuning.Trial {
	row := s.q.At(n)
	last := len(row) - 1
	exclude := neighbors.Exclude(nil, s.items, row[:last])
	t := tuning.Trial{Query: neighbors.Query{History: row[:last], Vector: s.vector(uint64(n)), Exclude: exclude, K: 10}}
	if exclude[row[last]/64]>>(row[last]%64)&1 == 0 {
		t.Targets = []uint32{row[last]}
	}
	return t
}

// TestAscendAgreesWithRank: what Ascend says of a choice is what its answers
// reach, for any number of workers, and no single change is better.
func TestAscendAgreesWithRank(t *testing.T) {
	s := newShop(t)
	b := s.blend
	start := []float32{0, 0, 0, 1}
	const trials = 200
	var one [2]tuning.Tuned
	for _, workers := range []int{1, 4} {
		got, err := tuning.Ascend(t.Context(), b, tuning.Trials{N: trials, At: s.nextItem}, start, tuning.AscendOptions{Grid: []float32{0, .3, 1}, Workers: workers})
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
	b := &neighbors.Blend{Items: 200, Sources: []neighbors.Weighted{{Source: noise}, {Source: &neighbors.Lookup{Table: follow}}}}
	at := func(_, n int) tuning.Trial {
		return tuning.Trial{Query: neighbors.Query{History: []uint32{uint32(n % 50)}}, Targets: []uint32{50 + uint32(n%50)}}
	}
	for _, start := range [][]float32{{0, 1}, {1, 0}, {0, 0}} {
		got, err := tuning.Ascend(t.Context(), b, tuning.Trials{N: 130, At: at}, start, tuning.AscendOptions{K: 1})
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
	s := newShop(t)
	b := s.blend
	four := make([]float32, 4)
	for name, c := range map[string]struct {
		n     int
		start []float32
		opt   tuning.AscendOptions
	}{
		"no trials":    {0, four, tuning.AscendOptions{}},
		"a short list": {3, four[:3], tuning.AscendOptions{}},
		"negative cut": {3, four, tuning.AscendOptions{K: -1}},
	} {
		if _, err := tuning.Ascend(t.Context(), b, tuning.Trials{N: c.n, At: s.nextItem}, c.start, c.opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tuning.Ascend(ctx, b, tuning.Trials{N: 3, At: s.nextItem}, four, tuning.AscendOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestGridFindsTheSourceThatKnows: targets are what follows the history, so
// the first source must not be drowned by a useless one.
func TestGridFindsTheSourceThatKnows(t *testing.T) {
	follow, err := neighbors.Transitions(t.Context(), pairs(), neighbors.TransitionOptions{Items: 200})
	if err != nil {
		t.Fatal(err)
	}
	noise := &neighbors.Ranked{Items: []uint32{150, 151, 152}, Scores: []float32{1, 1, 1}}
	b := &neighbors.Blend{Items: 200, Sources: []neighbors.Weighted{{Source: noise}, {Source: &neighbors.Lookup{Table: follow}}}}
	at := func(_, n int) tuning.Trial {
		return tuning.Trial{Query: neighbors.Query{History: []uint32{uint32(n % 50)}}, Targets: []uint32{50 + uint32(n%50)}}
	}
	grid := []float32{0, .5, 2}
	tuned, err := tuning.Grid(t.Context(), b, tuning.Trials{N: 130, At: at}, tuning.GridOptions{Grid: grid, K: 1, Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(tuned) != 3 || !slices.Equal(tuned[0].Weights, []float32{1, 2}) || !near(tuned[0].NDCG, 1) || tuned[2].NDCG != 0 {
		t.Errorf("got %+v", tuned)
	}
	b.Apply(tuned[0].Weights)
	var s neighbors.Scratch
	if hits := b.Rank(neighbors.Query{History: []uint32{7}, K: 1}, nil, &s); len(hits) != 1 || hits[0].Row != 57 {
		t.Errorf("tuned blend answers %v", hits)
	}
}

// TestGridAgreesWithRank measures the answers of every combination.
func TestGridAgreesWithRank(t *testing.T) {
	s := newShop(t)
	b := s.blend
	b.Sources = b.Sources[:2]
	const trials = 100
	at := func(_, n int) tuning.Trial {
		row := s.q.At(n)
		cut := len(row) / 2
		exclude := neighbors.Exclude(nil, s.items, row[:cut])
		var targets []uint32
		for _, item := range row[cut:] {
			if exclude[item/64]>>(item%64)&1 == 0 && !slices.Contains(targets, item) {
				targets = append(targets, item)
			}
		}
		return tuning.Trial{Query: neighbors.Query{History: row[:cut], Vector: s.vector(uint64(n)), Exclude: exclude, K: 5}, Targets: targets}
	}
	var one []tuning.Tuned
	for _, workers := range []int{1, 4} {
		tuned, err := tuning.Grid(t.Context(), b, tuning.Trials{N: trials, At: at}, tuning.GridOptions{Grid: []float32{.3, 1}, K: 5, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if one == nil {
			one = tuned
		}
		if fmt.Sprint(tuned) != fmt.Sprint(one) {
			t.Errorf("%d workers: %v, want %v", workers, tuned, one)
		}
	}
	var scratch neighbors.Scratch
	for _, c := range one {
		b.Apply(c.Weights)
		sum := 0.0
		for n := range trials {
			trial := at(0, n)
			ideal, got := 0.0, 0.0
			for place := range min(5, len(trial.Targets)) {
				ideal += 1 / math.Log2(float64(place)+2)
			}
			for place, hit := range b.Rank(trial.Query, nil, &scratch) {
				if slices.Contains(trial.Targets, hit.Row) {
					got += 1 / math.Log2(float64(place)+2)
				}
			}
			if ideal > 0 {
				sum += got / ideal
			}
		}
		if !near(sum/trials, c.NDCG) {
			t.Errorf("weights %v: Grid says %v, the answers give %v", c.Weights, c.NDCG, sum/trials)
		}
	}
}

func TestGridRefuses(t *testing.T) {
	s := newShop(t)
	b := s.blend
	at := func(_, n int) tuning.Trial { return tuning.Trial{} }
	for name, opt := range map[string]tuning.GridOptions{
		"grid too large":  {Grid: make([]float32, 17)},
		"negative weight": {Grid: []float32{-1}},
		"negative cut":    {K: -1, Grid: []float32{1}},
	} {
		if _, err := tuning.Grid(t.Context(), b, tuning.Trials{N: 3, At: at}, opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := tuning.Grid(t.Context(), &neighbors.Blend{}, tuning.Trials{N: 3, At: at}, tuning.GridOptions{}); err == nil {
		t.Error("no sources: no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tuning.Grid(ctx, b, tuning.Trials{N: 3, At: at}, tuning.GridOptions{Grid: []float32{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

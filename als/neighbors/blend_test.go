package neighbors_test

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
	"vitrine/als/topk"
)

// shop is a small catalogue with every kind of source.
type shop struct {
	items   int
	q       *neighbors.Sequences
	model   *model.Model
	sources []neighbors.Source
}

func newShop(t testing.TB, items int) *shop {
	t.Helper()
	ctx := context.Background()
	s := &shop{items: items, q: randomSequences(5, 4000, items, 6)}
	follow, err := neighbors.Transitions(ctx, s.q, neighbors.TransitionOptions{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	ease, err := neighbors.EASE(ctx, matrix(t, s.q, items), neighbors.EASEOptions{Top: 50})
	if err != nil {
		t.Fatal(err)
	}
	index, err := neighbors.NewSessions(t.Context(), s.q, neighbors.SessionOptions{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	knn, err := neighbors.NewSessionKNN(index, neighbors.KNNOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.sources = []neighbors.Source{
		&neighbors.Lookup{Table: follow}, &neighbors.Lookup{Table: ease, Decay: 1}, knn,
		neighbors.Repeat{},
		&neighbors.Ranked{Items: []uint32{3, 1, 2}, Scores: []float32{3, 2, 1}},
	}
	random := rand.New(rand.NewPCG(9, 9))
	s.model = &model.Model{Rank: 16, NumItems: items, Items: make([]float32, 16*items), ItemScale: make([]float32, items)}
	for n := range s.model.Items {
		s.model.Items[n] = float32(random.NormFloat64())
	}
	return s
}

func (s *shop) blend(weights ...float32) *neighbors.Blend {
	b := &neighbors.Blend{
		Items: s.items, FactorWeight: weights[len(s.sources)],
		Factors: &neighbors.Factors{Index: topk.New(s.model.Items, s.items, 16), Model: s.model},
	}
	for n, source := range s.sources {
		b.Sources = append(b.Sources, neighbors.Weighted{Source: source, Weight: weights[n]})
	}
	return b
}

func (s *shop) vector(seed uint64) []float32 {
	random := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, 16)
	for n := range v {
		v[n] = float32(random.NormFloat64())
	}
	return v
}

// TestBlendMatchesTheDenseSum ranks the whole catalogue by the definition.
func TestBlendMatchesTheDenseSum(t *testing.T) {
	s := newShop(t, 400)
	weights := []float32{1, .5, .7, .2, .1, .6}
	b := s.blend(weights...)
	b.Depth = s.items // all items are candidates, as in the dense sum
	var scratch neighbors.Scratch
	for n := range 30 {
		history, vector := s.q.At(n), s.vector(uint64(n))
		exclude := neighbors.Exclude(nil, s.items, history)
		if n%2 == 0 { // what the model likes best may not be shown
			vector = s.model.Items[16*history[0] : 16*history[0]+16]
		}
		dense := make([]float64, s.items)
		add := func(scores []float64, weight float32) {
			highest := 0.0
			for i, v := range scores {
				if exclude[i/64]>>(i%64)&1 == 0 {
					highest = max(highest, v)
				}
			}
			for i, v := range scores {
				if highest > 0 {
					dense[i] += float64(weight) * v / highest
				}
			}
		}
		for p, source := range s.sources {
			var out neighbors.Scores
			out.Reset(s.items)
			source.Score(history, &out, &scratch)
			scores := make([]float64, s.items)
			for _, item := range out.Items() {
				v, _ := out.Get(item)
				scores[item] = float64(v)
			}
			add(scores, weights[p])
		}
		scores := make([]float64, s.items)
		for i := range scores {
			for k, v := range vector {
				scores[i] += float64(v) * float64(s.model.Items[i*16+k])
			}
		}
		add(scores, weights[len(s.sources)])
		hits := b.Rank(neighbors.Query{History: history, Vector: vector, Exclude: exclude, K: 10}, nil, &scratch)
		if len(hits) != 10 {
			t.Fatalf("%d hits", len(hits))
		}
		var order []int
		for i := range dense {
			if exclude[i/64]>>(i%64)&1 == 0 {
				order = append(order, i)
			}
		}
		slices.SortFunc(order, func(x, y int) int { return int(math.Copysign(1, dense[y]-dense[x])) })
		for place, hit := range hits {
			if !near(float64(hit.Score), dense[order[place]]) || !near(float64(hit.Score), dense[hit.Row]) {
				t.Fatalf("query %d place %d: item %d with %v, want item %d with %v", n, place, hit.Row, hit.Score, order[place], dense[order[place]])
			}
		}
	}
}

func TestBlendWithoutSomething(t *testing.T) {
	s := newShop(t, 100)
	b := s.blend(1, 1, 1, 1, 0, 1)
	var scratch neighbors.Scratch
	if hits := b.Rank(neighbors.Query{History: []uint32{1, 2}, K: 5}, nil, &scratch); len(hits) != 5 {
		t.Errorf("no vector: %v", hits)
	}
	if hits := b.Rank(neighbors.Query{Vector: s.vector(1), K: 5}, nil, &scratch); len(hits) != 5 {
		t.Errorf("no history: %v", hits)
	}
	if hits := b.Rank(neighbors.Query{K: 5}, nil, &scratch); len(hits) != 0 {
		t.Errorf("nothing to go by: %v", hits)
	}
	if hits := b.Rank(neighbors.Query{History: []uint32{1, 5000, math.MaxUint32}, Vector: make([]float32, 16), K: 0}, nil, &scratch); len(hits) != 0 {
		t.Errorf("K 0: %v", hits)
	}
	all := make([]uint32, 100)
	for n := range all {
		all[n] = uint32(n)
	}
	if hits := b.Rank(neighbors.Query{History: []uint32{1}, Vector: s.vector(1), Exclude: neighbors.Exclude(nil, 100, all), K: 5}, nil, &scratch); len(hits) != 0 {
		t.Errorf("all excluded: %v", hits)
	}
}

// TestTuneFindsTheSourceThatKnows: targets are what follows the history, so
// the first source must not be drowned by a useless one.
func TestTuneFindsTheSourceThatKnows(t *testing.T) {
	var q neighbors.Sequences
	for n := range uint32(300) {
		q.Add([]uint32{n % 50, 50 + n%50})
	}
	follow, err := neighbors.Transitions(context.Background(), &q, neighbors.TransitionOptions{Items: 200})
	if err != nil {
		t.Fatal(err)
	}
	noise := &neighbors.Ranked{Items: []uint32{150, 151, 152}, Scores: []float32{1, 1, 1}}
	b := neighbors.Blend{Items: 200, Sources: []neighbors.Weighted{{Source: noise}, {Source: &neighbors.Lookup{Table: follow}}}}
	at := func(_, n int) neighbors.Trial {
		return neighbors.Trial{Query: neighbors.Query{History: []uint32{uint32(n % 50)}}, Targets: []uint32{50 + uint32(n%50)}}
	}
	grid := []float32{0, .5, 2}
	tuned, err := b.Tune(context.Background(), 130, at, neighbors.TuneOptions{Grid: grid, K: 1, Workers: 3})
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

// TestTuneAgreesWithRank measures the answers of every combination.
func TestTuneAgreesWithRank(t *testing.T) {
	s := newShop(t, 150)
	b := s.blend(1, 1, 1, 1, 1, 1)
	b.Sources, b.Depth = b.Sources[:2], s.items
	const trials = 100
	at := func(_, n int) neighbors.Trial {
		row := s.q.At(n)
		cut := len(row) / 2
		exclude := neighbors.Exclude(nil, s.items, row[:cut])
		var targets []uint32
		for _, item := range row[cut:] {
			if exclude[item/64]>>(item%64)&1 == 0 && !slices.Contains(targets, item) {
				targets = append(targets, item)
			}
		}
		return neighbors.Trial{Query: neighbors.Query{History: row[:cut], Vector: s.vector(uint64(n)), Exclude: exclude, K: 5}, Targets: targets}
	}
	var one []neighbors.Tuned
	for _, workers := range []int{1, 4} {
		tuned, err := b.Tune(context.Background(), trials, at, neighbors.TuneOptions{Grid: []float32{.3, 1}, K: 5, Workers: workers})
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
			t.Errorf("weights %v: Tune says %v, the answers give %v", c.Weights, c.NDCG, sum/trials)
		}
	}
}

func TestTuneRefuses(t *testing.T) {
	s := newShop(t, 20)
	b := s.blend(1, 1, 1, 1, 1, 1)
	at := func(_, n int) neighbors.Trial { return neighbors.Trial{} }
	for name, opt := range map[string]neighbors.TuneOptions{
		"grid too large":  {Grid: make([]float32, 9)},
		"negative weight": {Grid: []float32{-1}},
		"negative cut":    {K: -1, Grid: []float32{1}},
	} {
		if _, err := b.Tune(context.Background(), 3, at, opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := (&neighbors.Blend{}).Tune(context.Background(), 3, at, neighbors.TuneOptions{}); err == nil {
		t.Error("no sources: no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Tune(ctx, 3, at, neighbors.TuneOptions{Grid: []float32{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestQueriesDoNotAllocate(t *testing.T) {
	s := newShop(t, 400)
	b := s.blend(1, 1, 1, 1, 1, 1)
	vector := s.vector(1)
	var scratch neighbors.Scratch
	hits := b.Rank(neighbors.Query{History: s.q.At(0), Vector: vector, K: 20}, nil, &scratch)
	n := 0
	ask := func() {
		n++
		hits = b.Rank(neighbors.Query{History: s.q.At(n % 50), Vector: vector, K: 20}, hits, &scratch)
	}
	for range 50 {
		ask()
	}
	if allocs := testing.AllocsPerRun(100, ask); allocs != 0 {
		t.Errorf("%v allocations per query", allocs)
	}
}

func TestScoresAreForgotten(t *testing.T) {
	var s neighbors.Scores
	if _, ok := s.Get(0); ok {
		t.Error("a zero Scores has a score")
	}
	s.Reset(3)
	s.Add(1, 2)
	s.Add(1, -2)
	s.Add(9, 1)
	if v, ok := s.Get(1); !ok || v != 0 || len(s.Items()) != 1 {
		t.Errorf("score %v %v, items %v", v, ok, s.Items())
	}
	s.Reset(3)
	if _, ok := s.Get(1); ok || len(s.Items()) != 0 {
		t.Error("Reset left a score behind")
	}
	s.Add(0, float32(math.NaN()))
	s.Add(2, -1)
	s.Add(1, -1)
	if got := s.Top(5, nil, nil); !slices.Equal(got, []topk.Hit{{Row: 1, Score: -1}, {Row: 2, Score: -1}}) {
		t.Errorf("top: %v", got)
	}
	if got := s.Top(-1, nil, nil); len(got) != 0 {
		t.Errorf("top -1: %v", got)
	}
}

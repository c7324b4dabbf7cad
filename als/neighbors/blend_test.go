package neighbors_test

import (
	"context"
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

// TestPartsAddUpToRank: what the parts say, weighed and added up, is the blend's list.
func TestPartsAddUpToRank(t *testing.T) {
	s := newShop(t, 150)
	var scratch neighbors.Scratch
	var parts neighbors.Parts
	for n, weights := range [][]float32{{1, .5, 1, 1, .3, 1}, {0, 1, 0, 2, 0, 0}, {.2, 0, 0, 0, 0, 1}} {
		b := s.blend(weights...)
		b.Depth = s.items
		q := neighbors.Query{History: s.q.At(n), Vector: s.vector(uint64(n)), Exclude: neighbors.Exclude(nil, s.items, s.q.At(n)[:1]), K: 20}
		parts.Ask(b, &q)
		if len(parts.Scores) != b.NumParts() {
			t.Fatalf("%d parts, want %d", len(parts.Scores), b.NumParts())
		}
		sums := map[uint32]float64{}
		for p, scores := range parts.Scores {
			for at, item := range parts.Items {
				sums[item] += float64(weights[p]) * float64(scores[at])
			}
		}
		for _, hit := range b.Rank(q, nil, &scratch) {
			if !near(sums[hit.Row], float64(hit.Score)) {
				t.Errorf("weights %v: the parts give item %d %v, Rank %v", weights, hit.Row, sums[hit.Row], hit.Score)
			}
		}
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

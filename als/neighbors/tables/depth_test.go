package tables

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als/internal/f32"
	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/topk"
)

// TestDepthIsEnough: the K best of a blend are the same when all items of the
// factor model are candidates.
func TestDepthIsEnough(t *testing.T) {
	const items, rank = 500, 8
	random := rand.New(rand.NewPCG(3, 1))
	m := &model.Model{Rank: rank, NumItems: items, Items: make([]float32, items*rank)}
	for i := range m.Items {
		m.Items[i] = float32(random.NormFloat64())
	}
	var q neighbors.Sequences
	for range 400 {
		at := random.IntN(items)
		q.Add([]uint32{uint32(at), uint32((at + 1) % items), uint32((at + 5) % items)})
	}
	next, err := neighbors.Transitions(t.Context(), &q, neighbors.TransitionOptions{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	index, err := neighbors.NewSessions(t.Context(), &q, neighbors.SessionOptions{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	set := &Set{Items: items, Transitions: next, Sessions: index, Popular: &neighbors.Ranked{Items: []uint32{7, 9}, Scores: []float32{2, 1}}}
	sources, err := set.Sources()
	if err != nil {
		t.Fatal(err)
	}
	factors := &neighbors.Factors{Index: topk.New(m.Items, items, rank), Model: m, Norms: neighbors.Norms(m)}
	var s neighbors.Scratch
	for n := range 300 {
		w := Weights{PartFactors: random.Float32(), PartTransitions: random.Float32(), PartSessions: random.Float32(), PartPopular: random.Float32()}
		shallow, deep := sources.Blend(w, factors), sources.Blend(w, factors)
		deep.Depth = items
		query := neighbors.Query{History: q.At(n % q.Len()), K: 1 + n%40, Cosine: n%3 == 0, Row: uint32(n % items)}
		for range rank {
			query.Vector = append(query.Vector, float32(random.NormFloat64()))
		}
		query.Exclude = neighbors.Exclude(nil, items, query.History)
		want := slices.Clone(deep.Rank(query, nil, &s))
		if got := shallow.Rank(query, nil, &s); !slices.Equal(got, want) {
			t.Fatalf("query %d, weights %v: %v, want %v", n, w, got, want)
		}
		if plain := plainly(deep, query); !same(plain, want, query.Cosine) {
			t.Fatalf("query %d, weights %v: %v, by the definition %v", n, w, want, plain)
		}
	}
}

// plainly ranks the whole catalogue by the definition of a blend.
func plainly(b *neighbors.Blend, q neighbors.Query) []topk.Hit {
	sums := make([]float32, b.Items)
	var s neighbors.Scratch
	add := func(weight float32, scores []float32) {
		highest := float32(0)
		for item, v := range scores {
			if hides(q, uint32(item)) {
				continue
			}
			highest = max(highest, v)
		}
		for item, v := range scores {
			if highest > 0 {
				sums[item] += weight / highest * v
			}
		}
	}
	scores := make([]float32, b.Items)
	for _, source := range b.Sources {
		var out neighbors.Scores
		out.Reset(b.Items)
		source.Source.Score(q.History, &out, &s)
		for item := range scores {
			scores[item], _ = out.Get(uint32(item))
		}
		add(source.Weight, scores)
	}
	for item := range scores {
		row := func(n uint32) []float32 { return b.Factors.Model.Items[int(n)*len(q.Vector):][:len(q.Vector)] }
		scores[item] = f32.Dot(q.Vector, row(uint32(item)))
		if q.Cosine {
			scores[item] = f32.Dot(row(q.Row), row(uint32(item))) / b.Factors.Norms[q.Row] / b.Factors.Norms[item]
		}
	}
	add(b.FactorWeight, scores)
	var hits []topk.Hit
	for item, v := range sums {
		if !hides(q, uint32(item)) {
			hits = append(hits, topk.Hit{Row: uint32(item), Score: v})
		}
	}
	slices.SortFunc(hits, func(a, b topk.Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Row, b.Row)) })
	return hits[:q.K]
}

func hides(q neighbors.Query, item uint32) bool {
	return q.Exclude[item/64]>>(item%64)&1 != 0 || q.Cosine && item == q.Row
}

// same compares answers but for roundings, for a blend adds up in another order; by
// cosine only their order: the search divides by the lengths in another order, too.
func same(a, b []topk.Hit, cosine bool) bool {
	const rounding = 1e-6
	return slices.EqualFunc(a, b, func(x, y topk.Hit) bool {
		return x.Row == y.Row && (cosine || max(x.Score-y.Score, y.Score-x.Score) <= rounding*max(x.Score, -x.Score))
	})
}

package tables

import (
	"math/rand/v2"
	"slices"
	"testing"

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
	}
}

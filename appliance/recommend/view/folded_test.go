package view

import (
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als/model"
	"vitrine/als/topk"
	"vitrine/appliance/frame"
)

// A kept vector is given for the very history that it was solved for, and for
// nothing else.
func TestFolds(t *testing.T) {
	var f folds
	type visit struct {
		user    uint32
		items   []uint32
		weights []float32
	}
	get := func(v visit) ([]float32, bool) {
		vector := make([]float32, 2)
		return vector, f.get(vector, v.user, v.items, v.weights)
	}
	known, vector := visit{7, []uint32{1, 5}, []float32{2, 3}}, []float32{0.5, -0.25}
	if _, ok := get(known); ok {
		t.Error("a vector that nobody has solved for")
	}
	f.put(vector, known.user, known.items, known.weights)
	if got, ok := get(known); !ok || !slices.Equal(got, vector) {
		t.Errorf("kept vector %v", got)
	}
	for name, v := range map[string]visit{
		"another weight":   {7, []uint32{1, 5}, []float32{2, 3.5}},
		"another item":     {7, []uint32{1, 6}, []float32{2, 3}},
		"one more":         {7, []uint32{1, 5, 6}, []float32{2, 3, 1}},
		"another user":     {7 + foldedUsers, []uint32{1, 5}, []float32{2, 3}},
		"a session":        {frame.NoUser, []uint32{1, 5}, []float32{2, 3}},
		"another long one": {7, make([]uint32, foldedItems+1), make([]float32, foldedItems+1)},
	} {
		if _, ok := get(v); ok {
			t.Errorf("%s has the vector", name)
		}
	}
	f.put(vector, 7+foldedUsers, []uint32{2}, []float32{1})
	if _, ok := get(known); ok {
		t.Error("the earlier of two users in a place stays")
	}
	if n := testing.AllocsPerRun(100, func() {
		f.put(vector, known.user, known.items, known.weights)
		f.get(vector, known.user, known.items, known.weights)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSearchBeginsAtItsBar: a visitor who asks again is answered as before, with
// what was learnt for his vector and length of list, and for nothing else.
func TestSearchBeginsAtItsBar(t *testing.T) {
	const rank, items = 8, 4000
	rng := rand.New(rand.NewPCG(5, 6))
	m := &model.Model{Rank: rank, NumItems: items, Items: make([]float32, rank*items)}
	for i := range m.Items {
		m.Items[i] = float32(rng.NormFloat64())
	}
	codes := make([]uint32, items)
	for i := range codes {
		codes[i] = uint32(i)
	}
	v, err := New(Spec{Version: "v", Model: m, Codes: codes})
	if err != nil {
		t.Fatal(err)
	}
	vector := slices.Clone(m.Items[:rank])
	v.Keep(vector, 7, []uint32{1}, []float32{1})
	var s, plain topk.Scratch
	var hidden topk.Mask
	hidden.Reset(v.Index)
	ask := func(q Query) {
		t.Helper()
		want := v.Index.Search(q.Vector, q.K, q.Hidden, nil, &plain)
		if got := v.Search(q, nil, &s); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	q := Query{User: 7, Vector: vector, K: 20, Hidden: &hidden}
	var none topk.Bar
	ask(q)
	first := v.folds.bar(&q)
	if first == none {
		t.Fatal("nothing is learnt")
	}
	ask(q)
	if bar := v.folds.bar(&q); bar != first {
		t.Errorf("the same search has the bar %v, then %v", first, bar)
	}
	best := v.Index.Search(vector, 10, nil, nil, nil)
	for _, hit := range best {
		hidden.Hide(hit.Row)
	}
	ask(q)
	lower := v.folds.bar(&q)
	if lower == first || lower.Lower(first) != lower {
		t.Errorf("where the best are hidden the bar is %v, before %v", lower, first)
	}
	hidden.Reset(v.Index)
	ask(q)
	if bar := v.folds.bar(&q); bar != lower {
		t.Errorf("the bar rises from %v to %v", lower, bar)
	}
	other := q
	for name, change := range map[string]func(){
		"another length": func() { other.K = 21 },
		"another vector": func() { other.Vector = slices.Repeat([]float32{1}, rank) },
		"another user":   func() { other.User = 7 + foldedUsers },
		"nobody":         func() { other.User = frame.NoUser },
	} {
		other = q
		change()
		if v.folds.bar(&other) != none {
			t.Errorf("%s has the bar", name)
		}
		ask(other)
	}
	v.Keep(vector, 7, []uint32{2}, []float32{1})
	if v.folds.bar(&q) != none {
		t.Error("a bar outlives its vector")
	}
}

// TestReachBeginsAtItsBar: what was learnt for one goal is not taken for another's.
func TestReachBeginsAtItsBar(t *testing.T) {
	v := newView(t, 4000, 16)
	vector := slices.Clone(v.Model.Items[:16])
	v.Keep(vector, 7, []uint32{1}, []float32{1})
	lift := v.Index.NewLift(nil)
	var s, plain topk.Scratch
	var none topk.Bar
	q := Query{User: 7, Vector: vector, Goal: topk.Goal{K: 20}}
	for range 2 {
		want := v.Index.Search(vector, 20, nil, nil, &plain)
		got, reached := v.Reach(lift, q, nil, &s)
		if !reached || !slices.Equal(got[:20], want) {
			t.Errorf("%v %v, want %v", got, reached, want)
		}
		if v.folds.bar(&q) == none {
			t.Error("nothing is learnt")
		}
	}
	for _, other := range []topk.Goal{{K: 21}, {K: 20, Capped: 3, Most: 1}, {K: 20, Plain: 25}} {
		q.Goal = other
		if v.folds.bar(&q) != none {
			t.Errorf("%+v has the bar of another goal", other)
		}
	}
}

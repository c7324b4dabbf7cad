package neighbors_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vitrine/als/neighbors"
)

// slowKNN computes the formula of SessionKNN from its documentation.
func slowKNN(q *neighbors.Sequences, history []uint32, items, recent, keep int) []float64 {
	const query, nearby, before, length, rarity, age = 1.5, 2, .7, .25, .5, 3
	last := map[uint32]int{}
	for n, item := range history {
		last[item] = n
	}
	weight := make([]float64, q.Len())
	newest := make([]int, q.Len()) // place in the history of the shared item
	for item, p := range last {
		var holding []int
		for n := range q.Len() {
			if slices.Contains(q.At(n), item) {
				holding = append(holding, n)
			}
		}
		w := math.Exp(-float64(len(history)-1-p)/query) / math.Pow(float64(5+len(holding)), rarity)
		for _, n := range holding[max(len(holding)-recent, 0):] {
			weight[n] += w
			newest[n] = max(newest[n], p)
		}
	}
	var order []int
	for n := range weight {
		if weight[n] > 0 {
			order = append(order, n)
			weight[n] *= math.Exp(-float64(q.Len()-1-n)/age) * math.Pow(float64(len(q.At(n))), -length)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(weight[b], weight[a]), b-a) })
	scores := make([]float64, items)
	for _, n := range order[:min(keep, len(order))] {
		s := q.At(n)
		shared, best := -1, -1
		for p, item := range s {
			if at, ok := last[item]; ok && at >= best && at <= newest[n] {
				shared, best = p, at
			}
		}
		for p, item := range s {
			v := weight[n] * math.Exp(-math.Abs(float64(p-shared))/nearby)
			if p < shared {
				v *= before
			}
			scores[item] += v
		}
	}
	return scores
}

func TestSessionKNNMatchesTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.IntRange(1, 6).Draw(t, "items")
		q := drawSequences(t, items)
		history := rapid.SliceOfN(rapid.Uint32Range(0, uint32(items-1)), 0, 6).Draw(t, "history")
		recent := rapid.IntRange(1, 8).Draw(t, "recent")
		index, err := neighbors.NewSessions(t.Context(), q, neighbors.SessionOptions{Items: items})
		if err != nil {
			t.Fatal(err)
		}
		if err := index.Check(); err != nil {
			t.Fatal(err)
		}
		// All sessions answer: which of two equal ones falls off depends on rounding.
		knn, err := neighbors.NewSessionKNN(index, neighbors.KNNOptions{Recent: recent, Neighbors: 100, Age: 3})
		if err != nil {
			t.Fatal(err)
		}
		var out neighbors.Scores
		out.Reset(items)
		knn.Score(history, &out, new(neighbors.Scratch))
		for item, want := range slowKNN(q, history, items, recent, 100) {
			if got, _ := out.Get(uint32(item)); !near(float64(got), want) {
				t.Fatalf("item %d: %v, want %v", item, got, want)
			}
		}
	})
}

func TestSessionsKeepTheNewest(t *testing.T) {
	var q neighbors.Sequences
	for n := range uint32(10) {
		q.Add([]uint32{0, n % 3, 0})
	}
	index, err := neighbors.NewSessions(t.Context(), &q, neighbors.SessionOptions{Items: 3, PerItem: 4, Newest: 6})
	if err != nil {
		t.Fatal(err)
	}
	if index.Len() != 6 || index.At(0)[1] != 4%3 {
		t.Errorf("%d sessions, the first is %v", index.Len(), index.At(0))
	}
	if got := index.Session[index.Posting[0]:index.Posting[1]]; !slices.Equal(got, []uint32{2, 3, 4, 5}) {
		t.Errorf("sessions of item 0: %v", got)
	}
	if got := index.Session[index.Posting[1]:index.Posting[2]]; !slices.Equal(got, []uint32{0, 3}) {
		t.Errorf("sessions of item 1: %v", got)
	}
}

// TestEqualSessionsAreDecidedByAge: one neighbour may answer, two weigh the
// same; the newer one must.
func TestEqualSessionsAreDecidedByAge(t *testing.T) {
	var q neighbors.Sequences
	q.Add([]uint32{0, 1})
	q.Add([]uint32{0, 2})
	index, err := neighbors.NewSessions(t.Context(), &q, neighbors.SessionOptions{Items: 3})
	if err != nil {
		t.Fatal(err)
	}
	knn, err := neighbors.NewSessionKNN(index, neighbors.KNNOptions{Neighbors: 1})
	if err != nil {
		t.Fatal(err)
	}
	var out neighbors.Scores
	out.Reset(3)
	knn.Score([]uint32{0}, &out, new(neighbors.Scratch))
	if _, ok := out.Get(1); ok {
		t.Error("the older session answered")
	}
	if _, ok := out.Get(2); !ok {
		t.Error("the newer session did not answer")
	}
}

func TestLongHistoriesAndSessionsAreCut(t *testing.T) {
	long := make([]uint32, 5000)
	for n := range long {
		long[n] = uint32(n % 2000)
	}
	var q neighbors.Sequences
	q.Add(long)
	index, err := neighbors.NewSessions(t.Context(), &q, neighbors.SessionOptions{Items: 2000})
	if err != nil {
		t.Fatal(err)
	}
	knn, err := neighbors.NewSessionKNN(index, neighbors.KNNOptions{NearDecay: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	var out neighbors.Scores
	out.Reset(2000)
	knn.Score(long, &out, new(neighbors.Scratch))
	if n := len(out.Items()); n == 0 || n > 520 {
		t.Errorf("%d items, want up to 511", n)
	}
}

func TestNewSessionKNNRefuses(t *testing.T) {
	index, err := neighbors.NewSessions(t.Context(), &neighbors.Sequences{}, neighbors.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]neighbors.KNNOptions{
		"recent": {Recent: -1}, "neighbors": {Neighbors: -1}, "query": {QueryDecay: math.NaN()},
		"near": {NearDecay: -1}, "before": {Before: new(2.0)}, "length": {Length: new(-1.0)},
		"rarity": {Rarity: new(math.Inf(1))}, "age": {Age: -1},
	} {
		if _, err := neighbors.NewSessionKNN(index, opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := neighbors.NewSessions(t.Context(), &neighbors.Sequences{}, neighbors.SessionOptions{PerItem: -1}); err == nil {
		t.Error("negative PerItem: no error")
	}
}

func TestCancelledSessions(t *testing.T) {
	q := randomSequences(2, 500, 50, 4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := neighbors.NewSessions(ctx, q, neighbors.SessionOptions{Items: 50}); !errors.Is(err, context.Canceled) || s != nil {
		t.Errorf("cancelled: %v, %v", s, err)
	}
}

// TestSessionsFromElsewhere: postings may name sessions that do not hold the
// item, or hold nothing.
func TestSessionsFromElsewhere(t *testing.T) {
	for name, index := range map[string]*neighbors.Sessions{
		"empty at the end": {
			Sequences: neighbors.Sequences{Start: []int64{0, 2, 2}, Items: []uint32{0, 1}},
			Posting:   []int64{0, 2, 3}, Session: []uint32{0, 1, 1},
		},
		"nothing at all": {Sequences: neighbors.Sequences{Start: []int64{0, 0}}, Posting: []int64{0, 1}, Session: []uint32{0}},
		"another item":   {Sequences: neighbors.Sequences{Start: []int64{0, 1}, Items: []uint32{1}}, Posting: []int64{0, 1, 1}, Session: []uint32{0}},
	} {
		if err := index.Check(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		knn, err := neighbors.NewSessionKNN(index, neighbors.KNNOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var out neighbors.Scores
		out.Reset(index.NumItems())
		knn.Score([]uint32{1, 0}, &out, new(neighbors.Scratch))
		for _, item := range out.Items() {
			if v, _ := out.Get(item); !(v >= 0) {
				t.Errorf("%s: item %d scores %v", name, item, v)
			}
		}
	}
}

package recommend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/popularity"
	"vitrine/als/neighbors/tables"
	"vitrine/als/topk"
	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/view"
)

// newSet has every source, from random visits along a ring of items.
func newSet(tb testing.TB, items, visits int) *tables.Set {
	tb.Helper()
	random := rand.New(rand.NewPCG(4, 4))
	var q neighbors.Sequences
	b := dataset.NewBuilder(items)
	for range visits {
		at := random.IntN(items)
		var visit []uint32
		for step := range 2 + random.IntN(6) {
			visit = append(visit, uint32((at+step*step)%items))
		}
		q.Add(visit)
		slices.Sort(visit)
		for _, item := range slices.Compact(visit) {
			if err := b.Add(item, 1); err != nil {
				tb.Fatal(err)
			}
		}
		b.EndRow()
	}
	set := &tables.Set{Items: items, Settings: tables.Settings{
		User: tables.Weights{
			tables.PartFactors: 1, tables.PartSimilar: .35, tables.PartTransitions: .6, tables.PartSessions: .2,
			tables.PartPopular: .1, tables.PartTrending: .05,
		},
		Session: tables.Weights{tables.PartSessions: 1, tables.PartTransitions: .5},
		Like:    tables.Weights{tables.PartFactors: .5, tables.PartSimilar: 1},
	}}
	var err error
	if set.Similar, err = neighbors.Similar(tb.Context(), b.Build(), neighbors.SimilarOptions{Top: 100}); err != nil {
		tb.Fatal(err)
	}
	if set.Transitions, err = neighbors.Transitions(tb.Context(), &q, neighbors.TransitionOptions{Items: items, Top: 100}); err != nil {
		tb.Fatal(err)
	}
	if set.Sessions, err = neighbors.NewSessions(context.Background(), &q, neighbors.SessionOptions{Items: items}); err != nil {
		tb.Fatal(err)
	}
	counts := make([]float64, items)
	for _, item := range q.Items {
		counts[item]++
	}
	set.Popular, set.Trending = popularity.Rank(counts, 100), popularity.Rank(counts[:items/2], 100)
	return set
}

// newBlendedView is newTestView with sources.
func newBlendedView(tb testing.TB, m *model.Model, first uint32, set *tables.Set, weights tables.Weights) *view.View {
	tb.Helper()
	codes := make([]uint32, m.NumItems)
	for row := range codes {
		codes[row] = first + uint32(row)
	}
	v, err := view.New(view.Spec{Version: "v1", Created: time.UnixMilli(1000), Reference: 500, Model: m, Codes: codes, Sources: set, Weights: weights})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// offline ranks by als/neighbors alone, rows for codes.
func offline(t *testing.T, m *model.Model, set *tables.Set, weights tables.Weights, q neighbors.Query) (codes []uint32, scores []float32) {
	t.Helper()
	sources, err := set.Sources()
	if err != nil {
		t.Fatal(err)
	}
	blend := sources.Blend(weights, &neighbors.Factors{Index: topk.New(m.Items, m.NumItems, m.Rank), Model: m, Norms: neighbors.Norms(m)})
	var s neighbors.Scratch
	for _, hit := range blend.Rank(q, nil, &s) {
		codes, scores = append(codes, hit.Row+first), append(scores, hit.Score)
	}
	return codes, scores
}

const first = 20

func vectorOf(t *testing.T, m *model.Model, f frame.Frame) []float32 {
	t.Helper()
	var rows []uint32
	for _, code := range f.Items {
		rows = append(rows, code-first)
	}
	v := make([]float32, m.Rank)
	if err := model.NewFolder(m).FoldIn(v, rows, f.Scores, new(model.Scratch)); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestServedBlendIsTheOfflineRank: what requests get is what als/neighbors
// ranks for the same history, item by item and score by score.
func TestServedBlendIsTheOfflineRank(t *testing.T) {
	const items = 400
	m, set := newModel(items, 8), newSet(t, items, 3000)
	history := taste(25, 160, 219, 44)
	s := &shop{
		items: items + first, history: map[uint32]frame.Frame{1: history},
		popular: []uint32{23, 60, 22}, expires: map[uint32]int64{45: 1, 53: 2000},
	}
	e := s.engine()
	e.Swap(newBlendedView(t, m, first, set, nil))
	rows := func(codes ...uint32) (rows []uint32) {
		for _, code := range codes {
			rows = append(rows, code-first)
		}
		return rows
	}
	withSession := taste(25, 160, 219, 44)
	withSession.Add(70, 1)
	session := frame.Frame{}
	session.Add(70, 1)
	session.Add(71, 1)
	for name, c := range map[string]struct {
		req     Request
		query   neighbors.Query
		weights tables.Weights
		out     []uint32
	}{
		"user": {
			Request{UserID: "u1", Limit: 30},
			neighbors.Query{History: rows(25, 160, 219, 44), Vector: vectorOf(t, m, history)},
			set.Settings.User, nil,
		},
		"seen and excluded left out": {
			Request{UserID: "u1", Limit: 30, ExcludeSeen: true, Exclude: []string{"i161", "i46"}},
			neighbors.Query{History: rows(25, 160, 219, 44), Vector: vectorOf(t, m, history)},
			set.Settings.User,
			[]uint32{25, 160, 219, 44, 161, 46},
		},
		"a user's session": {
			Request{UserID: "u1", Limit: 30, Session: []string{"i70"}},
			neighbors.Query{History: rows(25, 160, 219, 44, 70), Vector: vectorOf(t, m, withSession)},
			set.Settings.User, nil,
		},
		"a visitor's session": {
			Request{Limit: 10, Session: []string{"i70", "i71"}},
			neighbors.Query{History: rows(70, 71), Vector: vectorOf(t, m, session)},
			set.Settings.Session, nil,
		},
	} {
		var resp Response
		c.req.Now = 1000
		if err := e.Recommend(context.Background(), &c.req, &resp); err != nil {
			t.Fatal(err)
		}
		c.query.K, c.query.Exclude = c.req.Limit, neighbors.Exclude(nil, items, rows(append(c.out, 45)...))
		want, scores := offline(t, m, set, c.weights, c.query)
		if resp.Source != SourceLive || !resp.Exact || !slices.Equal(codesOf(&resp), want) {
			t.Errorf("%s: %s %v\nwant %v", name, resp.Source, codesOf(&resp), want)
			continue
		}
		for place, item := range resp.Items {
			if item.Score != scores[place] {
				t.Errorf("%s: place %d has %v, want %v", name, place, item.Score, scores[place])
			}
		}
	}
	for code := uint32(first); code < first+50; code++ {
		var resp Response
		if err := e.Similar(context.Background(), fmt.Sprintf("i%d", code), 15, 1000, &resp); err != nil {
			t.Fatal(err)
		}
		want, _ := offline(t, m, set, set.Settings.Like, neighbors.Query{
			History: rows(code), Cosine: true, Row: code - first, Exclude: neighbors.Exclude(nil, items, rows(45)), K: 15,
		})
		if !slices.Equal(codesOf(&resp), want) {
			t.Errorf("like %d: %v, want %v", code, codesOf(&resp), want)
		}
	}
}

// TestWithoutSourcesTheFactorsAnswer: a version of before, weights that name
// what was not built, and "als".
func TestWithoutSourcesTheFactorsAnswer(t *testing.T) {
	const items = 300
	m, set := newModel(items, 8), newSet(t, items, 500)
	s := &shop{items: items + first, history: map[uint32]frame.Frame{1: taste(25, 60)}}
	list := func(v *view.View) []uint32 {
		e := s.engine()
		e.Swap(v)
		var resp Response
		if err := e.Recommend(context.Background(), &Request{UserID: "u1", Limit: 40}, &resp); err != nil {
			t.Fatal(err)
		}
		return codesOf(&resp)
	}
	want := list(newTestView(t, m, first))
	bare := &tables.Set{Items: items, Settings: set.Settings}
	for name, v := range map[string]*view.View{
		"no sources":      newBlendedView(t, m, first, nil, set.Settings.User),
		"nothing built":   newBlendedView(t, m, first, bare, nil),
		"als":             newBlendedView(t, m, first, set, tables.Weights{tables.PartFactors: 1}),
		"als, not scaled": newBlendedView(t, m, first, set, tables.Weights{tables.PartFactors: .1}),
	} {
		if got := list(v); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := list(newBlendedView(t, m, first, set, nil)); slices.Equal(got, want) {
		t.Error("the sources change nothing")
	}
}

// TestBrief: a brief list is that of the factors alone, and says so; where these
// know nothing, where no other source is beside them, or where more than the list is
// asked for, nothing is left out.
func TestBrief(t *testing.T) {
	const items = 300
	m, set := newModel(items, 8), newSet(t, items, 500)
	clear(m.Items[(44-first)*8 : (44-first)*8+8])
	s := &shop{items: items + first, history: map[uint32]frame.Frame{1: taste(25, 60), 2: taste(44)}}
	whole, plain := s.engine(), s.engine()
	whole.Swap(newBlendedView(t, m, first, set, nil))
	plain.Swap(newTestView(t, m, first))
	list := func(e *Engine, req Request) (codes []uint32, reason string) {
		var resp Response
		if err := e.Recommend(context.Background(), &req, &resp); err != nil {
			t.Fatal(err)
		}
		if resp.Source != SourceLive || resp.Exact != (resp.Reason == "") {
			t.Errorf("%+v: %s, exact %v", req, resp.Source, resp.Exact)
		}
		return codesOf(&resp), resp.Reason
	}
	for name, c := range map[string]struct {
		engine *Engine
		req    Request
		want   *Engine // whose whole list it is
		reason string
	}{
		"a user": {whole, Request{UserID: "u1"}, plain, ReasonOverload},
		"a visitor, for whom no factors are mixed": {whole, Request{Session: []string{"i70", "i71"}}, whole, ""},
		"a cart":             {whole, Request{UserID: "u1", Session: []string{"i70"}, Scene: SceneCart}, plain, ReasonOverload},
		"items like one":     {whole, Request{Session: []string{"i70"}, Scene: SceneProduct}, whole, ""},
		"explained":          {whole, Request{UserID: "u1", Explain: ExplainItems}, whole, ""},
		"unknown to factors": {whole, Request{UserID: "u2"}, whole, ""},
		"no other sources":   {plain, Request{UserID: "u1"}, plain, ""},
		"what to buy again":  {whole, Request{UserID: "u1", Scene: SceneBuyAgain}, whole, ""},
	} {
		c.req.Limit, c.req.Now = 40, 1000
		want, _ := list(c.want, c.req)
		c.req.Brief = true
		got, reason := list(c.engine, c.req)
		if !slices.Equal(got, want) || reason != c.reason {
			t.Errorf("%s: %q %v\nwant %q %v", name, reason, got, c.reason, want)
		}
	}
}

// TestSourcesKnowWhatFactorsDoNot: a history of items without factors is
// answered by what follows them.
func TestSourcesKnowWhatFactorsDoNot(t *testing.T) {
	const items = 300
	m, set := newModel(items, 8), newSet(t, items, 3000)
	row := 44 - first
	clear(m.Items[row*8 : row*8+8])
	s := &shop{items: items + first, history: map[uint32]frame.Frame{1: taste(44), 2: taste(5)}}
	e := s.engine()
	e.Swap(newBlendedView(t, m, first, set, nil))
	var resp Response
	if err := e.Recommend(context.Background(), &Request{UserID: "u1", Limit: 10}, &resp); err != nil {
		t.Fatal(err)
	}
	next, _ := set.Transitions.Row(uint32(row))
	if resp.Source != SourceLive || resp.Items[0].Code != next[0]+first && resp.Items[1].Code != next[0]+first {
		t.Errorf("%s %s: %v, after it comes %d", resp.Source, resp.Reason, codesOf(&resp), next[0]+first)
	}
	if err := e.Recommend(context.Background(), &Request{UserID: "u2", Limit: 10}, &resp); err != nil {
		t.Fatal(err)
	}
	if resp.Reason != ReasonColdUser {
		t.Errorf("nothing is known of the item, but the answer is %s %q", resp.Source, resp.Reason)
	}
}

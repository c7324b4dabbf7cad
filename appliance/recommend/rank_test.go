//go:build !race

package recommend

import (
	"context"
	"math"
	"testing"

	"vitrine/appliance/frame"
)

// ranked asks for u1's list with the given plugins; the test shop's model
// knows i0, i1 and so on.
func ranked(t *testing.T, s *stages, limit int) Response {
	t.Helper()
	const items = 2000
	h := newHeavy(t, items, 20)
	h.deps.Plugins = s
	var resp Response
	if err := h.Recommend(context.Background(), &Request{UserID: "u1", Limit: limit, Now: 5}, &resp); err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestPluginsReorderAndAreTraced(t *testing.T) {
	plain := ranked(t, &stages{}, 10)
	s := &stages{depth: 200, rank: func(f *frame.Frame, tr *frame.Trace) {
		for i := range f.Scores {
			f.Scores[i] = float32(i) // the last candidate first
		}
		tr.Calls = append(tr.Calls, frame.Call{Name: "turn", Status: "ok"})
	}}
	got := ranked(t, s, 10)
	if len(got.Items) != 10 || got.Items[0].ID == plain.Items[0].ID || got.Items[0].Score != 199 || s.sizes[0] != 200 {
		t.Errorf("%d items, first %+v, shown %v", len(got.Items), got.Items[0], s.sizes)
	}
	if len(got.Plugins.Calls) != 1 || got.Source != SourceLive {
		t.Errorf("%+v", got)
	}
}

// TestFiltersThatEatCandidatesGetMore: a page stays full as long as the
// catalogue has items that pass.
func TestFiltersThatEatCandidatesGetMore(t *testing.T) {
	s := &stages{depth: 50, rank: func(f *frame.Frame, tr *frame.Trace) {
		for i, item := range f.Items {
			f.Mask[i] = item%100 == 7
		}
		tr.Calls = append(tr.Calls, frame.Call{Name: "sevens", Stage: "filter", Status: "ok", Micros: 5})
	}}
	got := ranked(t, s, 10)
	if len(got.Plugins.Calls) != 1 || got.Plugins.Calls[0].Micros != int64(5*s.calls) {
		t.Errorf("after %d rounds the trace is %+v", s.calls, got.Plugins.Calls)
	}
	if len(got.Items) != 10 || s.calls < 2 {
		t.Errorf("%d items after %d calls with %v candidates", len(got.Items), s.calls, s.sizes)
	}
	for _, it := range got.Items {
		if it.Code%100 != 7 {
			t.Errorf("%s was filtered", it.ID)
		}
	}
}

// TestFewOfManyPass: where a filter, a plugin or a cap leaves 30 items of
// 100,000, a list of 20 has 20, the best of them first, and one of 50 has 30.
func TestFewOfManyPass(t *testing.T) {
	const items, every = 100_000, 3334
	h := newHeavy(t, items, 20)
	list := func(req Request) Response {
		t.Helper()
		req.UserID, req.Now = "u1", 5
		var resp Response
		if err := h.Recommend(context.Background(), &req, &resp); err != nil {
			t.Fatal(err)
		}
		return resp
	}
	passes := func(code uint32) bool { return code%every == 7 }
	h.deps.Filters = &shop{items: items}
	want := list(Request{Limit: 50, Filter: "7/3334"})
	if len(want.Items) != 30 {
		t.Fatalf("%d items pass the filter, want all 30", len(want.Items))
	}
	check := func(what string, got Response, n int) {
		t.Helper()
		if len(got.Items) != n || got.Source != SourceLive {
			t.Fatalf("%s: %d %s items, want %d", what, len(got.Items), got.Source, n)
		}
		for j, it := range got.Items {
			if !passes(it.Code) || it.Code != want.Items[j].Code {
				t.Errorf("%s: place %d has %s, want %s", what, j+1, it.ID, want.Items[j].ID)
			}
		}
	}
	check("a filter", list(Request{Limit: 20, Filter: "7/3334"}), 20)
	s := &stages{depth: 200, rank: func(f *frame.Frame, tr *frame.Trace) {
		for i, item := range f.Items {
			f.Mask[i] = passes(item)
		}
		tr.Calls = append(tr.Calls, frame.Call{Name: "few", Stage: "filter", Status: "ok"})
	}}
	h.deps.Plugins = s
	check("a plugin", list(Request{Limit: 20}), 20)
	check("a plugin, all of them", list(Request{Limit: 50}), 30)
	seen := 0
	for _, n := range s.sizes[len(s.sizes)-20:] {
		seen = max(seen, n)
	}
	if seen > maxCandidates {
		t.Errorf("the plugin was shown %d candidates at once, at most %d are meant", seen, maxCandidates)
	}
}

func TestEverythingDropped(t *testing.T) {
	s := &stages{depth: 50, rank: func(f *frame.Frame, tr *frame.Trace) {
		clear(f.Mask)
		tr.Calls = append(tr.Calls, frame.Call{Name: "no", Stage: "filter", Status: "denied"})
	}}
	got := ranked(t, s, 10)
	if len(got.Items) != 0 || got.Source != SourceEmpty || got.Reason != ReasonFiltered || s.calls != 1 {
		t.Errorf("%+v after %d calls", got, s.calls)
	}
}

func TestPluginsDoNotMakeRecommendAllocate(t *testing.T) {
	s := &stages{depth: 200, rank: func(*frame.Frame, *frame.Trace) {}}
	h := newHeavy(t, 2000, 20)
	h.deps.Plugins = s
	req := Request{UserID: "u1", Limit: 10, Now: 5}
	var resp Response
	s.sizes = make([]int, 0, 1000)
	if n := testing.AllocsPerRun(100, func() { _ = h.Recommend(context.Background(), &req, &resp) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFallingOrdersAsScoresDo(t *testing.T) {
	inf := float32(math.Inf(1))
	scores := []float32{inf, math.MaxFloat32, 2, 1, math.SmallestNonzeroFloat32, 0, -math.SmallestNonzeroFloat32, -1, -math.MaxFloat32, -inf, float32(math.NaN())}
	for i := range scores[1:] {
		if falling(scores[i]) >= falling(scores[i+1]) {
			t.Errorf("%v does not come before %v", scores[i], scores[i+1])
		}
	}
	if negative := float32(math.Copysign(0, -1)); falling(0) != falling(negative) {
		t.Error("-0 is not 0")
	}
}

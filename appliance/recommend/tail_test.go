package recommend

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"vitrine/als/neighbors"
	"vitrine/appliance/frame"
)

// boutique is a shop whose items have a category, code%10+1, and whose items
// from 900 on are new.
type boutique struct {
	*shop
	fresh []uint32 // newest first
}

func (b *boutique) Latest(n int, _ int64, dst *frame.Frame) {
	for _, item := range b.fresh[:min(n, len(b.fresh))] {
		dst.Add(item, 1)
	}
}

func (b *boutique) Column(_ frame.Scope, name string) frame.Column {
	if name == "category" {
		return tens{}
	}
	return nil
}

func (b *boutique) ItemID(code uint32) string {
	if code == 5 {
		return "i5"
	}
	return "another"
}

func (b *boutique) Code(frame.Scope, string, string) uint32 { return 0 }

type tens struct{}

func (tens) Kind() frame.Kind { return frame.Text }
func (tens) Gather(dst, codes []uint32) {
	for j, code := range codes {
		dst[j] = code%10 + 1
	}
}

// TestNewItems: an item that no model knows is shown within a second, at the
// place of its share, to those who like its kin; with the rules, filters and
// exclusions of any other.
func TestNewItems(t *testing.T) {
	e, s := ruled(t, "")
	b := &boutique{shop: s}
	e.deps.News, e.deps.Columns = b, b
	before := listOf(t, e, Request{UserID: "u1", Limit: 20, Now: 1000})
	// The category whose mean suits the visitor best, by hand.
	v := e.view.Load()
	sc := e.begin(context.Background(), 20, 1000)
	if q, err := e.question(&Request{UserID: "u1"}, sc); err != nil || q.reason != "" {
		t.Fatal(err, q.reason)
	}
	bestOf, bestScore := uint32(0), math.Inf(-1)
	for c := range uint32(10) {
		sum := 0.0
		var one [1]float32
		for row := c; row < 900; row += 10 {
			v.Model.Scores(one[:], sc.vector, []uint32{row})
			sum += float64(one[0])
		}
		if sum > bestScore {
			bestOf, bestScore = c, sum
		}
	}
	if bestScore <= 0 {
		t.Fatal("the visitor likes nothing")
	}
	b.fresh = []uint32{950 + bestOf, 930 + bestOf}
	if got := listOf(t, e, Request{UserID: "u1", Limit: 20, Now: 1100}); !slices.Equal(got, before) {
		t.Errorf("a look of 0.1 s ago is made anew: %v", got)
	}
	got := listOf(t, e, Request{UserID: "u1", Limit: 20, Now: 2000})
	want := slices.Concat(before[:9], []uint32{950 + bestOf}, before[9:18], []uint32{930 + bestOf})
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, req := range []Request{
		{Exclude: []string{s.ItemID(950 + bestOf)}, Limit: 10}, {Filter: "1/1000000", Limit: 10}, {Limit: 9},
	} {
		req.UserID, req.Now = "u1", 2000
		if got := listOf(t, e, req); slices.Contains(got, 950+bestOf) {
			t.Errorf("%+v shows it", req)
		}
	}
	s.expires[950+bestOf] = 1500
	if got := listOf(t, e, Request{UserID: "u1", Limit: 10, Now: 2000}); got[9] != 930+bestOf {
		t.Errorf("%v", got)
	}
	// By weight they compete with the others: 2 is twice the list's best, for the
	// one that suits him best, and 0 is behind all.
	for weight, place := range map[float32]int{2: 0, 0: -1} {
		e.view.Load().New = &weight
		if got := listOf(t, e, Request{UserID: "u1", Limit: 5, Now: 2000}); slices.Index(got, 930+bestOf) != place {
			t.Errorf("with the weight %v: %v", weight, got)
		}
	}
	e.view.Load().New = nil
	e.SetRules(mustPlans(t, e, `{"action":"freshness","percent":50}`))
	if got := listOf(t, e, Request{UserID: "u1", Limit: 2, Now: 2000}); got[1] != 930+bestOf {
		t.Errorf("half of the places: %v", got)
	}
	e.SetRules(mustPlans(t, e, `{"action":"freshness","percent":0.1}`))
	if got := listOf(t, e, Request{UserID: "u1", Limit: 20, Now: 2000}); !slices.Equal(got, before) {
		t.Errorf("no places: %v", got)
	}
}

// BenchmarkRules is TestRulesDoNotMakeRecommendAllocate's request. Most of it is
// diversity: 80 cosines for each of 20 places, which alone take 1600 dot
// products of 8 numbers.
func BenchmarkRules(b *testing.B) {
	e, s := ruled(b, `{"action":"exclude","filter":"7/100"},{"action":"bury","filter":"8/100"},{"action":"pin","item_id":"i5","slot":3},
		{"action":"boost","filter":"9/10","factor":1.5},{"action":"quota","attribute":"category","most":3},{"action":"diversity","strength":0.3}`)
	x := &boutique{shop: s, fresh: []uint32{950, 960}}
	e.deps.News, e.deps.Columns, e.deps.Codes = x, x, x
	req := Request{UserID: "u1", Limit: 20, Now: 2000, Filter: "0/1", RequestID: "r"}
	var resp Response
	for b.Loop() {
		_ = e.Recommend(context.Background(), &req, &resp)
	}
}

// TestSimilarToOneThatNoModelKnows: items like one that is new are those that
// point where its category does; where it has none, popular ones stand in.
func TestSimilarToOneThatNoModelKnows(t *testing.T) {
	e, s := ruled(t, "")
	v := e.view.Load()
	v.Blends.Like = &neighbors.Blend{} // knows nothing of such an item either
	b := &boutique{shop: s}
	var resp Response
	if err := e.Similar(t.Context(), s.ItemID(953), 5, 1000, &resp); err != nil || resp.Reason != ReasonColdItem {
		t.Errorf("without attributes: %v %+v", err, resp)
	}
	e.deps.News, e.deps.Columns = b, b
	rank := v.Model.Rank
	mean := make([]float64, rank)
	for row := 3; row < 900; row += 10 { // fewer than a group's mean is made of at most
		for k := range mean {
			mean[k] += float64(v.Model.Items[row*rank+k])
		}
	}
	cosine := func(row uint32) float64 {
		dot, length := 0.0, 0.0
		for k, m := range mean {
			f := float64(v.Model.Items[int(row)*rank+k])
			dot, length = dot+f*m, length+f*f
		}
		return dot / math.Sqrt(length)
	}
	var want []uint32
	for row := range uint32(len(v.Codes)) {
		if !e.deps.Shelf.Expired(row, 1000) {
			want = append(want, row)
		}
	}
	slices.SortFunc(want, func(a, b uint32) int { return cmp.Compare(cosine(b), cosine(a)) })
	if err := e.Similar(t.Context(), s.ItemID(953), 5, 1000, &resp); err != nil || resp.Source != SourceLive || !slices.Equal(codesOf(&resp), want[:5]) {
		t.Errorf("%v %+v, want %v", err, resp, want[:5])
	}
	// What filters and rules leave too little of is filled from behind.
	e.SetRules(mustPlans(t, e, fmt.Sprintf(`{"action":"exclude","filter":"%d/1000000"}`, want[0])))
	if err := e.Similar(t.Context(), s.ItemID(953), 5, 1000, &resp); err != nil || !slices.Equal(codesOf(&resp), want[1:6]) {
		t.Errorf("%v %+v, want %v", err, resp, want[1:6])
	}
}

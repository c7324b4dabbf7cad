package recommend

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/pace"
	"vitrine/appliance/recommend/pages"
	"vitrine/appliance/rules"
)

// ruled is an engine over a shop of 1000 items, of which the model knows the
// first 900, with rules.
func ruled(t testing.TB, list string) (*Engine, *shop) {
	t.Helper()
	s := &shop{items: 1000, history: map[uint32]frame.Frame{1: taste(50, 150), 2: taste(3)}, popular: []uint32{950, 1, 960}, expires: map[uint32]int64{}}
	e := s.engine()
	e.Swap(newTestView(t, newModel(900, 8), 0))
	parsed, faults := rules.Parse([]byte(`{"rules":[`+list+`]}`), e.SceneNames())
	plans, err := rules.Compile(parsed, faults, s, new(rules.Shown))
	if err != nil {
		t.Fatal(err)
	}
	e.SetRules(plans)
	return e, s
}

func (s *shop) Column(frame.Scope, string) frame.Column { return nil }
func (s *shop) Listed(uint32) int64                     { return 1 }

func listOf(t testing.TB, e *Engine, req Request) []uint32 {
	t.Helper()
	var resp Response
	if err := e.Recommend(context.Background(), &req, &resp); err != nil {
		t.Fatal(err)
	}
	return codesOf(&resp)
}

// TestRulesInTheRequest: what rules do is exact over the whole catalogue, not
// only among the first candidates.
func TestRulesInTheRequest(t *testing.T) {
	plain, _ := ruled(t, "")
	all := listOf(t, plain, Request{UserID: "u1", Limit: 900})
	by := func(keep func(code uint32) bool) (out []uint32) {
		for _, code := range all {
			if keep(code) {
				out = append(out, code)
			}
		}
		return out
	}
	sevens := func(code uint32) bool { return code%100 == 7 }
	for name, c := range map[string]struct {
		rules string
		req   Request
		want  []uint32
	}{
		"exclude":         {`{"action":"exclude","filter":"7/100"}`, Request{}, by(func(c uint32) bool { return !sevens(c) })[:20]},
		"bury":            {`{"action":"bury","filter":"0/2"}`, Request{}, by(func(c uint32) bool { return c%2 == 1 })[:20]},
		"bury nearly all": {`{"action":"bury","filter":"0/2"}`, Request{Filter: "7/100", Limit: 9}, by(sevens)[:9]},
		"boost":           {`{"action":"boost","filter":"7/100","factor":1000000}`, Request{Limit: 3}, by(sevens)[:3]},
		"promote":         {`{"action":"promote","filter":"7/100","percent":100}`, Request{Limit: 4}, by(sevens)[:4]},
		"pin":             {`{"action":"pin","item_id":"i999","slot":2}`, Request{Limit: 3}, []uint32{all[0], 999, all[1]}},
		"pin what leads":  {fmt.Sprintf(`{"action":"pin","item_id":"i%d","slot":3}`, all[0]), Request{Limit: 3}, []uint32{all[1], all[2], all[0]}},
		"pin, and out":    {`{"action":"pin","item_id":"i999","slot":2},{"action":"exclude","filter":"999/1000"}`, Request{Limit: 2}, all[:2]},
		"promote, buried": {`{"action":"promote","filter":"0/2","percent":100},{"action":"bury","filter":"0/2"}`, Request{Limit: 9, Filter: "7/9"}, by(func(c uint32) bool { return c%9 == 7 && c%2 == 1 })[:9]},
		"few left":        {`{"action":"promote","filter":"0/2","percent":100},{"action":"bury","filter":"0/2"}`, Request{Limit: 9, Filter: "7/99"}, slices.Concat(by(func(c uint32) bool { return c%99 == 7 && c%2 == 1 }), []uint32{997}, by(func(c uint32) bool { return c%99 == 7 && c%2 == 0 }))[:9]},
		"pin, filtered":   {`{"action":"pin","item_id":"i999","slot":2}`, Request{Limit: 3, Filter: "7/100"}, by(sevens)[:3]},
		"pin, excluded":   {`{"action":"pin","item_id":"i999","slot":2}`, Request{Limit: 2, Exclude: []string{"i999"}}, all[:2]},
		"another scene":   {`{"action":"exclude","filter":"0/1","scene":"cart"}`, Request{Limit: 3}, all[:3]},
	} {
		e, _ := ruled(t, c.rules)
		c.req.UserID = "u1"
		if got := listOf(t, e, c.req); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	// A list of popular items obeys, too.
	e, _ := ruled(t, "")
	e.SetRules(mustPlans(t, e, `{"action":"exclude","filter":"950/1000"},{"action":"pin","item_id":"i5","slot":1}`))
	if got := listOf(t, e, Request{Limit: 3}); !slices.Equal(got, []uint32{5, 1, 960}) {
		t.Errorf("a stranger gets %v", got)
	}
}

// TestAllowed: a list that was made before a rule does not show what it takes
// out.
func TestAllowed(t *testing.T) {
	e, _ := ruled(t, `{"action":"exclude","filter":"7/100"},{"action":"exclude","filter":"8/100","scene":"cart"},{"action":"bury","filter":"9/100"}`)
	for item, want := range map[uint32]bool{7: false, 107: false, 8: true, 9: true, 10: true} {
		if got := e.Allowed(item, 1); got != want {
			t.Errorf("item %d: %v", item, got)
		}
	}
}

func mustPlans(t *testing.T, e *Engine, list string) *rules.Plans {
	t.Helper()
	parsed, faults := rules.Parse([]byte(`{"rules":[`+list+`]}`), e.SceneNames())
	plans, err := rules.Compile(parsed, faults, e.deps.Shelf.(*shop), new(rules.Shown))
	if err != nil {
		t.Fatal(err)
	}
	return plans
}

// TestDiversityComparesDirections: with all weight on likeness the second item
// is the least like the first.
func TestDiversityComparesDirections(t *testing.T) {
	plain, _ := ruled(t, "")
	e, _ := ruled(t, `{"action":"diversity","strength":1}`)
	got := listOf(t, e, Request{UserID: "u1", Limit: 2})
	first := listOf(t, plain, Request{UserID: "u1", Limit: widestLook})
	v := e.view.Load()
	cosines := make([]float32, len(first))
	v.Cosines(got[0], first, cosines)
	least := slices.Min(cosines)
	if cosines[slices.Index(first, got[1])] > max(0, least) {
		t.Errorf("second is %d with %v, the least is %v", got[1], cosines[slices.Index(first, got[1])], least)
	}
	if self := cosines[slices.Index(first, got[0])]; math.Abs(float64(self)-1) > 1e-5 {
		t.Errorf("an item is like itself by %v", self)
	}
}

// widestLook is how many candidates diversity sees of a page of two.
const widestLook = 8

// TestPages: pages do not overlap, and together are the list of their length.
func TestPages(t *testing.T) {
	e, _ := ruled(t, `{"action":"pin","item_id":"i999","slot":7}`)
	whole := listOf(t, e, Request{UserID: "u1", Limit: 20})
	var shown []uint32
	after := ""
	for j := range 4 {
		req := Request{UserID: "u1", Limit: 5, After: after, RequestID: fmt.Sprint("r", j)}
		if j == 2 {
			req.UserID = "" // whose list it was is known
		}
		after = req.RequestID
		shown = append(shown, listOf(t, e, req)...)
	}
	if !slices.Equal(shown, whole) {
		t.Errorf("pages %v, the whole %v", shown, whole)
	}
	for want, req := range map[error]Request{
		ErrUnknownList: {UserID: "u1", After: "r9"},
		ErrOtherUser:   {UserID: "u2", After: "r0"},
	} {
		if err := e.Recommend(context.Background(), &req, new(Response)); !errors.Is(err, want) {
			t.Errorf("%+v: %v", req, err)
		}
	}
	if err := e.Recommend(context.Background(), &Request{UserID: "u1", After: "r0", Now: pages.Lifetime + 1}, new(Response)); !errors.Is(err, ErrUnknownList) {
		t.Errorf("an old list: %v", err)
	}
}

func TestScenes(t *testing.T) {
	e, _ := ruled(t, "")
	e.deps.Scenes = map[string]string{"checkout": SceneCart}
	if got := listOf(t, e, Request{UserID: "u9", Scene: SceneBuyAgain}); len(got) != 0 {
		t.Errorf("the first to ask, a stranger, buys %v again", got)
	}
	var similar Response
	if err := e.Similar(context.Background(), "i9", 10, 0, &similar); err != nil {
		t.Fatal(err)
	}
	home := listOf(t, e, Request{UserID: "u1", Session: []string{"i9"}, Limit: 10})
	for scene, want := range map[string][]uint32{
		SceneProduct: codesOf(&similar), "": home, SceneHome: home,
		SceneTrending: {950, 1, 960, 0, 2, 3, 4, 5, 6, 7}, SceneBuyAgain: {150, 50, 9},
	} {
		got := listOf(t, e, Request{UserID: "u1", Session: []string{"i9"}, Limit: 10, Scene: scene})
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", scene, got, want)
		}
	}
	var trending Response
	if err := e.Recommend(context.Background(), &Request{UserID: "u1", Scene: SceneTrending}, &trending); err != nil || trending.ModelVersion != "" {
		t.Errorf("no model makes the scene trending, not %q: %v", trending.ModelVersion, err)
	}
	for _, scene := range []string{SceneCart, "checkout"} {
		got := listOf(t, e, Request{UserID: "u1", Session: []string{"i9"}, Limit: 900, Scene: scene})
		if slices.Contains(got, 9) || len(got) != 900 {
			t.Errorf("%s: the cart's item is in the list", scene)
		}
	}
	if got := listOf(t, e, Request{UserID: "u9", Scene: SceneBuyAgain}); len(got) != 0 {
		t.Errorf("a stranger buys %v again", got)
	}
	var unknown *SceneError
	if err := e.Recommend(context.Background(), &Request{Scene: "hom"}, new(Response)); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "did you mean home?") {
		t.Errorf("%v", err)
	}
}

func TestRank(t *testing.T) {
	e, _ := ruled(t, `{"action":"pin","item_id":"i3","slot":1},{"action":"bury","filter":"8/100"}`)
	all := listOf(t, e, Request{UserID: "u1", Limit: 900})
	var resp Response
	ids := []string{"nope", "i10", "i8", "i950", "i11", "i12", "i11"}
	if err := e.Rank(context.Background(), &Request{UserID: "u1"}, ids, &resp); err != nil {
		t.Fatal(err)
	}
	got := codesOf(&resp)
	if len(got) != 6 || got[5] != noItem || resp.Items[5].ID != "nope" || got[4] != 8 || resp.Source != SourceLive {
		t.Fatalf("%v", resp.Items)
	}
	known := slices.DeleteFunc(slices.Clone(all), func(c uint32) bool { return c != 10 && c != 11 && c != 12 })
	ranked := slices.DeleteFunc(slices.Clone(got), func(c uint32) bool { return c != 10 && c != 11 && c != 12 })
	if !slices.Equal(known, ranked) {
		t.Errorf("%v, in the list %v", ranked, known)
	}
	if err := e.Rank(context.Background(), &Request{UserID: "nobody"}, []string{"i7", "i960", "i950"}, &resp); err != nil {
		t.Fatal(err)
	}
	if got := codesOf(&resp); !slices.Equal(got, []uint32{950, 960, 7}) || resp.Source != SourcePopular || resp.Reason != ReasonUnknownUser {
		t.Errorf("%+v", resp)
	}
}

// TestExplain: each item that is not shown names the stage at which it drops
// out, and the shares of its score sum up to it.
func TestExplain(t *testing.T) {
	e, s := ruled(t, `{"action":"exclude","name":"no sevens","filter":"7/100"},{"action":"bury","filter":"8/100"}`)
	e.deps.Plugins = &stages{depth: 50, rank: func(f *frame.Frame, tr *frame.Trace) {
		for i, item := range f.Items {
			f.Mask[i] = item != 4
			if item == 5 {
				f.Scores[i] += 100
			}
		}
		tr.Calls = append(tr.Calls, frame.Call{Name: "fours", Status: "ok"})
		if tr.Watch != nil {
			tr.Watch(&tr.Calls[len(tr.Calls)-1], f)
		}
	}}
	s.expires[6] = 1
	top := listOf(t, e, Request{UserID: "u1", Limit: 3, Now: 5})
	last := listOf(t, e, Request{UserID: "u1", Limit: 900, Now: 5})[700]
	for item, want := range map[string]string{
		s.ItemID(top[1]): "", "i4": "plugin dropped by fours", "i6": "filter the item is not available", "i7": "rules excluded by no sevens",
		"i8": "rules buried by bury (rule 2)", "i950": "source the model does not know", s.ItemID(last): "limit other items rank higher",
		"i150": "seen the visitor has dealt", "i30": "filter the request excludes",
	} {
		var x Explanation
		req := Request{UserID: "u1", Limit: 3, Now: 5, ExcludeSeen: item == "i150", Exclude: []string{"i30"}}
		if err := e.Explain(context.Background(), &req, item, &x); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(x.Stage + " " + x.Detail); !strings.HasPrefix(got, want) || (want == "") != (x.Rank > 0) || want == "" && got != "" {
			t.Errorf("%s: rank %d, %s, want %s", item, x.Rank, got, want)
		}
		sum := float32(0)
		for _, r := range x.Reasons {
			if r.Kind == "item" || r.Kind == "rest" {
				sum += r.Change
			}
		}
		if math.Abs(float64(sum-x.Score)) > 1e-4 {
			t.Errorf("%s: the shares sum up to %v, the score is %v", item, sum, x.Score)
		}
	}
	var x Explanation
	if err := e.Explain(context.Background(), &Request{UserID: "u1", Limit: 3, Filter: "9/10"}, "i10", &x); err != nil || x.Stage != StageFilter {
		t.Errorf("%v %+v", err, x)
	}
	var resp Response
	if err := e.Recommend(context.Background(), &Request{UserID: "u1", Limit: 9, Now: 5, Explain: ExplainPlugins}, &resp); err != nil {
		t.Fatal(err)
	}
	five := slices.IndexFunc(resp.Items, func(it Item) bool { return it.Code == 5 })
	if five != 0 || len(resp.Items[0].Reasons) != 1 || resp.Items[0].Reasons[0] != (Reason{"plugin", "fours", resp.Items[0].Reasons[0].Change}) {
		t.Errorf("%+v", resp.Items[:1])
	}
	if err := e.Explain(context.Background(), &Request{UserID: "u1"}, "i5000", &x); !errors.Is(err, ErrUnknownItem) {
		t.Errorf("%v", err)
	}
}

// TestExplainBiases: with a model of ratings the shares and the item's own bias
// sum up to the score.
func TestExplainBiases(t *testing.T) {
	e, s := ruled(t, "")
	m := newModel(900, 8)
	m.Params.Biases, m.Params.Explicit = true, true
	for row := range m.NumItems {
		m.Items[row*m.Rank+m.Rank-2], m.Items[row*m.Rank+m.Rank-1] = 1, float32(row%7)/8
	}
	e.Swap(newTestView(t, m, 0))
	for _, code := range []uint32{3, 50, 899} {
		var x Explanation
		if err := e.Explain(context.Background(), &Request{UserID: "u1", Limit: 3}, s.ItemID(code), &x); err != nil {
			t.Fatal(err)
		}
		sum, bias := float32(0), m.ItemBias(int(code))
		for _, r := range x.Reasons {
			sum += r.Change
		}
		if x.Score == bias || math.Abs(float64(sum-x.Score)) > 1e-4 || bias != 0 && !slices.Contains(x.Reasons, Reason{Kind: "rest", Change: bias}) {
			t.Errorf("item %d, bias %v: the score is %v, the sum %v of %+v", code, bias, x.Score, sum, x.Reasons)
		}
	}
}

// TestExplainShowsNothing: an explanation is no list that a visitor saw.
func TestExplainShowsNothing(t *testing.T) {
	e, s := ruled(t, `{"action":"cap","times":1,"window":"1h"}`)
	req := Request{UserID: "u1", Limit: 3, Now: 5, RequestID: "r-1"}
	top := listOf(t, e, Request{UserID: "u1", Limit: 3, Now: 5})
	var x Explanation
	if err := e.Explain(context.Background(), &req, s.ItemID(top[0]), &x); err != nil || x.Rank != 1 {
		t.Fatalf("%+v, %v", x, err)
	}
	if err := e.Recommend(context.Background(), &Request{Limit: 3, Now: 6, After: "r-1"}, new(Response)); !errors.Is(err, ErrUnknownList) {
		t.Errorf("the page behind an explanation: %v", err)
	}
	if got := listOf(t, e, req); !slices.Equal(got, top) {
		t.Errorf("after an explanation %v, before %v", got, top)
	}
}

// TestExplainOthersPlaces: of an item whose score is enough for the page, the
// rules that put others there are named.
func TestExplainOthersPlaces(t *testing.T) {
	e, s := ruled(t, "")
	top := listOf(t, e, Request{UserID: "u1", Limit: 900, Now: 5})
	for list, want := range map[string]string{
		`{"action":"promote","name":"sevens","filter":"7/10","percent":100}`:                                                           "rules at place 1 by its score, but others are put before it by sevens",
		`{"action":"pin","item_id":"i7","slot":1},{"action":"pin","item_id":"i17","slot":2},{"action":"pin","item_id":"i27","slot":3}`: "rules at place 1 by its score, but others are put before it by pin (rule 1), pin (rule 2), pin (rule 3)",
		`{"action":"boost","filter":"7/10","factor":1000}`:                                                                             "limit other items rank higher",
		`{"action":"promote","name":"sevens","filter":"7/10","percent":100,"until":"1970-01-01T00:00:00.004Z"}`:                        "",
	} {
		ruled, _ := ruled(t, list)
		var x Explanation
		if err := ruled.Explain(context.Background(), &Request{UserID: "u1", Limit: 3, Now: 5}, s.ItemID(top[0]), &x); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(x.Stage + " " + x.Detail); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
}

// TestRulesFillThePageHoweverLate: what rules hold back is made up for from
// farther down, also when the machine was busy with others for most of the
// request's time. Only plugins, which cost time, are asked no more then.
func TestRulesFillThePageHoweverLate(t *testing.T) { synctest.Test(t, rulesFillThePage) }

func rulesFillThePage(t *testing.T) {
	e, s := ruled(t, `{"action":"cap","times":1,"window":"1h","filter":"0/1"}`)
	slow := &drowsy{shop: s, stage: pace.Candidates}
	e.deps.Shelf = slow
	seen := map[uint32]bool{}
	for n := range 12 {
		var resp Response
		slow.sleep = 80 * time.Millisecond
		err := e.Recommend(within(t, 100*time.Millisecond), &Request{UserID: "u1", Limit: 20, Now: int64(5 + n), RequestID: fmt.Sprint("r", n)}, &resp)
		list := codesOf(&resp)
		if err != nil || len(list) != 20 {
			t.Fatalf("list %d has %d items: %v", n, len(list), err)
		}
		for _, code := range list {
			if seen[code] {
				t.Errorf("list %d has item %d again", n, code)
			}
			seen[code] = true
		}
	}
}

package recommend

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"vitrine/appliance/frame"
	"vitrine/appliance/rules"
)

// quotaShop has a category for quotas.
type quotaShop struct{ *shop }

func (quotaShop) Column(frame.Scope, string) frame.Column { return tens{} }

// TestBoostedListsEqualWideOnes: the list found by a search for boosted scores is
// the one that the rules make of many candidates, with which a request for
// reasons is answered. Where items change what they pass, both change.
func TestBoostedListsEqualWideOnes(t *testing.T) {
	const rest = `,{"action":"exclude","filter":"7/100"},{"action":"bury","filter":"8/20"},{"action":"pin","item_id":"i5","slot":3},{"action":"quota","attribute":"category","most":4}`
	e, s := ruled(t, "")
	for user := range uint32(60) {
		s.history[100+user] = taste(user*7%900, user*13%900, (user+450)%900)
	}
	b := &boutique{shop: s, fresh: []uint32{950, 933, 927, 911, 978}}
	e.deps.News, e.deps.Columns = b, b
	lifted, lists := 0, 0
	for _, boosts := range []string{
		`{"action":"boost","filter":"9/10","factor":1.2}`,
		`{"action":"boost","filter":"1/2","factor":1.1},{"action":"boost","filter":"1/5","factor":1.7}`,
		`{"action":"boost","filter":"3/7","factor":2},{"action":"cap","times":1000,"window":"1h"}`,
		`{"action":"cap","times":1000,"window":"1h"}`,
		`{"action":"boost","filter":"3/7","factor":3}`,
		`{"action":"boost","filter":"3/7","factor":0.5}`,
		`{"action":"exclude","filter":"11/100"}`,
	} {
		list, faults := rules.Parse([]byte(`{"rules":[`+boosts+rest+`]}`), e.SceneNames())
		plans, err := rules.Compile(list, faults, quotaShop{s}, new(rules.Shown))
		if err != nil {
			t.Fatal(err)
		}
		e.SetRules(plans)
		for n := range uint32(120) {
			req := Request{UserID: fmt.Sprint("u", 100+n%60), Limit: 1 + int(n)%25, Now: 2000 + 150*int64(n), Filter: []string{"", "1/3"}[n/60]}
			lists++
			if finds(t, e, req) {
				lifted++
			}
			var narrow, wide Response
			if err := e.Recommend(context.Background(), &req, &narrow); err != nil {
				t.Fatal(err)
			}
			req.Explain = ExplainPlugins
			if err := e.Recommend(context.Background(), &req, &wide); err != nil {
				t.Fatal(err)
			}
			if len(narrow.Items) != len(wide.Items) || len(narrow.Items) < req.Limit {
				t.Fatalf("%s %+v: %d items, %d of many candidates", boosts, req, len(narrow.Items), len(wide.Items))
			}
			for i, item := range narrow.Items {
				if other := wide.Items[i]; item.Code != other.Code || item.Score != other.Score {
					t.Fatalf("%s %+v: place %d is %+v, of many candidates %+v", boosts, req, i, item, other)
				}
			}
			if n%10 == 9 { // other items pass "3/7" from here on
				f, _ := s.Filter("3/7")
				old := f.Selection()
				other := &modulo{rest: n % 7, by: 7, items: s.items}
				f.(*modulo).last = &frame.Selection{Filter: old.Filter, Words: other.Selection().Words}
			}
		}
	}
	t.Logf("%d of %d lists found by boosted scores", lifted, lists)
	if lifted < lists/2 {
		t.Errorf("%d of %d lists found by boosted scores", lifted, lists)
	}
}

// finds tells whether a request is answered by a search for boosted scores.
func finds(t *testing.T, e *Engine, req Request) bool {
	t.Helper()
	sc := e.begin(t.Context(), req.Limit, req.Now)
	defer e.scratch.Put(sc)
	q, err := e.question(&req, sc)
	if err != nil {
		t.Fatal(err)
	}
	e.ready(sc, q)
	if sc.lift == nil {
		return false
	}
	sc.conditions = append(sc.conditions, sc.buried...)
	e.hide(sc, q.view, false)
	return sc.bestLifted(q.view)
}

// TestBoostsAndQuotasAreExact: boosts and quotas hold over the whole catalogue:
// the page is that of all items, put in order by hand.
func TestBoostsAndQuotasAreExact(t *testing.T) {
	e, s := ruled(t, "")
	for user := range uint32(60) {
		s.history[100+user] = taste(user*7%900, user*13%900, (user+450)%900)
	}
	list, faults := rules.Parse([]byte(`{"rules":[{"action":"boost","filter":"0/3","factor":1.6},{"action":"quota","attribute":"category","most":2}]}`), e.SceneNames())
	plans, err := rules.Compile(list, faults, quotaShop{s}, new(rules.Shown))
	if err != nil {
		t.Fatal(err)
	}
	for user := range 60 {
		req := Request{UserID: fmt.Sprint("u", 100+user), Limit: 900, Now: 2000}
		var all, page Response
		e.SetRules(nil)
		if err := e.Recommend(context.Background(), &req, &all); err != nil {
			t.Fatal(err)
		}
		items := all.Items[:900]
		for i := range items {
			if score := float64(items[i].Score); items[i].Code%3 == 0 {
				items[i].Score += float32(math.Abs(score) * 0.6)
			}
		}
		slices.SortStableFunc(items, func(a, b Item) int { return cmp.Compare(b.Score, a.Score) })
		var want []uint32
		have := map[uint32]int{}
		for _, item := range items {
			if len(want) < 18 && have[item.Code%10] < 2 {
				have[item.Code%10]++
				want = append(want, item.Code)
			}
		}
		e.SetRules(plans)
		req.Limit = 18
		if err := e.Recommend(context.Background(), &req, &page); err != nil {
			t.Fatal(err)
		}
		if got := codesOf(&page); !slices.Equal(got, want) {
			t.Errorf("user %d: %v, want %v", user, got, want)
		}
	}
}

// fickle is a column of a few values that change.
type fickle struct{ by uint32 }

func (*fickle) Kind() frame.Kind { return frame.Text }

func (f *fickle) Gather(dst, codes []uint32) {
	for j, code := range codes {
		dst[j] = code / f.by % 7
	}
}

// fickleShop has that column for quotas.
type fickleShop struct {
	*shop
	column *fickle
}

func (s fickleShop) Column(frame.Scope, string) frame.Column { return s.column }

// TestQuotaOfChangedItems: a quota holds by what items are now, whatever a search
// foresaw, and what it foresees becomes right again.
func TestQuotaOfChangedItems(t *testing.T) {
	e, s := ruled(t, "")
	for user := range uint32(60) {
		s.history[100+user] = taste(user*7%900, user*13%900, (user+450)%900)
	}
	list, faults := rules.Parse([]byte(`{"rules":[{"action":"quota","attribute":"category","most":3}]}`), e.SceneNames())
	column := &fickle{by: 100}
	plans, err := rules.Compile(list, faults, fickleShop{s, column}, new(rules.Shown))
	if err != nil {
		t.Fatal(err)
	}
	e.SetRules(plans)
	groups := func() any { return e.view.Load().Groups("category", column, 0) }
	first := groups()
	for n := range uint32(180) {
		req := Request{UserID: fmt.Sprint("u", 100+n%60), Limit: 18, Now: 2000 + 50*int64(n)}
		if n == 60 {
			column.by = 1
		}
		var narrow, wide Response
		for explain, resp := range map[Explain]*Response{ExplainNone: &narrow, ExplainPlugins: &wide} {
			req.Explain = explain
			if err := e.Recommend(context.Background(), &req, resp); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := codesOf(&narrow), codesOf(&wide); len(got) != 18 || !slices.Equal(got, want) {
			t.Fatalf("list %d: %v, of many candidates %v", n, got, want)
		}
		if n == 59 && groups() != first {
			t.Error("the groups of an attribute that did not change were made anew")
		}
	}
	if groups() == first {
		t.Error("the groups were not made anew")
	}
}

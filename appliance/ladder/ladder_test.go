package ladder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/answer"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/kept"
	"vitrine/appliance/recommend"
	"vitrine/appliance/recommend/pace"
)

// moody recommends what it is told to.
type moody struct {
	live    func(ctx context.Context) error
	popular error
	batch   func(qs []httpapi.Query)
	// alone says that lists are of one source, of which nothing can be left out.
	alone bool
	// plugins are what became of the plugins in a user's list.
	plugins func(user string) []httpapi.PluginCall
}

func (m *moody) Recommend(ctx context.Context, q *httpapi.Query, list *httpapi.List) error {
	if q.NotPersonalized {
		return m.Popular(ctx, nil, list)
	}
	if m.live != nil {
		if err := m.live(ctx); err != nil {
			return err
		}
	}
	*list = httpapi.List{Source: httpapi.SourceLive, ModelVersion: "v1", ModelAge: time.Minute, Picks: list.Picks[:0]}
	if q.Brief && !m.alone {
		list.Reason = recommend.ReasonOverload
	}
	if m.plugins != nil {
		list.Plugins = m.plugins(q.UserID)
	}
	for n := range q.Limit {
		list.Picks = append(list.Picks, httpapi.Pick{ItemID: fmt.Sprint(q.UserID, "-", n)})
	}
	return nil
}

func (m *moody) Batch(_ context.Context, qs []httpapi.Query) answer.Batch {
	if m.batch != nil {
		m.batch(qs)
	}
	return moodyBatch{m, qs}
}

// moodyBatch makes its lists one at a time.
type moodyBatch struct {
	*moody
	qs []httpapi.Query
}

func (b moodyBatch) List(ctx context.Context, i int, list *httpapi.List) error {
	return b.Recommend(ctx, &b.qs[i], list)
}

func (moodyBatch) End() {}

func (m *moody) Rank(ctx context.Context, q *httpapi.Query, items []string, list *httpapi.List) error {
	if err := m.Recommend(ctx, q, list); err != nil {
		return err
	}
	list.Picks = list.Picks[:0]
	for j := range items {
		list.Picks = append(list.Picks, httpapi.Pick{ItemID: items[len(items)-1-j]})
	}
	return nil
}

func (m *moody) Explain(ctx context.Context, q *httpapi.Query, itemID string) (httpapi.Explanation, error) {
	return httpapi.Explanation{Detail: itemID}, m.Recommend(ctx, q, new(httpapi.List))
}

func (m *moody) Similar(ctx context.Context, _ string, limit int, list *httpapi.List) error {
	return m.Recommend(ctx, &httpapi.Query{UserID: "like", Limit: limit}, list)
}

func (m *moody) Trending(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return m.Popular(ctx, nil, list)
}

func (m *moody) Latest(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return m.Popular(ctx, nil, list)
}

func (m *moody) Popular(_ context.Context, _ *httpapi.ListQuery, list *httpapi.List) error {
	*list = httpapi.List{Source: httpapi.SourcePopular, Reason: "not_personalized", Picks: append(list.Picks[:0], httpapi.Pick{ItemID: "popular"})}
	return m.popular
}

func ladderOver(m *moody, opt admit.Options) (*Ladder, *bytes.Buffer) {
	log := new(bytes.Buffer)
	return &Ladder{
		live: m, gate: admit.NewGate(opt), kept: kept.New(), deadline: time.Second, turns: make(chan struct{}, 1), log: slog.New(slog.NewTextHandler(log, nil)),
		late:  func(stage string) { fmt.Fprintln(log, "late:", stage) },
		known: func(id string) bool { return id != "erased" }, shown: func(id string, _ int64) bool { return !strings.HasSuffix(id, "-1") },
	}, log
}

// TestLadder: whatever fails, there is an answer, and it says what it is.
func TestLadder(t *testing.T) {
	broken := errors.New("broken")
	for _, g := range []struct {
		name           string
		live           func(context.Context) error
		popular        error
		user, filter   string
		source, reason string
		first          string
	}{
		{"sound", nil, nil, "u", "", "live", "", "u-0"},
		{"fails", func(context.Context) error { return broken }, nil, "u", "", "last_good", "failed", "u-0"},
		{"fails for one without a list", func(context.Context) error { return broken }, nil, "new", "", "popular", "failed", "popular"},
		{"fails for one whose list is not that", func(context.Context) error { return broken }, nil, "u", "x", "popular", "failed", "popular"},
		{"fails for one who was erased", func(context.Context) error { return broken }, nil, "erased", "", "popular", "failed", "popular"},
		{"is late", func(ctx context.Context) error {
			ctx.(*pace.Until).At = time.Now().Add(-1)
			return ctx.Err()
		}, nil, "u", "", "last_good", "deadline", "u-0"},
		{"is late in a stage", func(context.Context) error {
			return fmt.Errorf("make it: %w", &pace.Late{Stage: pace.Visitor})
		}, nil, "u", "", "last_good", "deadline", "u-0"},
		{"panics", func(context.Context) error { panic("oh no") }, nil, "new", "", "popular", "failed", "popular"},
		{"all fails", func(context.Context) error { return broken }, broken, "new", "", "empty", "failed", ""},
	} {
		m := &moody{}
		l, log := ladderOver(m, admit.Options{})
		var list httpapi.List
		for _, user := range []string{"u", "erased"} {
			if err := l.Recommend(t.Context(), &httpapi.Query{UserID: user, Limit: 3, Now: 1000}, &list); err != nil {
				t.Fatal(err)
			}
		}
		m.live, m.popular = g.live, g.popular
		err := l.Recommend(t.Context(), &httpapi.Query{UserID: g.user, Filter: g.filter, Limit: 3, Now: 2000}, &list)
		if late := strings.Count(log.String(), "late: visitor\n"); late > 0 != (g.name == "is late in a stage") {
			t.Errorf("%s: %d times late", g.name, late)
		}
		first := ""
		if len(list.Picks) > 0 {
			first = list.Picks[0].ItemID
		}
		if err != nil || list.Source != g.source || list.Reason != g.reason || first != g.first {
			t.Errorf("%s: %v, %s %s %v", g.name, err, list.Source, list.Reason, list.Picks)
		}
		if g.source == "last_good" && (len(list.Picks) != 2 || list.ModelVersion != "v1" || list.ModelAge != 61*time.Second || list.Exact) {
			t.Errorf("%s: an item that must not be shown is, or the model is another: %+v", g.name, list)
		}
		if err := l.Similar(t.Context(), "i", 3, &list); err != nil || list.Reason != g.reason && g.live == nil {
			t.Errorf("%s: similar: %v %s %s", g.name, err, list.Source, list.Reason)
		}
	}
}

// TestLadderTellsTheCaller what is his own doing.
func TestLadderTellsTheCaller(t *testing.T) {
	problem := &httpapi.Problem{Status: http.StatusBadRequest, Code: "invalid_filter"}
	m := &moody{live: func(context.Context) error { return problem }}
	l, _ := ladderOver(m, admit.Options{})
	var list httpapi.List
	if err := l.Recommend(t.Context(), &httpapi.Query{UserID: "u", Limit: 3}, &list); !errors.Is(err, problem) {
		t.Error(err)
	}
	m.live = func(context.Context) error { return httpapi.ErrNotFound }
	if err := l.Similar(t.Context(), "u", 3, &list); !errors.Is(err, httpapi.ErrNotFound) {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	m.live = func(ctx context.Context) error { cancel(); return ctx.Err() }
	if err := l.Recommend(gone, &httpapi.Query{UserID: "u", Limit: 3}, &list); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestOverload: beyond the slots the cheap rungs answer, beyond what may be
// inside nobody does.
func TestOverload(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	m := &moody{}
	l, _ := ladderOver(m, admit.Options{Slots: 1, InFlight: 2, Wait: time.Millisecond})
	ask := func(user string) (httpapi.List, error) {
		var list httpapi.List
		err := l.Recommend(context.Background(), &httpapi.Query{UserID: user, Limit: 3, Now: 1000}, &list)
		return list, err
	}
	if _, err := ask("u"); err != nil {
		t.Fatal(err)
	}
	m.live = func(context.Context) error { held <- struct{}{}; <-hold; return nil }
	done := make(chan struct{})
	go func() { defer close(done); ask("slow") }()
	<-held
	if list, err := ask("u"); err != nil || list.Source != "last_good" || list.Reason != "overload" {
		t.Errorf("%v: %s %s", err, list.Source, list.Reason)
	}
	if list, err := ask("new"); err != nil || list.Source != "popular" || list.Reason != "overload" {
		t.Errorf("%v: %s %s", err, list.Source, list.Reason)
	}
	l.gate.Enter(t.Context()) // one more inside
	var problem *httpapi.Problem
	if _, err := ask("u"); !errors.As(err, &problem) || problem.Status != 503 || problem.RetryAfter == 0 {
		t.Errorf("%v", err)
	}
	close(hold)
	<-done
}

// TestBrief: a brief list is asked for as such, and is not the last good one; a
// whole one is, also where a brief one was asked for.
func TestBrief(t *testing.T) {
	m := &moody{}
	l, _ := ladderOver(m, admit.Options{})
	for _, verdict := range []admit.Verdict{admit.Brief, admit.Work, admit.Brief} {
		var list httpapi.List
		q := httpapi.Query{UserID: "u", Limit: 3, Now: 1000, Brief: verdict == admit.Work}
		if err := l.recommend(t.Context(), verdict, &q, &list); err != nil || list.Source != httpapi.SourceLive {
			t.Fatalf("%v: %s", err, list.Source)
		}
		if q.Brief != (verdict == admit.Brief) {
			t.Errorf("%v: brief is %v", verdict, q.Brief)
		}
		last := l.kept.Get(&q, &list, func(string, int64) bool { return true })
		if want := verdict == admit.Work; want && !last {
			t.Error("the whole list is not kept")
		} else if l.kept = kept.New(); !want && last {
			t.Error("a brief list is kept")
		}
	}
	m.alone = true
	q, list := httpapi.Query{UserID: "u", Limit: 3, Now: 1000}, httpapi.List{}
	if err := l.recommend(t.Context(), admit.Brief, &q, &list); err != nil || !l.kept.Get(&q, &list, func(string, int64) bool { return true }) {
		t.Errorf("a whole list is not kept where a brief one was asked for: %v", err)
	}
}

// TestLateFilter: who was late with a filter has no such time for popular items, for
// they have to pass it, too.
func TestLateFilter(t *testing.T) { synctest.Test(t, lateFilter) }

func lateFilter(t *testing.T) {
	m := &moody{}
	l, _ := ladderOver(m, admit.Options{})
	l.deadline = time.Minute
	for _, c := range []struct {
		filter string
		err    error
		most   time.Duration
	}{
		{"", context.DeadlineExceeded, lenience * l.deadline},
		{"x", context.DeadlineExceeded, l.deadline},
		{"x", errors.New("broken"), lenience * l.deadline},
	} {
		var left time.Duration
		m.live = func(context.Context) error { return c.err }
		l.live = asked{m, func(ctx context.Context) {
			at, _ := ctx.Deadline()
			left = time.Until(at)
		}}
		var list httpapi.List
		if err := l.Recommend(t.Context(), &httpapi.Query{UserID: "new", Filter: c.filter, Limit: 3}, &list); err != nil || list.Source != "popular" {
			t.Errorf("%+v: %v, %s", c, err, list.Source)
		}
		if left != c.most {
			t.Errorf("%+v: %v left", c, left)
		}
	}
}

// asked tells of each request for popular items.
type asked struct {
	*moody
	tell func(context.Context)
}

func (a asked) Recommend(ctx context.Context, q *httpapi.Query, list *httpapi.List) error {
	if q.NotPersonalized {
		a.tell(ctx)
	}
	return a.moody.Recommend(ctx, q, list)
}

// TestLenience: popular items that stand for a list may take longer than that.
func TestLenience(t *testing.T) { synctest.Test(t, leniently) }

func leniently(t *testing.T) {
	l, _ := ladderOver(&moody{}, admit.Options{})
	left := map[string]time.Duration{}
	for _, reason := range []string{"", reasonOverload} {
		if err := l.popular(t.Context(), new(httpapi.List), reason, func(ctx context.Context) error {
			at, _ := ctx.Deadline()
			left[reason] = time.Until(at)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if left[""] != l.deadline || left[reasonOverload] != lenience*l.deadline {
		t.Errorf("they may take %v", left)
	}
}

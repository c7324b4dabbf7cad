// Package answer lets the HTTP layer speak to the engine: a query becomes a
// request, a response a list, and what the engine refuses a problem document.
//
// It owns the words of these refusals. It may import httpapi and recommend, and
// must not know the parts behind the engine.
//
//	lists := answer.New(engine, now)
//	err := lists.Recommend(ctx, &query, &list)
package answer

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/recommend"
	"vitrine/internal/expr"
)

// Lists lets the HTTP layer speak to the engine. It may be asked concurrently.
type Lists struct {
	engine *recommend.Engine
	pool   *sync.Pool // of *recommend.Response
	now    func() int64
}

// New returns the lists of an engine; now is the time in Unix milliseconds.
func New(engine *recommend.Engine, now func() int64) Lists {
	return Lists{engine: engine, now: now, pool: &sync.Pool{New: func() any { return new(recommend.Response) }}}
}

// Recommend makes a visitor's list.
func (l Lists) Recommend(ctx context.Context, q *httpapi.Query, list *httpapi.List) error {
	req := requestOf(q)
	return listProblem(l.answer(list, func(resp *recommend.Response) error { return l.engine.Recommend(ctx, &req, resp) }))
}

// Rank puts given items into a visitor's order.
func (l Lists) Rank(ctx context.Context, q *httpapi.Query, items []string, list *httpapi.List) error {
	req := requestOf(q)
	return listProblem(l.answer(list, func(resp *recommend.Response) error { return l.engine.Rank(ctx, &req, items, resp) }))
}

// Explain says what became of an item.
func (l Lists) Explain(ctx context.Context, q *httpapi.Query, itemID string) (httpapi.Explanation, error) {
	req := requestOf(q)
	var x recommend.Explanation
	if err := l.engine.Explain(ctx, &req, itemID, &x); err != nil {
		return httpapi.Explanation{}, listProblem(err)
	}
	return httpapi.Explanation{
		Rank: x.Rank, Stage: x.Stage, Detail: x.Detail, Score: x.Score, ModelRank: x.ModelRank,
		Reasons: reasonsOf(x.Reasons), Source: x.List.Source, Reason: x.List.Reason,
	}, nil
}

// requestOf is a query in the engine's terms.
func requestOf(q *httpapi.Query) recommend.Request {
	req := recommend.Request{
		UserID: q.UserID, Session: q.Session, Limit: q.Limit, Exclude: q.Exclude, ExcludeSeen: q.ExcludeSeen,
		Filter: q.Filter, NotPersonalized: q.NotPersonalized, Brief: q.Brief, Scene: q.Scene, After: q.After, RequestID: q.RequestID, Now: q.Now,
	}
	switch q.Explain {
	case httpapi.ExplainItems:
		req.Explain = recommend.ExplainItems
	case httpapi.ExplainPlugins:
		req.Explain = recommend.ExplainPlugins
	}
	return req
}

func reasonsOf(reasons []recommend.Reason) []httpapi.Reason {
	out := make([]httpapi.Reason, len(reasons))
	for j, r := range reasons {
		out[j] = httpapi.Reason(r)
	}
	return out
}

// listProblem is what the engine refuses in the API's terms.
func listProblem(err error) error {
	if err == nil {
		return nil // before anything is made for the other cases
	}
	var fault *expr.SyntaxError
	var scene *recommend.SceneError
	p := &httpapi.Problem{Status: http.StatusBadRequest}
	switch {
	case errors.Is(err, recommend.ErrUnknownItem):
		return httpapi.ErrNotFound
	case errors.As(err, &fault):
		p.Code, p.Detail, p.Position = "invalid_filter", "filter: "+fault.Error(), fault.Character
		p.Hint = `filters look like: category == "books" && price < 20`
	case errors.As(err, &scene):
		p.Code, p.Detail, p.Hint = "unknown_scene", scene.Error(), "recommend.scenes adds scenes"
	case errors.Is(err, recommend.ErrUnknownList):
		p.Status, p.Code, p.Detail = http.StatusNotFound, "unknown_list", err.Error()
		p.Hint = "start again without after"
	case errors.Is(err, recommend.ErrOtherUser):
		p.Code, p.Detail, p.Hint = "invalid_after", err.Error(), "start again without after"
	default:
		return err
	}
	return p
}

// Similar makes the list of what is like an item.
func (l Lists) Similar(ctx context.Context, itemID string, limit int, list *httpapi.List) error {
	return listProblem(l.answer(list, func(resp *recommend.Response) error {
		return l.engine.Similar(ctx, itemID, limit, l.now(), resp)
	}))
}

// Popular lists what is popular.
func (l Lists) Popular(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return l.listed(ctx, l.engine.Popular, q, list)
}

// Trending lists what rises.
func (l Lists) Trending(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return l.listed(ctx, l.engine.Trending, q, list)
}

// Latest lists what is new.
func (l Lists) Latest(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return l.listed(ctx, l.engine.Latest, q, list)
}

func (l Lists) listed(ctx context.Context, ask func(context.Context, *recommend.ListRequest, *recommend.Response) error, q *httpapi.ListQuery, list *httpapi.List) error {
	req := recommend.ListRequest{Limit: q.Limit, Filter: q.Filter, Category: q.Category, Window: q.Window, Now: q.Now}
	return listProblem(l.answer(list, func(resp *recommend.Response) error { return ask(ctx, &req, resp) }))
}

// answer copies what ask fills in into the HTTP layer's list.
func (l Lists) answer(list *httpapi.List, ask func(*recommend.Response) error) error {
	resp := l.pool.Get().(*recommend.Response)
	defer l.pool.Put(resp)
	if err := ask(resp); err != nil {
		return err
	}
	picks := list.Picks[:0]
	for i := range resp.Items {
		pick := httpapi.Pick{ItemID: resp.Items[i].ID, Score: resp.Items[i].Score}
		if resp.Items[i].Reasons != nil {
			pick.Reasons = reasonsOf(resp.Items[i].Reasons)
		}
		picks = append(picks, pick)
	}
	calls := list.Plugins[:0]
	for _, c := range resp.Plugins.Calls {
		calls = append(calls, httpapi.PluginCall(c))
	}
	*list = httpapi.List{
		Picks: picks, Source: resp.Source, Reason: resp.Reason,
		ModelVersion: resp.ModelVersion, ModelAge: resp.ModelAge, Exact: resp.Exact, Plugins: calls,
	}
	return nil
}

package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"vitrine/appliance/catalog"
	"vitrine/appliance/config"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/profile"
	"vitrine/appliance/recommend"
	"vitrine/appliance/recommend/view"
	"vitrine/appliance/registry"
	"vitrine/appliance/served"
	"vitrine/appliance/upkeep"
	"vitrine/bridge/event"
	"vitrine/internal/expr"
)

// recommender lets the HTTP layer speak to the engine.
type recommender struct {
	engine *recommend.Engine
	pool   *sync.Pool // of *recommend.Response
	now    func() int64
}

func newRecommender(engine *recommend.Engine, now func() int64) recommender {
	return recommender{engine: engine, now: now, pool: &sync.Pool{New: func() any { return new(recommend.Response) }}}
}

func (r recommender) Recommend(ctx context.Context, q *httpapi.Query, list *httpapi.List) error {
	req := requestOf(q)
	return listProblem(r.answer(list, func(resp *recommend.Response) error { return r.engine.Recommend(ctx, &req, resp) }))
}

func (r recommender) Rank(ctx context.Context, q *httpapi.Query, items []string, list *httpapi.List) error {
	req := requestOf(q)
	return listProblem(r.answer(list, func(resp *recommend.Response) error { return r.engine.Rank(ctx, &req, items, resp) }))
}

func (r recommender) Explain(ctx context.Context, q *httpapi.Query, itemID string) (httpapi.Explanation, error) {
	req := requestOf(q)
	var x recommend.Explanation
	if err := r.engine.Explain(ctx, &req, itemID, &x); err != nil {
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
		Filter: q.Filter, NotPersonalized: q.NotPersonalized, Scene: q.Scene, After: q.After, RequestID: q.RequestID, Now: q.Now,
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

func (r recommender) Similar(ctx context.Context, itemID string, limit int, list *httpapi.List) error {
	err := r.answer(list, func(resp *recommend.Response) error {
		return r.engine.Similar(ctx, itemID, limit, r.now(), resp)
	})
	if errors.Is(err, recommend.ErrUnknownItem) {
		return httpapi.ErrNotFound
	}
	return err
}

func (r recommender) Popular(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return r.listed(ctx, r.engine.Popular, q, list)
}

func (r recommender) Trending(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return r.listed(ctx, r.engine.Trending, q, list)
}

func (r recommender) Latest(ctx context.Context, q *httpapi.ListQuery, list *httpapi.List) error {
	return r.listed(ctx, r.engine.Latest, q, list)
}

func (r recommender) listed(ctx context.Context, ask func(context.Context, *recommend.ListRequest, *recommend.Response) error, q *httpapi.ListQuery, list *httpapi.List) error {
	req := recommend.ListRequest{Limit: q.Limit, Filter: q.Filter, Category: q.Category, Window: q.Window, Now: q.Now}
	return listProblem(r.answer(list, func(resp *recommend.Response) error { return ask(ctx, &req, resp) }))
}

// answer copies what ask fills in into the HTTP layer's list.
func (r recommender) answer(list *httpapi.List, ask func(*recommend.Response) error) error {
	resp := r.pool.Get().(*recommend.Response)
	defer r.pool.Put(resp)
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

// servedLog is the log of answered lists, beside the events.
func (a *Appliance) servedLog(book *ruleBook) *served.Log {
	p := a.parts
	return served.New(served.Options{
		Share: a.config.Recommend.LogShare, Rate: a.config.Recommend.LogRate, Erased: p.catalog.Erased,
		Rules: func() int { return int(book.version.Load()) }, Log: a.log,
		Submit: func(ctx context.Context, records []event.Record) error {
			_, err := p.pump.Submit(ctx, records)
			return err
		},
	})
}

// goLive makes a bundle the one that requests are answered with; configured
// weights take the place of its own.
func goLive(engine *recommend.Engine, shop *catalog.Catalog, b *registry.Bundle, c config.Recommend) error {
	codes := make([]uint32, len(b.ItemIDs))
	for row, id := range b.ItemIDs {
		codes[row] = shop.InternItem(id)
	}
	made, err := view.New(view.Spec{
		Version: b.Version, Created: b.Created, Reference: b.Reference, Model: b.Model, Codes: codes,
		Sources: b.Sources, Weights: c.Blend, New: c.New,
	})
	if err != nil {
		return fmt.Errorf("put model %s live: %w", b.Version, err)
	}
	engine.Swap(made)
	return nil
}

// items looks attributes up for the HTTP layer.
type items struct{ catalog *catalog.Catalog }

func (i items) Item(id string) (event.Item, bool) {
	code, ok := i.catalog.ItemCode(id)
	if !ok {
		return event.Item{}, false
	}
	return i.catalog.Item(code)
}

// Seen says whether there is anything of an item but that it was deleted.
func (i items) Seen(id string) bool {
	code, ok := i.catalog.ItemCode(id)
	return ok && !i.catalog.Deleted(code)
}

// users looks attributes and histories up for the HTTP layer.
type users struct {
	catalog  *catalog.Catalog
	profile  *profile.Store
	erasures *upkeep.Erasures
}

// Erased tells of the newest erasure: the list of those that were begun, or the
// catalog of one that was not.
func (u users) Erased(id string) (entities.Erasure, bool) {
	at, known := u.catalog.Erased(id)
	r, begun := u.erasures.Find(id)
	if !begun || r.ErasedAt < at {
		return entities.Erasure{At: at}, known
	}
	return entities.Erasure{
		At: r.ErasedAt, Done: r.DoneAt, Events: r.Events, Places: r.Places, Changes: r.Changes, Letters: r.Letters, Models: r.Models,
	}, true
}

// History appends the events that count of a user, newest first.
func (u users) History(id string, dst []entities.Past) []entities.Past {
	code, ok := u.catalog.UserCode(id)
	if !ok {
		return dst
	}
	for _, p := range u.profile.Recent(code, nil) {
		dst = append(dst, entities.Past{
			ItemID: u.catalog.ItemID(p.Item), Type: p.Type, Time: p.Time, Value: p.Value, HasValue: p.HasValue,
		})
	}
	return dst
}

func (u users) User(id string) (event.User, bool) {
	code, ok := u.catalog.UserCode(id)
	if !ok {
		return event.User{}, false
	}
	return u.catalog.User(code)
}

// models lets the HTTP layer speak to the registry.
type models struct{ registry *registry.Registry }

func (m models) List() ([]adminapi.Model, error) {
	out := []adminapi.Model{}
	for _, info := range m.registry.List() {
		out = append(out, m.describe(info))
	}
	return out, nil
}

func (m models) describe(info registry.Info) adminapi.Model {
	return adminapi.Model{
		Version: info.Version, Parent: info.Parent, CreatedAt: info.Created, State: adminapi.ModelState(info.State), Bytes: info.Bytes,
		Users: info.Users, Items: info.Items, Interactions: info.Interactions, Position: info.Position,
		Reason: cmp.Or(info.Reason, info.Gate.Reason), Metrics: modelMetrics(info.Metrics, info.Gate.Passed),
		Options: info.Options, Seconds: info.Seconds,
	}
}

func (m models) Rollback(context.Context) (adminapi.Model, error) {
	b, err := m.registry.Rollback()
	if errors.Is(err, registry.ErrNoPrevious) {
		return adminapi.Model{}, &httpapi.Problem{
			Status: http.StatusConflict, Code: "no_previous_model", Detail: err.Error(), Hint: "vitrine model list shows the versions; vitrine train makes a new one",
		}
	}
	if err != nil {
		return adminapi.Model{}, err
	}
	for _, info := range m.registry.List() {
		if info.Version == b.Version {
			return m.describe(info), nil
		}
	}
	return adminapi.Model{}, httpapi.ErrNotFound
}

// Package recommend answers requests for recommendations from RAM: the
// visitor's vector by exact fold-in of his history, the best items by exact
// search and the sources beside it, blended, filled up with popular ones, and
// the page of them as plugins and rules order it.
//
// It owns that pipeline and the view of the live model that it runs on. It
// knows frame, rules and als/{model,topk,neighbors}; history, popularity, ids
// and expiry come through interfaces, so it must not import profile, catalog, signal or
// anything that reads or writes outside RAM.
//
//	engine := recommend.New(recommend.Deps{History: profile, Popularity: profile, Codes: catalog, Shelf: catalog})
//	engine.Swap(view)
//	err := engine.Recommend(ctx, &recommend.Request{UserID: "u1", Limit: 20, Now: now}, &response)
package recommend

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/topk"
	"vitrine/appliance/frame"
	"vitrine/appliance/rules"
)

// History weighs what a visitor did.
type History interface {
	// Weights adds to dst the items of the visitor's capped history with their
	// confidences at the time reference, each item once. The visitor is a
	// user, or frame.NoUser, who has just looked at the items of session,
	// oldest first.
	Weights(user uint32, session []uint32, reference int64, dst *frame.Frame)
	// Places appends to dst the items of the newest places of that history, at
	// most most of them, oldest first.
	Places(user uint32, session []uint32, most int, dst []uint32) []uint32
}

// Popularity ranks items for everybody.
type Popularity interface {
	// Popular adds to dst the n most popular items, best first; fewer when
	// there are not so many.
	Popular(n int, dst *frame.Frame)
}

// Codes translates between ids and codes.
type Codes interface {
	UserCode(id string) (uint32, bool)
	ItemCode(id string) (uint32, bool)
	ItemID(code uint32) string
}

// Shelf says what may be shown.
type Shelf interface {
	// NumItems is the number of items; their codes are 0..NumItems-1.
	NumItems() int
	// Expired says whether an item must not be shown at now (Unix ms).
	Expired(item uint32, now int64) bool
}

// Plugins rank candidates after the built-in sources.
type Plugins interface {
	// Depth is how many candidates they want to see; 0 means that there are
	// none and Rank need not be called.
	Depth() int
	// Rank changes scores in place, clears the mask of what it drops, and
	// tells what became of each plugin. It never fails.
	Rank(ctx context.Context, f *frame.Frame, t *frame.Trace)
}

// Deps are the parts that an Engine reads. All are called concurrently.
type Deps struct {
	History    History
	Popularity Popularity
	Codes      Codes
	Shelf      Shelf
	// Trends, Windows and News may be nil where nobody asks for Trending, for
	// windows of it or of Popular, and for Latest.
	Trends  Trends
	Windows Windows
	News    News
	// Columns are the attributes by which new items are likened to known ones;
	// nil, like News, leaves items out that no model knows.
	Columns frame.Columns
	// Filters may be nil where no request has a filter.
	Filters Filters
	// Plugins may be nil.
	Plugins Plugins
	// Scenes are those of the configuration: each name's preset.
	Scenes map[string]string
}

// DefaultLimit is the length of a list whose request names none.
const DefaultLimit = 20

// Request asks for recommendations.
type Request struct {
	// UserID may be empty, or one that was never seen.
	UserID string
	// Session are the ids of items just looked at, oldest first; they count as
	// views on top of the user's history.
	Session []string
	// Limit is the number of items wanted; 0 is DefaultLimit.
	Limit int
	// Exclude are ids of items that must not be in the list.
	Exclude []string
	// ExcludeSeen leaves out the items of the history and the session.
	ExcludeSeen bool
	// Filter is a condition that every item of the list fulfils; empty means
	// none.
	Filter string
	// NotPersonalized asks for the popular list and reads no history, not even
	// for ExcludeSeen.
	NotPersonalized bool
	// Scene is where the list will stand; empty means SceneHome.
	Scene string
	// After is the request id of the list that this one is the next page of.
	After string
	// RequestID names this list for the next page; empty means that there will
	// be none.
	RequestID string
	Explain   Explain
	// Now is the time of the request in Unix milliseconds.
	Now int64
}

// Item is one place of a list.
type Item struct {
	ID   string
	Code uint32
	// Score is that of the model, or of the blend, for a live list, and 0 for items that fill it up
	// behind; the popularity for a popular list.
	Score float32
	// Reasons are there when the request asked for them.
	Reasons []Reason
}

// The values of Response.Source.
const (
	// SourceLive is a list made for this visitor, or item, by the live model.
	SourceLive = "live"
	// SourcePopular is a list of popular items.
	SourcePopular = "popular"
	// SourceEmpty is a list without items.
	SourceEmpty = "empty"
)

// The values of Response.Reason.
const (
	// ReasonUnknownUser: there are no events of this user that count, and no
	// session. His attributes may be known.
	ReasonUnknownUser = "unknown_user"
	// ReasonNoModel: nothing was trained yet.
	ReasonNoModel = "no_model"
	// ReasonColdUser: the model knows nothing of the items of the history.
	ReasonColdUser = "cold_user"
	// ReasonColdItem: the model does not know the item.
	ReasonColdItem = "cold_item"
	// ReasonNotPersonalized: the request wants the popular list.
	ReasonNotPersonalized = "not_personalized"
	// ReasonNoCandidates: the model has nothing that may be shown.
	ReasonNoCandidates = "no_candidates"
	// ReasonFoldFailed: the visitor's vector could not be computed, which a
	// sound model does not let happen.
	ReasonFoldFailed = "fold_failed"
	// ReasonNoTrend: no item rises above its own past.
	ReasonNoTrend = "no_trend"
	// ReasonNothingNew: no item was put that may be shown, or none in the window;
	// or nothing happened in it.
	ReasonNothingNew = "nothing_new"
	// ReasonUnknownAttribute: nothing passes the filter, which names an attribute
	// that no item has.
	ReasonUnknownAttribute = "unknown_attribute"
	// ReasonNoItems: there is no item that may be shown.
	ReasonNoItems = "no_items"
	// ReasonFiltered: the plugins dropped every candidate.
	ReasonFiltered = "filtered"
)

// ErrUnknownItem says that the catalogue has no such item.
var ErrUnknownItem = errors.New("unknown item")

// Response is an answer. It may be reused; its memory then serves again.
type Response struct {
	// Items are the list, best first.
	Items  []Item
	Source string
	// Reason says why Source is not SourceLive; empty when it is.
	Reason string
	// ModelVersion and ModelAge tell of the model that made a live list.
	ModelVersion string
	ModelAge     time.Duration
	// Exact says that the whole catalogue was ranked, nothing approximated or
	// stale: true for every live list. In a blend an item outside the factors'
	// best that no source names cannot reach the list.
	Exact bool
	// Plugins tells what became of each active plugin.
	Plugins frame.Trace
}

// Engine answers requests. All methods are safe for concurrent use.
type Engine struct {
	deps    Deps
	view    atomic.Pointer[View]
	rules   atomic.Pointer[rules.Plans]
	served  servedLists
	scratch sync.Pool // of *scratch
	// enough is the constant; tests on busy machines take more.
	enough time.Duration
}

// New returns an engine that has no model yet.
func New(deps Deps) *Engine { return &Engine{deps: deps, enough: enough} }

// Swap makes v the live view; requests that run keep the one they began with.
func (e *Engine) Swap(v *View) {
	// Where new items are looked for, that is done before, lest requests wait.
	if old := e.view.Load(); old != nil {
		if last := old.tail.last.Load(); last != nil {
			v.newcomers(e, last.at)
		}
	}
	e.view.Store(v)
}

// Recommend fills resp with the list for req. It fails when ctx ends, and with
// *FilterError, *SceneError, ErrUnknownList and ErrOtherUser.
func (e *Engine) Recommend(ctx context.Context, req *Request, resp *Response) error {
	sc := e.begin(req.Limit, req.Now)
	defer e.scratch.Put(sc)
	q, err := e.question(req, sc)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e.list(ctx, sc, resp, q)
	e.served.add(req.RequestID, sc.frame.User, req.Now, sc.before, resp.Items)
	if req.RequestID != "" {
		sc.plan.Served(&sc.frame)
	}
	return nil
}

// question settles what a request asks for: the page, the scene with its rules
// and filter, who asks, and what he likes.
func (e *Engine) question(req *Request, sc *scratch) (question, error) {
	if req.Explain != ExplainNone {
		sc.why = &why{what: req.Explain}
	}
	preset, err := e.preset(req.Scene)
	if err != nil {
		return question{}, err
	}
	if err := e.turn(req, sc); err != nil {
		return question{}, err
	}
	if err := e.filter(req.Filter, sc); err != nil {
		return question{}, err
	}
	e.rule(cmp.Or(req.Scene, SceneHome), sc)
	sc.exclude(e.deps.Codes, req.Exclude)
	q := question{view: e.view.Load(), reason: ReasonNotPersonalized, filled: true}
	if !req.NotPersonalized {
		if q.reason = e.visitor(req, q.view, sc); q.reason == "" {
			q.reason = e.know(q.view, sc)
		}
		e.stage(preset, sc, &q)
	}
	return q, nil
}

// Similar fills resp with the items most like the given one: by the model's
// cosine and by what goes together, as training found better. It returns
// ErrUnknownItem for an item without a code.
func (e *Engine) Similar(ctx context.Context, itemID string, limit int, now int64, resp *Response) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	code, ok := e.deps.Codes.ItemCode(itemID)
	if !ok {
		return ErrUnknownItem
	}
	sc := e.begin(limit, now)
	defer e.scratch.Put(sc)
	sc.excluded = append(sc.excluded, code)
	e.rule(SceneProduct, sc)
	// Popular items are no likeness: they stand in, they do not fill up.
	e.list(ctx, sc, resp, e.alike(code, e.view.Load(), sc))
	return nil
}

// visitor reads who asks and what he did, and returns the reason why there
// can be no live answer, if so.
func (e *Engine) visitor(req *Request, v *View, sc *scratch) (reason string) {
	if req.UserID != "" {
		if user, ok := e.deps.Codes.UserCode(req.UserID); ok {
			sc.frame.User = user
		}
	}
	for _, id := range req.Session {
		if code, ok := e.deps.Codes.ItemCode(id); ok {
			sc.session = append(sc.session, code)
		}
	}
	if sc.frame.User == frame.NoUser && len(sc.session) == 0 {
		return ReasonUnknownUser
	}
	reference := req.Now
	if v != nil {
		reference = v.reference
	}
	e.deps.History.Weights(sc.frame.User, sc.session, reference, &sc.taste)
	if sc.taste.Len() == 0 {
		return ReasonUnknownUser
	}
	if req.ExcludeSeen {
		sc.excluded = append(sc.excluded, sc.taste.Items...)
		sc.excluded = append(sc.excluded, sc.session...)
	}
	if v == nil {
		return ReasonNoModel
	}
	return ""
}

// know puts what is known of the visitor into the model's terms: his vector,
// and the rows of what he touched last. Either is enough where sources stand
// beside the factors.
func (e *Engine) know(v *View, sc *scratch) (reason string) {
	reason = sc.fold(v)
	if v.blendFor(sc) == nil {
		return reason
	}
	sc.recent = e.deps.History.Places(sc.frame.User, sc.session, recentPlaces, sc.recent[:0])
	for _, code := range sc.recent {
		if row, ok := v.row(code); ok {
			sc.history = append(sc.history, row)
		}
	}
	if reason != "" && len(sc.history) > 0 {
		sc.vector, reason = sc.vector[:0], ""
	}
	return reason
}

// anonymous tells whether nothing is known of the visitor but his session.
func (sc *scratch) anonymous() bool { return sc.frame.User == frame.NoUser }

// fold computes the visitor's vector from the items that the model knows.
func (sc *scratch) fold(v *View) (reason string) {
	for j, code := range sc.taste.Items {
		if row, ok := v.row(code); ok {
			sc.rows = append(sc.rows, row)
			sc.weights = append(sc.weights, sc.taste.Scores[j])
		}
	}
	if len(sc.rows) == 0 {
		return ReasonColdUser
	}
	if cap(sc.vector) < v.rank {
		sc.vector = make([]float32, v.rank)
	}
	sc.vector = sc.vector[:v.rank]
	if !v.folds.get(sc) {
		if err := v.folder.FoldIn(sc.vector, sc.rows, sc.weights, &sc.folding); err != nil {
			return ReasonFoldFailed
		}
		v.folds.put(sc)
	}
	if !slices.ContainsFunc(sc.vector, func(f float32) bool { return f != 0 }) {
		// All that he did is with items that training could say nothing of:
		// every item would score 0, and the list be their order.
		return ReasonColdUser
	}
	return ""
}

// candidates searches the view for as many candidates as are wanted. The rows
// known to have expired are left out of the search. Where one has expired since
// that was looked up, it is looked up again and the search repeated.
func (e *Engine) candidates(sc *scratch, q question) (reason string) {
	if q.rank != nil {
		e.mark(sc)
		if e.take(sc, q.rank, nil); sc.frame.Len() == 0 {
			return q.otherwise
		}
		return ""
	}
	if q.given != nil {
		return e.choose(sc, q)
	}
	v, now := q.view, sc.frame.Now
	expired := func(hit topk.Hit) bool { return e.deps.Shelf.Expired(v.codes[hit.Row], now) }
	for fresh := false; ; fresh = true {
		sc.without.Copy(v.expired(e.deps.Shelf, now, fresh))
		for _, code := range sc.excluded {
			if row, ok := v.row(code); ok {
				sc.without.Hide(row)
			}
		}
		for _, c := range sc.conditions {
			v.hide(&sc.without, c)
		}
		for _, code := range sc.frame.Items {
			if row, ok := v.row(code); ok {
				sc.without.Hide(row)
			}
		}
		v.search(sc, q)
		if fresh || !slices.ContainsFunc(sc.hits, expired) {
			break
		}
	}
	e.accept(sc, v, sc.hits)
	if sc.frame.Len() == 0 {
		return ReasonNoCandidates
	}
	return ""
}

// choose takes those of the given candidates that may be shown.
func (e *Engine) choose(sc *scratch, q question) (reason string) {
	for j, item := range q.given {
		if slices.Contains(sc.excluded, item) || slices.Contains(sc.frame.Items, item) || !sc.fulfils(item) || e.deps.Shelf.Expired(item, sc.frame.Now) {
			continue
		}
		sc.frame.Add(item, q.scores[j])
	}
	if sc.frame.Len() == 0 {
		return ReasonNoCandidates
	}
	return ""
}

// page writes the frame's first items into the response.
func (e *Engine) page(sc *scratch, resp *Response, reason string, q question) {
	*resp = Response{Items: resp.Items[:0], Source: SourcePopular, Reason: reason, Plugins: resp.Plugins}
	f := &sc.frame
	for j := 0; j < f.Len() && len(resp.Items) < sc.limit; j++ {
		item := Item{ID: e.deps.Codes.ItemID(f.Items[j]), Code: f.Items[j], Score: f.Scores[j]}
		if sc.why != nil {
			item.Reasons = e.reasons(sc, q, item.Code)
		}
		resp.Items = append(resp.Items, item)
	}
	switch {
	case len(resp.Items) == 0:
		resp.Source = SourceEmpty
		switch {
		case len(sc.unknown()) > 0:
			resp.Reason = ReasonUnknownAttribute
		case sc.dropped:
			resp.Reason = ReasonFiltered
		case slices.Contains([]string{ReasonNoCandidates, ReasonNotPersonalized, ReasonNoTrend, ReasonNothingNew}, reason):
			resp.Reason = ReasonNoItems
		}
	case reason == "":
		resp.Source, resp.Exact = SourceLive, true
		if v := q.view; v != nil && q.rank == nil {
			resp.ModelVersion = v.version
			resp.ModelAge = max(0, time.Duration(f.Now-v.created.UnixMilli())*time.Millisecond)
		}
	}
}

// scratch is the working memory of one request.
type scratch struct {
	limit    int // items of the page
	want     int // candidates
	depth    int // how many the plugins want to see
	started  time.Time
	sorts    bool        // plugins will sort the candidates anew
	dropped  bool        // the plugins dropped some
	order    []place     // of the candidates after the plugins
	trace    frame.Trace // of one round of the plugins
	frame    frame.Frame // the candidates, then the list
	ranked   frame.Frame // the list in the making
	taste    frame.Frame // items of the history, with confidences
	popular  frame.Frame
	session  []uint32 // codes
	excluded []uint32 // codes
	// conditions are what the items of the list must fulfil.
	conditions []condition
	filters    []frame.Filter // of the request
	buried     []condition    // from rules
	plan       *rules.Plan
	pins       []rules.Place
	arranging  rules.Scratch
	offset     int      // places of the pages before
	before     []uint32 // the items on them
	raised     topk.Mask
	more       []topk.Hit
	why        *why
	suited     []float32 // what new items score
	dots       []float32 // what their groups score
	taken      []uint64  // bits by code
	without    topk.Mask
	rows       []uint32
	weights    []float32
	vector     []float32
	hits       []topk.Hit
	folding    model.Scratch
	search     topk.Scratch
	recent     []uint32 // codes of the newest places of the history
	history    []uint32 // rows of those that the model knows
	mixing     neighbors.Scratch
	deep       deep
}

func (e *Engine) begin(limit int, now int64) *scratch {
	sc, ok := e.scratch.Get().(*scratch)
	if !ok {
		sc = new(scratch)
	}
	sc.frame.Reset()
	sc.taste.Reset()
	sc.frame.Now = now
	sc.limit = limit
	if limit <= 0 {
		sc.limit = DefaultLimit
	}
	sc.session, sc.excluded, sc.conditions = sc.session[:0], sc.excluded[:0], sc.conditions[:0]
	sc.rows, sc.weights, sc.history = sc.rows[:0], sc.weights[:0], sc.history[:0]
	sc.buried, sc.pins, sc.before, sc.offset = sc.buried[:0], sc.pins[:0], sc.before[:0], 0
	sc.plan, sc.why, sc.filters = nil, nil, sc.filters[:0]
	return sc
}

func (sc *scratch) exclude(codes Codes, ids []string) {
	for _, id := range ids {
		if code, ok := codes.ItemCode(id); ok {
			sc.excluded = append(sc.excluded, code)
		}
	}
}

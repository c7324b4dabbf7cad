// Package recommend answers requests for recommendations from RAM. A request
// passes these stages, each in its file:
//
//	visitor.go   who asks, what he did, and his vector by exact fold-in
//	scene.go     what the list is made of: his own, like an item, given items
//	sources.go   candidates: exact search of the factors, blended with the sources
//	             beside them; those for everybody are in lists.go
//	tail.go      new items, which no model knows; fill.go: popular ones behind
//	filter.go    conditions, which are hidden from the search and not dropped
//	rank.go      the round: candidates, plugins that score and filter them (they
//	             read features from columns), rules; more of them for a short page
//	rules.go     what rules exclude, pin, raise, score and arrange
//	page.go      the page and what it says of itself
//
// explain.go says why an item is in a list, or at which stage it drops out.
//
// Each has its share of the request's time, which is pace's. It owns that
// pipeline; what stays between requests is in its sub-packages: view
// (the live model) and pages (what was on pages before). It
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
	"sync"
	"sync/atomic"

	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/topk"
	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/pace"
	"vitrine/appliance/recommend/pages"
	"vitrine/appliance/recommend/view"
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
	// Strengths writes how popular each of the items is, on the scale of Popular.
	Strengths(items []uint32, dst []float32)
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

// Engine answers requests. All methods are safe for concurrent use.
type Engine struct {
	deps    Deps
	view    atomic.Pointer[view.View]
	rules   atomic.Pointer[rules.Plans]
	served  pages.Served
	scratch sync.Pool // of *scratch
	batches sync.Pool // of *Batch
}

// New returns an engine that has no model yet.
func New(deps Deps) *Engine { return &Engine{deps: deps} }

// Swap makes v the live view; requests that run keep the one they began with.
func (e *Engine) Swap(v *view.View) {
	if old := e.view.Load(); old != nil {
		v.Follow(old, e.deps.News, e.deps.Columns)
	}
	e.view.Store(v)
}

// Recommend fills resp with the list for req. It fails when ctx ends, and with
// *FilterError, *SceneError, ErrUnknownList and ErrOtherUser.
func (e *Engine) Recommend(ctx context.Context, req *Request, resp *Response) error {
	sc := e.begin(ctx, req.Limit, req.Now)
	defer e.scratch.Put(sc)
	q, err := e.question(req, sc)
	if err != nil {
		return err
	}
	e.ready(sc, q)
	return e.answer(ctx, req, sc, q, resp)
}

// answer makes the list of a settled question and remembers it.
func (e *Engine) answer(ctx context.Context, req *Request, sc *scratch, q question, resp *Response) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := e.list(ctx, sc, resp, q); err != nil {
		return err
	}
	e.served.Add(req.RequestID, sc.frame.User, req.Now, sc.before, sc.frame.Items[:len(resp.Items)])
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
			q.reason = e.know(q.view, sc, req.Brief && req.Explain == ExplainNone && ownList(preset))
		}
		e.stage(preset, sc, &q)
	}
	return q, sc.clock.Check(pace.Visitor)
}

// Similar fills resp with the items most like the given one: by the model's
// cosine and by what goes together, as training found better; by the cosine to
// its category and brand where the model does not know it. It returns
// ErrUnknownItem for an item without a code.
func (e *Engine) Similar(ctx context.Context, itemID string, limit int, now int64, resp *Response) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	code, ok := e.deps.Codes.ItemCode(itemID)
	if !ok {
		return ErrUnknownItem
	}
	sc := e.begin(ctx, limit, now)
	defer e.scratch.Put(sc)
	sc.excluded = append(sc.excluded, code)
	e.rule(SceneProduct, sc)
	// Popular items are no likeness: they stand in, they do not fill up.
	q := e.alike(code, e.view.Load(), sc)
	e.ready(sc, q)
	return e.list(ctx, sc, resp, q)
}

// scratch is the working memory of one request.
type scratch struct {
	limit    int // items of the page
	want     int // candidates
	depth    int // how many the plugins want to see
	clock    pace.Clock
	until    pace.Until  // of the plugins
	brief    bool        // by the factors alone
	hurried  bool        // the candidates took what was meant for plugins
	sorts    bool        // plugins will sort the candidates anew
	dropped  bool        // the plugins dropped some
	order    []uint64    // of the candidates after the plugins
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
	boosts     []view.Boost
	lift       *topk.Lift   // nil where the search ranks by plain scores
	goal       topk.Goal    // of a search that ranks by boosted ones
	groups     *view.Groups // of the quota that goal is for
	why        *why
	suited     []float32 // what kinds of new items score
	dots       []float32 // what their groups score
	taken      []uint64  // bits by code
	open       int       // how many of them are not set
	without    topk.Mask
	rows       []uint32
	weights    []float32
	vector     []float32
	guess      []float32 // of the factors of an item
	hits       []topk.Hit
	// ahead are the best by the factors where searched is true: the first search
	// was made beforehand, with without as it is.
	ahead    []topk.Hit
	searched bool
	near     []topk.Hit // those that a blend begins with
	folding  model.Scratch
	search   topk.Scratch
	recent   []uint32 // codes of the newest places of the history
	history  []uint32 // rows of those that the model knows
	mixing   *neighbors.Scratch
	deep     deep
}

func (e *Engine) begin(ctx context.Context, limit int, now int64) *scratch {
	sc, ok := e.scratch.Get().(*scratch)
	if !ok {
		sc = &scratch{mixing: new(neighbors.Scratch)}
	}
	sc.begin(ctx, limit, now)
	return sc
}

// begin forgets the request before.
func (sc *scratch) begin(ctx context.Context, limit int, now int64) {
	sc.clock = pace.Start(ctx)
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
	sc.ahead, sc.searched, sc.brief = nil, false, false
}

func (sc *scratch) exclude(codes Codes, ids []string) {
	for _, id := range ids {
		if code, ok := codes.ItemCode(id); ok {
			sc.excluded = append(sc.excluded, code)
		}
	}
}

package recommend

import (
	"context"
	"math"
	"time"

	"vitrine/appliance/frame"
)

// Trends ranks items by how far they rise above their own past.
type Trends interface {
	// Trending adds to dst the n items that rise most, best first; only those
	// that do.
	Trending(n int, dst *frame.Frame)
}

// Windows ranks items by what happened in the time before the newest event.
type Windows interface {
	// Within adds to dst the n items that most was done with in the window, or
	// that rise most in it, best first.
	Within(window time.Duration, rising bool, n int, dst *frame.Frame)
}

// News ranks items by when they came into the catalogue.
type News interface {
	// Latest adds to dst the n newest items, those of since (Unix ms) and
	// later, newest first.
	Latest(n int, since int64, dst *frame.Frame)
}

// ListRequest asks for a list that is the same for everybody.
type ListRequest struct {
	// Limit is the number of items wanted; 0 is DefaultLimit.
	Limit int
	// Filter and Category are conditions that every item fulfils; empty means
	// none.
	Filter, Category string
	// Window is how far back the list looks; 0 is without end, with older events
	// weighing less.
	Window time.Duration
	// Now is the time of the request in Unix milliseconds.
	Now int64
}

// Popular fills resp with the most popular items. It fails like Recommend.
func (e *Engine) Popular(ctx context.Context, req *ListRequest, resp *Response) error {
	if req.Window == 0 {
		return e.listed(ctx, req, resp, question{reason: ReasonNotPersonalized, filled: true})
	}
	err := e.listed(ctx, req, resp, e.within(req.Window, false))
	if resp.Source == SourceLive {
		resp.Source, resp.Reason, resp.Exact = SourcePopular, ReasonNotPersonalized, false
	}
	return err
}

// within asks for what happened in a window.
func (e *Engine) within(window time.Duration, rising bool) question {
	rank := func(n int, dst *frame.Frame) { e.deps.Windows.Within(window, rising, n, dst) }
	if rising {
		return question{rank: rank, otherwise: ReasonNoTrend}
	}
	return question{rank: rank, otherwise: ReasonNothingNew}
}

// Trending fills resp with the items that rise most above their own past,
// without any model. Where none does popular ones stand in. It fails like
// Recommend.
func (e *Engine) Trending(ctx context.Context, req *ListRequest, resp *Response) error {
	if req.Window > 0 {
		return e.listed(ctx, req, resp, e.within(req.Window, true))
	}
	return e.listed(ctx, req, resp, question{rank: e.deps.Trends.Trending, otherwise: ReasonNoTrend})
}

// Latest fills resp with the items that came into the catalogue last. Where
// there are none popular ones stand in. It fails like Recommend.
func (e *Engine) Latest(ctx context.Context, req *ListRequest, resp *Response) error {
	since := int64(math.MinInt64)
	if req.Window > 0 {
		since = req.Now - req.Window.Milliseconds()
	}
	latest := func(n int, dst *frame.Frame) { e.deps.News.Latest(n, since, dst) }
	return e.listed(ctx, req, resp, question{rank: latest, otherwise: ReasonNothingNew})
}

// listed answers a question that is nobody's own. The rules of the scene
// trending hold for all such lists.
func (e *Engine) listed(ctx context.Context, req *ListRequest, resp *Response, q question) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sc := e.begin(ctx, req.Limit, req.Now)
	defer e.scratch.Put(sc)
	for _, text := range []string{req.Filter, req.Category} {
		if err := e.filter(text, sc); err != nil {
			return err
		}
	}
	e.rule(SceneTrending, sc)
	e.ready(sc, q)
	return e.list(ctx, sc, resp, q)
}

// ranking adds the n best items to a frame.
type ranking func(n int, dst *frame.Frame)

// take adds items of a ranking that may be shown to the frame, until it has as
// many as are wanted; score is what each gets, nil for its own.
func (e *Engine) take(sc *scratch, rank ranking, score *float32) {
	for n := sc.want + len(sc.excluded); sc.frame.Len() < sc.want && sc.open > 0; n *= 4 {
		sc.popular.Reset()
		rank(n, &sc.popular)
		e.offerRanked(sc, score)
		if sc.popular.Len() < n {
			return
		}
	}
}

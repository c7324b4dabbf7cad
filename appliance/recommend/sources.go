package recommend

import (
	"slices"

	"vitrine/als/neighbors"
	"vitrine/als/topk"
	"vitrine/appliance/recommend/view"
)

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
	expired := func(hit topk.Hit) bool { return e.deps.Shelf.Expired(v.Codes[hit.Row], now) }
	for fresh := false; ; fresh = true {
		if !sc.searched {
			e.hide(sc, v, fresh)
		}
		sc.best(v, q)
		sc.searched = false
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

// hide leaves out of the next search what is expired, excluded, does not fulfil
// the conditions, or is a candidate already.
func (e *Engine) hide(sc *scratch, v *view.View, fresh bool) {
	sc.without.Copy(v.Expired(e.deps.Shelf, sc.frame.Now, fresh))
	v.HideItems(&sc.without, sc.excluded)
	for _, c := range sc.conditions {
		v.Hide(&sc.without, c.selection, c.pass)
	}
	v.HideItems(&sc.without, sc.frame.Items)
}

// choose takes those of the given candidates that may be shown.
func (e *Engine) choose(sc *scratch, q question) (reason string) {
	for j, item := range q.given {
		if e.suits(sc, item) {
			sc.frame.Add(item, q.scores[j])
		}
	}
	if sc.frame.Len() == 0 {
		return ReasonNoCandidates
	}
	return ""
}

// best finds the best candidates that sc.without does not hide: by the blend
// of all sources, or by the factors alone.
func (sc *scratch) best(v *view.View, q question) {
	query := neighbors.Query{History: sc.history, Vector: sc.vector, Hidden: &sc.without, K: sc.want, Nearest: sc.ahead, Searched: sc.searched}
	switch {
	case q.similar && sc.likeness(v, q) != nil:
		query.Cosine, query.Row = true, q.row
		sc.hits = v.Blends.Like.Rank(query, sc.hits, sc.mixing)
	case q.similar:
		sc.hits = sc.alike(v, q, sc.want, &sc.without, sc.hits)
	case sc.blend(v) != nil:
		if !sc.searched && sc.byFactors(q) {
			near := view.Query{User: sc.frame.User, Vector: sc.vector, K: sc.searches(v), Hidden: &sc.without}
			sc.near = v.Search(near, sc.near, &sc.search)
			query.Nearest, query.Searched = sc.near, true
		}
		sc.hits = sc.blend(v).Rank(query, sc.hits, sc.mixing)
	case sc.lift != nil && sc.bestLifted(v):
	case sc.searched:
		sc.hits = append(sc.hits[:0], sc.ahead...)
	default:
		sc.hits = v.Search(view.Query{User: sc.frame.User, Vector: sc.vector, K: sc.want, Hidden: &sc.without}, sc.hits, &sc.search)
	}
}

// likeness is the mix for items like one; nil where the factors answer alone.
func (sc *scratch) likeness(v *view.View, q question) *neighbors.Blend {
	if q.guess != nil {
		return nil
	}
	return v.Blends.Like
}

// alike are the best of the items like one by the factors alone.
func (sc *scratch) alike(v *view.View, q question, k int, hidden *topk.Mask, dst []topk.Hit) []topk.Hit {
	if q.guess != nil {
		return v.Index.SimilarTo(q.guess, k, hidden, dst, &sc.search)
	}
	return v.Index.Similar(q.row, k, hidden, dst, &sc.search)
}

// blend is the mix for a visitor; nil where the factors answer alone.
func (sc *scratch) blend(v *view.View) *neighbors.Blend {
	if sc.brief {
		return nil
	}
	if sc.anonymous() {
		return v.Blends.Session
	}
	return v.Blends.User
}

// shorten leaves the other sources of a mix out where the factors have a part in
// it: they take less than half of its time.
func (sc *scratch) shorten(v *view.View) {
	blend := sc.blend(v)
	sc.brief = blend != nil && blend.FactorWeight > 0
}

// byFactors tells whether a list begins with a search for the visitor's vector.
func (sc *scratch) byFactors(q question) bool {
	if q.reason != "" || q.similar || q.rank != nil || q.given != nil || len(sc.vector) == 0 {
		return false
	}
	blend := sc.blend(q.view)
	return blend == nil || blend.FactorWeight > 0
}

// searches is how many that search finds.
func (sc *scratch) searches(v *view.View) int {
	if blend := sc.blend(v); blend != nil {
		return blend.Nearest(sc.want)
	}
	return sc.want
}

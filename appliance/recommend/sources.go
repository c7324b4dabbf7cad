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
		sc.without.Copy(v.Expired(e.deps.Shelf, now, fresh))
		for _, code := range sc.excluded {
			if row, ok := v.Row(code); ok {
				sc.without.Hide(row)
			}
		}
		for _, c := range sc.conditions {
			v.Hide(&sc.without, c.selection, c.pass)
		}
		for _, code := range sc.frame.Items {
			if row, ok := v.Row(code); ok {
				sc.without.Hide(row)
			}
		}
		sc.best(v, q)
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

// best finds the best candidates that sc.without does not hide: by the blend
// of all sources, or by the factors alone.
func (sc *scratch) best(v *view.View, q question) {
	query := neighbors.Query{History: sc.history, Vector: sc.vector, Hidden: &sc.without, K: sc.want}
	switch {
	case q.similar && v.Blends.Like != nil:
		query.Cosine, query.Row = true, q.row
		sc.hits = v.Blends.Like.Rank(query, sc.hits, &sc.mixing)
	case q.similar:
		sc.hits = v.Index.Similar(q.row, sc.want, &sc.without, sc.hits, &sc.search)
	case sc.blend(v) != nil:
		sc.hits = sc.blend(v).Rank(query, sc.hits, &sc.mixing)
	default:
		sc.hits = v.Index.Search(sc.vector, sc.want, &sc.without, sc.hits, &sc.search)
	}
}

// blend is the mix for a visitor; nil where the factors answer alone.
func (sc *scratch) blend(v *view.View) *neighbors.Blend {
	if sc.anonymous() {
		return v.Blends.Session
	}
	return v.Blends.User
}

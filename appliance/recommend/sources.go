package recommend

import (
	"fmt"

	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
	"vitrine/als/topk"
)

// recentPlaces is how many of a history sources that go by order are asked
// with: as many as in training (signal.Places), which must not be known here.
const recentPlaces = 128

// blends are the mixes of a view's sources: for users, for visitors who are
// known by their session alone, and for what is like an item. A nil one means
// that the factors answer alone.
type blends struct{ user, session, like *neighbors.Blend }

// newBlends prepares the sources beside a model. Weights take the place of
// those that were chosen in training where they are not nil; a source that the
// version was trained without is left out.
func newBlends(set *tables.Set, weights tables.Weights, index *topk.Index, m *model.Model) (blends, error) {
	if set == nil {
		return blends{}, nil
	}
	sources, err := set.Sources()
	if err != nil {
		return blends{}, fmt.Errorf("prepare sources: %w", err)
	}
	s := set.Settings
	if weights != nil {
		s = tables.Given(weights)
	}
	factors := &neighbors.Factors{Index: index, Model: m, Norms: neighbors.Norms(m)}
	mix := func(w tables.Weights) *neighbors.Blend {
		b := sources.Blend(w, factors)
		if len(b.Sources) == 0 {
			return nil
		}
		return b
	}
	return blends{user: mix(s.User), session: mix(s.Session), like: mix(s.Like)}, nil
}

// search finds the best candidates that sc.without does not hide: by the blend
// of all sources, or by the factors alone.
func (v *View) search(sc *scratch, q question) {
	query := neighbors.Query{History: sc.history, Vector: sc.vector, Hidden: &sc.without, K: sc.want}
	switch {
	case q.similar && v.blends.like != nil:
		query.Cosine, query.Row = true, q.row
		sc.hits = v.blends.like.Rank(query, sc.hits, &sc.mixing)
	case q.similar:
		sc.hits = v.index.Similar(q.row, sc.want, &sc.without, sc.hits, &sc.search)
	case v.blendFor(sc) != nil:
		sc.hits = v.blendFor(sc).Rank(query, sc.hits, &sc.mixing)
	default:
		sc.hits = v.index.Search(sc.vector, sc.want, &sc.without, sc.hits, &sc.search)
	}
}

// blendFor is the mix for a visitor.
func (v *View) blendFor(sc *scratch) *neighbors.Blend {
	if sc.anonymous() {
		return v.blends.session
	}
	return v.blends.user
}

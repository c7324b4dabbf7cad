package view

import (
	"fmt"

	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
	"vitrine/als/topk"
)

// Blends are the mixes of a view's sources: for users, for visitors who are
// known by their session alone, and for what is like an item. A nil one means
// that the factors answer alone.
type Blends struct{ User, Session, Like *neighbors.Blend }

// newBlends prepares the sources beside a model. Weights take the place of
// those that were chosen in training where they are not nil; a source that the
// version was trained without is left out.
func newBlends(set *tables.Set, weights tables.Weights, index *topk.Index, m *model.Model) (Blends, error) {
	if set == nil {
		return Blends{}, nil
	}
	sources, err := set.Sources()
	if err != nil {
		return Blends{}, fmt.Errorf("prepare sources: %w", err)
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
	return Blends{User: mix(s.User), Session: mix(s.Session), Like: mix(s.Like)}, nil
}

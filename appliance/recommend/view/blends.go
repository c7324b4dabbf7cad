package view

import (
	"fmt"

	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
)

// Blends are the mixes of a view's sources: for users, for visitors who are
// known by their session alone, and for what is like an item. A nil one means
// that the factors answer alone.
type Blends struct{ User, Session, Like *neighbors.Blend }

// blends prepares the sources beside the model. Weights take the place of
// those that were chosen in training where they are not nil; a source that the
// version was trained without is left out.
func (v *View) blends(set *tables.Set, weights tables.Weights) (Blends, error) {
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
	factors := &neighbors.Factors{Index: v.Index, Model: v.Model, Norms: v.lengths}
	mix := func(w tables.Weights) *neighbors.Blend {
		b := sources.Blend(w, factors)
		if len(b.Sources) == 0 {
			return nil
		}
		return b
	}
	return Blends{User: mix(s.User), Session: mix(s.Session), Like: mix(s.Like)}, nil
}

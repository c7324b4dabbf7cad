// Package tables is the set of candidate sources that stands beside the factor
// model of one version: all tables of als/neighbors over the model's item
// rows, how they are asked, what each weighs in the blend, and their sections
// in a container (format.go).
//
// It owns the names of the parts and that format. It may import als/neighbors
// and als/model; it knows dense rows, never ids.
//
//	set, err := tables.FromSections(file, "sources")
//	sources, err := set.Sources()
//	hits := sources.Blend(set.Settings.User, factors).Rank(query, hits, &scratch)
package tables

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"vitrine/als/neighbors"
)

// The names of the parts of a blend. Factors is the factor model, the others
// are sources.
const (
	PartFactors     = "als"
	PartSimilar     = "similar"
	PartTransitions = "transitions"
	PartSessions    = "sessions"
	PartPopular     = "popular"
	PartTrending    = "trending"
)

// Parts lists the names in the order in which a blend of a Set adds them up.
func Parts() []string {
	return []string{PartSimilar, PartTransitions, PartSessions, PartPopular, PartTrending, PartFactors}
}

// Weights say what each part of a blend weighs; one that is absent weighs 0.
type Weights map[string]float32

// Check reports the first weight that is no finite number of at least 0, or
// whose name is not that of a part.
func (w Weights) Check() error {
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if !slices.Contains(Parts(), name) {
			return fmt.Errorf("%.40q is no part of a blend; the parts are %s", name, strings.Join(Parts(), ", "))
		}
		if v := w[name]; !(v >= 0 && v <= math.MaxFloat32) {
			return fmt.Errorf("weight %v of %s is not a finite number of at least 0", v, name)
		}
	}
	return nil
}

// FactorsAlone tells whether nothing but the factor model weighs anything.
func (w Weights) FactorsAlone() bool {
	for name, v := range w {
		if name != PartFactors && v > 0 {
			return false
		}
	}
	return w[PartFactors] > 0
}

// String lists the parts that weigh something: "similar 0.35, als 1".
func (w Weights) String() string {
	var parts []string
	for _, name := range Parts() {
		if w[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s %g", name, w[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// Settings say how a Set is asked. They are stored with it.
type Settings struct {
	// Decay is that of neighbors.Lookup for Similar and Transitions; 0 is neighbors.DefaultDecay.
	Decay float32 `json:"decay,omitempty"`
	// KNN is for Sessions.
	KNN neighbors.KNNOptions `json:"knn,omitzero"`
	// User are the weights for users with a history, Session those for
	// visitors who are known by a few items only, and Like those for the items
	// that are like one: there the factors are compared by cosine.
	User    Weights `json:"user"`
	Session Weights `json:"session"`
	Like    Weights `json:"like"`
}

// Given are the settings for weights that somebody has set: they hold for users
// and sessions, and the two of them that tell what is like an item for that.
func Given(w Weights) Settings {
	like := Weights{PartFactors: w[PartFactors], PartSimilar: w[PartSimilar]}
	if like[PartFactors] == 0 && like[PartSimilar] == 0 {
		like[PartFactors] = 1
	}
	return Settings{User: w, Session: w, Like: like}
}

// Set is all sources of one model version, over the model's item rows. A
// nil one was not built. A Set is read-only and safe for concurrent use.
type Set struct {
	// Items is the number of item rows.
	Items       int
	Similar     *neighbors.Table
	Transitions *neighbors.Table
	Sessions    *neighbors.Sessions
	Popular     *neighbors.Ranked
	Trending    *neighbors.Ranked
	Settings    Settings
}

// Bytes is what the tables hold in memory and on disk.
func (t *Set) Bytes() int64 {
	total := int64(0)
	for _, table := range []*neighbors.Table{t.Similar, t.Transitions} {
		if table != nil {
			total += int64(8 * (len(table.Start) + len(table.Items)))
		}
	}
	if s := t.Sessions; s != nil {
		total += int64(8*(len(s.Start)+len(s.Posting)) + 4*(len(s.Items)+len(s.Session)))
	}
	for _, list := range []*neighbors.Ranked{t.Popular, t.Trending} {
		if list != nil {
			total += int64(8 * len(list.Items))
		}
	}
	return total
}

// Check reports the first thing that makes t unusable, for tables that were
// not built here, naming the part.
func (t *Set) Check() error {
	if t.Items < 0 || int64(t.Items) > math.MaxUint32 {
		return fmt.Errorf("%d items", t.Items)
	}
	table := func(table *neighbors.Table) error {
		if table == nil {
			return nil
		}
		if table.Len() != t.Items {
			return fmt.Errorf("%d rows for %d items", table.Len(), t.Items)
		}
		return table.Check()
	}
	list := func(list *neighbors.Ranked) error {
		if list == nil {
			return nil
		}
		return list.Check(t.Items)
	}
	for _, part := range []struct {
		name string
		err  error
	}{
		{PartSimilar, table(t.Similar)},
		{PartTransitions, table(t.Transitions)},
		{PartSessions, t.checkSessions()},
		{PartPopular, list(t.Popular)},
		{PartTrending, list(t.Trending)},
		{"tables", t.Settings.check()},
	} {
		if part.err != nil {
			return fmt.Errorf("%s: %w", part.name, part.err)
		}
	}
	return nil
}

func (t *Set) checkSessions() error {
	if t.Sessions == nil {
		return nil
	}
	if n := t.Sessions.NumItems(); n != t.Items {
		return fmt.Errorf("postings of %d items for %d", n, t.Items)
	}
	return t.Sessions.Check()
}

func (s *Settings) check() error {
	if !(s.Decay >= 0 && s.Decay <= 1) {
		return fmt.Errorf("decay %v is not within 0..1", s.Decay)
	}
	_, err := neighbors.NewSessionKNN(&neighbors.Sessions{}, s.KNN)
	return errors.Join(err, s.User.Check(), s.Session.Check(), s.Like.Check())
}

// Sources are a Set made ready to be asked.
type Sources struct {
	items  int
	byName map[string]neighbors.Source
}

// Sources prepares the tables, which have passed Check.
func (t *Set) Sources() (*Sources, error) {
	s := &Sources{items: t.Items, byName: map[string]neighbors.Source{}}
	if t.Similar != nil {
		s.byName[PartSimilar] = &neighbors.Lookup{Table: t.Similar, Decay: t.Settings.Decay}
	}
	if t.Transitions != nil {
		s.byName[PartTransitions] = &neighbors.Lookup{Table: t.Transitions, Decay: t.Settings.Decay}
	}
	if t.Sessions != nil {
		knn, err := neighbors.NewSessionKNN(t.Sessions, t.Settings.KNN)
		if err != nil {
			return nil, err
		}
		s.byName[PartSessions] = knn
	}
	if t.Popular != nil {
		s.byName[PartPopular] = t.Popular
	}
	if t.Trending != nil {
		s.byName[PartTrending] = t.Trending
	}
	return s, nil
}

// depth asks the factor model for no more items than a query wants. They are
// enough for an exact answer, since no source here has negative scores: an item
// that no source names, behind K others by the factors, is behind those K in
// the sum too. What sources name is scored by the factors in any case.
const depth = 1

// Blend mixes the sources that weigh something and, where there is one, the
// factor model. A source that was not built is left out.
func (s *Sources) Blend(w Weights, f *neighbors.Factors) *neighbors.Blend {
	b := &neighbors.Blend{Items: s.items, Factors: f, Depth: depth}
	if f != nil {
		b.FactorWeight = w[PartFactors]
	}
	for _, name := range Parts() {
		if source := s.byName[name]; source != nil && w[name] > 0 {
			b.Sources = append(b.Sources, neighbors.Weighted{Source: source, Weight: w[name]})
		}
	}
	return b
}

// Names lists the sources that there are, in the order of a blend.
func (s *Sources) Names() []string {
	var names []string
	for _, name := range Parts() {
		if s.byName[name] != nil {
			names = append(names, name)
		}
	}
	return names
}

package recommend

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"vitrine/appliance/recommend/view"
	"vitrine/internal/nearest"
)

// The scenes that are there without configuration: where on a site a list
// stands, and so what it is made of.
const (
	// SceneHome is the visitor's own list.
	SceneHome = "home"
	// SceneProduct is a product's page: what goes with the last item of the
	// session. Without a session it is the visitor's own list.
	SceneProduct = "product"
	// SceneCart is the visitor's own list with the session, the cart, in it,
	// and without the cart's items.
	SceneCart = "cart"
	// SceneBuyAgain is what the visitor has dealt with most, again.
	SceneBuyAgain = "buy-again"
	// SceneTrending is what everybody looks at.
	SceneTrending = "trending"
)

// Presets are the scenes that are there without configuration.
func Presets() []string {
	return []string{SceneHome, SceneProduct, SceneCart, SceneBuyAgain, SceneTrending}
}

// SceneError says that there is no such scene.
type SceneError struct {
	Scene string
	// Known are those that there are.
	Known []string
}

// Error names the scene and the one that was meant.
func (e *SceneError) Error() string {
	text := fmt.Sprintf("there is no scene %.40q; there are %s", e.Scene, strings.Join(e.Known, ", "))
	if near := nearest.Name(e.Scene, e.Known); near != "" {
		text += "; did you mean " + near + "?"
	}
	return text
}

// preset is what a scene's list is made of.
func (e *Engine) preset(scene string) (string, error) {
	if scene == "" {
		return SceneHome, nil
	}
	if preset, configured := e.deps.Scenes[scene]; configured {
		return preset, nil
	}
	if slices.Contains(Presets(), scene) {
		return scene, nil
	}
	return "", &SceneError{scene, e.SceneNames()}
}

// SceneNames are all scenes, those of the configuration last.
func (e *Engine) SceneNames() []string {
	names := Presets()
	for name := range e.deps.Scenes {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names[len(Presets()):])
	return names
}

// ownList tells whether a scene's list is one of the visitor's own taste.
func ownList(preset string) bool { return preset == SceneHome || preset == SceneCart }

// stage turns the question of the visitor's own list into that of the scene.
func (e *Engine) stage(preset string, sc *scratch, q *question) {
	switch preset {
	case SceneProduct:
		if len(sc.session) == 0 {
			return
		}
		item := sc.session[len(sc.session)-1]
		sc.excluded = append(sc.excluded, item)
		*q = e.alike(item, q.view, sc)
		q.filled = true
	case SceneCart:
		sc.excluded = append(sc.excluded, sc.session...)
	case SceneBuyAgain:
		*q = question{view: q.view, given: sc.taste.Items, scores: sc.taste.Scores}
		if sc.taste.Len() == 0 {
			// None are given, which is not the same as that nothing is.
			q.given, q.reason = []uint32{}, ReasonUnknownUser
		}
	case SceneTrending:
		*q = question{view: q.view, reason: ReasonNotPersonalized, filled: true}
		if e.deps.Trends != nil {
			q.reason, q.rank, q.otherwise = "", e.deps.Trends.Trending, ReasonNoTrend
		}
	}
}

// alike asks for items like one; where no model knows it, for those like its
// category and brand.
func (e *Engine) alike(item uint32, v *view.View, sc *scratch) question {
	q := question{view: v, reason: ReasonNoModel, similar: true}
	if v == nil {
		return q
	}
	q.reason = ReasonColdItem
	if row, ok := v.Row(item); ok {
		q.reason, q.row = "", row
		sc.history = append(sc.history[:0], row)
	} else if e.deps.Columns != nil {
		if sc.guess = v.Guess(e.deps.Columns, item, sc.guess); len(sc.guess) > 0 {
			q.reason, q.guess = "", sc.guess
		}
	}
	return q
}

// noItem is the code of an id that the catalogue does not have.
const noItem = ^uint32(0)

// Rank fills resp with the given items in the visitor's order: by the model's
// score, plugins and rules; items that must not be shown are left out. Ids that
// the catalogue does not have come last, as they stood.
func (e *Engine) Rank(ctx context.Context, req *Request, ids []string, resp *Response) error {
	sc := e.begin(ctx, len(ids), req.Now)
	defer e.scratch.Put(sc)
	q, err := e.question(req, sc)
	if err != nil {
		return err
	}
	var unknown []string
	given := make([]uint32, 0, len(ids))
	for _, id := range ids {
		if code, ok := e.deps.Codes.ItemCode(id); !ok {
			unknown = append(unknown, id)
		} else if !slices.Contains(given, code) {
			given = append(given, code)
		}
	}
	reason := q.reason
	q = question{view: q.view, given: given, scores: e.scoresOf(sc, q, given), closed: true}
	e.ready(sc, q)
	if err := e.list(ctx, sc, resp, q); err != nil {
		return err
	}
	for _, id := range unknown {
		resp.Items = append(resp.Items, Item{ID: id, Code: noItem})
	}
	if reason != "" && resp.Source == SourceLive {
		resp.Source, resp.Reason, resp.ModelVersion, resp.ModelAge, resp.Exact = SourcePopular, reason, "", 0, false
	}
	return nil
}

// scoresOf are the scores of given items: the model's for the visitor, 0 for
// those it does not know; without an answer of the model, the popularity.
func (e *Engine) scoresOf(sc *scratch, q question, items []uint32) []float32 {
	scores := make([]float32, len(items))
	if q.reason == "" && q.given == nil {
		e.rankRows(sc, q, items, scores)
		return scores
	}
	sc.popular.Reset()
	e.deps.Popularity.Popular(maxCandidates, &sc.popular)
	for j, item := range items {
		if at := slices.Index(sc.popular.Items, item); at >= 0 {
			scores[j] = sc.popular.Scores[at]
		}
	}
	return scores
}

// rankRows asks the sources for the given items alone: all others are hidden.
func (e *Engine) rankRows(sc *scratch, q question, items []uint32, scores []float32) {
	v := q.view
	asked := make([]uint64, (len(v.Index.Rows())+63)/64)
	place := map[uint32]int{}
	for j, item := range items {
		if row, ok := v.Row(item); ok {
			if at, ok := v.Index.Position(row); ok {
				asked[at/64] |= 1 << (at % 64)
				place[row] = j
			}
		}
	}
	sc.without.Reset(v.Index)
	sc.without.HideOthers(asked)
	sc.want = len(items)
	sc.best(v, q)
	for _, hit := range sc.hits {
		if j, ok := place[hit.Row]; ok {
			scores[j] = hit.Score
		}
	}
}

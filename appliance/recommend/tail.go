package recommend

import (
	"slices"

	"vitrine/appliance/recommend/view"
)

// newPercent of the places are for new items, unless a rule says otherwise.
const newPercent = 10

// freshen gives new items their share of the places of a live list: of every
// so many candidates one is the new item that suits the visitor best, with the
// score of the candidate whose place it takes. Plugins and rules see it there
// like any other.
func (e *Engine) freshen(sc *scratch, q question) {
	if e.deps.News == nil || e.deps.Columns == nil || q.similar || q.given != nil || q.rank != nil || len(sc.vector) == 0 {
		return
	}
	percent, ruled := sc.plan.NewPercent(sc.frame.Now)
	if !ruled {
		percent = newPercent
	}
	places := int(percent / 100 * float64(min(sc.limit, sc.frame.Len())))
	fresh := q.view.Newcomers(e.deps.News, e.deps.Columns, sc.frame.Now)
	weighed := q.view.New != nil && !ruled
	if places == 0 && !weighed || len(fresh.Items) == 0 {
		return
	}
	sc.suited, sc.dots = fresh.Scores(sc.suited, sc.vector, sc.dots)
	if weighed {
		e.mingle(sc, q.view, fresh)
		return
	}
	every := sc.limit / places
	for n := range places {
		best, ok := fresh.Best(sc.suited, func(item uint32) bool { return e.suits(sc, item) })
		at := (n+1)*every - 1
		if !ok || at >= sc.frame.Len() {
			return
		}
		sc.frame.Items = slices.Insert(sc.frame.Items, at, best)
		sc.frame.Scores = slices.Insert(sc.frame.Scores, at, sc.frame.Scores[at])
		sc.frame.Mask = slices.Insert(sc.frame.Mask, at, true)
	}
}

// mingle makes new items candidates by a weight: as for any source of a blend,
// their scores are divided by the highest; beside the factors alone they become
// parts of the list's highest.
func (e *Engine) mingle(sc *scratch, v *view.View, fresh *view.Newcomers) {
	scale := *v.New / slices.Max(sc.suited) // without any above 0 none is added
	if sc.blend(v) == nil {
		scale *= sc.frame.Scores[0]
	}
	for j, item := range fresh.Items {
		if score := fresh.Score(sc.suited, j); score > 0 && e.suits(sc, item) {
			sc.frame.Add(item, scale*score)
		}
	}
	sc.sort()
}

package recommend

import (
	"vitrine/als/topk"
	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/view"
	"vitrine/appliance/rules"
)

// SetRules puts rules into force; requests that run keep those they began with.
func (e *Engine) SetRules(plans *rules.Plans) { e.rules.Store(plans) }

// Allowed tells whether no rule takes an item out of the visitors' own lists at
// now (Unix ms), for lists that were made earlier.
func (e *Engine) Allowed(item uint32, now int64) bool {
	allowed := true
	e.rules.Load().For(SceneHome).Each(rules.Exclude, now, func(f frame.Filter) {
		allowed = allowed && !f.Selection().Has(item)
	})
	return allowed
}

// reach is how many pages of candidates rules that choose among them see, and
// farthest how many candidates at most.
const (
	reach    = 4
	farthest = 400
	// near is reach for rules that take the candidates as they come, and
	// steepest the most that boosts may multiply a score by for that.
	near     = 2
	steepest = 2
	// largestQuota is of how many of one kind a search keeps account.
	largestQuota = 64
)

// candidatesFor is how many candidates the rules see: few where the search itself ranks
// by boosted scores, for any number that fills a page makes the same page.
func (e *Engine) candidatesFor(sc *scratch, q question) int {
	if sc.depth > 0 || sc.why != nil || !sc.plan.Greedy() || !sc.byFactors(q) || sc.blend(q.view) != nil {
		return wide(sc.limit)
	}
	sc.boosts = sc.boosts[:0]
	most, below := 1.0, false
	sc.plan.Boosts(sc.frame.Now, func(f frame.Filter, factor float64) {
		sc.boosts = append(sc.boosts, view.Boost{Selection: f.Selection(), Factor: factor})
		most *= factor
		below = below || factor < 1
	})
	if below || most > steepest {
		return wide(sc.limit)
	}
	foreseen := e.foresee(sc, q.view)
	if len(sc.boosts) > 0 || sc.groups != nil {
		if sc.lift = q.view.Lift(sc.boosts, sc.frame.Now); sc.lift == nil {
			return wide(sc.limit)
		}
		if foreseen {
			return sc.limit
		}
	}
	return min(near*sc.limit, farthest)
}

// foresee settles how far down a search has to go for a page under a quota, and
// tells whether the page will then be full.
func (e *Engine) foresee(sc *scratch, v *view.View) bool {
	sc.goal, sc.groups = topk.Goal{}, nil
	attribute, column, most := sc.plan.Quota(sc.frame.Now)
	if attribute != "" && most < sc.limit {
		if most == 0 || most > largestQuota {
			return false
		}
		sc.groups = v.Groups(attribute, column, sc.frame.Now)
		sc.goal.Capped, sc.goal.Most, sc.goal.Groups = sc.limit, most, sc.groups.Of
	}
	if e.deps.News != nil && e.deps.Columns != nil {
		// Their places are among these.
		sc.goal.Plain = sc.limit
	}
	return sc.plan.Foreseen()
}

func wide(limit int) int { return min(reach*limit, farthest) }

// bestLifted finds the best by boosted scores. It reports false where there are
// too few.
func (sc *scratch) bestLifted(v *view.View) bool {
	sc.goal.K = sc.want
	reached := false
	query := view.Query{User: sc.frame.User, Vector: sc.vector, Goal: sc.goal, Hidden: &sc.without}
	if sc.hits, reached = v.Reach(sc.lift, query, sc.hits, &sc.search); reached {
		return true
	}
	sc.lift, sc.want = nil, max(sc.want, wide(sc.limit))
	return false
}

// rule takes the rules of the scene: what they exclude are conditions of the
// list, what they bury are conditions as long as there is something else, and
// what they pin is kept out of the candidates.
func (e *Engine) rule(scene string, sc *scratch) {
	sc.plan = e.rules.Load().For(scene)
	now := sc.frame.Now
	sc.plan.Each(rules.Exclude, now, func(f frame.Filter) {
		sc.conditions = append(sc.conditions, condition{f.Selection(), false})
	})
	sc.plan.Each(rules.Bury, now, func(f frame.Filter) {
		sc.buried = append(sc.buried, condition{f.Selection(), false})
	})
}

// pin settles which pins this list has, once it is known what it must not hold.
func (e *Engine) pin(sc *scratch) {
	sc.pins = sc.plan.Pins(sc.frame.Now, sc.pins[:0])
	kept := sc.pins[:0]
	for _, pin := range sc.pins {
		if e.suits(sc, pin.Item) {
			kept = append(kept, pin)
		}
	}
	sc.pins = kept
	for _, pin := range kept {
		sc.excluded = append(sc.excluded, pin.Item)
	}
}

// gather finds the candidates: those of the sources, popular ones behind them,
// and the buried ones where there are not enough others: more than a page of
// them, for a quota or a plugin may take these away.
func (e *Engine) gather(sc *scratch, q question) (reason string) {
	open := len(sc.conditions)
	sc.conditions = append(sc.conditions, sc.buried...)
	reason = e.supply(sc, q)
	sc.conditions = sc.conditions[:open]
	if len(sc.buried) > 0 && sc.frame.Len() < sc.want {
		if again := e.supply(sc, q); reason != "" {
			reason = again
		}
	}
	return reason
}

// supply adds candidates that fulfil the conditions and are not there yet.
func (e *Engine) supply(sc *scratch, q question) (reason string) {
	reason = q.reason
	if reason == "" {
		if reason = e.candidates(sc, q); reason == "" {
			e.raise(sc, q)
			e.freshen(sc, q)
		}
	}
	if q.filled || reason != "" && q.given == nil {
		e.fill(sc)
	}
	return reason
}

// raise adds the best of what rules put up, which may lie too far down the
// ranking to be a candidate otherwise. Beside a blend these are the factors'
// best, with the score that the blend gives an item which no source names.
func (e *Engine) raise(sc *scratch, q question) {
	if q.given != nil || q.rank != nil || !sc.plan.Ranks() || sc.lift != nil {
		return
	}
	v := q.view
	scale := sc.factorScale(v, q)
	if scale == 0 {
		return
	}
	add := func(f frame.Filter) {
		sc.raised.Copy(&sc.without)
		for _, hit := range sc.hits {
			sc.raised.Hide(hit.Row)
		}
		v.Hide(&sc.raised, f.Selection(), true)
		first := len(sc.hits)
		sc.more = sc.nearest(v, q, sc.limit, &sc.raised)
		for _, hit := range sc.more {
			sc.hits = append(sc.hits, topk.Hit{Row: hit.Row, Score: hit.Score * scale})
		}
		e.accept(sc, v, sc.hits[first:])
	}
	sc.plan.Each(rules.Boost, sc.frame.Now, add)
	sc.plan.Each(rules.Promote, sc.frame.Now, add)
}

// nearest are the best by the factors alone, in the memory of sc.more.
func (sc *scratch) nearest(v *view.View, q question, k int, mask *topk.Mask) []topk.Hit {
	if q.similar {
		return sc.alike(v, q, k, mask, sc.more)
	}
	return v.Index.Search(sc.vector, k, mask, sc.more, &sc.search)
}

// factorScale is what a score of the factors is multiplied by where they stand
// in a blend; 0 where they have nothing to say.
func (sc *scratch) factorScale(v *view.View, q question) float32 {
	blend := sc.blend(v)
	if q.similar {
		blend = sc.likeness(v, q)
	} else if len(sc.vector) == 0 {
		return 0
	}
	if blend == nil {
		return 1
	}
	sc.more = sc.nearest(v, q, 1, &sc.without)
	if len(sc.more) == 0 || sc.more[0].Score <= 0 {
		return 0
	}
	return blend.FactorWeight / sc.more[0].Score
}

// accept makes candidates of hits that have not just expired.
func (e *Engine) accept(sc *scratch, v *view.View, hits []topk.Hit) {
	for _, hit := range hits {
		if code := v.Codes[hit.Row]; !e.deps.Shelf.Expired(code, sc.frame.Now) {
			sc.frame.Add(code, hit.Score)
		}
	}
}

// pageOfRules is the page that rules make.
func (sc *scratch) pageOfRules() rules.Page {
	return rules.Page{Limit: sc.limit, Offset: sc.offset, Pins: sc.pins, Notes: sc.why.rules()}
}

// arrange lets the rules score the candidates, which are in order, and make the
// page.
func (e *Engine) arrange(sc *scratch, q question) {
	if sc.plan == nil {
		return
	}
	if sc.plan.Score(&sc.frame, sc.why.rules()) {
		sc.sort()
	}
	sc.why.ranked(&sc.frame)
	page := sc.pageOfRules()
	if q.view != nil {
		page.Likeness = q.view
	}
	sc.plan.Arrange(&sc.frame, page, &sc.arranging)
}

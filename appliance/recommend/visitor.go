package recommend

import (
	"slices"

	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/view"
)

// recentPlaces is how many of a history sources that go by order are asked
// with: as many as in training (signal.Places), which must not be known here.
const recentPlaces = 128

// visitor reads who asks and what he did, and returns the reason why there
// can be no live answer, if so.
func (e *Engine) visitor(req *Request, v *view.View, sc *scratch) (reason string) {
	if req.UserID != "" {
		if user, ok := e.deps.Codes.UserCode(req.UserID); ok {
			sc.frame.User = user
		}
	}
	for _, id := range req.Session {
		if code, ok := e.deps.Codes.ItemCode(id); ok {
			sc.session = append(sc.session, code)
		}
	}
	if sc.frame.User == frame.NoUser && len(sc.session) == 0 {
		if len(req.Session) > 0 {
			return ReasonUnknownItems
		}
		return ReasonUnknownUser
	}
	reference := req.Now
	if v != nil {
		reference = v.Reference
	}
	e.deps.History.Weights(sc.frame.User, sc.session, reference, &sc.taste)
	if sc.taste.Len() == 0 {
		return ReasonUnknownUser
	}
	if req.ExcludeSeen {
		sc.excluded = append(sc.excluded, sc.taste.Items...)
		sc.excluded = append(sc.excluded, sc.session...)
	}
	if v == nil {
		return ReasonNoModel
	}
	return ""
}

// know puts what is known of the visitor into the model's terms: his vector,
// and the rows of what he touched last. Either is enough where sources stand
// beside the factors; with a vector the others may be left out for a brief list.
func (e *Engine) know(v *view.View, sc *scratch, brief bool) (reason string) {
	if reason = sc.fold(v); brief && reason == "" {
		sc.shorten(v)
	}
	if sc.blend(v) == nil {
		return reason
	}
	sc.recent = e.deps.History.Places(sc.frame.User, sc.session, recentPlaces, sc.recent[:0])
	for _, code := range sc.recent {
		if row, ok := v.Row(code); ok {
			sc.history = append(sc.history, row)
		}
	}
	if reason != "" && len(sc.history) > 0 {
		sc.vector, reason = sc.vector[:0], ""
	}
	return reason
}

// anonymous tells whether nothing is known of the visitor but his session.
func (sc *scratch) anonymous() bool { return sc.frame.User == frame.NoUser }

// fold computes the visitor's vector from the items that the model knows, or
// takes the one that was kept for the same history: then no rows are looked up,
// which only explanations ask for.
func (sc *scratch) fold(v *view.View) (reason string) {
	rank := v.Model.Rank
	if cap(sc.vector) < rank {
		sc.vector = make([]float32, rank)
	}
	sc.vector = sc.vector[:rank]
	user, taste := sc.frame.User, &sc.taste
	if sc.why != nil || !v.Folded(sc.vector, user, taste.Items, taste.Scores) {
		for j, code := range taste.Items {
			if row, ok := v.Row(code); ok {
				sc.rows = append(sc.rows, row)
				sc.weights = append(sc.weights, taste.Scores[j])
			}
		}
		if len(sc.rows) == 0 {
			sc.vector = sc.vector[:0]
			return ReasonColdUser
		}
		if err := v.FoldIn(sc.vector, sc.rows, sc.weights, &sc.folding); err != nil {
			return ReasonFoldFailed
		}
		v.Keep(sc.vector, user, taste.Items, taste.Scores)
	}
	if !slices.ContainsFunc(sc.vector, func(f float32) bool { return f != 0 }) {
		// All that he did is with items that training could say nothing of:
		// every item would score 0, and the list be their order.
		return ReasonColdUser
	}
	return ""
}

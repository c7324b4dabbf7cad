package recommend

import (
	"cmp"
	"context"
	"slices"

	"vitrine/appliance/frame"
)

// maxCandidates bounds how far a request goes down the catalogue for items
// that the plugins let pass.
const maxCandidates = 4096

// question is what a list answers.
type question struct {
	view *View
	// reason says why there is no live answer; empty when there is one.
	reason string
	// similar asks for items like row, instead of those for the vector.
	similar bool
	row     uint32
	// filled lists are filled up with popular items behind live ones.
	filled bool
}

// list finds the candidates, lets the plugins rank them, and writes the page.
// Where the plugins leave less than a page it goes on with four times as many.
func (e *Engine) list(ctx context.Context, sc *scratch, resp *Response, q question) {
	depth := 0
	if e.deps.Plugins != nil {
		depth = e.deps.Plugins.Depth()
	}
	sc.want, sc.sorts, sc.dropped = max(sc.limit, depth), depth > 0, false
	var reason string
	for {
		reason = q.reason
		if reason == "" {
			reason = e.candidates(sc, q)
		}
		if q.filled || reason != "" {
			e.fill(sc)
		}
		resp.Plugins.Reset()
		if depth == 0 {
			break
		}
		more := sc.frame.Len() >= sc.want && sc.want < maxCandidates
		e.deps.Plugins.Rank(ctx, &sc.frame, &resp.Plugins)
		sc.sort()
		if sc.frame.Len() >= sc.limit || !more || denied(&resp.Plugins) || ctx.Err() != nil {
			break
		}
		sc.want = min(4*sc.want, maxCandidates)
		sc.frame.Items, sc.frame.Scores, sc.frame.Mask = sc.frame.Items[:0], sc.frame.Scores[:0], sc.frame.Mask[:0]
	}
	e.page(sc, resp, reason, q.view)
}

// denied tells whether a plugin that must not be left out dropped everything.
func denied(t *frame.Trace) bool {
	return len(t.Calls) > 0 && t.Calls[len(t.Calls)-1].Status == "denied"
}

// place is a candidate's score and where it stood.
type place struct {
	score float32
	at    int32
}

// sort takes out the dropped candidates and orders the others by their scores,
// equal ones as they were.
func (sc *scratch) sort() {
	f, out := &sc.frame, &sc.ranked
	sc.order = sc.order[:0]
	for i, keep := range f.Mask {
		if keep {
			sc.order = append(sc.order, place{score: f.Scores[i], at: int32(i)})
		}
	}
	sc.dropped = sc.dropped || len(sc.order) < f.Len()
	slices.SortFunc(sc.order, func(a, b place) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.at, b.at))
	})
	out.Items, out.Scores, out.Mask = out.Items[:0], out.Scores[:0], out.Mask[:0]
	for _, p := range sc.order {
		out.Add(f.Items[p.at], p.score)
	}
	f.Items, out.Items = out.Items, f.Items
	f.Scores, out.Scores = out.Scores, f.Scores
	f.Mask, out.Mask = out.Mask, f.Mask
}

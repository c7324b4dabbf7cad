package recommend

import (
	"context"
	"math"
	"slices"

	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/pace"
	"vitrine/appliance/recommend/view"
)

// maxCandidates is how many candidates plugins are shown at once.
const maxCandidates = 4096

// question is what a list answers.
type question struct {
	view *view.View
	// reason says why there is no live answer; empty when there is one.
	reason string
	// similar asks for items like row, instead of those for the vector; like its
	// kin where guess is not nil, for no model knows it.
	similar bool
	row     uint32
	guess   []float32
	// filled lists are filled up with popular items behind live ones.
	filled bool
	// rank is the list itself, which needs no view; where it is empty otherwise
	// is the reason.
	rank      ranking
	otherwise string
	// given are the only candidates there are, where it is not nil, and scores
	// theirs.
	given  []uint32
	scores []float32
	// closed lists hold nothing that was not given, not even what is pinned.
	closed bool
}

// ready settles what a list needs before its first search.
func (e *Engine) ready(sc *scratch, q question) {
	sc.depth = 0
	if e.deps.Plugins != nil {
		sc.depth = e.deps.Plugins.Depth()
	}
	sc.frame.Seed = seed(sc.frame.User, sc.frame.Now)
	if !q.closed {
		e.pin(sc)
	}
	sc.want, sc.dropped, sc.lift = max(sc.limit, sc.depth), false, nil
	if sc.plan.Ranks() {
		sc.want = max(sc.want, e.candidatesFor(sc, q))
	}
	sc.sorts = sc.depth > 0 || sc.plan.Ranks() || q.given != nil || sc.why != nil
}

// list finds the candidates, lets plugins and rules rank them, and writes the
// page. Where these leave less than a page it goes on with four times as many,
// and at last with what is behind them.
//
// It fails where there is no time left for rules. They and the page cost so little
// that they are finished, however late, and are never left out.
func (e *Engine) list(ctx context.Context, sc *scratch, resp *Response, q question) error {
	resp.Plugins.Reset()
	var reason string
	for {
		reason = e.gather(sc, q)
		e.force(sc, q)
		more := sc.frame.Len() >= sc.want && sc.want < maxCandidates
		full := sc.frame.Len() >= maxCandidates && q.given == nil
		if full {
			sc.deep.looked = append(sc.deep.looked[:0], sc.frame.Items...)
		}
		e.plug(ctx, sc, resp)
		if full {
			empty(&sc.deep.passed)
			add(&sc.deep.passed, &sc.frame)
		}
		if err := sc.inTime(); err != nil {
			return err
		}
		e.arrange(sc, q)
		if full && sc.sorts && sc.frame.Len() < sc.limit {
			e.deepen(ctx, sc, resp, q)
			break
		}
		if !sc.sorts || !more || sc.frame.Len() >= sc.limit || denied(&resp.Plugins) || ctx.Err() != nil || sc.hasten() {
			break
		}
		if sc.lift != nil && sc.groups != nil && sc.plan.Foreseen() {
			sc.groups.Doubt()
		}
		sc.want = min(4*sc.want, maxCandidates)
		empty(&sc.frame)
	}
	sc.plan.Rest(&sc.frame, sc.pageOfRules())
	e.page(sc, resp, reason, q)
	return nil
}

// inTime says whether there is time left for rules. Candidates may also have that
// of plugins where there are none.
func (sc *scratch) inTime() error {
	switch {
	case !sc.clock.Over(pace.Page):
		return nil
	case sc.depth == 0 || sc.hurried:
		return &pace.Late{Stage: pace.Candidates}
	}
	return &pace.Late{Stage: pace.Plugins}
}

// hasten tells whether plugins are to be shown no further candidates: each round
// has their budget of its own, and a short page in time is better than a full one
// late. Rules alone cost so little that a page is filled for them however long the
// machine was busy with others.
func (sc *scratch) hasten() bool { return sc.depth > 0 && sc.clock.Over(pace.Candidates) }

// plug lets the plugins rank the candidates.
func (e *Engine) plug(ctx context.Context, sc *scratch, resp *Response) {
	sc.trace.Reset()
	sc.trace.Watch = nil
	if sc.why != nil {
		sc.why.begin(&sc.frame)
		sc.trace.Watch = sc.why.watch
	}
	if sc.depth > 0 {
		sc.hurried = sc.clock.Over(pace.Candidates)
		sc.until = pace.Until{Context: ctx, At: sc.clock.End(pace.Plugins)}
		e.deps.Plugins.Rank(&sc.until, &sc.frame, &sc.trace)
		sc.until.Context = nil
		addRound(&resp.Plugins, &sc.trace)
	}
	if sc.sorts {
		sc.sort()
	}
}

// addRound adds a round's calls to a request's: the same plugins in the same
// order, so their times add up, and the last status stands.
func addRound(sum, round *frame.Trace) {
	for i, c := range round.Calls {
		if i < len(sum.Calls) && sum.Calls[i].Name == c.Name && sum.Calls[i].Stage == c.Stage {
			c.Micros += sum.Calls[i].Micros
			sum.Calls[i] = c
			continue
		}
		sum.Calls = append(sum.Calls, c)
	}
}

// seed is what plugins may draw from: the same for a user at one time, other
// for the next request (splitmix64's finalizer).
func seed(user uint32, now int64) uint64 {
	x := uint64(user)<<40 ^ uint64(now)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// denied tells whether a plugin that must not be left out dropped everything.
func denied(t *frame.Trace) bool {
	return len(t.Calls) > 0 && t.Calls[len(t.Calls)-1].Status == "denied"
}

// sort takes out the dropped candidates and orders the others by their scores,
// equal ones as they were, those without a number last. A candidate is one key:
// the bits of its score, so that they rise as scores fall, and its place.
func (sc *scratch) sort() {
	f, out := &sc.frame, &sc.ranked
	sc.order = sc.order[:0]
	for i, keep := range f.Mask {
		if keep {
			sc.order = append(sc.order, falling(f.Scores[i])<<32|uint64(i))
		}
	}
	sc.dropped = sc.dropped || len(sc.order) < f.Len()
	slices.Sort(sc.order)
	out.Items, out.Scores, out.Mask = out.Items[:0], out.Scores[:0], out.Mask[:0]
	for _, key := range sc.order {
		at := uint32(key)
		out.Add(f.Items[at], f.Scores[at])
	}
	f.Items, out.Items = out.Items, f.Items
	f.Scores, out.Scores = out.Scores, f.Scores
	f.Mask, out.Mask = out.Mask, f.Mask
}

// falling rises as scores fall; 0 and -0 are the same.
func falling(score float32) uint64 {
	bits := math.Float32bits(score + 0)
	switch {
	case score != score:
		return math.MaxUint32
	case bits>>31 != 0:
		return uint64(bits)
	}
	return uint64(^bits &^ (1 << 31))
}

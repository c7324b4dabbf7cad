package recommend

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"vitrine/appliance/frame"
	"vitrine/appliance/rules"
)

// Explain is how much a list tells of itself.
type Explain uint8

// What a request may ask to have explained.
const (
	ExplainNone Explain = iota
	// ExplainItems tells for each item which of the visitor's own items carried
	// it.
	ExplainItems
	// ExplainPlugins tells for each item what plugins and rules changed.
	ExplainPlugins
)

// Reason is one thing that brought an item to its place.
type Reason struct {
	// Kind is "item", "rest", "plugin" or "rule".
	Kind string
	// Name is the id of the visitor's item, or the plugin's or rule's name.
	Name string
	// Change is what it added to the score.
	Change float32
}

// maxShares is how many of the visitor's items are named for one item; what the
// others add is summed up.
const maxShares = 20

// why gathers what a list is to be explained with; nil where nothing is.
type why struct {
	what   Explain
	notes  rules.Notes
	calls  []pluginNote
	scores []float32
	keep   []bool
	// forced is a candidate that is looked at however far down it stands.
	forced    uint32
	hasForced bool
	// seen and excluded are what is known of the forced item beforehand.
	seen, excluded bool
	// place is the forced item's among the candidates by score, from 1; 0 where it
	// is none.
	place int
}

// pluginNote is what a plugin did to a candidate.
type pluginNote struct {
	item    uint32
	plugin  string
	change  float32
	dropped bool
}

func (w *why) rules() *rules.Notes {
	if w == nil {
		return nil
	}
	return &w.notes
}

// begin remembers how the candidates stand before the plugins.
func (w *why) begin(f *frame.Frame) {
	w.notes.List, w.calls = w.notes.List[:0], w.calls[:0]
	w.scores = append(w.scores[:0], f.Scores...)
	w.keep = append(w.keep[:0], f.Mask...)
}

// watch notes what one plugin changed.
func (w *why) watch(call *frame.Call, f *frame.Frame) {
	for j, item := range f.Items {
		dropped := w.keep[j] && !f.Mask[j]
		if change := f.Scores[j] - w.scores[j]; change != 0 || dropped {
			w.calls = append(w.calls, pluginNote{item, call.Name, change, dropped})
		}
	}
	copy(w.scores, f.Scores)
	copy(w.keep, f.Mask)
}

// ranked notes where the forced item stands before the rules make the page.
func (w *why) ranked(f *frame.Frame) {
	if w != nil && w.hasForced {
		w.place = slices.Index(f.Items, w.forced) + 1
	}
}

// force makes the forced item a candidate where it is none.
func (e *Engine) force(sc *scratch, q question) {
	w := sc.why
	if w == nil || !w.hasForced || slices.Contains(sc.frame.Items, w.forced) {
		return
	}
	var score [1]float32
	if q.reason == "" && !q.similar && q.given == nil && len(sc.vector) > 0 {
		if row, ok := q.view.Row(w.forced); ok {
			q.view.Model.Scores(score[:], sc.vector, []uint32{row})
			score[0] *= sc.factorScale(q.view, q)
		}
	}
	sc.frame.Add(w.forced, score[0])
}

// reasons explains an item of the page.
func (e *Engine) reasons(sc *scratch, q question, item uint32) []Reason {
	var out []Reason
	switch sc.why.what {
	case ExplainItems:
		out = e.shares(sc, q, item)
	case ExplainPlugins:
		for _, c := range sc.why.calls {
			if c.item == item {
				out = append(out, Reason{"plugin", c.plugin, c.change})
			}
		}
		for _, n := range sc.why.notes.List {
			if n.Item == item {
				out = append(out, Reason{"rule", n.Rule, n.Change})
			}
		}
	}
	return out
}

// shares splits the model's score of an item over the visitor's items, largest
// first. It is exact: with the rest they sum up to the score.
func (e *Engine) shares(sc *scratch, q question, item uint32) []Reason {
	if len(sc.rows) == 0 || len(sc.vector) == 0 || q.view == nil || q.similar || q.given != nil {
		return nil
	}
	row, known := q.view.Row(item)
	if !known {
		return nil
	}
	shares := make([]float32, len(sc.rows))
	if err := q.view.Split(shares, sc.rows, sc.weights, row, &sc.folding); err != nil {
		return nil // a sound model does not let it happen; there is no reason to give then
	}
	out := make([]Reason, len(shares))
	for j, share := range shares {
		out[j] = Reason{"item", e.deps.Codes.ItemID(q.view.Codes[sc.rows[j]]), share}
	}
	slices.SortStableFunc(out, func(a, b Reason) int {
		return cmp.Compare(math.Abs(float64(b.Change)), math.Abs(float64(a.Change)))
	})
	rest := q.view.Model.ItemBias(int(row))
	for _, r := range out[min(len(out), maxShares):] {
		rest += r.Change
	}
	out = out[:min(len(out), maxShares)]
	if rest != 0 {
		out = append(out, Reason{Kind: "rest", Change: rest})
	}
	return out
}

// The stages at which an item may drop out.
const (
	StageSource = "source"
	StageSeen   = "seen"
	StageFilter = "filter"
	StagePlugin = "plugin"
	StageRules  = "rules"
	StageLimit  = "limit"
)

// Explanation says why an item is in a list, or why not.
type Explanation struct {
	// Rank is its place, 0 when it is not in the list.
	Rank int
	// Stage is where it dropped out, empty when it is in the list, and Detail
	// says why in words.
	Stage, Detail string
	// Score is the model's own for this visitor and ModelRank its place in the
	// whole catalogue by that score, 0 where there is none.
	Score     float32
	ModelRank int
	// Reasons are the visitor's items that carry the score, then what plugins
	// and rules changed.
	Reasons []Reason
	// List is the list that the request got.
	List Response
}

// Explain answers req and says what became of one item. It returns
// ErrUnknownItem for an item without a code.
func (e *Engine) Explain(ctx context.Context, req *Request, itemID string, out *Explanation) error {
	code, ok := e.deps.Codes.ItemCode(itemID)
	if !ok {
		return ErrUnknownItem
	}
	list := *req
	list.RequestID, list.Explain = "", ExplainPlugins
	*out = Explanation{}
	if err := e.Recommend(ctx, &list, &out.List); err != nil {
		return err
	}
	sc := e.begin(ctx, req.Limit, req.Now)
	defer e.scratch.Put(sc)
	q, err := e.question(&list, sc)
	if err != nil {
		return err
	}
	sc.why.forced, sc.why.hasForced = code, true
	var forced Response
	sc.why.seen = slices.Contains(sc.taste.Items, code) || slices.Contains(sc.session, code)
	sc.why.excluded = slices.Contains(sc.excluded, code)
	e.ready(sc, q)
	if err := e.list(ctx, sc, &forced, q); err != nil {
		return err
	}

	out.Reasons = append(e.shares(sc, q, code), e.reasons(sc, q, code)...)
	out.Score, out.ModelRank = modelRank(sc, q, code)
	for j := range out.List.Items {
		if out.List.Items[j].Code == code {
			out.Rank = j + 1
			return nil
		}
	}
	out.Stage, out.Detail = e.dropped(&list, sc, q)
	return nil
}

// dropped finds the first stage that the forced item does not pass.
func (e *Engine) dropped(req *Request, sc *scratch, q question) (stage, detail string) {
	now, code := sc.frame.Now, sc.why.forced
	if e.deps.Shelf.Expired(code, now) {
		return StageFilter, "the item is not available now: it was deleted, or see its expires_at and available_from"
	}
	if id := e.deps.Codes.ItemID(code); slices.Contains(req.Exclude, id) {
		return StageFilter, "the request excludes the item"
	}
	if slices.Contains(sc.before, code) {
		return StageFilter, "the item is on a page before"
	}
	if sc.why.excluded && sc.why.seen {
		return StageSeen, "the visitor has dealt with the item, and the request leaves out what was seen"
	}
	if req.Filter != "" {
		if f, err := e.deps.Filters.Filter(req.Filter); err == nil && !f.Selection().Has(code) {
			detail = "the item does not pass the request's filter"
			if names := sc.unknown(); len(names) > 0 {
				detail += ": no item has an attribute " + strings.Join(names, ", nor ")
			}
			return StageFilter, detail
		}
	}
	by := ""
	name := func(label string, f frame.Filter) {
		if by == "" && f.Selection().Has(code) {
			by = label
		}
	}
	if sc.plan.Named(rules.Exclude, now, name); by != "" {
		return StageRules, "excluded by " + by
	}
	if i := slices.IndexFunc(sc.pins, func(p rules.Place) bool { return p.Item == code }); i >= 0 {
		return StageRules, fmt.Sprintf("pinned to place %d, which this page does not have", sc.pins[i].Slot)
	}
	for _, c := range sc.why.calls {
		if c.item == code && c.dropped {
			return StagePlugin, "dropped by " + c.plugin
		}
	}
	for _, n := range sc.why.notes.List {
		if n.Item == code && n.Dropped {
			return StageRules, "held back by " + n.Rule
		}
	}
	if sc.plan.Named(rules.Bury, now, name); by != "" {
		return StageRules, "buried by " + by
	}
	if q.given != nil && !slices.Contains(q.given, code) {
		return StageSource, "the scene lists what the visitor has dealt with"
	}
	if q.reason == "" && q.view != nil {
		if _, known := q.view.Row(code); !known {
			return StageSource, "the model does not know the item yet"
		}
	}
	if by := sc.plan.Choosers(now); len(by) > 0 && 0 < sc.why.place && sc.why.place <= sc.limit {
		return StageRules, fmt.Sprintf("at place %d by its score, but others are put before it by %s", sc.why.place, strings.Join(by, ", "))
	}
	return StageLimit, "other items rank higher"
}

// modelRank is the model's score of an item for the visitor, and how it ranks
// among all items by that score.
func modelRank(sc *scratch, q question, code uint32) (score float32, rank int) {
	if q.reason != "" || q.view == nil || q.similar || q.given != nil || len(sc.vector) == 0 {
		return 0, 0
	}
	row, known := q.view.Row(code)
	if !known {
		return 0, 0
	}
	var one [1]float32
	q.view.Model.Scores(one[:], sc.vector, []uint32{row})
	score, rank = one[0], 1
	for other := range uint32(len(q.view.Codes)) {
		if q.view.Model.Scores(one[:], sc.vector, []uint32{other}); one[0] > score {
			rank++
		}
	}
	return score, rank
}

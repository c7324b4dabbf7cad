package rules

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/appliance/frame"
	"vitrine/internal/expr"
)

// Shop is what rules ask about items.
type Shop interface {
	// Filter compiles a condition on items.
	Filter(text string) (frame.Filter, error)
	// Column is an attribute by item, nil where no item ever had it.
	Column(scope frame.Scope, name string) frame.Column
	// ItemCode is the code of an item, if it has one.
	ItemCode(id string) (uint32, bool)
	// Listed is when something was first put of an item, in Unix milliseconds;
	// 0 means never.
	Listed(item uint32) int64
}

// step is a rule made ready.
type step struct {
	Rule
	// number is the rule's place, from 1.
	number      int
	from, until int64
	filter      frame.Filter // nil: all items
	// span is HalfLife, Window or Every in milliseconds.
	span int64
}

// in tells whether the rule is in force at now (Unix ms).
func (s *step) in(now int64) bool { return s.from <= now && (s.until == 0 || now < s.until) }

// label is what explanations call the rule.
func (s *step) label() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Action + " (rule " + strconv.Itoa(s.number) + ")"
}

// Plan is the rules of one scene, made ready. It is immutable; a nil plan has
// no rules.
type Plan struct {
	shop Shop
	// actions are those that there are rules of: so few that a map is slower.
	actions []action
	shown   *Shown
	// ranks and greedy are what Ranks and Greedy tell.
	ranks, greedy bool
}

// action has the steps of an action in the order of the rules.
type action struct {
	name  string
	steps []*step
}

// of are the steps of an action.
func (p *Plan) of(name string) []*step {
	for i := range p.actions {
		if p.actions[i].name == name {
			return p.actions[i].steps
		}
	}
	return nil
}

// add puts a step behind those of its action.
func (p *Plan) add(s *step) {
	at := slices.IndexFunc(p.actions, func(a action) bool { return a.name == s.Action })
	if at < 0 {
		at = len(p.actions)
		p.actions = append(p.actions, action{name: s.Action})
	}
	p.actions[at].steps = append(p.actions[at].steps, s)
}

// Plans are the rules of every scene.
type Plans struct {
	// general are the rules without a scene, which every scene has.
	general *Plan
	byScene map[string]*Plan
}

// Compile makes rules ready. Its error is Faults: those that Parse found, and
// every filter that does not compile, by rule. Shown counts what was served, for
// caps.
func Compile(list []Rule, faults Faults, shop Shop, shown *Shown) (*Plans, error) {
	steps := make([]*step, len(list))
	for j := range list {
		s := &step{Rule: list[j], number: j + 1}
		steps[j] = s
		// Parse has looked at these.
		s.from, _ = parseTime(s.From)
		s.until, _ = parseTime(s.Until)
		for _, text := range []string{s.HalfLife, s.Window, s.Every} {
			if span, err := parseSpan(text); err == nil {
				s.span = span.Milliseconds()
			}
		}
		text := s.condition()
		if text == "" {
			continue
		}
		var err error
		if s.filter, err = shop.Filter(text); err != nil {
			fault := Fault{Rule: j + 1, Field: "filter", Detail: err.Error()}
			if syntax := (*expr.SyntaxError)(nil); errors.As(err, &syntax) {
				fault.Position = syntax.Character
			}
			faults = append(faults, fault)
			continue
		}
		s.filter.Ready(time.Time{}) // rather now than by the first request
	}
	if faults != nil {
		slices.SortStableFunc(faults, func(a, b Fault) int { return a.Rule - b.Rule })
		return nil, faults
	}
	plan := func(scene string) *Plan {
		p := &Plan{shop: shop, shown: shown}
		for _, s := range steps {
			if s.Scene == "" || s.Scene == scene {
				p.add(s)
			}
		}
		if len(p.actions) == 0 {
			return nil
		}
		p.ranks = p.any(Boost, Quota, Diversity, Freshness, Promote, Cap, Rotate)
		p.greedy = !p.any(Diversity, Freshness, Promote, Rotate)
		return p
	}
	plans := &Plans{general: plan(""), byScene: map[string]*Plan{}}
	for _, s := range steps {
		if s.Scene != "" && plans.byScene[s.Scene] == nil {
			plans.byScene[s.Scene] = plan(s.Scene)
		}
	}
	return plans, nil
}

// condition is the rule's items as a filter's text; a pin has none.
func (r *Rule) condition() string {
	ids := r.ItemIDs
	switch {
	case r.Action == Pin:
		return ""
	case r.ItemID != "":
		ids = []string{r.ItemID}
	case len(ids) == 0:
		return r.Filter
	}
	quoted := make([]string, len(ids))
	for j, id := range ids {
		quoted[j] = strconv.QuoteToASCII(id)
	}
	return "item_id in [" + strings.Join(quoted, ",") + "]"
}

// For is the plan of a scene, nil where there are no rules.
func (p *Plans) For(scene string) *Plan {
	if p == nil {
		return nil
	}
	if own := p.byScene[scene]; own != nil {
		return own
	}
	return p.general
}

// Each calls do with the filter of each rule of an action that is in force.
func (p *Plan) Each(action string, now int64, do func(f frame.Filter)) {
	if p == nil {
		return
	}
	for _, s := range p.of(action) {
		if s.in(now) && s.filter != nil {
			do(s.filter)
		}
	}
}

// Named is Each with what explanations call the rule.
func (p *Plan) Named(action string, now int64, do func(label string, f frame.Filter)) {
	if p == nil {
		return
	}
	for _, s := range p.of(action) {
		if s.in(now) && s.filter != nil {
			do(s.label(), s.filter)
		}
	}
}

// Choosers are what explanations call the rules in force that give places to
// others than the best by score: pins, promotions and diversity.
func (p *Plan) Choosers(now int64) (labels []string) {
	if p == nil {
		return nil
	}
	for _, action := range []string{Pin, Promote, Diversity} {
		for _, s := range p.of(action) {
			if s.in(now) {
				labels = append(labels, s.label())
			}
		}
	}
	return labels
}

// Place is an item's place in a list, from 1.
type Place struct {
	Item uint32
	Slot int
}

// Pins adds to dst the items that rules put into places, by place; of several
// for one place, or places of one item, the first rule counts.
func (p *Plan) Pins(now int64, dst []Place) []Place {
	if p == nil {
		return dst
	}
	first := len(dst)
	for _, s := range p.of(Pin) {
		item, known := p.shop.ItemCode(s.ItemID)
		if !known || !s.in(now) {
			continue
		}
		if slices.ContainsFunc(dst[first:], func(o Place) bool { return o.Slot == s.Slot || o.Item == item }) {
			continue
		}
		dst = append(dst, Place{item, s.Slot})
	}
	slices.SortFunc(dst[first:], func(a, b Place) int { return a.Slot - b.Slot })
	return dst
}

// any tells whether there is a rule of one of the actions.
func (p *Plan) any(actions ...string) bool {
	return slices.ContainsFunc(actions, func(a string) bool { return len(p.of(a)) > 0 })
}

// Ranks tells whether any rule changes scores or chooses among candidates, so
// that more of them are wanted than a page has.
func (p *Plan) Ranks() bool { return p != nil && p.ranks }

// Greedy tells whether the rules can be kept by taking the candidates one after
// the other, best first by boosted scores: from any number of the best that fills
// a page the page is the same.
func (p *Plan) Greedy() bool { return p != nil && p.greedy }

// Boosts calls do with each boost in force.
func (p *Plan) Boosts(now int64, do func(f frame.Filter, factor float64)) {
	if p == nil {
		return
	}
	for _, s := range p.of(Boost) {
		if s.in(now) {
			do(s.filter, s.Factor)
		}
	}
}

// NewPercent is the percentage of places for items that no model knows; false
// where no rule says it.
func (p *Plan) NewPercent(now int64) (float64, bool) {
	if p == nil {
		return 0, false
	}
	for _, s := range p.of(Freshness) {
		if s.in(now) && s.Percent > 0 {
			return s.Percent, true
		}
	}
	return 0, false
}

// Quota is the first quota in force, and the column of what it is on; attribute
// is empty where there is none that any item falls under.
func (p *Plan) Quota(now int64) (attribute string, column frame.Column, most int) {
	for _, s := range p.of(Quota) {
		if s.in(now) {
			if column = p.shop.Column(frame.ItemScope, s.Attribute); column != nil {
				return s.Attribute, column, s.Most
			}
		}
	}
	return "", nil, 0
}

// Foreseen tells whether it is known beforehand how many candidates fill a page,
// by the first quota alone.
func (p *Plan) Foreseen() bool { return len(p.of(Quota)) <= 1 && len(p.of(Cap)) == 0 }

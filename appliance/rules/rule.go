// Package rules holds an operator's business rules as data: what is put up,
// down, out, into a place or under a quota, per scene and in a span of time.
//
// It owns the form of a rule and its faults, the file of rules and its versions,
// and what rules do to a frame of candidates. Filters, attribute columns and
// likeness come through interfaces over frame; it must not import recommend,
// catalog or anything of als.
//
//	list, faults := rules.Parse(body, scenes)
//	plans, err := rules.Compile(list, faults, shop, &shown)
//	plans.For("home").Arrange(&candidates, page, &scratch)
package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/nearest"
)

// The actions.
const (
	// Boost multiplies scores by Factor; below 1 it puts items down.
	Boost = "boost"
	// Bury puts items behind all others.
	Bury = "bury"
	// Exclude takes items out.
	Exclude = "exclude"
	// Pin puts one item into the place Slot.
	Pin = "pin"
	// Quota allows Most items of a page for each value of Attribute.
	Quota = "quota"
	// Diversity trades score for unlikeness to the items before, by Strength
	// (maximal marginal relevance).
	Diversity = "diversity"
	// Freshness multiplies scores by 1 + Strength * 2^(-age/HalfLife), and sets
	// the Percent of places that items unknown to the model get.
	Freshness = "freshness"
	// Promote gives items Percent of the places.
	Promote = "promote"
	// Cap shows an item to one user at most Times within Window.
	Cap = "cap"
	// Rotate varies scores by up to Strength, anew Every so often.
	Rotate = "rotate"
)

// Bounds of a set of rules.
const (
	MaxRules   = 500
	MaxItems   = 1000 // of one rule
	MaxSlot    = 500
	maxText    = 256
	maxPercent = 100
)

// Rule is one rule. Which fields count depends on the action.
type Rule struct {
	Action string `json:"action"`
	// Name is what explanations call the rule.
	Name string `json:"name,omitempty"`
	// Scene limits the rule to one scene; empty means all.
	Scene string `json:"scene,omitempty"`
	// From and Until limit it to a span of time (RFC 3339).
	From  string `json:"from,omitempty"`
	Until string `json:"until,omitempty"`
	// Filter, ItemID and ItemIDs name the items.
	Filter  string   `json:"filter,omitempty"`
	ItemID  string   `json:"item_id,omitempty"`
	ItemIDs []string `json:"item_ids,omitempty"`

	Slot      int     `json:"slot,omitempty"`
	Factor    float64 `json:"factor,omitempty"`
	Attribute string  `json:"attribute,omitempty"`
	Most      int     `json:"most,omitempty"`
	Strength  float64 `json:"strength,omitempty"`
	HalfLife  string  `json:"half_life,omitempty"`
	Percent   float64 `json:"percent,omitempty"`
	Times     int     `json:"times,omitempty"`
	Window    string  `json:"window,omitempty"`
	Every     string  `json:"every,omitempty"`
}

// form says which fields an action takes besides action, name, scene, from and
// until.
type form struct{ needs, takes []string }

// items stands for one of filter, item_id and item_ids.
const items = "filter"

func forms() map[string]form {
	return map[string]form{
		Boost:     {needs: []string{items, "factor"}},
		Bury:      {needs: []string{items}},
		Exclude:   {needs: []string{items}},
		Pin:       {needs: []string{"item_id", "slot"}},
		Quota:     {needs: []string{"attribute", "most"}},
		Diversity: {needs: []string{"strength"}},
		Freshness: {takes: []string{"strength", "half_life", "percent"}},
		Promote:   {needs: []string{items, "percent"}},
		Cap:       {needs: []string{"times", "window"}, takes: []string{items}},
		Rotate:    {needs: []string{"every", "strength"}},
	}
}

// Fault is one thing wrong with a set of rules.
type Fault struct {
	// Rule is the rule's place, from 1; 0 is the document as a whole.
	Rule int
	// Field is the rule's field, where one is at fault.
	Field  string
	Detail string
	// Position is where in a filter the fault is, in characters from 1; 0 is
	// nowhere.
	Position int
}

// Error says where and what.
func (f Fault) Error() string {
	switch {
	case f.Rule == 0:
		return f.Detail
	case f.Field == "":
		return fmt.Sprintf("rule %d: %s", f.Rule, f.Detail)
	}
	return fmt.Sprintf("rule %d: %s: %s", f.Rule, f.Field, f.Detail)
}

// Faults are all that is wrong with a set of rules.
type Faults []Fault

// Error lists the faults.
func (fs Faults) Error() string {
	texts := make([]string, len(fs))
	for j, f := range fs {
		texts[j] = f.Error()
	}
	return strings.Join(texts, "; ")
}

// reader gathers the faults of one document.
type reader struct {
	scenes []string
	rule   int
	faults Faults
}

func (r *reader) fault(field, format string, args ...any) {
	r.faults = append(r.faults, Fault{Rule: r.rule, Field: field, Detail: fmt.Sprintf(format, args...)})
}

// Parse reads {"rules":[...]} and finds all that is wrong with it but what is
// wrong within filters, which Compile finds. Scenes are the names that a rule's
// scene may have.
func Parse(body []byte, scenes []string) ([]Rule, Faults) {
	r := &reader{scenes: scenes}
	var doc struct {
		Rules *[]map[string]json.RawMessage `json:"rules"`
		// Version and changed time stand in what was shown; they are given anew.
		Version   int64  `json:"version"`
		ChangedAt string `json:"changed_at"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(&doc)
	switch {
	case err == nil && dec.More():
		r.fault("", "there is something after the document")
	case err != nil:
		r.fault("", "not a set of rules: %v; it looks like {\"rules\":[{\"action\":\"bury\",\"filter\":\"stock == 0\"}]}", err)
	case doc.Rules == nil:
		r.fault("", "rules is missing; {\"rules\":[]} takes all rules away")
	case len(*doc.Rules) > MaxRules:
		r.fault("", "%d rules, the most is %d", len(*doc.Rules), MaxRules)
	}
	if r.faults != nil {
		return nil, r.faults
	}
	out := make([]Rule, len(*doc.Rules))
	for j, raw := range *doc.Rules {
		r.rule = j + 1
		out[j] = r.read(raw)
	}
	return out, r.faults
}

// read reads one rule.
func (r *reader) read(raw map[string]json.RawMessage) Rule {
	var rule Rule
	actions := forms()
	if err := json.Unmarshal(raw["action"], &rule.Action); err != nil {
		r.fault("action", "is missing or no text; there are %s", strings.Join(sortedKeys(actions), ", "))
		return rule
	}
	shape, known := actions[rule.Action]
	if !known {
		detail := fmt.Sprintf("there is no action %.40q", rule.Action)
		if near := nearest.Name(rule.Action, sortedKeys(actions)); near != "" {
			detail += "; did you mean " + near + "?"
		}
		r.fault("action", "%s", detail)
		return rule
	}
	r.fields(raw, shape, rule.Action)
	for _, name := range sortedKeys(raw) {
		value := raw[name]
		// One by one, so that each field of a wrong type is named.
		one, err := json.Marshal(map[string]json.RawMessage{name: value})
		if err == nil {
			err = json.Unmarshal(one, &rule)
		}
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			r.fault(name, "must be %s, not %s", kindOf(name), wrong.Value)
			delete(raw, name)
		} else if err != nil {
			r.fault(name, "%v", err)
		}
	}
	r.check(&rule, raw)
	return rule
}

func kindOf(name string) string {
	switch name {
	case "slot", "most", "times":
		return "a whole number"
	case "factor", "strength", "percent":
		return "a number"
	case "item_ids":
		return "an array of texts"
	}
	return "a text"
}

// fields holds the names in a rule against what its action takes.
func (r *reader) fields(raw map[string]json.RawMessage, shape form, action string) {
	allowed := []string{"action", "name", "scene", "from", "until"}
	for _, name := range slices.Concat(shape.needs, shape.takes) {
		if name == items {
			allowed = append(allowed, "filter", "item_id", "item_ids")
		} else {
			allowed = append(allowed, name)
		}
	}
	for _, name := range sortedKeys(raw) {
		if slices.Contains(allowed, name) {
			continue
		}
		detail := action + " has no such field"
		if near := nearest.Name(name, allowed); near != "" {
			detail += "; did you mean " + near + "?"
		}
		r.fault(name, "%s", detail)
	}
	for _, name := range shape.needs {
		_, there := raw[name]
		if name == items {
			there = there || raw["item_id"] != nil || raw["item_ids"] != nil
		}
		switch {
		case there:
		case name == items:
			r.fault("filter", "%s needs filter, item_id or item_ids", action)
		default:
			r.fault(name, "%s needs it", action)
		}
	}
}

// check holds the values against their bounds; raw tells what is there.
func (r *reader) check(rule *Rule, raw map[string]json.RawMessage) {
	has := func(name string) bool { return raw[name] != nil }
	number := func(name string, v, low, high float64) {
		if has(name) && !(v > low && v <= high) {
			r.fault(name, "must be more than %v and at most %v, not %v", low, high, v)
		}
	}
	span := func(name, text string) {
		if _, err := parseSpan(text); has(name) && err != nil {
			r.fault(name, "%v", err)
		}
	}
	number("slot", float64(rule.Slot), 0, MaxSlot)
	number("most", float64(rule.Most), 0, MaxSlot)
	number("times", float64(rule.Times), 0, math.MaxUint16)
	number("factor", rule.Factor, 0, 1e6)
	number("percent", rule.Percent, 0, maxPercent)
	if rule.Action == Freshness {
		number("strength", rule.Strength, 0, 1e6)
	} else {
		number("strength", rule.Strength, 0, 1)
	}
	span("half_life", rule.HalfLife)
	span("window", rule.Window)
	span("every", rule.Every)
	for name, empty := range map[string]bool{
		"filter": rule.Filter == "", "item_id": rule.ItemID == "", "item_ids": len(rule.ItemIDs) == 0, "attribute": rule.Attribute == "",
	} {
		if has(name) && empty {
			r.fault(name, "is empty")
		}
	}
	r.texts(rule)
	if rule.Scene != "" && !slices.Contains(r.scenes, rule.Scene) {
		detail := fmt.Sprintf("there is no scene %.40q; there are %s", rule.Scene, strings.Join(r.scenes, ", "))
		r.fault("scene", "%s", detail)
	}
	if rule.Action == Freshness && !has("strength") && !has("percent") {
		r.fault("", "freshness needs strength, percent or both")
	}
	from, err := parseTime(rule.From)
	if err != nil {
		r.fault("from", "%v", err)
	}
	until, err := parseTime(rule.Until)
	if err != nil {
		r.fault("until", "%v", err)
	}
	if from != 0 && until != 0 && from >= until {
		r.fault("until", "is not after from")
	}
}

// texts checks the names and ids of a rule.
func (r *reader) texts(rule *Rule) {
	if len(rule.ItemIDs) > MaxItems {
		r.fault("item_ids", "%d ids, the most is %d; use a filter", len(rule.ItemIDs), MaxItems)
	}
	given := 0
	for _, there := range []bool{rule.Filter != "", rule.ItemID != "", len(rule.ItemIDs) > 0} {
		if there {
			given++
		}
	}
	if given > 1 {
		r.fault("", "give one of filter, item_id and item_ids")
	}
	for _, t := range []struct{ name, text string }{
		{"name", rule.Name}, {"scene", rule.Scene}, {"item_id", rule.ItemID}, {"attribute", rule.Attribute},
	} {
		if len(t.text) > maxText {
			r.fault(t.name, "has %d bytes, the most is %d", len(t.text), maxText)
		}
	}
	for _, id := range rule.ItemIDs {
		if id == "" || len(id) > maxText {
			r.fault("item_ids", "ids have 1 to %d bytes", maxText)
			break
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// parseSpan reads a duration such as 36h, or days such as 14d.
func parseSpan(text string) (time.Duration, error) {
	const most = 36500
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n > 0 && n <= most {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	} else if d, err := time.ParseDuration(text); err == nil && d >= time.Second && d <= most*24*time.Hour {
		return d, nil
	}
	return 0, fmt.Errorf("must be a span such as 36h or 14d, not %.40q", text)
}

// parseTime is a time in Unix milliseconds, 0 for an empty text.
func parseTime(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("must be a time such as 2026-11-27T00:00:00Z, not %.40q", text)
	}
	return t.UnixMilli(), nil
}

package recommend

import (
	"fmt"
	"slices"

	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/pace"
)

// Filters compiles conditions on item attributes.
type Filters interface {
	// Filter compiles a text, or remembers it. Its error says where the fault
	// in the text is.
	Filter(text string) (frame.Filter, error)
}

// FilterError says that the filter of a request does not compile.
type FilterError struct{ Err error }

// Error says what is wrong with the filter.
func (e *FilterError) Error() string { return fmt.Sprintf("compile filter: %v", e.Err) }

// Unwrap gives the fault itself.
func (e *FilterError) Unwrap() error { return e.Err }

// condition is what every item of a list must fulfil: to pass the filter, or
// not to pass it.
type condition struct {
	selection *frame.Selection
	pass      bool
}

// filter makes the request's filter a condition. Where the time is not enough to
// find out which items pass it, the request ends without a list, and the next one
// with the filter goes on.
func (e *Engine) filter(text string, sc *scratch) error {
	if text == "" {
		return nil
	}
	f, err := e.deps.Filters.Filter(text)
	if err != nil {
		return &FilterError{err}
	}
	if !f.Ready(sc.clock.End(pace.Filter)) {
		return fmt.Errorf("look for the items that pass the filter: %w", &pace.Late{Stage: pace.Filter})
	}
	sc.conditions = append(sc.conditions, condition{f.Selection(), true})
	sc.filters = append(sc.filters, f)
	return nil
}

// knower is a filter that can tell which attributes in it no item has.
type knower interface{ Unknown() []string }

// unknown are the attributes in the request's filters that no item has.
func (sc *scratch) unknown() (names []string) {
	for _, f := range sc.filters {
		if k, ok := f.(knower); ok {
			names = append(names, k.Unknown()...)
		}
	}
	return names
}

// fulfils tells whether an item fulfils every condition.
func (sc *scratch) fulfils(item uint32) bool {
	for _, c := range sc.conditions {
		if c.selection.Has(item) != c.pass {
			return false
		}
	}
	return true
}

// suits tells whether an item may come into the list, and is not in it yet.
func (e *Engine) suits(sc *scratch, item uint32) bool {
	return sc.fulfils(item) && !slices.Contains(sc.excluded, item) && !slices.Contains(sc.frame.Items, item) &&
		!e.deps.Shelf.Expired(item, sc.frame.Now)
}

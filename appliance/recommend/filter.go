package recommend

import (
	"context"
	"fmt"
	"slices"
	"time"

	"vitrine/appliance/frame"
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

// filterShare is the part of a request's time, from now to its deadline, that
// goes into finding out which items pass a new filter. Where that is not enough
// the request ends without a list, and the next one with the filter goes on.
const filterShare = 0.4

// filter makes the request's filter a condition.
func (e *Engine) filter(ctx context.Context, text string, sc *scratch) error {
	if text == "" {
		return nil
	}
	f, err := e.deps.Filters.Filter(text)
	if err != nil {
		return &FilterError{err}
	}
	by := time.Time{}
	if deadline, limited := ctx.Deadline(); limited {
		now := time.Now()
		by = now.Add(time.Duration(filterShare * float64(deadline.Sub(now))))
	}
	if !f.Ready(by) {
		return fmt.Errorf("look for the items that pass the filter: %w", context.DeadlineExceeded)
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

package recommend

import (
	"fmt"
	"math/bits"
	"sync"

	"vitrine/als/topk"
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

// filter makes the request's filter a condition.
func (e *Engine) filter(text string, sc *scratch) error {
	if text == "" {
		return nil
	}
	f, err := e.deps.Filters.Filter(text)
	if err != nil {
		return &FilterError{err}
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

// maxPassing bounds the filters whose rows a view remembers.
const maxPassing = 64

// passing are the rows that pass the filters that were asked for last, so that
// a search gets them without a look at the items.
type passing struct {
	mu       sync.RWMutex
	byFilter map[uint64]*passed
}

// passed are the positions in scan order that pass a filter, and those that do
// not.
type passed struct {
	selection *frame.Selection
	yes, no   []uint64
}

// hide leaves the rows that do not fulfil a condition out of a search.
func (v *View) hide(mask *topk.Mask, c condition) {
	p := v.pass(c.selection)
	if c.pass {
		mask.HidePositions(p.no)
	} else {
		mask.HidePositions(p.yes)
	}
}

// pass finds the rows that pass a selection. From one selection of a filter to
// the next only what differs is moved.
func (v *View) pass(s *frame.Selection) *passed {
	v.passing.mu.RLock()
	old := v.passing.byFilter[s.Filter]
	v.passing.mu.RUnlock()
	if old != nil && old.selection == s {
		return old
	}
	next := &passed{selection: s}
	var before []uint64
	if old == nil {
		words := (len(v.index.Rows()) + 63) / 64
		next.yes, next.no = make([]uint64, words), make([]uint64, words)
		for i := range next.no {
			next.no[i] = ^uint64(0)
		}
	} else {
		before = old.selection.Words
		next.yes, next.no = append(next.yes, old.yes...), append(next.no, old.no...)
	}
	for w := range max(len(before), len(s.Words)) {
		for differ := word(before, w) ^ word(s.Words, w); differ != 0; differ &= differ - 1 {
			row, known := v.row(uint32(w*64 + bits.TrailingZeros64(differ)))
			if !known {
				continue
			}
			if at, ok := v.index.Position(row); ok {
				next.yes[at/64] ^= 1 << (at % 64)
				next.no[at/64] ^= 1 << (at % 64)
			}
		}
	}
	v.passing.keep(next)
	return next
}

func (p *passing) keep(next *passed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byFilter == nil {
		p.byFilter = map[uint64]*passed{}
	}
	if _, known := p.byFilter[next.selection.Filter]; !known && len(p.byFilter) >= maxPassing {
		for oldest := range p.byFilter { // any: it takes little to find its rows again
			delete(p.byFilter, oldest)
			break
		}
	}
	p.byFilter[next.selection.Filter] = next
}

func word(words []uint64, w int) uint64 {
	if w < len(words) {
		return words[w]
	}
	return 0
}

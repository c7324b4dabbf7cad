package view

import (
	"math/bits"
	"slices"
	"sync"

	"vitrine/als/topk"
	"vitrine/appliance/frame"
)

// maxPassing bounds the filters whose rows a view remembers.
const maxPassing = 64

// passing are the rows that pass the filters that were asked for last, so that
// a search gets them without a look at the items.
type passing struct {
	mu       sync.RWMutex
	byFilter map[uint64]*passed
}

// passed are the positions in scan order that pass a filter.
type passed struct {
	selection *frame.Selection
	positions []uint64
}

// Hide leaves out of a search the rows that do not pass a selection, or those
// that do.
func (v *View) Hide(mask *topk.Mask, s *frame.Selection, pass bool) {
	p := v.pass(s)
	if pass {
		mask.HideOthers(p.positions)
	} else {
		mask.HidePositions(p.positions)
	}
}

// HideItems leaves items out of a search, by their codes.
func (v *View) HideItems(mask *topk.Mask, codes []uint32) {
	for _, code := range codes {
		if row, ok := v.Row(code); ok {
			mask.Hide(row)
		}
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
	if old != nil && sameWords(old.selection.Words, s.Words) {
		next := &passed{selection: s, positions: old.positions}
		v.passing.keep(next)
		return next
	}
	next := &passed{selection: s}
	var before []uint64
	if old == nil {
		next.positions = make([]uint64, (len(v.Index.Rows())+63)/64)
	} else {
		before = old.selection.Words
		next.positions = slices.Clone(old.positions)
	}
	for w := range max(len(before), len(s.Words)) {
		for differ := word(before, w) ^ word(s.Words, w); differ != 0; differ &= differ - 1 {
			row, known := v.Row(uint32(w*64 + bits.TrailingZeros64(differ)))
			if !known {
				continue
			}
			if at, ok := v.Index.Position(row); ok {
				next.positions[at/64] ^= 1 << (at % 64)
			}
		}
	}
	v.passing.keep(next)
	return next
}

// same tells whether the same positions pass, as far as that is known without
// looking at them.
func (p *passed) same(other *passed) bool { return sameWords(p.positions, other.positions) }

// sameWords tells whether two slices are the same memory.
func sameWords(a, b []uint64) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
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

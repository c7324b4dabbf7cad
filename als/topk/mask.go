package topk

import (
	"math/bits"
	"slices"
)

// Mask is a set of rows that a search leaves out. It lies in the scan order of
// one index, so that a scan takes it word by word and passes over what is
// hidden without a look at it. The zero value hides nothing; Reset gives it its
// index. A Mask is not safe for concurrent changes; searches only read it.
type Mask struct {
	ix *Index
	// words has bit p%64 of word p/64 for the row at position p.
	words []uint64
}

// Reset makes m hide nothing of ix, in the memory that it has.
func (m *Mask) Reset(ix *Index) {
	m.ix = ix
	words := (len(ix.rows) + 63) / 64
	m.words = slices.Grow(m.words[:0], words)[:words]
	clear(m.words)
}

// Copy makes m hide what from hides.
func (m *Mask) Copy(from *Mask) {
	m.ix = from.ix
	m.words = append(m.words[:0], from.words...)
}

// Hide leaves a row out. One that the index does not have is left out already.
func (m *Mask) Hide(row uint32) {
	if at, ok := m.ix.Position(row); ok {
		m.words[at>>6] |= 1 << (at & 63)
	}
}

// HideRows leaves out the rows whose bit is set: bit r%64 of word r/64 for row
// r. It takes a random access for each of them; what hides many rows again and
// again had better lie in scan order from the start, see Rows.
func (m *Mask) HideRows(rows []uint64) {
	for w, word := range rows {
		for ; word != 0; word &= word - 1 {
			m.Hide(uint32(w*64 + bits.TrailingZeros64(word)))
		}
	}
}

// HidePositions leaves out the positions whose bit is set: bit p%64 of word
// p/64 for position p. Words that are not there hide nothing.
func (m *Mask) HidePositions(positions []uint64) {
	for w, word := range positions[:min(len(positions), len(m.words))] {
		m.words[w] |= word
	}
}

// HideOthers leaves out the positions whose bit is not set, also where words are
// not there.
func (m *Mask) HideOthers(positions []uint64) {
	shared := min(len(positions), len(m.words))
	for w, word := range positions[:shared] {
		m.words[w] |= ^word
	}
	for w := shared; w < len(m.words); w++ {
		m.words[w] = ^uint64(0)
	}
}

// Hides tells whether a row is left out.
func (m *Mask) Hides(row uint32) bool {
	if m.ix == nil {
		return false
	}
	at, ok := m.ix.Position(row)
	return !ok || m.words[at>>6]>>(at&63)&1 != 0
}

// word is the part of the mask for positions 64*w to 64*w+63. No mask hides
// nothing.
func (m *Mask) word(w int) uint64 {
	if m == nil || w >= len(m.words) {
		return 0
	}
	return m.words[w]
}

// checkMask panics for a mask of another index: its bits mean other rows.
func (ix *Index) checkMask(m *Mask) {
	if m != nil && m.ix != nil && m.ix != ix {
		panic("topk: mask of another index")
	}
}

// Position is a row's place in the scan order, where the bits of a Mask lie;
// false for a row that no search finds, because it has a NaN or does not exist.
func (ix *Index) Position(row uint32) (at uint32, ok bool) {
	if int64(row) >= int64(len(ix.position)) || ix.position[row] < 0 {
		return 0, false
	}
	return uint32(ix.position[row]), true
}

// Rows are the rows in scan order: Rows()[Position(row)] == row. What is kept
// per item and decides on masks can be laid out in this order once, instead of
// permuting every mask. The slice must not be changed.
func (ix *Index) Rows() []uint32 { return ix.rows }

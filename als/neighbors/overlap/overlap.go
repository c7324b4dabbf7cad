// Package overlap weighs the past sessions that share items with a history, and
// finds the heaviest of them: the inner loops of a session query.
//
// It owns these loops and their working memory. It may import als/internal/f32 and
// als/internal/keys; it must not know items, nor what makes a weight.
//
//	set.Reset(postings)
//	set.Add(sessions, shares, weight) // for each shared item, the newest first
//	chosen = set.Heaviest(500, chosen)
package overlap

import (
	"math"
	"math/bits"
	"slices"

	"vitrine/als/internal/f32"
	"vitrine/als/internal/keys"
)

// Share is what a query wants to know of a session that holds an item.
type Share struct {
	At     uint32  // where the item stands in the session
	Weight float32 // at least 0; what the session's weight is multiplied by
}

// Set is the sessions that a query has met. Its zero value is ready for Reset.
type Set struct {
	// table has what sessions share with the history, by a hash of the session. It
	// is some times as long as there are postings to read and not as there are
	// sessions, so that it stays in the nearest cache.
	table   []overlap
	shift   int
	met     []meeting // the first n, as they came; what is behind is left from before
	n       int
	weights []float32 // beside met
	keys    []uint64
}

// overlap is what a session shares with a history.
type overlap struct {
	session uint32  // and 1; 0 is nobody
	shared  float32 // the sum of what the shared items weigh
}

// meeting is a session that was met.
type meeting struct {
	Share          // of the shared item with which it was met
	session uint32 // its number
	in      uint32 // where in the table it is
}

// Len is how many sessions there are.
func (s *Set) Len() int { return s.n }

// Reset forgets all sessions and makes room for so many that are added.
func (s *Set) Reset(most int) {
	const spare, least = 4, 10
	size := max(bits.Len(uint(spare*most)), least)
	s.shift = 64 - size
	s.table = slices.Grow(s.table[:0], 1<<size)[:1<<size]
	clear(s.table)
	if need := most + 1; len(s.met) < need { // with one to write to that nobody is
		s.met = make([]meeting, need)
	}
	s.n = 0
}

// Add adds a weight, at least 0, to sessions, whose numbers are below 2^32-1. Of one
// that was there its share stays as it was.
func (s *Set) Add(sessions []uint32, shares []Share, weight float32) {
	const golden = 0x9e3779b97f4a7c15 // 2^64 by the golden ratio: neighbours part
	table, met, n := s.table, s.met, s.n
	shares = shares[:len(sessions)]
	for j, session := range sessions {
		h := int(uint64(session) * golden >> s.shift)
		there := table[h].session
		for there != 0 && there != session+1 { // few are where somebody else is
			h = (h + 1) & (len(table) - 1)
			there = table[h].session
		}
		table[h].session = session + 1
		table[h].shared += weight
		// Whether the session was there takes no branch: nobody can foretell it.
		met[n] = meeting{shares[j], session, uint32(h)}
		n += int((uint64(there) - 1) >> 63)
	}
	s.n = n
}

// Heaviest returns the k heaviest sessions, of equal ones those with the highest
// numbers, in the order in which they were met: what they share, times its weight.
// It uses the memory of dst.
func (s *Set) Heaviest(k int, dst []Share) []Share {
	s.weights = slices.Grow(s.weights[:0], s.n)[:s.n]
	for n := range s.weights {
		m := &s.met[n]
		s.weights[n] = s.table[m.in].shared * m.Weight
	}
	least, oldest := float32(0), uint64(math.MaxUint32)
	if s.n > k {
		least = f32.KthLargest(s.weights, k, float32(math.Inf(-1)))
		if n := f32.CountAtLeast(s.weights, least); n > k {
			oldest = s.oldest(least, n-k)
		}
	}
	dst = slices.Grow(dst[:0], s.n+1)[:s.n+1]
	chosen := 0
	for n, weight := range s.weights {
		m := &s.met[n]
		dst[chosen] = Share{m.At, weight}
		// Whether it is one of them takes no branch either.
		lighter := math.Float32bits(weight-least) >> 31
		_, older := bits.Sub64(oldest, m.age(), 0)
		chosen += int((1 - lighter) &^ (equal(weight, least) & uint32(older)))
	}
	return dst[:chosen]
}

// oldest is the age of the oldest session that is chosen, of those with a weight of
// which so many are too many.
func (s *Set) oldest(weight float32, many int) uint64 {
	s.keys = slices.Grow(s.keys[:0], s.n+1)[:s.n+1]
	n := 0
	for at, v := range s.weights {
		s.keys[n] = s.met[at].age()
		n += int(equal(v, weight))
	}
	_, oldest := keys.Best(s.keys[:n], n-many)
	return oldest
}

// age rises from the newest session to the oldest.
func (m *meeting) age() uint64 { return uint64(^m.session) }

// equal is 1 for equal weights and 0 for others.
func equal(a, b float32) uint32 {
	return uint32((uint64(math.Float32bits(a)^math.Float32bits(b)) - 1) >> 63)
}

// Package pairs counts what an item has in common with each other one, and keeps
// its best neighbours: the inner loop of item-to-item and transition tables.
//
// It owns that loop, and how many items of a user may count. It may import
// als/dataset and als/internal/keys; it must not know what is counted.
//
//	sums := pairs.New(items)
//	sums.Add(others, weights, weight)
//	best := sums.Best(item, 100, masses) // keys
package pairs

import (
	"math"
	"slices"

	"vitrine/als/internal/keys"
)

// Sums adds up the pairs of one item for a table whose scores are a sum divided
// by the roots of two masses. Whether an item was met before is nothing that a
// processor could foresee, so adding has no branch.
type Sums struct {
	// of has the sum of every item, 0 for those that were not met.
	of      []float32
	touched []uint32 // items met; again where a product was too small for a number
	keys    []uint64
}

// New makes room for the given number of items.
func New(items int) *Sums { return &Sums{of: make([]float32, items)} }

// Add adds weight * values[n] to items[n], which are within of; no product is
// below 0, and values may be longer.
func (s *Sums) Add(items []uint32, values []float32, weight float32) {
	n, of := len(s.touched), s.of
	touched := slices.Grow(s.touched, len(items))[:n+len(items)]
	values = values[:len(items)]
	for i, item := range items {
		before := of[item]
		touched[n] = item
		if math.Float32bits(before) == 0 {
			n++
		}
		of[item] = before + weight*values[i]
	}
	s.touched = touched[:n]
}

// Masses are what the scores of a table are divided by the roots of, and the
// inverse of each root.
type Masses struct {
	mass    []float64
	inverse []float32
}

// MassesOf prepares the masses of all items.
func MassesOf(mass []float64) *Masses {
	m := &Masses{mass, make([]float32, len(mass))}
	for i, v := range mass {
		m.inverse[i] = float32(1 / math.Sqrt(v))
	}
	return m
}

// Best returns the keys of an item's best neighbours in their order, and forgets
// all sums. Most sums stay below what the best so far have, which a product in
// single precision shows; only the others are divided as they should be.
func (s *Sums) Best(self uint32, top int, m *Masses) []uint64 {
	// narrow is within the error of that product, far below 1e-5 but for numbers
	// that have lost their bits.
	const narrow, leastBar = 1 - 1e-5, 1e-30
	best, bar := s.keys[:0], float32(0)
	for _, item := range s.touched {
		sum := s.of[item]
		s.of[item] = 0
		if !(sum*m.inverse[item] >= bar) || item == self {
			continue
		}
		score := float32(float64(sum) / math.Sqrt(m.mass[self]*m.mass[item]))
		if score-score != 0 || score == 0 {
			continue
		}
		best = append(best, keys.Of(score, item))
		if len(best) >= 4*top+64 {
			best = keys.Smallest(best, top)
			worst, _ := keys.Split(slices.Max(best))
			if bar = worst / m.inverse[self] * narrow; bar < leastBar {
				bar = 0
			}
		}
	}
	s.touched, s.keys = s.touched[:0], best
	best = keys.Smallest(best, top)
	slices.Sort(best)
	return best
}

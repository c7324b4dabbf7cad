package eval

import (
	"math"
	"slices"

	"vitrine/als/dataset"
)

// headShare is the share of the catalogue, its most popular items, that
// PopularShare calls popular.
const headShare = 0.1

// lists returns how many lists hold each item at cut k and how many places
// that are; nil for a cut that was not asked for and for a part of a result.
func (r *Result) lists(k int) (shown []int, places int) {
	cut := slices.Index(r.ks, k)
	if cut < 0 || r.shown == nil {
		return nil, 0
	}
	for _, n := range r.shown[cut] {
		places += n
	}
	return r.shown[cut], places
}

// Coverage is the share of the catalogue that stands in any evaluated user's
// first k; NaN for a cut that was not asked for.
func (r *Result) Coverage(k int) float64 {
	shown, _ := r.lists(k)
	if shown == nil {
		return math.NaN()
	}
	covered := 0
	for _, n := range shown {
		if n > 0 {
			covered++
		}
	}
	return float64(covered) / float64(len(shown))
}

// Novelty is the mean surprise of the first k places, in bits: -log2 of the
// item's share of all popularity, each item's taken as 1 more than it is. The
// most popular items have little. It is NaN without Input.Popularity.
func (r *Result) Novelty(k int) float64 {
	shown, places := r.lists(k)
	if shown == nil || r.popularity == nil {
		return math.NaN()
	}
	total := float64(len(r.popularity))
	for _, w := range r.popularity {
		total += float64(w)
	}
	bits := 0.0
	for item, n := range shown {
		bits -= float64(n) * math.Log2((float64(r.popularity[item])+1)/total)
	}
	return bits / float64(places)
}

// PopularShare is the share of the first k places that the most popular tenth
// of the catalogue holds. It is NaN without Input.Popularity.
func (r *Result) PopularShare(k int) float64 {
	shown, places := r.lists(k)
	if shown == nil || r.popularity == nil {
		return math.NaN()
	}
	order := make([]int, len(shown))
	for item := range order {
		order[item] = item
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case r.popularity[a] > r.popularity[b]:
			return -1
		case r.popularity[a] < r.popularity[b]:
			return 1
		}
		return 0
	})
	held := 0
	for _, item := range order[:int(math.Ceil(headShare*float64(len(order))))] {
		held += shown[item]
	}
	return float64(held) / float64(places)
}

// Slice is a group of users by how much is known about them.
type Slice int

// The slices, by a user's cells in training.
const (
	// Cold users have fewer than 5.
	Cold Slice = iota
	// Warm users have 5 to 49.
	Warm
	// Heavy users have 50 and more.
	Heavy
	numSlices
)

const (
	warmFrom  = 5
	heavyFrom = 50
)

// String returns the name that reports use.
func (s Slice) String() string { return [numSlices]string{"cold", "warm", "heavy"}[s] }

// Slices returns all slices in the order in which reports show them.
func Slices() []Slice { return []Slice{Cold, Warm, Heavy} }

// SliceOf returns the slice of a user with so many cells in training.
func SliceOf(known int) Slice {
	switch {
	case known < warmFrom:
		return Cold
	case known < heavyFrom:
		return Warm
	}
	return Heavy
}

// Slice returns the part of a result that is about the users of a slice; train
// is what was known about them.
func (r *Result) Slice(s Slice, train *dataset.CSR) *Result {
	return r.Where(func(user int) bool {
		cols, _ := train.Row(user)
		return SliceOf(len(cols)) == s
	})
}

// Where returns the part of a result that is about the users that keep reports
// true for. What is measured over all lists together (Coverage, Novelty,
// PopularShare) is not part of it.
func (r *Result) Where(keep func(user int) bool) *Result {
	part := &Result{ks: r.ks, values: make([][]float64, len(r.values))}
	for n, user := range r.Users {
		if !keep(user) {
			continue
		}
		part.Users = append(part.Users, user)
		for m, values := range r.values {
			part.values[m] = append(part.values[m], values[n])
		}
	}
	return part
}

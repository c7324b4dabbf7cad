package view

import (
	"fmt"
	"slices"
	"sync"

	"vitrine/als/model"
	"vitrine/als/topk"
	"vitrine/appliance/frame"
)

const (
	// foldedUsers is a power of two; of two users that meet in a place the later
	// one stays. With foldedItems it bounds the memory of a view's: 18 MiB at rank
	// 64 when all are full.
	foldedUsers = 1 << 12
	foldedItems = 512
)

// folds remembers the vectors of users, so that one who asks again without
// having done anything is not solved for again. What a vector follows from is
// kept beside it and compared, number by number: there is nothing to be told
// when a history changes.
type folds struct{ slots [foldedUsers]folded }

type folded struct {
	mu      sync.Mutex
	user    uint32
	items   []uint32
	weights []float32
	vector  []float32
	// bar is where a search of that depth by the vector may begin.
	bar   topk.Bar
	depth depth
}

// Folded writes to dst the vector of a visitor with these confidences on items
// (codes), if it was kept for the very same. The visitor is a user, or
// frame.NoUser, of whom nothing is kept.
func (v *View) Folded(dst []float32, user uint32, items []uint32, weights []float32) bool {
	return v.folds.get(dst, user, items, weights)
}

// Keep keeps a vector that was solved for.
func (v *View) Keep(vector []float32, user uint32, items []uint32, weights []float32) {
	v.folds.put(vector, user, items, weights)
}

// Query asks for the best rows by a visitor's vector that are not hidden: for K
// of them, or as many as a goal wants.
type Query struct {
	User   uint32
	Vector []float32
	K      int
	Goal   topk.Goal
	Hidden *topk.Mask
}

// depth tells queries apart that go down the ranking not as far as each other.
func (q *Query) depth() depth { return depth{q.K, q.Goal.K, q.Goal.Plain, q.Goal.Capped, q.Goal.Most} }

type depth struct{ k, least, plain, capped, most int }

// Search answers a query in the memory of dst. What the same search has learnt
// before, if its vector is kept, need not be learnt again: it looks at every row
// that could be among the best all the same.
func (v *View) Search(q Query, dst []topk.Hit, s *topk.Scratch) []topk.Hit {
	bar := v.folds.bar(&q)
	s.From(bar)
	dst = v.Index.Search(q.Vector, q.K, q.Hidden, dst, s)
	v.learnt(&q, bar, s)
	return dst
}

// Reach answers a query for a goal as a lift counts, like Search.
func (v *View) Reach(l *topk.Lift, q Query, dst []topk.Hit, s *topk.Scratch) (hits []topk.Hit, reached bool) {
	bar := v.folds.bar(&q)
	s.From(bar)
	hits, reached = l.Reach(q.Vector, q.Goal, q.Hidden, dst, s)
	v.learnt(&q, bar, s)
	return hits, reached
}

// learnt keeps what a query that began at a bar has learnt: the lower one, or
// requests that hide more rows and such that hide fewer would spoil each other's
// in turn.
func (v *View) learnt(q *Query, bar topk.Bar, s *topk.Scratch) {
	if lower := bar.Lower(s.Bar()); lower != bar {
		v.folds.putBar(q, lower)
	}
}

// FoldIn writes to dst the vector for confidences on rows, solved anew.
func (v *View) FoldIn(dst []float32, rows []uint32, weights []float32, s *model.Scratch) error {
	if err := v.folder.FoldIn(dst, rows, weights, s); err != nil {
		return fmt.Errorf("fold in: %w", err)
	}
	return nil
}

// Split splits the score of an item over the rows that the vector was folded in
// from: shares[i] is what rows[i] adds to it.
func (v *View) Split(shares []float32, rows []uint32, weights []float32, item uint32, s *model.Scratch) error {
	if err := v.folder.Split(shares, rows, weights, item, s); err != nil {
		return fmt.Errorf("split score: %w", err)
	}
	return nil
}

// lock takes the place of a user with so many items: nil where nothing is
// remembered, or somebody is there just now, for solving is as quick as waiting.
func (f *folds) lock(user uint32, items int) *folded {
	if user == frame.NoUser || items > foldedItems {
		return nil
	}
	slot := &f.slots[user%foldedUsers]
	if !slot.mu.TryLock() {
		return nil
	}
	return slot
}

// get copies the vector of a user whose history is as it was.
func (f *folds) get(vector []float32, user uint32, items []uint32, weights []float32) bool {
	slot := f.lock(user, len(items))
	if slot == nil {
		return false
	}
	defer slot.mu.Unlock()
	if slot.user != user || len(slot.vector) != len(vector) || !slices.Equal(slot.items, items) || !slices.Equal(slot.weights, weights) {
		return false
	}
	copy(vector, slot.vector)
	return true
}

// put keeps the vector of a user.
func (f *folds) put(vector []float32, user uint32, items []uint32, weights []float32) {
	slot := f.lock(user, len(items))
	if slot == nil {
		return
	}
	defer slot.mu.Unlock()
	slot.user = user
	slot.items = append(slot.items[:0], items...)
	slot.weights = append(slot.weights[:0], weights...)
	slot.vector = append(slot.vector[:0], vector...)
	slot.bar = topk.Bar{}
}

// bar is the one that was learnt for a query whose vector is kept.
func (f *folds) bar(q *Query) (bar topk.Bar) {
	slot := f.lock(q.User, 0)
	if slot == nil {
		return bar
	}
	defer slot.mu.Unlock()
	if slot.user == q.User && slot.depth == q.depth() && slices.Equal(slot.vector, q.Vector) {
		bar = slot.bar
	}
	return bar
}

// putBar keeps a bar beside its vector, if that is still there.
func (f *folds) putBar(q *Query, bar topk.Bar) {
	slot := f.lock(q.User, 0)
	if slot == nil {
		return
	}
	defer slot.mu.Unlock()
	if slot.user == q.User && slices.Equal(slot.vector, q.Vector) {
		slot.bar, slot.depth = bar, q.depth()
	}
}

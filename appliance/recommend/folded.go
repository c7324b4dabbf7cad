package recommend

import (
	"slices"
	"sync"

	"vitrine/appliance/frame"
)

const (
	// foldedUsers is a power of two; of two users that meet in a place the later
	// one stays. With foldedRows it bounds the memory of a view's: 18 MiB at rank
	// 64 when all are full.
	foldedUsers = 1 << 12
	foldedRows  = 512
)

// folds remembers the vectors of users, so that one who asks again without
// having done anything is not solved for again. What a vector follows from is
// kept beside it and compared, number by number: there is nothing to be told
// when a history changes.
type folds struct{ slots [foldedUsers]folded }

type folded struct {
	mu      sync.Mutex
	user    uint32
	rows    []uint32
	weights []float32
	vector  []float32
}

// get copies the vector of a visitor whose history is as it was.
func (f *folds) get(sc *scratch) bool {
	user := sc.frame.User
	if user == frame.NoUser || len(sc.rows) > foldedRows {
		return false
	}
	slot := &f.slots[user%foldedUsers]
	if !slot.mu.TryLock() {
		return false // somebody is there just now: solving is as quick as waiting
	}
	defer slot.mu.Unlock()
	if slot.user != user || len(slot.vector) != len(sc.vector) || !slices.Equal(slot.rows, sc.rows) || !slices.Equal(slot.weights, sc.weights) {
		return false
	}
	copy(sc.vector, slot.vector)
	return true
}

// put keeps the vector of a visitor.
func (f *folds) put(sc *scratch) {
	user := sc.frame.User
	if user == frame.NoUser || len(sc.rows) > foldedRows {
		return
	}
	slot := &f.slots[user%foldedUsers]
	if !slot.mu.TryLock() {
		return
	}
	defer slot.mu.Unlock()
	slot.user = user
	slot.rows = append(slot.rows[:0], sc.rows...)
	slot.weights = append(slot.weights[:0], sc.weights...)
	slot.vector = append(slot.vector[:0], sc.vector...)
}

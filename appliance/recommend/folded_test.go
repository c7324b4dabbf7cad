package recommend

import (
	"slices"
	"testing"

	"vitrine/appliance/frame"
)

// A kept vector is given for the very history that it was solved for, and for
// nothing else.
func TestFolds(t *testing.T) {
	var f folds
	visit := func(user uint32, rows []uint32, weights ...float32) *scratch {
		sc := &scratch{rows: rows, weights: weights, vector: make([]float32, 2)}
		sc.frame.User = user
		return sc
	}
	known := visit(7, []uint32{1, 5}, 2, 3)
	known.vector = []float32{0.5, -0.25}
	if f.get(visit(7, []uint32{1, 5}, 2, 3)) {
		t.Error("a vector that nobody has solved for")
	}
	f.put(known)
	if sc := visit(7, []uint32{1, 5}, 2, 3); !f.get(sc) || !slices.Equal(sc.vector, known.vector) {
		t.Errorf("kept vector %v", sc.vector)
	}
	for name, sc := range map[string]*scratch{
		"another weight":   visit(7, []uint32{1, 5}, 2, 3.5),
		"another row":      visit(7, []uint32{1, 6}, 2, 3),
		"one more":         visit(7, []uint32{1, 5, 6}, 2, 3, 1),
		"another user":     visit(7+foldedUsers, []uint32{1, 5}, 2, 3),
		"a session":        visit(frame.NoUser, []uint32{1, 5}, 2, 3),
		"another long one": visit(7, make([]uint32, foldedRows+1), make([]float32, foldedRows+1)...),
	} {
		if f.get(sc) {
			t.Errorf("%s has the vector", name)
		}
	}
	f.put(visit(7+foldedUsers, []uint32{2}, 1))
	if f.get(visit(7, []uint32{1, 5}, 2, 3)) {
		t.Error("the earlier of two users in a place stays")
	}
	if n := testing.AllocsPerRun(100, func() { f.put(known); f.get(known) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

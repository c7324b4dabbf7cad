package view

import (
	"slices"
	"testing"

	"vitrine/appliance/frame"
)

// A kept vector is given for the very history that it was solved for, and for
// nothing else.
func TestFolds(t *testing.T) {
	var f folds
	type visit struct {
		user    uint32
		items   []uint32
		weights []float32
	}
	get := func(v visit) ([]float32, bool) {
		vector := make([]float32, 2)
		return vector, f.get(vector, v.user, v.items, v.weights)
	}
	known, vector := visit{7, []uint32{1, 5}, []float32{2, 3}}, []float32{0.5, -0.25}
	if _, ok := get(known); ok {
		t.Error("a vector that nobody has solved for")
	}
	f.put(vector, known.user, known.items, known.weights)
	if got, ok := get(known); !ok || !slices.Equal(got, vector) {
		t.Errorf("kept vector %v", got)
	}
	for name, v := range map[string]visit{
		"another weight":   {7, []uint32{1, 5}, []float32{2, 3.5}},
		"another item":     {7, []uint32{1, 6}, []float32{2, 3}},
		"one more":         {7, []uint32{1, 5, 6}, []float32{2, 3, 1}},
		"another user":     {7 + foldedUsers, []uint32{1, 5}, []float32{2, 3}},
		"a session":        {frame.NoUser, []uint32{1, 5}, []float32{2, 3}},
		"another long one": {7, make([]uint32, foldedItems+1), make([]float32, foldedItems+1)},
	} {
		if _, ok := get(v); ok {
			t.Errorf("%s has the vector", name)
		}
	}
	f.put(vector, 7+foldedUsers, []uint32{2}, []float32{1})
	if _, ok := get(known); ok {
		t.Error("the earlier of two users in a place stays")
	}
	if n := testing.AllocsPerRun(100, func() {
		f.put(vector, known.user, known.items, known.weights)
		f.get(vector, known.user, known.items, known.weights)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

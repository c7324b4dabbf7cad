package topk

import (
	"math/rand/v2"
	"testing"
)

func TestMaskKnowsRowsAndPositions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	const n = 200
	items := shop(rng, n, 4, 0.5)
	items[4*17] = nan
	ix := New(items, n, 4)
	if _, ok := ix.Position(17); ok {
		t.Error("a row with NaN has a position")
	}
	if _, ok := ix.Position(n); ok {
		t.Error("a row that does not exist has a position")
	}
	for at, row := range ix.Rows() {
		if p, ok := ix.Position(row); !ok || int(p) != at {
			t.Fatalf("row %d is at %d, not at %d", row, at, p)
		}
	}
	var m, other Mask
	m.Reset(ix)
	m.Hide(3)
	m.Hide(17)
	m.Hide(n)
	m.HideRows([]uint64{1 << 5, 0, 0, 1<<(199-192) | 1<<63})
	m.HidePositions([]uint64{1 << 9})
	want := map[uint32]bool{3: true, 5: true, 17: true, 199: true, ix.Rows()[9]: true}
	other.Copy(&m)
	m.Reset(ix)
	for row := range uint32(n) {
		if other.Hides(row) != want[row] {
			t.Errorf("row %d hidden: %v, want %v", row, other.Hides(row), want[row])
		}
		if m.Hides(row) != (row == 17) {
			t.Errorf("row %d is hidden after Reset", row)
		}
	}
	m.HideOthers([]uint64{1<<9 | 1<<40})
	m.HidePositions([]uint64{1 << 40})
	for row := range uint32(n) {
		if m.Hides(row) != (row != ix.Rows()[9]) {
			t.Errorf("row %d hidden: %v, but all others are", row, m.Hides(row))
		}
	}
}

func TestMaskOfAnotherIndexPanics(t *testing.T) {
	a, b := New(make([]float32, 6), 3, 2), New(make([]float32, 6), 3, 2)
	var m Mask
	m.Reset(a)
	a.Search(make([]float32, 2), 1, &m, nil, nil)
	a.Search(make([]float32, 2), 1, new(Mask), nil, nil)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	b.Search(make([]float32, 2), 1, &m, nil, nil)
}

func TestMoreGoesOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	const n = 500
	items, q := shop(rng, n, 8, 0.5), gaussian(rng, 8)
	for i := range items {
		items[i] = float32(int(2 * items[i])) // many ties
	}
	ix := New(items, n, 8)
	exclude := mask(rng, n, 0.3)
	hidden := hide(ix, exclude)
	var got []Hit
	var s Scratch
	for _, k := range []int{1, 7, 0, 64, 13} {
		got = ix.More(q, k, hidden, got, &s)
	}
	if want := naiveSearch(items, n, 8, q, 85, exclude); !same(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got = ix.More(q, n, hidden, got[:0], &s); !same(got, naiveSearch(items, n, 8, q, n, exclude)[85:]) {
		t.Error("the rest differs")
	}
}

package dataset

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// cells draws triples with duplicates, and their dense sum.
func cells(t *rapid.T) (rows, cols int, r, c []uint32, w []float32, dense map[[2]uint32]float32) {
	rows, cols = rapid.IntRange(1, 12).Draw(t, "rows"), rapid.IntRange(1, 12).Draw(t, "cols")
	dense = map[[2]uint32]float32{}
	for range rapid.IntRange(0, 60).Draw(t, "cells") {
		row, col := rapid.Uint32Range(0, uint32(rows-1)).Draw(t, "row"), rapid.Uint32Range(0, uint32(cols-1)).Draw(t, "col")
		weight := rapid.Float32Range(0.125, 9).Draw(t, "weight")
		r, c, w = append(r, row), append(c, col), append(w, weight)
		dense[[2]uint32{row, col}] += weight
	}
	return rows, cols, r, c, w, dense
}

func toDense(m *CSR) map[[2]uint32]float32 {
	dense := map[[2]uint32]float32{}
	for row := range m.Rows {
		cols, w := m.Row(row)
		for i, col := range cols {
			dense[[2]uint32{uint32(row), col}] = w[i]
		}
	}
	return dense
}

func equal(a, b map[[2]uint32]float32) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

func TestFromTriplesAndTranspose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols, r, c, w, dense := cells(t)
		m, err := FromTriples(rows, cols, r, c, w)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		if !equal(toDense(m), dense) {
			t.Fatalf("got %v, want %v", toDense(m), dense)
		}
		tr := m.Transpose()
		if err := tr.Validate(); err != nil {
			t.Fatal(err)
		}
		if tr.Rows != cols || tr.Cols != rows || tr.NNZ() != m.NNZ() {
			t.Fatalf("transposed is %d x %d with %d cells", tr.Rows, tr.Cols, tr.NNZ())
		}
		for k, v := range toDense(tr) {
			if dense[[2]uint32{k[1], k[0]}] != v {
				t.Fatalf("cell %v became %v", k, v)
			}
		}
		if back := tr.Transpose(); !slices.Equal(back.Indptr, m.Indptr) || !slices.Equal(back.Indices, m.Indices) || !slices.Equal(back.Weights, m.Weights) {
			t.Fatal("two transpositions are not the matrix")
		}
		for col, n := range m.Counts() {
			if got, _ := tr.Row(col); len(got) != n {
				t.Fatalf("column %d counts %d, has %d", col, n, len(got))
			}
		}
	})
}

func TestFromTriplesRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, c := range map[string]struct {
		r, c []uint32
		w    []float32
		want string
	}{
		"lengths":      {[]uint32{0}, []uint32{0, 1}, []float32{1}, "2 columns"},
		"row":          {[]uint32{0, 2}, []uint32{0, 0}, []float32{1, 1}, "bad cell 1: row 2"},
		"column":       {[]uint32{0}, []uint32{math.MaxUint32}, []float32{1}, "column 4294967295"},
		"zero":         {[]uint32{0}, []uint32{0}, []float32{0}, "weight 0"},
		"NaN":          {[]uint32{0}, []uint32{0}, []float32{nan}, "weight NaN"},
		"infinite":     {[]uint32{0}, []uint32{0}, []float32{inf}, "weight +Inf"},
		"infinite sum": {[]uint32{1, 1}, []uint32{0, 0}, []float32{math.MaxFloat32, math.MaxFloat32}, "row 1, column 0 add up to +Inf"},
	} {
		if _, err := FromTriples(2, 2, c.r, c.c, c.w); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuilder(t *testing.T) {
	b := NewBuilder(4)
	add := func(col uint32, w float32, want string) {
		t.Helper()
		err := b.Add(col, w)
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("add %d: %v, want %q", col, err, want)
		}
	}
	b.EndRow()
	add(1, 2, "")
	add(1, 2, "does not ascend")
	add(0, 2, "does not ascend")
	add(4, 2, "column 4 of 4")
	add(3, -1, "weight -1")
	add(3, 5, "")
	b.EndRow()
	add(0, 1, "")
	b.EndRow()
	add(2, 1, "") // its row is never finished
	m := b.Build()
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	want := map[[2]uint32]float32{{1, 1}: 2, {1, 3}: 5, {2, 0}: 1}
	if m.Rows != 3 || m.Cols != 4 || !equal(toDense(m), want) {
		t.Errorf("%d x %d: %v", m.Rows, m.Cols, toDense(m))
	}
}

func TestValidateFindsBrokenMatrices(t *testing.T) {
	good := func() *CSR {
		return &CSR{Rows: 2, Cols: 3, Indptr: []int64{0, 2, 3}, Indices: []uint32{0, 2, 1}, Weights: []float32{1, 1, 1}}
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(m *CSR){
		"short row pointers": func(m *CSR) { m.Indptr = m.Indptr[:2] },
		"no row pointers":    func(m *CSR) { m.Rows, m.Indptr = -1, nil },
		"descending rows":    func(m *CSR) { m.Indptr[1] = 4 },
		"negative row":       func(m *CSR) { m.Indptr[1] = -1 },
		"missing weights":    func(m *CSR) { m.Weights = m.Weights[:2] },
		"equal columns":      func(m *CSR) { m.Indices[1] = 0 },
		"column beyond":      func(m *CSR) { m.Indices[2] = 3 },
		"zero weight":        func(m *CSR) { m.Weights[0] = 0 },
	} {
		m := good()
		if spoil(m); m.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSelect(t *testing.T) {
	m, err := FromTriples(3, 3, []uint32{0, 1, 2, 2}, []uint32{0, 1, 0, 2}, []float32{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	s := m.Select([]int{2, 2, 0})
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	want := map[[2]uint32]float32{{0, 0}: 3, {0, 2}: 4, {1, 0}: 3, {1, 2}: 4, {2, 0}: 1}
	if !equal(toDense(s), want) {
		t.Errorf("got %v", toDense(s))
	}
}

func TestTimeCutLeavesTheShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64()), 1, 40).Draw(t, "times")
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		cut := TimeCut(times, share)
		at := rapid.IntRange(0, len(times)).Draw(t, "at")
		pieces := slices.Values([][]int64{times[:at], nil, times[at:]})
		if same := TimeCutOf(pieces, share); same != cut {
			t.Fatalf("in pieces %+v, in one %+v", same, cut)
		}
		var older, newer []int64
		for _, v := range times {
			if cut.Old(v) {
				older = append(older, v)
			} else {
				newer = append(newer, v)
			}
		}
		if want := int(share * float64(len(times))); len(newer) != want {
			t.Fatalf("%d newer events of %d, want %d", len(newer), len(times), want)
		}
		if len(older) > 0 && len(newer) > 0 && slices.Max(older) > slices.Min(newer) {
			t.Fatalf("old %v, new %v", older, newer)
		}
	})
}

func TestTimeCutTakesTiesInOrder(t *testing.T) {
	times := []int64{7, 7, 3, 7, 9, 7}
	cut := TimeCut(times, 0.5)
	var got []bool
	for _, v := range times {
		got = append(got, cut.Old(v))
	}
	if want := []bool{true, true, true, false, false, false}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if empty := TimeCut(nil, 0.5); empty != (Cut{}) {
		t.Errorf("cut of nothing is %+v", empty)
	}
}

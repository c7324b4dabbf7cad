package f32

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// lengths cross every unrolled loop's edge.
var lengths = []int{1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 64, 65}

func random(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func near(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	for i, w := range want {
		if math.Abs(float64(got[i])-w) > 1e-4*(1+math.Abs(w)) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], w)
		}
	}
}

// naive is the float64 judge: t[r] = row r . q, and sum_r w[r] t[r] row_r.
func naive(rows, w, q []float32) (dots, applied, combined, outer []float64) {
	k := len(q)
	dots, applied, combined = make([]float64, len(w)), make([]float64, k), make([]float64, k)
	outer = make([]float64, k*k)
	for r := range w {
		x := rows[r*k : (r+1)*k]
		for i := range x {
			dots[r] += float64(x[i]) * float64(q[i])
		}
		for i := range x {
			applied[i] += float64(w[r]) * dots[r] * float64(x[i])
			combined[i] += float64(w[r]) * float64(x[i])
			for j := i; j < k; j++ {
				outer[i*k+j] += float64(w[r]) * float64(x[i]) * float64(x[j])
			}
		}
	}
	return dots, applied, combined, outer
}

func TestKernelsAgreeWithFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range lengths {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 8, 11} {
			rows, w, q := random(r, n*k), random(r, n), random(r, k)
			dots, applied, combined, outer := naive(rows, w, q)

			got := make([]float32, n)
			DotRows(got, rows, q)
			near(t, "DotRows", got, dots)
			for i := range n {
				near(t, "Dot", []float32{Dot(q, rows[i*k:(i+1)*k])}, dots[i:i+1])
			}

			got = make([]float32, k)
			ApplyRows(got, q, rows, w)
			near(t, "ApplyRows", got, applied)

			clear(got)
			CombineRows(got, rows, w)
			near(t, "CombineRows", got, combined)

			got = make([]float32, k*k)
			Syrk(got, rows, w, k)
			clearLower(got, k) // not defined there
			near(t, "Syrk", got, outer)
		}
	}
}

func TestKernelsAddToWhatIsThere(t *testing.T) {
	q := []float32{10, 20, 30}
	rows := []float32{1, 0, 0, 0, 1, 0}
	ApplyRows(q, []float32{1, 2, 3}, rows, []float32{2, 3})
	if want := []float32{12, 26, 30}; !slices.Equal(q, want) {
		t.Errorf("ApplyRows: %v, want %v", q, want)
	}
	Axpy(2, []float32{1, 1, 1}, q)
	if want := []float32{14, 28, 32}; !slices.Equal(q, want) {
		t.Errorf("Axpy: %v, want %v", q, want)
	}
}

func clearLower(a []float32, k int) {
	for i := range k {
		clear(a[i*k : i*k+i])
	}
}

// guarded returns a copy of v that begins at an odd offset of a larger block,
// and a check that nothing beside it was written.
func guarded(t *testing.T, v []float32) (inner []float32, check func(what string)) {
	t.Helper()
	const canary = 12345.5
	block := make([]float32, len(v)+18)
	for i := range block {
		block[i] = canary
	}
	inner = block[9 : 9+len(v) : 9+len(v)]
	copy(inner, v)
	return inner, func(what string) {
		t.Helper()
		for i, c := range block {
			if (i < 9 || i >= 9+len(v)) && c != canary {
				t.Fatalf("%s wrote outside its output, at %d", what, i-9)
			}
		}
	}
}

// close32 allows what the order of additions may change: each of the n terms
// rounds once, relative to the sum of magnitudes.
func close32(t *testing.T, what string, got, want []float32, magnitude float64, n int) {
	t.Helper()
	tolerance := magnitude * float64(n+4) * 0x1p-24 * 4
	for i := range want {
		if math.Abs(float64(got[i])-float64(want[i])) > tolerance {
			t.Fatalf("%s: element %d is %v, generic %v (tolerance %v)", what, i, got[i], want[i], tolerance)
		}
	}
}

// TestVectorAgreesWithGeneric holds every kernel against the generic one, for
// every length up to 130, at odd offsets, with canaries around the outputs.
func TestVectorAgreesWithGeneric(t *testing.T) {
	if Level() == "generic" {
		t.Skip("no vector kernels on this machine or build")
	}
	r := rand.New(rand.NewPCG(5, 6))
	for k := range 131 {
		compareKernels(t, r, k, 1+r.IntN(9))
	}
}

func FuzzVectorAgreesWithGeneric(f *testing.F) {
	f.Add(uint64(1), uint8(64), uint8(5))
	f.Fuzz(func(t *testing.T, seed uint64, k, n uint8) {
		compareKernels(t, rand.New(rand.NewPCG(seed, 0)), int(k), int(n)%33)
	})
}

func compareKernels(t *testing.T, r *rand.Rand, k, n int) {
	t.Helper()
	rows, _ := guarded(t, random(r, n*k))
	w, _ := guarded(t, random(r, n))
	q, _ := guarded(t, random(r, k))
	start := random(r, k)
	size := func(v []float32) (sum float64) {
		for _, x := range v {
			sum += math.Abs(float64(x))
		}
		return sum
	}
	magnitude := (1 + size(rows)) * (1 + size(w)) * (1 + size(q))

	got, check := guarded(t, make([]float32, n))
	want := make([]float32, n)
	DotRows(got, rows, q)
	dotRowsGeneric(want, rows, q)
	check("DotRows")
	close32(t, "DotRows", got, want, magnitude, k)
	for i := range n {
		x := rows[i*k : (i+1)*k]
		close32(t, "Dot", []float32{Dot(q, x)}, []float32{dotGeneric(q, x)}, magnitude, k)
	}
	for name, pair := range map[string][2]func(y []float32){
		"Axpy":         {func(y []float32) { Axpy(0.7, q, y) }, func(y []float32) { axpyGeneric(0.7, q, y) }},
		"ApplyRows":    {func(y []float32) { ApplyRows(y, q, rows, w) }, func(y []float32) { applyRowsGeneric(y, q, rows, w) }},
		"ResidualRows": {func(y []float32) { ResidualRows(y, q, rows, w) }, func(y []float32) { residualRowsGeneric(y, q, rows, w) }},
		"CombineRows":  {func(y []float32) { CombineRows(y, rows, w) }, func(y []float32) { combineRowsGeneric(y, rows, w) }},
	} {
		got, check := guarded(t, start)
		want := slices.Clone(start)
		pair[0](got)
		pair[1](want)
		check(name)
		close32(t, name, got, want, magnitude*(1+size(rows)), k+n)
	}
	a := random(r, k*k)
	got, check = guarded(t, a)
	want = slices.Clone(a)
	Syrk(got, rows, w, k)
	syrkGeneric(want, rows, w, k)
	check("Syrk")
	clearLower(got, k)
	clearLower(want, k)
	close32(t, "Syrk", got, want, magnitude*(1+size(rows)), n)

	for from := 0; from+8 <= k; from += 8 {
		got, check = guarded(t, a)
		want = slices.Clone(a)
		Downdate(got, k, from, from+8)
		downdateGeneric(want, k, from, from+8)
		check("Downdate")
		clearLower(got, k)
		clearLower(want, k)
		close32(t, "Downdate", got, want, 1+size(a)*size(a), 8)
	}
	compareGather(t, r, rows, k, n)
}

// compareGather holds Gather against a plain copy.
func compareGather(t *testing.T, r *rand.Rand, rows []float32, k, n int) {
	t.Helper()
	if n == 0 {
		return
	}
	cols := make([]uint32, r.IntN(40))
	want := make([]float32, 0, len(cols)*k)
	for i := range cols {
		cols[i] = uint32(r.IntN(n))
		want = append(want, rows[int(cols[i])*k:(int(cols[i])+1)*k]...)
	}
	got, check := guarded(t, make([]float32, len(cols)*k))
	Gather(got, rows, cols, k)
	check("Gather")
	if !slices.Equal(got, want) {
		t.Fatalf("Gather of %d rows of %d: %v, want %v", len(cols), k, got, want)
	}
}

// make16 is 16 columns, the first of them out of a base of so many rows.
func make16(rows uint32) []uint32 {
	cols := make([]uint32, 16)
	cols[0] = rows
	return cols
}

func TestShapesThatDoNotFitPanic(t *testing.T) {
	for name, call := range map[string]func(){
		"Dot":         func() { Dot(make([]float32, 3), make([]float32, 2)) },
		"DotRows":     func() { DotRows(make([]float32, 2), make([]float32, 3), make([]float32, 2)) },
		"ApplyRows":   func() { ApplyRows(make([]float32, 2), make([]float32, 2), make([]float32, 3), make([]float32, 2)) },
		"CombineRows": func() { CombineRows(make([]float32, 2), make([]float32, 3), make([]float32, 2)) },
		"Gather":      func() { Gather(make([]float32, 32*8), make([]float32, 16), make16(2), 8) },
		"Syrk":        func() { Syrk(make([]float32, 3), make([]float32, 4), make([]float32, 2), 2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}

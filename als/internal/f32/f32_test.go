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
			for j := 0; j <= i; j++ {
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

func TestSyrkLeavesUpperTriangle(t *testing.T) {
	k := 9
	a := make([]float32, k*k)
	for i := range a {
		a[i] = 7
	}
	Syrk(a, make([]float32, 6*k), make([]float32, 6), k)
	if slices.ContainsFunc(a, func(v float32) bool { return v != 7 }) {
		t.Error("zero rows changed the matrix")
	}
	rows := random(rand.New(rand.NewPCG(3, 4)), 6*k)
	Syrk(a, rows, []float32{1, 1, 1, 1, 1, 1}, k)
	for i := range k {
		for j := i + 1; j < k; j++ {
			if a[i*k+j] != 7 {
				t.Fatalf("element %d,%d above the diagonal changed", i, j)
			}
		}
	}
}

func TestShapesThatDoNotFitPanic(t *testing.T) {
	for name, call := range map[string]func(){
		"Dot":         func() { Dot(make([]float32, 3), make([]float32, 2)) },
		"DotRows":     func() { DotRows(make([]float32, 2), make([]float32, 3), make([]float32, 2)) },
		"ApplyRows":   func() { ApplyRows(make([]float32, 2), make([]float32, 2), make([]float32, 3), make([]float32, 2)) },
		"CombineRows": func() { CombineRows(make([]float32, 2), make([]float32, 3), make([]float32, 2)) },
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

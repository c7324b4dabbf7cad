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

// naive is the float64 judge.
type naive struct {
	dots, applied, residual, combined, outer []float64
	quadratic                                float64
}

func judge(rows, t, q []float32) naive {
	k, n := len(q), len(t)
	j := naive{dots: make([]float64, n), applied: make([]float64, k), residual: make([]float64, k), combined: make([]float64, k), outer: make([]float64, k*k)}
	for r := range t {
		x := rows[r*k : (r+1)*k]
		for i := range x {
			j.dots[r] += float64(x[i]) * float64(q[i])
		}
		j.quadratic += j.dots[r] * j.dots[r]
		for i := range x {
			j.applied[i] += j.dots[r] * float64(x[i])
			j.residual[i] += (float64(t[r]) - j.dots[r]) * float64(x[i])
			j.combined[i] += float64(t[r]) * float64(x[i])
			for c := i; c < k; c++ {
				j.outer[i*k+c] += float64(x[i]) * float64(x[c])
			}
		}
	}
	return j
}

func TestKernelsAgreeWithFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range lengths {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 8, 11, 70} {
			rows, targets, q := random(r, n*k), random(r, n), random(r, k)
			want := judge(rows, targets, q)

			got := make([]float32, n)
			DotRows(got, rows, q)
			near(t, "DotRows", got, want.dots)
			for i := range n {
				near(t, "Dot", []float32{Dot(q, rows[i*k:(i+1)*k])}, want.dots[i:i+1])
			}
			near(t, "QuadraticRows", []float32{QuadraticRows(q, rows)}, []float64{want.quadratic})

			for name, c := range map[string]struct {
				add  func(y []float32)
				want []float64
			}{
				"ApplyRows":    {func(y []float32) { ApplyRows(y, q, rows) }, want.applied},
				"ResidualRows": {func(y []float32) { ResidualRows(y, q, rows, targets) }, want.residual},
				"CombineRows":  {func(y []float32) { CombineRows(y, rows, targets) }, want.combined},
			} {
				got = make([]float32, k)
				c.add(got)
				near(t, name, got, c.want)
			}

			got = make([]float32, k*k)
			Syrk(got, rows, k)
			clearLower(got, k) // not defined there
			near(t, "Syrk", got, want.outer)
		}
	}
}

func TestKernelsAddToWhatIsThere(t *testing.T) {
	q := []float32{10, 20, 30}
	rows := []float32{1, 0, 0, 0, 1, 0}
	ApplyRows(q, []float32{1, 2, 3}, rows)
	if want := []float32{11, 22, 30}; !slices.Equal(q, want) {
		t.Errorf("ApplyRows: %v, want %v", q, want)
	}
	Axpy(2, []float32{1, 1, 1}, q)
	if want := []float32{13, 24, 32}; !slices.Equal(q, want) {
		t.Errorf("Axpy: %v, want %v", q, want)
	}
}

// definite makes a positive definite matrix: a product of random rows and
// something in the diagonal.
func definite(r *rand.Rand, k int) []float32 {
	a := make([]float32, k*k)
	syrkGeneric(a, random(r, (k+3)*k), k)
	for i := range k {
		a[i*k+i] += float32(k)
	}
	return a
}

func TestFactorAndSubstituteSolve(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for k := range 131 {
		a, x := definite(r, k), random(r, k)
		b := make([]float32, k)
		for i := range k {
			sum := 0.0
			for j := range k {
				sum += float64(a[min(i, j)*k+max(i, j)]) * float64(x[j])
			}
			b[i] = float32(sum)
		}
		for name, solve := range map[string]func(a, b []float32, k int) bool{
			"used": func(a, b []float32, k int) bool {
				ok := Factor(a, k)
				Substitute(a, b, k)
				return ok
			},
			"generic": func(a, b []float32, k int) bool {
				ok := factorGeneric(a, k)
				substituteGeneric(a, b, k)
				return ok
			},
		} {
			got, check := guarded(t, b)
			square, checkSquare := guarded(t, a)
			if !solve(square, got, k) {
				t.Fatalf("%s: %d x %d is not positive definite", name, k, k)
			}
			check(name)
			checkSquare(name)
			for i, want := range x {
				if math.Abs(float64(got[i]-want)) > 1e-4 {
					t.Fatalf("%s, %d unknowns: number %d is %v, want %v", name, k, i, got[i], want)
				}
			}
		}
	}
}

func TestFactorRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	for _, k := range []int{1, 5, 8, 16, 64} {
		for i := range k {
			for _, v := range []float32{0, -1, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
				a := definite(r, k)
				a[i*k+i] = v
				if Factor(a, k) {
					t.Errorf("rank %d: %v at %d was factored", k, v, i)
				}
			}
		}
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
	targets, _ := guarded(t, random(r, n))
	q, _ := guarded(t, random(r, k))
	start := random(r, k)
	size := func(v []float32) (sum float64) {
		for _, x := range v {
			sum += math.Abs(float64(x))
		}
		return sum
	}
	magnitude := (1 + size(rows)) * (1 + size(targets)) * (1 + size(q))

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
		"Xpby":         {func(y []float32) { Xpby(0.7, q, y) }, func(y []float32) { xpbyGeneric(0.7, q, y) }},
		"subtract":     {func(y []float32) { subtract(q, y) }, func(y []float32) { subtractGeneric(q, y) }},
		"Root":         {func(y []float32) { square(q); Root(q, y) }, func(y []float32) { square(q); rootGeneric(q, y) }},
		"ApplyRows":    {func(y []float32) { ApplyRows(y, q, rows) }, func(y []float32) { applyRowsGeneric(y, q, rows) }},
		"ResidualRows": {func(y []float32) { ResidualRows(y, q, rows, targets) }, func(y []float32) { residualRowsGeneric(y, q, rows, targets) }},
		"CombineRows":  {func(y []float32) { CombineRows(y, rows, targets) }, func(y []float32) { combineRowsGeneric(y, rows, targets) }},
	} {
		got, check := guarded(t, start)
		want := slices.Clone(start)
		before := slices.Clone(q)
		pair[0](got)
		copy(q, before)
		pair[1](want)
		copy(q, before)
		check(name)
		close32(t, name, got, want, magnitude*(1+size(rows)), k+n)
	}
	quadratic := float32(0)
	for _, d := range dotsOf(rows, q, n) {
		quadratic += d * d
	}
	close32(t, "QuadraticRows", []float32{QuadraticRows(q, rows)}, []float32{quadratic}, magnitude*(1+size(rows))*(1+size(q)), k+n)
	a := random(r, k*k)
	got, check = guarded(t, a)
	want = slices.Clone(a)
	Syrk(got, rows, k)
	syrkGeneric(want, rows, k)
	check("Syrk")
	clearLower(got, k)
	clearLower(want, k)
	close32(t, "Syrk", got, want, magnitude*(1+size(rows)), n)
	compareFactor(t, r, k)
	compareTurn(t, r, turnCase{k: k, n: n, offset: 1 + r.IntN(9), spread: r.IntN(30)})
	compareGather(t, r, rows, k, n)
}

// dotsOf are the products of n rows with q, as the generic code adds them.
func dotsOf(rows, q []float32, n int) []float32 {
	dots := make([]float32, n)
	dotRowsGeneric(dots, rows, q)
	return dots
}

// square makes every number one that has a root.
func square(v []float32) {
	for i := range v {
		v[i] *= v[i]
	}
}

// compareFactor holds Factor and Substitute against the generic code: with
// numbers near 1 in the factor, a hundred roundings of each.
func compareFactor(t *testing.T, r *rand.Rand, k int) {
	t.Helper()
	a, b := definite(r, k), random(r, k)
	got, check := guarded(t, a)
	want := slices.Clone(a)
	if !Factor(got, k) || !factorGeneric(want, k) {
		t.Fatalf("%d x %d is not positive definite", k, k)
	}
	check("Factor")
	clearLower(got, k)
	clearLower(want, k)
	close32(t, "Factor", got, want, math.Sqrt(float64(3*k+3)), 100)
	x, check := guarded(t, b)
	y := slices.Clone(b)
	Substitute(want, x, k)
	substituteGeneric(want, y, k)
	check("Substitute")
	close32(t, "Substitute", x, y, 1, 100)
}

// compareGather holds every gather against the generic one, half precision
// against what it can hold.
func compareGather(t *testing.T, r *rand.Rand, rows []float32, k, n int) {
	t.Helper()
	if n == 0 || k == 0 {
		return
	}
	wanted := r.IntN(90)
	cols, factors := make([]uint32, wanted+r.IntN(60)), random(r, wanted)
	for i := range cols {
		cols[i] = uint32(r.IntN(n))
	}
	want := make([]float32, wanted*k)
	if wanted > 0 {
		gatherGeneric(want, rows, cols, factors, k)
	}
	got, check := guarded(t, make([]float32, wanted*k))
	Gather(got, rows, cols, factors, k)
	check("Gather")
	if !slices.Equal(got, want) {
		t.Fatalf("Gather of %d rows of %d: %v, want %v", wanted, k, got, want)
	}
	if k%lanes != 0 || !HasHalf() {
		return
	}
	half := make([]uint16, len(rows))
	largest := ToHalf(half, rows)
	most := float32(0)
	for _, v := range rows {
		most = max(most, v, -v)
	}
	if largest != most {
		t.Fatalf("ToHalf found %v, the largest is %v", largest, most)
	}
	AskHalf(half, cols, k)
	got, check = guarded(t, make([]float32, wanted*k))
	GatherHalf(got, half, cols, factors)
	check("GatherHalf")
	for i, w := range want {
		// 11 bits, and the smallest numbers to 2^-25.
		if tolerance := math.Abs(float64(w))*0x1p-11 + 0x1p-25*math.Abs(float64(factors[i/k])); math.Abs(float64(got[i]-w)) > tolerance {
			t.Fatalf("GatherHalf: number %d is %v, want %v", i, got[i], w)
		}
	}
	// A block of 8 columns of the rows.
	lo := r.IntN(k/lanes) * lanes
	block, check := guarded(t, make([]float32, wanted*lanes))
	GatherBlock(block, rows[lo:], cols, factors, k)
	check("GatherBlock")
	for i, v := range block {
		if v != want[i/lanes*k+lo+i%lanes] {
			t.Fatalf("GatherBlock: number %d is %v, want %v", i, v, want[i/lanes*k+lo+i%lanes])
		}
	}
}

// TestFromHalfIsExact takes every number of half precision, in pieces of every
// length up to 130, with canaries.
func TestFromHalfIsExact(t *testing.T) {
	if !HasHalf() {
		t.Skip("no half precision on this machine or build")
	}
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	for lo, n := 0, 0; lo < len(all); lo, n = lo+n, n%130+1 {
		src := all[lo:min(lo+n, len(all))]
		got, check := guarded(t, make([]float32, len(src)))
		factor := float32(math.Ldexp(1, n%5-2))
		FromHalf(got, src, factor)
		check("FromHalf")
		for i, h := range src {
			if want := halfValue(h) * float64(factor); float64(got[i]) != want && !(math.IsNaN(want) && got[i] != got[i]) {
				t.Fatalf("half %#04x is %v, want %v", h, got[i], want)
			}
		}
	}
}

// halfValue is a number of IEEE 754's binary16.
func halfValue(h uint16) float64 {
	sign, exponent, fraction := 1.0, int(h>>10&31), float64(h&1023)
	if h>>15 == 1 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction > 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// make16 is 16 columns, the first of them out of a base of so many rows.
func make16(rows uint32) []uint32 {
	cols := make([]uint32, 16)
	cols[0] = rows
	return cols
}

func TestShapesThatDoNotFitPanic(t *testing.T) {
	calls := map[string]func(){
		"Dot":         func() { Dot(make([]float32, 3), make([]float32, 2)) },
		"DotRows":     func() { DotRows(make([]float32, 2), make([]float32, 3), make([]float32, 2)) },
		"ApplyRows":   func() { ApplyRows(make([]float32, 1), make([]float32, 2), make([]float32, 4)) },
		"CombineRows": func() { CombineRows(make([]float32, 2), make([]float32, 3), make([]float32, 2)) },
		"Gather":      func() { Gather(make([]float32, 32*8), make([]float32, 16), make16(2), make([]float32, 16), 8) },
		"Gather odd":  func() { Gather(make([]float32, 32*3), make([]float32, 6), make16(2), make([]float32, 16), 3) },
		"DotsAt":      func() { BestKernels().DotsAt(make([]float32, 16), make([]float32, 16), make16(2), make([]float32, 8)) },
		"DotsAt odd":  func() { BestKernels().DotsAt(make([]float32, 16), make([]float32, 6), make16(2), make([]float32, 3)) },
		"Times":       func() { Times(make([]float32, 4), make([]float32, 8), make([]float32, 4), 2) },
		"Band": func() {
			Band(make([]float32, 8), make([]float32, 8), make([]float32, 8), make([]float32, 8), make([]float32, 9))
		},
		"Syrk": func() { Syrk(make([]float32, 3), make([]float32, 4), 2) },
	}
	if HasHalf() {
		calls["GatherHalf"] = func() {
			GatherHalf(make([]float32, 16*8), make([]uint16, 16), make16(2), make([]float32, 16))
		}
		calls["ToHalf"] = func() { ToHalf(make([]uint16, 9), make([]float32, 9)) }
	}
	for name, call := range calls {
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

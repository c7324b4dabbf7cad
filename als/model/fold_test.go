package model

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// history draws distinct items with weights.
func history(rng *rand.Rand, items, n int) ([]uint32, []float32) {
	rows, weights := make([]uint32, n), make([]float32, n)
	for j, r := range rng.Perm(items)[:n] {
		rows[j], weights[j] = uint32(r), 0.2+5*rng.Float32()
	}
	return rows, weights
}

// dense solves the documented loss in float64 without any shortcut: it sums
// over all items and sees observed ones as just another term.
//
//	A = sum_j (c_j [observed] + alpha0) f_j v_j v_j^T + reg I, b = sum_obs c_j f_j v_j
//	reg = lambda (sum_obs c_j f_j + alpha0 sum_j f_j)^nu
func dense(m *Model, rows []uint32, weights []float32) []float64 {
	k := m.Rank
	observed := make([]float64, m.NumItems)
	for j, r := range rows {
		observed[r] += float64(weights[j])
	}
	a, b := mat.NewSymDense(k, nil), mat.NewVecDense(k, nil)
	var mass float64
	for j := range m.NumItems {
		v := mat.NewVecDense(k, nil)
		for i := range k {
			v.SetVec(i, float64(m.Items[j*k+i]))
		}
		f := float64(m.ItemScale[j])
		a.SymRankOne(a, (observed[j]+float64(m.Params.Alpha0))*f, v)
		b.AddScaledVec(b, observed[j]*f, v)
		mass += (observed[j] + float64(m.Params.Alpha0)) * f
	}
	reg := float64(m.Params.Lambda) * math.Pow(mass, float64(m.Params.Nu))
	for i := range k {
		a.SetSym(i, i, a.At(i, i)+reg)
	}
	var x mat.VecDense
	if err := x.SolveVec(a, b); err != nil {
		panic(err)
	}
	return x.RawVector().Data
}

func TestFoldInEqualsADenseSolve(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, c := range []struct{ items, rank, n int }{
		{50, 1, 3}, {50, 4, 1}, {80, 7, 80}, {300, 32, 20}, {900, 64, 30}, {900, 64, 500}, {40, 64, 10},
	} {
		m := random(0, c.items, c.rank, uint64(c.items))
		rows, weights := history(rng, c.items, c.n)
		want := dense(m, rows, weights)
		var s Scratch
		got := make([]float32, c.rank)
		for range 2 { // the second time with used scratch
			if err := NewFolder(m).FoldIn(got, rows, weights, &s); err != nil {
				t.Fatal(err)
			}
			var diff, size float64
			for i := range want {
				diff += (float64(got[i]) - want[i]) * (float64(got[i]) - want[i])
				size += want[i] * want[i]
			}
			if rel := math.Sqrt(diff / size); rel > 2e-4 {
				t.Errorf("%+v: relative error %.2g", c, rel)
			}
		}
	}
}

// TestFoldInOfRatings: by hand for one factor, with and without biases.
func TestFoldInOfRatings(t *testing.T) {
	m := &Model{
		Rank: 1, NumItems: 2, Items: []float32{2, 1}, ItemScale: []float32{1, 1},
		Params: Params{Explicit: true, Lambda: 0.25, Nu: 1},
	}
	got := make([]float32, 1)
	if err := NewFolder(m).FoldIn(got, []uint32{0, 1}, []float32{4, 3}, new(Scratch)); err != nil {
		t.Fatal(err)
	}
	if want := (2.*4 + 3) / (4 + 1 + .25*2); math.Abs(float64(got[0])-want) > 1e-6 {
		t.Errorf("folded in to %v, want %v", got, want)
	}
	// Factors of 0 leave the bias alone: the mean of what is left, shrunken.
	m = &Model{
		Rank: 3, NumItems: 2, Items: []float32{0, 1, .5, 0, 1, -.5}, ItemScale: []float32{1, 1},
		Params: Params{Explicit: true, Biases: true, Mean: 3, Lambda: 0.25, Nu: 1, BiasLambda: 2},
	}
	got = make([]float32, 3)
	if err := NewFolder(m).FoldIn(got, []uint32{0, 1}, []float32{5, 4.5}, new(Scratch)); err != nil {
		t.Fatal(err)
	}
	if want := []float32{0, (1.5 + 2) / (2 + 2), 1}; math.Abs(float64(got[1]-want[1])) > 1e-6 || got[0] != 0 || got[2] != 1 {
		t.Errorf("folded in to %v, want %v", got, want)
	}
}

func TestFoldInOfNothingIsZero(t *testing.T) {
	m := random(0, 10, 4, 1)
	dst := []float32{1, 2, 3, 4}
	if err := NewFolder(m).FoldIn(dst, nil, nil, new(Scratch)); err != nil {
		t.Fatal(err)
	}
	for _, v := range dst {
		if v != 0 {
			t.Fatalf("got %v", dst)
		}
	}
}

func TestFoldInOfAnItemTwiceIsItsSum(t *testing.T) {
	f := NewFolder(random(0, 10, 4, 1))
	a, b := make([]float32, 4), make([]float32, 4)
	err := errors.Join(
		f.FoldIn(a, []uint32{3, 5, 3}, []float32{1, 2, 0.5}, new(Scratch)),
		f.FoldIn(b, []uint32{3, 5}, []float32{1.5, 2}, new(Scratch)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 1e-5 {
			t.Fatalf("got %v and %v", a, b)
		}
	}
}

func TestFoldInRefuses(t *testing.T) {
	f := NewFolder(random(0, 10, 4, 1))
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, c := range map[string]struct {
		n       int
		items   []uint32
		weights []float32
		want    error
	}{
		"short destination": {3, []uint32{1}, []float32{1}, ErrLength},
		"missing weight":    {4, []uint32{1, 2}, []float32{1}, ErrLength},
		"row outside":       {4, []uint32{1, 10}, []float32{1, 1}, ErrRow},
		"zero weight":       {4, []uint32{1}, []float32{0}, ErrWeight},
		"negative weight":   {4, []uint32{1}, []float32{-1}, ErrWeight},
		"NaN weight":        {4, []uint32{1}, []float32{nan}, ErrWeight},
		"infinite weight":   {4, []uint32{1}, []float32{inf}, ErrWeight},
	} {
		if err := f.FoldIn(make([]float32, c.n), c.items, c.weights, new(Scratch)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFoldInAllocatesNothing(t *testing.T) {
	m := random(0, 1000, 64, 1)
	rows, weights := history(rand.New(rand.NewPCG(1, 1)), m.NumItems, 200)
	f, dst := NewFolder(m), make([]float32, m.Rank)
	var s Scratch
	if n := testing.AllocsPerRun(10, func() {
		if err := f.FoldIn(dst, rows, weights, &s); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkFoldIn: 100 items, rank 64; the bar is 100 us. The floor is
// 100*64*65 + 64^3/3 = 503k floating point operations: 6 us at the 32 a cycle of
// AVX2 and 2.7 GHz, 93 us at the two of plain Go.
func BenchmarkFoldIn(b *testing.B) {
	m := random(0, 2000, 64, 1)
	rows, weights := history(rand.New(rand.NewPCG(1, 1)), m.NumItems, 100)
	f, dst := NewFolder(m), make([]float32, m.Rank)
	var s Scratch
	b.ReportAllocs()
	for b.Loop() {
		if err := f.FoldIn(dst, rows, weights, &s); err != nil {
			b.Fatal(err)
		}
	}
}

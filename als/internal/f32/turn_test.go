package f32

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// turnCase is one comparison of Times and Band with the generic code: n rows of
// length k, at an offset of so many numbers from where a block begins, whose
// magnitudes are spread over so many binary orders either way.
type turnCase struct{ k, n, offset, spread int }

// TestTurnAgreesWithGeneric takes every length up to 130 with every number of
// rows that the tiles of four leave over.
func TestTurnAgreesWithGeneric(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 1))
	for k := range 131 {
		for _, n := range []int{0, 1, 3, 4, 5, 8, 11} {
			compareTurn(t, r, turnCase{k: k, n: n, offset: r.IntN(9), spread: r.IntN(40)})
		}
	}
}

func FuzzTurnAgreesWithGeneric(f *testing.F) {
	for _, k := range []uint8{0, 1, 7, 8, 9, 16, 24, 32, 63, 64, 65, 128, 130} {
		f.Add(uint64(k), k, uint8(9), uint8(3), uint8(20))
	}
	f.Fuzz(func(t *testing.T, seed uint64, k, n, offset, spread uint8) {
		compareTurn(t, rand.New(rand.NewPCG(seed, 2)), turnCase{k: int(k) % 131, n: int(n) % 33, offset: int(offset) % 17, spread: int(spread) % 41})
	})
}

// compareTurn holds Times and Band against the generic code: canaries around
// the output, the inputs unchanged, and every number within what the other
// order of its additions may change.
func compareTurn(t *testing.T, r *rand.Rand, c turnCase) {
	t.Helper()
	k := c.k
	rows, square := c.numbers(r, c.n*k), c.numbers(r, k*k)
	inputs := [][]float32{slices.Clone(rows), slices.Clone(square)}
	got, check := guarded(t, c.numbers(r, c.n*k))
	Times(got, rows, square, k)
	check("Times")
	want, sizes := make([]float32, c.n*k), make([]float64, c.n*k)
	for i := range c.n {
		row := rows[i*k : (i+1)*k]
		combineRowsGeneric(want[i*k:(i+1)*k], square, row)
		for j := range k {
			for l, v := range row {
				sizes[i*k+j] += math.Abs(float64(v) * float64(square[l*k+j]))
			}
		}
	}
	withinRounding(t, "Times", got, want, sizes, k)

	below, diag, above, x, y := c.numbers(r, k), c.numbers(r, k), c.numbers(r, k), c.numbers(r, k+2), c.numbers(r, k)
	inputs = append(inputs, slices.Clone(below), slices.Clone(diag), slices.Clone(above), slices.Clone(x))
	got, check = guarded(t, y)
	want, sizes = slices.Clone(y), make([]float64, k)
	for i := range k {
		sizes[i] = math.Abs(float64(y[i])) + math.Abs(float64(below[i])*float64(x[i])) +
			math.Abs(float64(diag[i])*float64(x[i+1])) + math.Abs(float64(above[i])*float64(x[i+2]))
	}
	Band(got, below, diag, above, x)
	check("Band")
	bandGeneric(want, below, diag, above, x)
	withinRounding(t, "Band", got, want, sizes, 4)
	for i, v := range [][]float32{rows, square, below, diag, above, x} {
		if !slices.Equal(v, inputs[i]) {
			t.Fatalf("%+v: input %d was changed", c, i)
		}
	}
}

// numbers are n random ones at the case's offset.
func (c turnCase) numbers(r *rand.Rand, n int) []float32 {
	v := random(r, c.offset+n)[c.offset:]
	for i := range v {
		v[i] = float32(math.Ldexp(float64(v[i]), r.IntN(2*c.spread+1)-c.spread))
	}
	return v
}

// withinRounding allows two ways of adding n products half an ulp of the sum of
// their sizes for each of their roundings: n products, n additions, either way.
func withinRounding(t *testing.T, what string, got, want []float32, sizes []float64, n int) {
	t.Helper()
	for i, w := range want {
		bound := float64(4*n)*0x1p-24*sizes[i] + 0x1p-149*float64(n)
		if d := math.Abs(float64(got[i]) - float64(w)); !(d <= bound) {
			ulp := math.Ldexp(1, max(-149, math.Ilogb(sizes[i])-23))
			t.Fatalf("%s: number %d is %v, generic %v: %.1f ulps of the sum's size apart, at most %.1f", what, i, got[i], w, d/ulp, bound/ulp)
		}
	}
}

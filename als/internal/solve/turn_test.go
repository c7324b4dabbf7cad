package solve

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als/internal/f32"
)

func TestTurnMakesTridiagonal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 8))
	random := func(k, rows int) []float32 {
		g := make([]float32, k*k)
		for range rows {
			y := make([]float64, k)
			for i := range y {
				y[i] = r.NormFloat64()
			}
			for i := range k {
				for j := range k {
					g[i*k+j] += float32(y[i] * y[j])
				}
			}
		}
		return g
	}
	diagonal := make([]float32, 64)
	for i := range 8 {
		diagonal[i*9] = float32(i)
	}
	for name, g := range map[string]struct {
		k    int
		gram []float32
	}{
		"one column": {1, random(1, 3)}, "two columns": {2, random(2, 3)}, "full rank": {64, random(64, 200)},
		"low rank": {32, random(32, 3)}, "diagonal": {8, diagonal}, "nothing": {16, make([]float32, 256)},
	} {
		k, turn := g.k, newTurn(g.gram, g.k)
		largest := float64(slices.Max(g.gram))
		for i := range k {
			for j := range k {
				// (Q^T Q)[i][j] and (Q^T G Q)[i][j].
				one, all := 0.0, 0.0
				for a := range k {
					one += float64(turn.into[a*k+i]) * float64(turn.back[j*k+a])
					for b := range k {
						all += float64(turn.into[a*k+i]) * float64(g.gram[a*k+b]) * float64(turn.into[b*k+j])
					}
				}
				want := map[int]float32{j - 1: turn.above[i], j: turn.diag[i], j + 1: turn.below[i]}[i]
				identity := 0.0
				if i == j {
					identity = 1
				}
				if math.Abs(one-identity) > 1e-5 || math.Abs(all-float64(want)) > 1e-4*(1+largest) {
					t.Fatalf("%s: at %d, %d are %v and %v, want %v and %v", name, i, j, one, all, identity, want)
				}
			}
		}
		if turn.below[0] != 0 || turn.above[k-1] != 0 {
			t.Errorf("%s: the band has numbers outside the matrix", name)
		}
	}
}

// TestTurnedRowsAreTheSame: a row that is solved in the basis of many rows is
// the one that is solved alone.
func TestTurnedRowsAreTheSame(t *testing.T) {
	if !f32.HasHalf() {
		t.Skip("nothing is turned without half precision")
	}
	for name, c := range map[string]struct {
		loss  string
		rank  int
		free  int
		size  float32
		turns bool
	}{
		"many rows":       {"implicit", 32, 32 * turnRows, 1, true},
		"more than fixed": {"implicit", 32, 32 * turnRows / 2, 1, false},
		"few rows":        {"implicit", 32, 1000, 1, false},
		"odd rank":        {"implicit", 33, 50_000, 1, false},
		"large factors":   {"implicit", 32, 50_000, 1e5, false},
		"explicit":        {"explicit", 32, 50_000, 1, false},
		"biased":          {"biased", 32, 50_000, 1, false},
	} {
		p := newProblem(5, losses[c.loss], c.rank, 400, 200, true)
		p.Factors[77] = c.size
		p.Half = true
		alone := p.fixed(2)
		p.Free = c.free
		f := p.fixed(2)
		if (f.turn != nil) != c.turns {
			t.Errorf("%s: turned is %v", name, f.turn != nil)
		}
		r := rand.New(rand.NewPCG(2, 3))
		start := make([]float32, p.Rank)
		for i := range start {
			start[i] = float32(r.NormFloat64())
		}
		for _, steps := range []int{1, 3, 200} {
			var s Scratch
			rows := slices.Repeat(start, 20) // two and a half times as many as go together
			f.Enter(rows, &s)
			for row := range slices.Chunk(rows, p.Rank) {
				if err := f.Gradient(row, p.row, steps, &s); err != nil {
					t.Fatal(err)
				}
			}
			f.Leave(rows, &s)
			want := slices.Clone(start)
			if err := alone.Gradient(want, p.row, steps, &s); err != nil {
				t.Fatal(err)
			}
			for row := range slices.Chunk(rows, p.Rank) {
				if d := near(row, want); d > 2e-3 {
					t.Fatalf("%s, %d steps: off by %v", name, steps, d)
				}
			}
		}
	}
}

// near is how far two vectors are from each other, relative to their length.
func near(a, b []float32) float64 {
	apart, length := 0.0, 0.0
	for i := range a {
		apart += float64(a[i]-b[i]) * float64(a[i]-b[i])
		length += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(apart / length)
}

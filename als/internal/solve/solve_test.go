package solve

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"vitrine/als/internal/f32"
)

// problem is a random fixed side and one row's observations of it.
type problem struct {
	Config
	row Row
}

// losses under test.
var losses = map[string]Loss{
	"implicit": {Alpha0: 0.2, Lambda: 0.05, Nu: 0.7},
	"explicit": {Explicit: true, Lambda: 0.1, Nu: 1},
	"biased":   {Explicit: true, Biased: true, Mean: 3.5, Lambda: 0.3, Nu: 0.75, BiasLambda: 2},
}

// newProblem makes n fixed rows of so many factors; items tells that they are
// the items.
func newProblem(seed uint64, loss Loss, factors, n, observed int, items bool) problem {
	r := rand.New(rand.NewPCG(seed, 1))
	rank := factors
	if loss.Biased {
		rank += biasColumns
	}
	p := problem{Config: Config{
		Rank: rank, Factors: make([]float32, n*rank), Scale: make([]float32, n), Items: items, Loss: loss,
	}}
	for i := range p.Factors {
		p.Factors[i] = float32(r.NormFloat64())
	}
	for i := range p.Scale {
		p.Scale[i] = 0.5 + r.Float32()
		if loss.Biased {
			own := p.Factors[(i+1)*rank-2 : (i+1)*rank]
			if items {
				own[0] = 1
			} else {
				own[1] = 1
			}
		}
	}
	for _, c := range r.Perm(n)[:observed] {
		p.row.Cols = append(p.row.Cols, uint32(c))
	}
	slices.Sort(p.row.Cols)
	for range p.row.Cols {
		p.row.Weights = append(p.row.Weights, 0.1+3*r.Float32())
	}
	return p
}

func (p *problem) fixed(workers int) *Fixed { return NewFixed(p.Config, Workers{N: workers}) }

// normal returns the normal equations a x = b of the documented loss in
// float64; the bias, if any, is the last unknown.
func (p *problem) normal() (a *mat.SymDense, b *mat.VecDense) {
	factors := p.Rank
	if p.Loss.Biased {
		factors -= biasColumns
	}
	unknowns := factors
	if p.Loss.Biased {
		unknowns++
	}
	design := func(j int) *mat.VecDense {
		v := mat.NewVecDense(unknowns, nil)
		for i := range factors {
			v.SetVec(i, float64(p.Factors[j*p.Rank+i]))
		}
		if p.Loss.Biased {
			v.SetVec(factors, 1)
		}
		return v
	}
	a, b = mat.NewSymDense(unknowns, nil), mat.NewVecDense(unknowns, nil)
	mass := 0.0
	if !p.Loss.Explicit {
		for j, s := range p.Scale {
			a.SymRankOne(a, float64(p.Loss.Alpha0)*float64(s), design(j))
			mass += float64(p.Loss.Alpha0) * float64(s)
		}
	}
	for n, c := range p.row.Cols {
		w, target := 1.0, float64(p.row.Weights[n])
		if !p.Loss.Explicit {
			w, target = float64(p.row.Weights[n])*float64(p.Scale[c]), 1
		} else if p.Loss.Biased {
			other := p.Rank - 2
			if p.Items {
				other++
			}
			target -= float64(p.Loss.Mean) + float64(p.Factors[int(c)*p.Rank+other])
		}
		a.SymRankOne(a, w, design(int(c)))
		b.AddScaledVec(b, w*target, design(int(c)))
		mass += w
	}
	for i := range factors {
		a.SetSym(i, i, a.At(i, i)+float64(p.Loss.Lambda)*math.Pow(mass, float64(p.Loss.Nu)))
	}
	if p.Loss.Biased {
		a.SetSym(factors, factors, a.At(factors, factors)+float64(p.Loss.BiasLambda))
	}
	return a, b
}

// oracle solves the normal equations with gonum: it returns the row as it is
// stored.
func (p *problem) oracle(t *testing.T) []float64 {
	t.Helper()
	a, b := p.normal()
	var chol mat.Cholesky
	if !chol.Factorize(a) {
		t.Fatal("oracle is not positive definite")
	}
	var x mat.VecDense
	if err := chol.SolveVecTo(&x, b); err != nil {
		t.Fatal(err)
	}
	row := slices.Clone(x.RawVector().Data)
	if factors := len(row) - 1; p.Loss.Biased {
		if p.Items {
			row = append(row, 1)
		} else {
			row = append(row[:factors], 1, x.AtVec(factors))
		}
	}
	return row
}

func distance(got []float32, want []float64) float64 {
	worst := 0.0
	for i, w := range want {
		worst = max(worst, math.Abs(float64(got[i])-w))
	}
	return worst
}

// shapes cover tails of every kernel, more observations than one panel, ranks
// above the number of rows, and more than one block of factors.
var shapes = []struct{ rank, n, observed int }{
	{1, 5, 2},
	{3, 10, 1},
	{8, 4, 4},
	{17, 60, 33},
	{64, 700, 300},
	{64, 40, 7},
	{72, 90, 90},
	{150, 400, 200},
}

// methods are the solvers; rounds is how many sweeps make them converge.
var methods = map[string]func(f *Fixed, dst []float32, row Row, s *Scratch) error{
	"exact": (*Fixed).Exact,
	"gradient": func(f *Fixed, dst []float32, row Row, s *Scratch) error {
		return f.Gradient(dst, row, 3*f.Rank+5, s)
	},
	"blocks": func(f *Fixed, dst []float32, row Row, s *Scratch) error {
		for range 400 {
			if err := f.Blocks(dst, row, s); err != nil {
				return err
			}
		}
		return nil
	},
}

func TestEveryMethodEqualsFloat64(t *testing.T) {
	var s Scratch // shared on purpose: a grown or refitted scratch must not leak into the next row
	for name, loss := range losses {
		for n, sh := range shapes {
			for _, items := range []bool{true, false} {
				p := newProblem(uint64(n), loss, sh.rank, sh.n, sh.observed, items)
				want := p.oracle(t)
				for method, solve := range methods {
					if method == "blocks" && sh.rank > 100 {
						continue // converges slowly on noise; covered by the loss
					}
					got := make([]float32, p.Rank)
					if err := solve(p.fixed(1), got, p.row, &s); err != nil {
						t.Fatal(err)
					}
					if d := distance(got, want); d > 1e-3 {
						t.Errorf("%s, %s, %+v: off by %v", name, method, sh, d)
					}
				}
			}
		}
	}
}

// TestRootedWeightsAreTheSame: weights that have taken in the scales and the
// root give the same row.
func TestRootedWeightsAreTheSame(t *testing.T) {
	p := newProblem(3, losses["implicit"], 16, 300, 200, false)
	want := p.oracle(t)
	p.Rooted = true
	for i, c := range p.row.Cols {
		p.row.Weights[i] = float32(math.Sqrt(float64(p.row.Weights[i] * p.Scale[c])))
	}
	var s Scratch
	for method, solve := range methods {
		got := make([]float32, p.Rank)
		if err := solve(p.fixed(1), got, p.row, &s); err != nil {
			t.Fatal(err)
		}
		if d := distance(got, want); d > 1e-3 {
			t.Errorf("%s: off by %v", method, d)
		}
	}
}

// TestRootedHalvesAreNear: rooted weights in half precision give the same row up
// to their rounding, by every method, whether or not all of it fits a panel.
func TestRootedHalvesAreNear(t *testing.T) {
	if !f32.HasHalf() {
		t.Skip("no half precision on this machine or build")
	}
	p := newProblem(3, losses["implicit"], 16, 300, 197, false)
	want := p.oracle(t)
	p.Rooted = true
	roots := make([]float32, 200)
	for i, c := range p.row.Cols {
		roots[i] = float32(math.Sqrt(float64(p.row.Weights[i] * p.Scale[c])))
	}
	halves := make([]uint16, 200)
	const unit = 0x1p-9
	for i := range roots {
		roots[i] /= unit
	}
	f32.ToHalf(halves, roots)
	p.row.Weights, p.row.Halves, p.row.Unit = nil, halves[:197], unit
	f := p.fixed(1)
	exactly := 0.0
	for _, v := range roots {
		exactly += float64(v) * float64(v) * unit * unit
	}
	if mass := f.Mass(p.row); math.Abs(mass-exactly) > 1e-3*exactly {
		t.Errorf("mass %v, exactly %v", mass, exactly)
	}
	var s Scratch
	for method, solve := range methods {
		got := make([]float32, p.Rank)
		if err := solve(f, got, p.row, &s); err != nil {
			t.Fatal(err)
		}
		if d := distance(got, want); d > 1e-3 {
			t.Errorf("%s: off by %v", method, d)
		}
	}
}

// TestHalfPrecisionIsNear: gradients may fetch the fixed rows in half
// precision, and do not where these do not fit into it.
func TestHalfPrecisionIsNear(t *testing.T) {
	for _, size := range []float32{1, 1e5} {
		p := newProblem(5, losses["implicit"], 32, 400, 200, true)
		p.Factors[77] = size
		p.Half = true
		f, want := p.fixed(2), p.oracle(t)
		if f32.HasHalf() && (f.half == nil) != (size > maxHalf) {
			t.Errorf("largest factor %v: half precision %v", size, f.half != nil)
		}
		var s Scratch
		got := make([]float32, p.Rank)
		if err := f.Gradient(got, p.row, 200, &s); err != nil {
			t.Fatal(err)
		}
		if d := distance(got, want); d > 2e-3 {
			t.Errorf("largest factor %v: off by %v", size, d)
		}
	}
}

// TestFewStepsGetNearer: what training does of a row at a time brings it nearer.
func TestFewStepsGetNearer(t *testing.T) {
	var s Scratch
	for name, loss := range losses {
		for n, sh := range shapes {
			p := newProblem(uint64(n), loss, sh.rank, sh.n, sh.observed, true)
			f, want := p.fixed(1), p.oracle(t)
			start := distance(make([]float32, p.Rank), want)
			for method, solve := range map[string]func(dst []float32) error{
				"gradient": func(dst []float32) error { return f.Gradient(dst, p.row, 3, &s) },
				"blocks":   func(dst []float32) error { return f.Blocks(dst, p.row, &s) },
			} {
				got := make([]float32, p.Rank)
				if err := solve(got); err != nil {
					t.Fatal(err)
				}
				if d := distance(got, want); d >= start {
					t.Errorf("%s, %s, %+v: went from %v to %v", name, method, sh, start, d)
				}
			}
		}
	}
}

// TestBlocksSolveTheLastBlock: after a sweep nothing is left to gain in the
// block that came last, given all the others.
func TestBlocksSolveTheLastBlock(t *testing.T) {
	var s Scratch
	for name, loss := range losses {
		p := newProblem(8, loss, 150, 400, 200, true)
		a, b := p.normal()
		dst := make([]float32, p.Rank)
		if err := p.fixed(1).Blocks(dst, p.row, &s); err != nil {
			t.Fatal(err)
		}
		n := b.Len()
		x, left := mat.NewVecDense(n, nil), mat.NewVecDense(n, nil)
		for i := range n {
			x.SetVec(i, float64(dst[i]))
		}
		left.MulVec(a, x)
		left.SubVec(b, left)
		for i := range n {
			if size := math.Abs(left.AtVec(i)); i >= 2*blockWidth && size > 1e-2 {
				t.Errorf("%s: unknown %d leaves %v", name, i, size)
			}
		}
		if mat.Norm(left.SliceVec(0, blockWidth), 2) < 1e-2 {
			t.Errorf("%s: the first block is solved as well: the test tells nothing", name)
		}
	}
}

// TestRowsOfMoreThanOnePanel: long rows are gathered anew in every pass, in
// bounded memory.
func TestHintsChangeNothing(t *testing.T) {
	for _, observed := range []int{1, 40, 500} {
		p := newProblem(9, losses["implicit"], 64, 3000, observed, true)
		p.Half = true
		f := p.fixed(1)
		var s Scratch
		solve := func(hints int) []float32 {
			row := p.row
			for i := range hints {
				row.Cols = append(row.Cols, uint32(7*i%f.Len()))
			}
			dst := make([]float32, p.Rank)
			if err := f.Gradient(dst, row, 3, &s); err != nil {
				t.Fatal(err)
			}
			return dst
		}
		want := solve(0)
		for _, hints := range []int{1, 31, 100, 1024} {
			if got := solve(hints); !slices.Equal(got, want) {
				t.Errorf("%d observations, %d hints: %v, without %v", observed, hints, got[:4], want[:4])
			}
		}
	}
}

func TestRowsOfMoreThanOnePanel(t *testing.T) {
	const panel = gradientFloats / 8
	var s Scratch
	for name, loss := range losses {
		p := newProblem(9, loss, 4, panel+900, panel+700, true)
		want := p.oracle(t)
		for method, solve := range methods {
			if method == "blocks" {
				solve = (*Fixed).Blocks // one block is all
			}
			got := make([]float32, p.Rank)
			if err := solve(p.fixed(1), got, p.row, &s); err != nil {
				t.Fatal(err)
			}
			if d := distance(got, want); d > 1e-3 {
				t.Errorf("%s, %s: off by %v", name, method, d)
			}
			if len(s.panel) > 2*gradientFloats {
				t.Errorf("%s, %s: the panel grew to %d numbers", name, method, len(s.panel))
			}
		}
	}
}

func TestNothingDependsOnWorkers(t *testing.T) {
	for name, loss := range losses {
		for _, factors := range []int{13, 16} {
			p := newProblem(4, loss, factors, 20001, 1, true)
			p.Half, p.Free = true, 20001
			want := p.fixed(1)
			for _, workers := range []int{0, 2, 3, 16} {
				got := p.fixed(workers)
				if !slices.Equal(got.gram, want.gram) || !slices.Equal(got.half, want.half) || !slices.Equal(got.design, want.design) {
					t.Errorf("%s, %d factors: %d workers prepare something else", name, factors, workers)
				}
			}
		}
	}
}

func TestRowWithoutObservations(t *testing.T) {
	var s Scratch
	for name, loss := range losses {
		p := newProblem(1, loss, 6, 20, 0, true)
		want := make([]float32, p.Rank)
		if loss.Biased {
			want[p.Rank-1] = 1
		}
		for method, solve := range methods {
			got := slices.Repeat([]float32{7}, p.Rank)
			if err := solve(p.fixed(1), got, Row{}, &s); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: %v, want %v", name, method, got, want)
			}
		}
	}
}

func TestWhatCannotBeFactoredIsReported(t *testing.T) {
	var s Scratch
	for name, spoil := range map[string]func(p *problem){
		"NaN weight":      func(p *problem) { p.row.Weights[0] = float32(math.NaN()) },
		"infinite weight": func(p *problem) { p.row.Weights[0] = float32(math.Inf(1)) },
		"negative weight": func(p *problem) { p.row.Weights[0] = -1e6 },
		"no regularization": func(p *problem) {
			p.Loss.Lambda, p.Loss.Alpha0 = 0, 0
		},
	} {
		for method, solve := range map[string]func(f *Fixed, dst []float32, row Row, s *Scratch) error{
			"exact": (*Fixed).Exact, "blocks": (*Fixed).Blocks,
		} {
			p := newProblem(2, losses["implicit"], 8, 20, 3, true)
			spoil(&p)
			dst := []float32{1, 2, 3, 4, 5, 6, 7, 8}
			if err := solve(p.fixed(1), dst, p.row, &s); !errors.Is(err, ErrNotPositive) {
				t.Errorf("%s, %s: error %v", method, name, err)
			}
			if dst[0] != 0 || dst[7] != 0 {
				t.Errorf("%s, %s: left %v behind", method, name, dst)
			}
		}
	}
}

// TestStoppedSolvesLeaveTheRowAlone, also in the middle of a long row.
func TestStoppedSolvesLeaveTheRowAlone(t *testing.T) {
	done := make(chan struct{})
	close(done)
	for name, loss := range losses {
		p := newProblem(9, loss, 8, gradientFloats/8+900, gradientFloats/8+700, true)
		f := p.fixed(1)
		for method, solve := range methods {
			s := Scratch{Done: done}
			dst := slices.Repeat([]float32{7}, p.Rank)
			want := slices.Clone(dst)
			if err := solve(f, dst, p.row, &s); !errors.Is(err, ErrStopped) {
				t.Errorf("%s, %s: error %v", name, method, err)
			}
			if !slices.Equal(dst, want) {
				t.Errorf("%s, %s: left %v behind", name, method, dst)
			}
		}
	}
}

func TestSolvesDoNotAllocate(t *testing.T) {
	var s Scratch
	for name, loss := range losses {
		p := newProblem(3, loss, 64, 500, 200, true)
		f, dst := p.fixed(1), make([]float32, p.Rank)
		solve := func() {
			if err := errors.Join(f.Exact(dst, p.row, &s), f.Gradient(dst, p.row, 3, &s), f.Blocks(dst, p.row, &s)); err != nil {
				t.Fatal(err)
			}
		}
		solve()
		if n := testing.AllocsPerRun(20, solve); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestRefreshTakesInChanges: a refreshed side is a new one.
func TestRefreshTakesInChanges(t *testing.T) {
	for name, loss := range losses {
		p := newProblem(6, loss, 12, 50, 20, true)
		p.Half = true
		f := p.fixed(1)
		r := rand.New(rand.NewPCG(1, 9))
		for i := range p.Factors {
			if p.Factors[i] != 1 {
				p.Factors[i] = float32(r.NormFloat64())
			}
		}
		f.Refresh(Workers{N: 2})
		want := p.fixed(1)
		if !slices.Equal(f.gram, want.gram) || !slices.Equal(f.half, want.half) || !slices.Equal(f.offset, want.offset) {
			t.Errorf("%s: the refreshed side is another", name)
		}
	}
}

func ExampleFixed_Exact() {
	// Two items, and a user who rated the first 4.
	items := NewFixed(Config{
		Rank: 1, Factors: []float32{2, 1}, Scale: []float32{1, 1}, Items: true,
		Loss: Loss{Explicit: true, Lambda: 0.1, Nu: 1},
	}, Workers{N: 1})
	user := make([]float32, 1)
	var s Scratch
	if err := items.Exact(user, Row{Cols: []uint32{0}, Weights: []float32{4}}, &s); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%.4f\n", user[0]) // 2*4 / (2*2 + 0.1)
	// Output: 1.9512
}

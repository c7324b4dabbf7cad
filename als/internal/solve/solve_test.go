package solve

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// problem is a random fixed side and one row's observations of it.
type problem struct {
	rank    int
	factors []float32
	scale   []float32
	loss    Loss
	cols    []uint32
	weights []float32
}

func newProblem(seed uint64, rank, n, observed int) problem {
	r := rand.New(rand.NewPCG(seed, 1))
	p := problem{
		rank: rank, factors: make([]float32, n*rank), scale: make([]float32, n),
		loss: Loss{Alpha0: 0.2, Lambda: 0.05, Nu: 0.7},
	}
	for i := range p.factors {
		p.factors[i] = float32(r.NormFloat64())
	}
	for i := range p.scale {
		p.scale[i] = 0.5 + r.Float32()
	}
	for _, c := range r.Perm(n)[:observed] {
		p.cols = append(p.cols, uint32(c))
	}
	slices.Sort(p.cols)
	for range p.cols {
		p.weights = append(p.weights, 0.1+3*r.Float32())
	}
	return p
}

func (p *problem) fixed(workers int) *Fixed {
	return NewFixed(p.rank, p.factors, p.scale, p.loss, workers)
}

// oracle solves the documented loss in float64 with gonum.
func (p *problem) oracle(t *testing.T) []float64 {
	t.Helper()
	k := p.rank
	a, b := mat.NewSymDense(k, nil), mat.NewVecDense(k, nil)
	mass := 0.0
	row := func(j int) *mat.VecDense {
		v := mat.NewVecDense(k, nil)
		for i := range k {
			v.SetVec(i, float64(p.factors[j*k+i]))
		}
		return v
	}
	for j, s := range p.scale {
		a.SymRankOne(a, float64(p.loss.Alpha0)*float64(s), row(j))
		mass += float64(p.loss.Alpha0) * float64(s)
	}
	for n, c := range p.cols {
		w := float64(p.weights[n]) * float64(p.scale[c])
		a.SymRankOne(a, w, row(int(c)))
		b.AddScaledVec(b, w, row(int(c)))
		mass += w
	}
	for i := range k {
		a.SetSym(i, i, a.At(i, i)+float64(p.loss.Lambda)*math.Pow(mass, float64(p.loss.Nu)))
	}
	var chol mat.Cholesky
	if !chol.Factorize(a) {
		t.Fatal("oracle is not positive definite")
	}
	var x mat.VecDense
	if err := chol.SolveVecTo(&x, b); err != nil {
		t.Fatal(err)
	}
	return x.RawVector().Data
}

func distance(got []float32, want []float64) float64 {
	worst := 0.0
	for i, w := range want {
		worst = max(worst, math.Abs(float64(got[i])-w))
	}
	return worst
}

// shapes cover tails of every kernel, more observations than one panel, and
// ranks above the number of rows.
var shapes = []struct{ rank, n, observed int }{
	{1, 5, 2}, {3, 10, 1}, {8, 4, 4}, {17, 60, 33}, {64, 700, 300}, {64, 40, 7},
}

func TestExactEqualsFloat64(t *testing.T) {
	var s Scratch // shared on purpose: a grown or refitted scratch must not leak into the next row
	for n, sh := range shapes {
		p := newProblem(uint64(n), sh.rank, sh.n, sh.observed)
		got := make([]float32, sh.rank)
		if err := p.fixed(1).Exact(got, p.cols, p.weights, &s); err != nil {
			t.Fatal(err)
		}
		if d := distance(got, p.oracle(t)); d > 1e-4 {
			t.Errorf("%+v: off by %v", sh, d)
		}
	}
}

func TestGradientConvergesToExact(t *testing.T) {
	var s Scratch
	for n, sh := range shapes {
		p := newProblem(uint64(n), sh.rank, sh.n, sh.observed)
		want := p.oracle(t)
		got := make([]float32, sh.rank)
		p.fixed(1).Gradient(got, p.cols, p.weights, 3*sh.rank+5, &s)
		if d := distance(got, want); d > 1e-3 {
			t.Errorf("%+v: off by %v", sh, d)
		}
		start := distance(make([]float32, sh.rank), want)
		three := make([]float32, sh.rank)
		p.fixed(1).Gradient(three, p.cols, p.weights, 3, &s)
		if d := distance(three, want); d >= start {
			t.Errorf("%+v: three steps went from %v to %v", sh, start, d)
		}
	}
}

func TestGradientWithMoreThanOnePanel(t *testing.T) {
	p := newProblem(9, 4, gradientChunk+900, gradientChunk+700)
	want := p.oracle(t)
	var s Scratch
	got := make([]float32, 4)
	p.fixed(1).Gradient(got, p.cols, p.weights, 20, &s)
	if d := distance(got, want); d > 1e-3 {
		t.Errorf("gradient off by %v", d)
	}
	if len(s.weight) > 2*gradientChunk {
		t.Errorf("panel grew to %d rows", len(s.weight))
	}
	if err := p.fixed(1).Exact(got, p.cols, p.weights, &s); err != nil {
		t.Fatal(err)
	}
	if d := distance(got, want); d > 1e-3 {
		t.Errorf("exact off by %v", d)
	}
}

func TestGramDoesNotDependOnWorkers(t *testing.T) {
	p := newProblem(4, 13, 20001, 1)
	want := p.fixed(1).gram
	for _, workers := range []int{0, 2, 3, 16} {
		if !slices.Equal(p.fixed(workers).gram, want) {
			t.Errorf("%d workers give another matrix", workers)
		}
	}
}

func TestRowWithoutObservationsIsZero(t *testing.T) {
	p := newProblem(1, 8, 20, 0)
	f := p.fixed(1)
	var s Scratch
	for name, solve := range map[string]func(dst []float32) error{
		"exact":    func(dst []float32) error { return f.Exact(dst, nil, nil, &s) },
		"gradient": func(dst []float32) error { f.Gradient(dst, nil, nil, 3, &s); return nil },
	} {
		dst := []float32{1, 2, 3, 4, 5, 6, 7, 8}
		if err := solve(dst); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(dst, func(v float32) bool { return v != 0 }) {
			t.Errorf("%s: %v", name, dst)
		}
	}
}

func TestExactReportsWhatItCannotFactor(t *testing.T) {
	var s Scratch
	for name, spoil := range map[string]func(p *problem){
		"NaN weight":      func(p *problem) { p.weights[0] = float32(math.NaN()) },
		"infinite weight": func(p *problem) { p.weights[0] = float32(math.Inf(1)) },
		"negative weight": func(p *problem) { p.weights[0] = -1e6 },
		"no regularization": func(p *problem) {
			p.loss.Lambda, p.loss.Alpha0 = 0, 0
		},
	} {
		p := newProblem(2, 8, 20, 3)
		spoil(&p)
		dst := []float32{1, 2, 3, 4, 5, 6, 7, 8}
		if err := p.fixed(1).Exact(dst, p.cols, p.weights, &s); !errors.Is(err, ErrNotPositive) {
			t.Errorf("%s: error %v", name, err)
		}
		if dst[0] != 0 || dst[7] != 0 {
			t.Errorf("%s: left %v behind", name, dst)
		}
	}
}

func TestSolvesDoNotAllocate(t *testing.T) {
	p := newProblem(3, 64, 500, 200)
	f := p.fixed(1)
	var s Scratch
	dst := make([]float32, 64)
	solve := func() {
		if err := f.Exact(dst, p.cols, p.weights, &s); err != nil {
			t.Fatal(err)
		}
		f.Gradient(dst, p.cols, p.weights, 3, &s)
	}
	solve()
	if n := testing.AllocsPerRun(20, solve); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

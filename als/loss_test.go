package als

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"vitrine/als/dataset"
	"vitrine/als/model"
)

// tiny makes a dense-ish small problem; its weights serve as ratings as well.
func tiny(t *testing.T, users, items int) *dataset.CSR {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 12))
	b := dataset.NewBuilder(items)
	for range users {
		for i := range items {
			if r.IntN(3) == 0 {
				if err := b.Add(uint32(i), 0.3+2*r.Float32()); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.EndRow()
	}
	return b.Build()
}

func start(t *testing.T, data *dataset.CSR, opt Options) *trainer {
	t.Helper()
	if err := opt.complete(); err != nil {
		t.Fatal(err)
	}
	tr, err := newTrainer(context.Background(), data, &opt)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// losses under test, with the parameters that change their form.
var losses = map[string]Options{
	"implicit":               {},
	"implicit, p 0":          {FrequencyPower: new(0.0)},
	"implicit, p .5":         {FrequencyPower: new(0.5)},
	"implicit, p .5, nu 0":   {FrequencyPower: new(0.5), Nu: new(0.0)},
	"implicit, p 1, nu .5":   {FrequencyPower: new(1.0), Nu: new(0.5)},
	"explicit":               {Loss: LossExplicit},
	"explicit, nu 0":         {Loss: LossExplicit, Nu: new(0.0), Lambda: 3},
	"explicit, biases":       {Loss: LossExplicit, Biases: true},
	"explicit, biases, nu 0": {Loss: LossExplicit, Biases: true, Nu: new(0.0), Lambda: 3},
}

var solvers = []string{SolverCG, SolverCholesky, SolverBlocks}

// denseLoss is L of the package documentation written out over every cell.
func denseLoss(m *model.Model, data *dataset.CSR, userScale []float32) float64 {
	if m.Params.Explicit {
		return denseRatings(m, data)
	}
	alpha0, nu := float64(m.Params.Alpha0), float64(m.Params.Nu)
	c := mat.NewDense(m.NumUsers, m.NumItems, nil)
	for u := range m.NumUsers {
		cols, w := data.Row(u)
		for n, i := range cols {
			c.Set(u, int(i), float64(w[n]))
		}
	}
	total, massU, massI := 0.0, make([]float64, m.NumUsers), make([]float64, m.NumItems)
	for u := range m.NumUsers {
		for i := range m.NumItems {
			s := inner(m, u, i, m.Rank)
			g, f, w := float64(userScale[u]), float64(m.ItemScale[i]), c.At(u, i)
			total += g * f * (w*(1-s)*(1-s) + alpha0*s*s)
			massU[u] += f * (w + alpha0)
			massI[i] += g * (w + alpha0)
		}
	}
	for u, mass := range massU {
		total += float64(m.Params.Lambda) * float64(userScale[u]) * math.Pow(mass, nu) * norm(m.Users[u*m.Rank:(u+1)*m.Rank])
	}
	for i, mass := range massI {
		total += float64(m.Params.Lambda) * float64(m.ItemScale[i]) * math.Pow(mass, nu) * norm(m.Items[i*m.Rank:(i+1)*m.Rank])
	}
	return total
}

// denseRatings is the explicit L, with biases taken by the model's methods.
func denseRatings(m *model.Model, data *dataset.CSR) float64 {
	k := m.Rank
	if m.Params.Biases {
		k -= 2
	}
	total := 0.0
	users, items := make([]float64, m.NumUsers), make([]float64, m.NumItems)
	for u := range m.NumUsers {
		cols, ratings := data.Row(u)
		for n, i := range cols {
			miss := float64(ratings[n]) - float64(m.Params.Mean) - float64(m.UserBias(u)) - float64(m.ItemBias(int(i))) - inner(m, u, int(i), k)
			total += miss * miss
			users[u]++
			items[i]++
		}
	}
	lambda, nu, bias := float64(m.Params.Lambda), float64(m.Params.Nu), float64(m.Params.BiasLambda)
	for u, n := range users {
		if n > 0 {
			total += lambda*math.Pow(n, nu)*norm(m.Users[u*m.Rank:u*m.Rank+k]) + bias*square(m.UserBias(u))
		}
	}
	for i, n := range items {
		if n > 0 {
			total += lambda*math.Pow(n, nu)*norm(m.Items[i*m.Rank:i*m.Rank+k]) + bias*square(m.ItemBias(i))
		}
	}
	return total
}

func square(v float32) float64 { return float64(v) * float64(v) }

func norm(v []float32) float64 {
	n := 0.0
	for _, x := range v {
		n += square(x)
	}
	return n
}

func inner(m *model.Model, u, i, k int) float64 {
	s := 0.0
	for f := range k {
		s += float64(m.Users[u*m.Rank+f]) * float64(m.Items[i*m.Rank+f])
	}
	return s
}

func TestLossEqualsDenseOracle(t *testing.T) {
	data := tiny(t, 9, 7)
	for name, opt := range losses {
		opt.Rank = 3
		tr := start(t, data, opt)
		for n := range 3 {
			if err := tr.halfStep(context.Background(), 1-n%2, true); err != nil {
				t.Fatal(err)
			}
			got, want := tr.loss(context.Background()), denseLoss(tr.model(), data, tr.sides[userSide].scale)
			if math.Abs(got-want) > 1e-6*want {
				t.Errorf("%s: loss %v, oracle %v", name, got, want)
			}
		}
	}
}

func TestLossNeverRisesPerHalfStep(t *testing.T) {
	data := tiny(t, 60, 40)
	for name, opt := range losses {
		for _, solver := range solvers {
			opt.Rank, opt.Solver = 10, solver
			tr := start(t, data, opt)
			before := tr.loss(context.Background())
			for n := range 30 {
				if err := tr.halfStep(context.Background(), 1-n%2, false); err != nil {
					t.Fatal(err)
				}
				after := tr.loss(context.Background())
				// 1e-6: the rounding of the factors at the minimum.
				if after > before*(1+1e-6) {
					t.Errorf("%s, %s: half-step %d raised the loss from %v to %v", name, solver, n, before, after)
				}
				before = after
			}
		}
	}
}

func TestCancelledHalfStepLeavesTheRowsAlone(t *testing.T) {
	for _, solver := range solvers {
		tr := start(t, tiny(t, 60, 40), Options{Rank: 4, Solver: solver})
		before := slices.Clone(tr.sides[userSide].factors)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := tr.halfStep(ctx, userSide, false); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", solver, err)
		}
		if !slices.Equal(before, tr.sides[userSide].factors) {
			t.Errorf("%s: a cancelled half-step went on", solver)
		}
	}
}

// TestCancelInsideAHugeRow: one item that everybody has again and again is a
// second's work for one goroutine, and no reason to wait for it. The end comes
// when a third of the work is done. What counts is what is done after it; of
// several tries the least, as in any of them the machine may have kept waiting
// who asks.
func TestCancelInsideAHugeRow(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of work")
	}
	const (
		users, rank = 5_000, 256
		promised    = 100 * time.Millisecond
		tries       = 8
	)
	for solver, times := range map[string]int{SolverCG: 800, SolverCholesky: 120, SolverBlocks: 240} {
		data := &dataset.CSR{Rows: users, Cols: 1, Indptr: make([]int64, users+1), Indices: make([]uint32, users*times), Weights: make([]float32, users*times)}
		for u := range users {
			data.Indptr[u+1] = int64((u + 1) * times)
		}
		for i := range data.Weights {
			data.Weights[i] = 1
		}
		tr := start(t, data, Options{Rank: rank, Solver: solver})
		begun := processorTime()
		if err := tr.halfStep(t.Context(), itemSide, false); err != nil {
			t.Fatal(err)
		}
		whole := processorTime() - begun
		if whole < 3*promised {
			t.Logf("%s: all of it takes %v: the test does not test", solver, whole)
		}
		least := whole
		for try := 0; try < tries && least > promised; try++ {
			ctx, cancel := context.WithCancel(t.Context())
			asked := processorTime() + whole/3
			go func() {
				defer cancel()
				for begun := time.Now(); processorTime() < asked && time.Since(begun) < time.Minute; {
					time.Sleep(time.Millisecond)
				}
				asked = processorTime()
			}()
			err := tr.halfStep(ctx, itemSide, false)
			<-ctx.Done()
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: error %v", solver, err)
			}
			least = min(least, processorTime()-asked)
		}
		t.Logf("%s: stopped after %v of processors, %v without an end", solver, least, whole)
		if least > promised {
			t.Errorf("%s: stopped after %v of processors, want at most %v", solver, least, promised)
		}
	}
}

// TestExactHalfStepIsTheMinimum moves every unknown of a solved row both ways:
// the dense loss must not fall.
func TestExactHalfStepIsTheMinimum(t *testing.T) {
	data := tiny(t, 8, 6)
	for name, opt := range losses {
		opt.Rank = 3
		tr := start(t, data, opt)
		for n := range 4 {
			which := 1 - n%2
			if err := tr.halfStep(context.Background(), which, true); err != nil {
				t.Fatal(err)
			}
			m := tr.model()
			best := denseLoss(m, data, tr.sides[userSide].scale)
			factors := tr.sides[which].factors
			for i, v := range factors {
				if m.Params.Biases && i%m.Rank == opt.Rank+1-which {
					continue // the column of ones
				}
				for _, d := range []float32{-0.01, 0.01} {
					factors[i] = v + d
					if l := denseLoss(m, data, tr.sides[userSide].scale); l < best {
						t.Fatalf("%s, half-step %d: moving element %d by %v lowers the loss from %v to %v", name, n, i, d, best, l)
					}
				}
				factors[i] = v
			}
		}
	}
}

// TestPermutedIdsPermuteTheFactors: users and items in another order, starting
// from the same vectors, end with the same ones.
func TestPermutedIdsPermuteTheFactors(t *testing.T) {
	data := tiny(t, 50, 30)
	r := rand.New(rand.NewPCG(5, 5))
	users, items := r.Perm(data.Rows), r.Perm(data.Cols)
	var us, is []uint32
	var ws []float32
	for u := range data.Rows {
		cols, weights := data.Row(u)
		for n, i := range cols {
			us, is, ws = append(us, uint32(users[u])), append(is, uint32(items[i])), append(ws, weights[n])
		}
	}
	other, err := dataset.FromTriples(data.Rows, data.Cols, us, is, ws)
	if err != nil {
		t.Fatal(err)
	}
	for name, opt := range losses {
		for _, solver := range solvers {
			opt.Rank, opt.Solver, opt.Iterations = 6, solver, 3
			first := start(t, data, opt).model()
			second := &model.Model{
				Rank: first.Rank, Params: model.Params{Explicit: first.Params.Explicit, Biases: first.Params.Biases},
				Users: permuted(first.Users, users, first.Rank), Items: permuted(first.Items, items, first.Rank),
			}
			opt.Init = first
			a, _, err := Train(context.Background(), data, opt)
			if err != nil {
				t.Fatal(err)
			}
			opt.Init = second
			b, _, err := Train(context.Background(), other, opt)
			if err != nil {
				t.Fatal(err)
			}
			for what, pair := range map[string][2][]float32{
				"users": {permuted(a.Users, users, a.Rank), b.Users},
				"items": {permuted(a.Items, items, a.Rank), b.Items},
			} {
				for i, v := range pair[0] {
					if math.Abs(float64(v-pair[1][i])) > 1e-3 {
						t.Fatalf("%s, %s: number %d of the %s is %v, permuted %v", name, solver, i, what, v, pair[1][i])
					}
				}
			}
		}
	}
}

func permuted(rows []float32, to []int, k int) []float32 {
	out := make([]float32, len(rows))
	for r, at := range to {
		copy(out[at*k:(at+1)*k], rows[r*k:(r+1)*k])
	}
	return out
}

// TestSolversAgree: after convergence every solver has the same loss.
func TestSolversAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	data := tiny(t, 90, 60)
	for name, opt := range losses {
		var want float64
		for _, solver := range []string{SolverCholesky, SolverCG, SolverBlocks} {
			opt.Rank, opt.Solver, opt.Iterations, opt.TrackLoss = 72, solver, 30, true
			_, report, err := Train(context.Background(), data, opt)
			if err != nil {
				t.Fatal(err)
			}
			got := report.Loss[opt.Iterations-1]
			if want == 0 {
				want = got
			}
			if math.Abs(got-want) > 1e-3*want {
				t.Errorf("%s: loss %v by %s, %v exactly", name, got, solver, want)
			}
		}
	}
}

// TestManyRowsAreSolvedAlike: gradients end where exact half-steps do also where
// users are many enough for a basis of their own.
func TestManyRowsAreSolvedAlike(t *testing.T) {
	data := tiny(t, 1500, 300)
	for _, opt := range losses {
		if opt.Loss == LossExplicit {
			continue
		}
		opt.Rank, opt.Iterations, opt.TrackLoss = 8, 12, true
		var lost [2][]float64
		for i, solver := range []string{SolverCholesky, SolverCG} {
			opt.Solver = solver
			_, report, err := Train(context.Background(), data, opt)
			if err != nil {
				t.Fatal(err)
			}
			lost[i] = report.Loss
		}
		if want, got := lost[0][11], lost[1][11]; math.Abs(got-want) > 1e-3*want {
			t.Errorf("loss %v by gradients, %v exactly", got, want)
		}
	}
}

// TestExtremeShapes: a user with every item, an item with every user, a single
// cell, and more factors than cells.
func TestExtremeShapes(t *testing.T) {
	full := dataset.NewBuilder(5)
	for i := range 5 {
		if err := full.Add(uint32(i), 2); err != nil {
			t.Fatal(err)
		}
	}
	full.EndRow()
	column := dataset.NewBuilder(3)
	for range 6 {
		if err := column.Add(2, 3); err != nil {
			t.Fatal(err)
		}
		column.EndRow()
	}
	single := dataset.NewBuilder(1)
	if err := single.Add(0, 4); err != nil {
		t.Fatal(err)
	}
	single.EndRow()
	for name, data := range map[string]*dataset.CSR{"row": full.Build(), "column": column.Build(), "cell": single.Build()} {
		for loss, opt := range losses {
			for _, solver := range solvers {
				opt.Rank, opt.Solver = 70, solver
				m, _, err := Train(context.Background(), data, opt)
				if err != nil {
					t.Fatalf("%s, %s, %s: %v", name, loss, solver, err)
				}
				if err := m.Check(); err != nil {
					t.Errorf("%s, %s, %s: %v", name, loss, solver, err)
				}
				cols, _ := data.Row(0)
				if s := m.Score(0, int(cols[0])) + m.Params.Mean; !(s > 0.01) {
					t.Errorf("%s, %s, %s: the cell scores %v", name, loss, solver, s)
				}
			}
		}
	}
}

func ExampleBytes() {
	// The article's size: a hundred million interactions.
	need := Bytes(Shape{Users: 1_000_000, Items: 200_000, Cells: 100_000_000}, Options{Workers: 2})
	fmt.Printf("%.0f GiB\n", float64(need)/(1<<30))
	// Output: 2 GiB
}

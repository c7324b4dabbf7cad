package als_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/model"
)

// random makes a matrix with some structure: users and items belong to groups
// and mostly meet inside them. Some rows and columns stay empty.
func random(t testing.TB, seed uint64, users, items, cells int) *dataset.CSR {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	var us, is []uint32
	var ws []float32
	for range cells {
		u := r.IntN(users - users/10)
		i := int(float64(items-items/10) * math.Pow(r.Float64(), 2))
		if r.IntN(4) > 0 {
			i = i/5*5 + u%5
		}
		us, is, ws = append(us, uint32(u)), append(is, uint32(min(i, items-1))), append(ws, 0.2+2*r.Float32())
	}
	m, err := dataset.FromTriples(users, items, us, is, ws)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func train(t testing.TB, data *dataset.CSR, opt als.Options) (*model.Model, als.Report) {
	t.Helper()
	m, report, err := als.Train(context.Background(), data, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m, report
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// variants are every loss with every solver.
var variants = map[string]als.Options{
	"cg":                 {Solver: als.SolverCG},
	"cholesky":           {Solver: als.SolverCholesky},
	"blocks":             {Solver: als.SolverBlocks},
	"explicit, cg":       {Loss: als.LossExplicit, Solver: als.SolverCG},
	"explicit, cholesky": {Loss: als.LossExplicit},
	"explicit, blocks":   {Loss: als.LossExplicit, Solver: als.SolverBlocks},
	"biases, cg":         {Loss: als.LossExplicit, Biases: true, Solver: als.SolverCG},
	"biases, cholesky":   {Loss: als.LossExplicit, Biases: true},
	"biases, blocks":     {Loss: als.LossExplicit, Biases: true, Solver: als.SolverBlocks},
}

// TestModelDoesNotDependOnWorkers has a rank at which 1,500 users are enough to
// be solved in another basis, and one at which they are not.
func TestModelDoesNotDependOnWorkers(t *testing.T) {
	data := random(t, 1, 1500, 300, 10000)
	for name, opt := range variants {
		for _, rank := range []int{8, 20} {
			opt.Rank, opt.Iterations, opt.Seed, opt.Workers = rank, 3, 5, 1
			want, _ := train(t, data, opt)
			for _, workers := range []int{2, 3} {
				opt.Workers = workers
				got, _ := train(t, data, opt)
				if !sameBits(got.Users, want.Users) || !sameBits(got.Items, want.Items) {
					t.Errorf("%s, rank %d: %d workers give another model", name, rank, workers)
				}
			}
			opt.Seed = 6
			if other, _ := train(t, data, opt); sameBits(other.Items, want.Items) {
				t.Errorf("%s, rank %d: the seed changes nothing", name, rank)
			}
		}
	}
}

func TestFoldInOfTrainingRowIsTheStoredRow(t *testing.T) {
	data := random(t, 3, 300, 120, 4000)
	for name, opt := range variants {
		opt.Rank, opt.Iterations = 24, 2
		m, _ := train(t, data, opt)
		folder := model.NewFolder(m)
		var scratch model.Scratch
		got := make([]float32, m.Rank)
		for u := range m.NumUsers {
			items, weights := data.Row(u)
			if err := folder.FoldIn(got, items, weights, &scratch); err != nil {
				t.Fatal(err)
			}
			if !sameBits(got, m.Users[u*m.Rank:(u+1)*m.Rank]) {
				t.Fatalf("%s: user %d folds in to another vector", name, u)
			}
		}
	}
}

func TestEmptyRowsAreZeroAndChangeNothing(t *testing.T) {
	small, err := dataset.FromTriples(3, 3, []uint32{0, 0, 1, 2}, []uint32{0, 1, 1, 2}, []float32{1, 2, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	start := &model.Model{Rank: 2, Users: []float32{.1, .2, .3, .1, .2, .1}, Items: []float32{.3, .1, .1, .2, .2, .2}}
	opt := als.Options{Rank: 2, Iterations: 4, Init: start}
	want, _ := train(t, small, opt)
	large := &dataset.CSR{Rows: 5, Cols: 6, Indptr: append(slices.Clone(small.Indptr), 4, 4), Indices: small.Indices, Weights: small.Weights}
	got, _ := train(t, large, opt)
	if !sameBits(got.Users[:6], want.Users) || !sameBits(got.Items[:6], want.Items) {
		t.Error("empty rows changed the others")
	}
	for _, v := range slices.Concat(got.Users[6:], got.Items[6:], got.ItemScale[3:]) {
		if v != 0 {
			t.Fatalf("an empty row holds %v", v)
		}
	}
}

func TestWarmStartContinues(t *testing.T) {
	data := random(t, 4, 300, 120, 4000)
	opt := als.Options{Rank: 12, Iterations: 6, TrackLoss: true}
	first, before := train(t, data, opt)
	grown := random(t, 4, 300, 120, 4000)
	grown.Rows, grown.Indptr = 301, append(grown.Indptr, int64(grown.NNZ())+1)
	grown.Indices, grown.Weights = append(grown.Indices, 3), append(grown.Weights, 1)
	opt.Init, opt.Iterations = first, 1
	second, after := train(t, grown, opt)
	if after.Loss[0] > before.Loss[2] {
		t.Errorf("loss after one warm iteration %v, cold after three %v", after.Loss[0], before.Loss[2])
	}
	if second.NumUsers != 301 || !slices.ContainsFunc(second.Users[300*12:], func(v float32) bool { return v != 0 }) {
		t.Error("the new user has no factors")
	}
	opt.Rank = 13
	if _, _, err := als.Train(context.Background(), grown, opt); err == nil {
		t.Error("a start model of another rank was taken")
	}
}

// TestToleranceEndsATraining: a warm start stops early, is as good as one that
// went on, and its users are still what fold-in gives.
func TestToleranceEndsATraining(t *testing.T) {
	data := random(t, 4, 300, 120, 4000)
	opt := als.Options{Rank: 12, Iterations: 40, TrackLoss: true}
	long, all := train(t, data, opt)
	opt.Init, opt.Tolerance = long, 1e-3
	told := als.Progress{}
	opt.Progress = func(p als.Progress) { told = p }
	m, report := train(t, data, opt)
	if report.Iterations != 2 || told.Iteration != 2 || told.Iterations != 2 {
		t.Errorf("%d iterations, told %+v", report.Iterations, told)
	}
	if loss, best := report.Loss[1], all.Loss[39]; loss > best*1.001 {
		t.Errorf("loss %v, after 40 iterations %v", loss, best)
	}
	folder, vector := model.NewFolder(m), make([]float32, 12)
	for u := range 300 {
		items, weights := data.Row(u)
		if err := folder.FoldIn(vector, items, weights, new(model.Scratch)); err != nil {
			t.Fatal(err)
		}
		for k, v := range m.Users[u*12 : (u+1)*12] {
			if math.Abs(float64(v-vector[k])) > 1e-4 {
				t.Fatalf("user %d factor %d: %v stored, %v folded in", u, k, v, vector[k])
			}
		}
	}
	opt.Init = nil
	if _, cold := train(t, data, opt); cold.Iterations <= 2 || cold.Iterations == 40 {
		t.Errorf("a cold start made %d iterations", cold.Iterations)
	}
	opt.Tolerance = math.NaN()
	if _, _, err := als.Train(context.Background(), data, opt); !errors.Is(err, als.ErrOption) {
		t.Errorf("tolerance NaN: %v", err)
	}
}

// TestLossOfASampleIsAnEstimate: what progress tells is near the loss without
// the items' regularization.
func TestLossOfASampleIsAnEstimate(t *testing.T) {
	data := random(t, 9, 9000, 300, 120_000)
	for _, loss := range []string{als.LossImplicit, als.LossExplicit} {
		var told []float64
		opt := als.Options{Rank: 8, Iterations: 3, Loss: loss, Progress: func(p als.Progress) { told = append(told, p.Loss) }}
		train(t, data, opt)
		opt.Progress, opt.TrackLoss = nil, true
		_, report := train(t, data, opt)
		for n := range told {
			if ratio := told[n] / report.Loss[n]; ratio < 0.6 || ratio > 1.1 {
				t.Errorf("%s, iteration %d: told %v, loss %v", loss, n, told[n], report.Loss[n])
			}
		}
	}
}

// TestWarmStartFindsWhatMeetsForTheFirstTime: users and items that the start
// model had seen nothing of, and that meet only each other, get factors too.
func TestWarmStartFindsWhatMeetsForTheFirstTime(t *testing.T) {
	both, err := dataset.FromTriples(4, 4, []uint32{0, 0, 1, 2, 2, 3, 3}, []uint32{0, 1, 1, 2, 3, 2, 3}, []float32{1, 1, 1, 1, 1, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	older, err := dataset.FromTriples(4, 4, []uint32{0, 0, 1}, []uint32{0, 1, 1}, []float32{1, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	first, _ := train(t, older, als.Options{Rank: 4, Unobserved: 1})
	if slices.ContainsFunc(first.Users[2*4:], func(v float32) bool { return v != 0 }) {
		t.Fatal("a user without data has factors")
	}
	m, _ := train(t, both, als.Options{Rank: 4, Unobserved: 1, Iterations: 3, Init: first})
	score := float32(0)
	for f := range 4 {
		score += m.Users[3*4+f] * m.Items[3*4+f]
	}
	if score < 0.3 {
		t.Errorf("newcomers score %v for their item", score)
	}
}

func TestCancelledTrainingReturnsTheContextsError(t *testing.T) {
	data := random(t, 5, 300, 120, 4000)
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	m, report, err := als.Train(ctx, data, als.Options{Rank: 8, Iterations: 1000, Progress: func(p als.Progress) {
		seen = p.Iteration
		if p.Iteration == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || m != nil {
		t.Errorf("model %v, error %v", m, err)
	}
	if seen != 3 || report.Iterations != 3 {
		t.Errorf("progress stopped at %d, report says %d", seen, report.Iterations)
	}
}

func TestTrainRefusesWhatItCannotUse(t *testing.T) {
	good := random(t, 6, 30, 20, 100)
	cell := func(col uint32, weight float32) *dataset.CSR {
		return &dataset.CSR{Rows: 1, Cols: 1, Indptr: []int64{0, 1}, Indices: []uint32{col}, Weights: []float32{weight}}
	}
	for name, c := range map[string]struct {
		data *dataset.CSR
		opt  als.Options
		is   error
		want []string
	}{
		"all faults at once": {good, als.Options{Rank: -1, Alpha0: -1, Unobserved: -2, Nu: new(3.0), Solver: "sgd", Loss: "hinge"}, als.ErrOption, []string{"rank", "alpha0", "unobserved -2", "nu", "sgd", "hinge"}},
		"rank 5000":          {good, als.Options{Rank: 5000}, als.ErrOption, []string{"rank 5000 is not within 1..4096"}},
		"rank with biases":   {good, als.Options{Rank: 4095, Loss: als.LossExplicit, Biases: true}, als.ErrOption, []string{"1..4094"}},
		"NaN":                {good, als.Options{Lambda: math.NaN(), FrequencyPower: new(math.NaN())}, als.ErrOption, []string{"lambda", "frequency power"}},
		"biases of what":     {good, als.Options{Biases: true}, als.ErrOption, []string{"explicit"}},
		"another loss": {
			good,
			als.Options{Rank: 2, Loss: als.LossExplicit, Init: &model.Model{Rank: 2}},
			als.ErrOption,
			[]string{"another loss"},
		},
		"no matrix":       {nil, als.Options{}, als.ErrEmpty, []string{"no matrix"}},
		"column beyond":   {cell(1, 1), als.Options{}, dataset.ErrRange, []string{"column 1"}},
		"NaN weight":      {cell(0, float32(math.NaN())), als.Options{}, dataset.ErrWeight, []string{"NaN"}},
		"negative weight": {cell(0, -2), als.Options{}, dataset.ErrWeight, []string{"-2"}},
		"zero rating":     {cell(0, 0), als.Options{Loss: als.LossExplicit}, dataset.ErrWeight, []string{"weight 0"}},
		"too little memory": {
			good,
			als.Options{Rank: 4, MemoryLimit: 1 << 20},
			als.ErrMemory,
			[]string{"30 users, 20 items", "rank 4", "the limit is 1 MiB"},
		},
		"not solvable": {
			cell(0, math.MaxFloat32),
			als.Options{Rank: 2, Solver: als.SolverCholesky, Init: &model.Model{Rank: 2, Users: []float32{1e9, 1e9}}},
			als.ErrNotSolvable,
			[]string{"solve items", "row 0", "raise lambda"},
		},
	} {
		m, _, err := als.Train(context.Background(), c.data, c.opt)
		if !errors.Is(err, c.is) || m != nil {
			t.Errorf("%s: %v is no %v", name, err, c.is)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not name %q", name, err, want)
			}
		}
	}
}

// TestMemoryIsWhatWasSaid: all that a training allocates from its start to its
// end, and the matrix, is no more than the estimate; which is not far above,
// apart from the workers' panels, that so small a problem does not fill.
func TestMemoryIsWhatWasSaid(t *testing.T) {
	data := random(t, 7, 20_000, 5_000, 200_000)
	for name, opt := range variants {
		opt.Rank, opt.Iterations, opt.Workers = 32, 1, 2
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		train(t, data, opt)
		runtime.ReadMemStats(&after)
		used := int64(after.TotalAlloc-before.TotalAlloc) + 8*int64(data.NNZ()+data.Rows+1)
		said := als.Bytes(als.Shape{Users: data.Rows, Items: data.Cols, Cells: data.NNZ()}, opt)
		const panels = 32 << 20
		if used > said || said > 2*used+panels {
			t.Errorf("%s: %d bytes used, %d said", name, used, said)
		}
	}
	if n := als.Bytes(als.Shape{}, als.Options{Rank: -1}); n != 0 {
		t.Errorf("bad options need %d bytes", n)
	}
}

// TestRatingsAreReproduced: ratings that are an inner product of few factors,
// or with biases a sum, come out again, also where they were not shown.
func TestRatingsAreReproduced(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 8))
	const users, items, rank = 200, 120, 3
	p, q, bu, bi := make([]float64, users*rank), make([]float64, items*rank), make([]float64, users), make([]float64, items)
	for _, v := range [][]float64{p, q, bu, bi} {
		for i := range v {
			v[i] = 0.6 * r.NormFloat64()
		}
	}
	rating := func(u, i int) float64 {
		s := 5 + bu[u] + bi[i]
		for f := range rank {
			s += p[u*rank+f] * q[i*rank+f]
		}
		return s
	}
	b := dataset.NewBuilder(items)
	for u := range users {
		for i := range items {
			if r.IntN(2) == 0 {
				if err := b.Add(uint32(i), float32(rating(u, i))); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.EndRow()
	}
	data := b.Build()
	for name, opt := range variants {
		if opt.Loss != als.LossExplicit {
			continue
		}
		opt.Rank, opt.Iterations, opt.Lambda, opt.BiasLambda = 6, 40, 1e-3, 1e-3
		m, _ := train(t, data, opt)
		sum := 0.0
		for u := range users {
			for i := range items {
				miss := float64(m.Score(u, i)+m.Params.Mean) - rating(u, i)
				sum += miss * miss
			}
		}
		if rmse := math.Sqrt(sum / (users * items)); rmse > 0.05 {
			t.Errorf("%s: RMSE %v", name, rmse)
		}
	}
}

// TestUnitOfTheWeightsDoesNotMatter: without a fixed Alpha0 a shop that counts
// views in ones gets the model of a shop that counts them in hundreds.
func TestUnitOfTheWeightsDoesNotMatter(t *testing.T) {
	data := random(t, 8, 200, 100, 3000)
	scaled := *data
	scaled.Weights = slices.Clone(data.Weights)
	for i := range scaled.Weights {
		scaled.Weights[i] *= 256 // a power of two, so that nothing is rounded anew
	}
	opt := als.Options{Rank: 8, Iterations: 3, Solver: als.SolverCholesky}
	a, _ := train(t, data, opt)
	b, _ := train(t, &scaled, opt)
	if ratio := b.Params.Alpha0 / a.Params.Alpha0; math.Abs(float64(ratio)-256) > 1e-3 {
		t.Errorf("alpha0 went from %v to %v", a.Params.Alpha0, b.Params.Alpha0)
	}
	for i := range a.Users {
		if math.Abs(float64(a.Users[i]-b.Users[i])) > 1e-4 {
			t.Fatalf("factor %d went from %v to %v", i, a.Users[i], b.Users[i])
		}
	}
}

// TestUnobservedIsTheRatioOfMasses checks the definition by counting.
func TestUnobservedIsTheRatioOfMasses(t *testing.T) {
	data := random(t, 9, 50, 30, 400)
	m, _ := train(t, data, als.Options{Rank: 2, Iterations: 1, Unobserved: 7, FrequencyPower: new(0.0)})
	observed, users, items := 0.0, 0, 0
	for _, w := range data.Weights {
		observed += float64(w)
	}
	for u := range data.Rows {
		if cols, _ := data.Row(u); len(cols) > 0 {
			users++
		}
	}
	for _, n := range data.Counts() {
		if n > 0 {
			items++
		}
	}
	if got := float64(m.Params.Alpha0) * float64(users*items) / observed; math.Abs(got-7) > 1e-5 {
		t.Errorf("all cells weigh %v times the observed", got)
	}
	if m, _ := train(t, data, als.Options{Rank: 2, Iterations: 1, Alpha0: 0.25, Unobserved: 7}); m.Params.Alpha0 != 0.25 {
		t.Errorf("a given alpha0 became %v", m.Params.Alpha0)
	}
}

func TestRankZeroIsTheDefault(t *testing.T) {
	m, _ := train(t, random(t, 6, 30, 20, 100), als.Options{Iterations: 1})
	if m.Rank != als.DefaultRank || len(m.Users) != 30*als.DefaultRank {
		t.Errorf("rank %d, %d numbers of users", m.Rank, len(m.Users))
	}
}

func TestNothingToTrainOnIsRefused(t *testing.T) {
	for _, data := range []*dataset.CSR{
		{Indptr: []int64{0}},
		{Rows: 2, Indptr: []int64{0, 0, 0}},
		{Cols: 3, Indptr: []int64{0}},
		{Rows: 2, Cols: 3, Indptr: []int64{0, 0, 0}},
	} {
		if m, _, err := als.Train(context.Background(), data, als.Options{Rank: 4}); !errors.Is(err, als.ErrEmpty) || m != nil {
			t.Errorf("%d x %d: %v", data.Rows, data.Cols, err)
		}
	}
}

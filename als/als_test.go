package als_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
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

func TestModelDoesNotDependOnWorkers(t *testing.T) {
	data := random(t, 1, 700, 300, 8000)
	for _, solver := range []string{als.SolverCG, als.SolverCholesky} {
		opt := als.Options{Rank: 20, Iterations: 3, Solver: solver, Seed: 5, Workers: 1}
		want, _ := train(t, data, opt)
		for _, workers := range []int{2, 3} {
			opt.Workers = workers
			got, _ := train(t, data, opt)
			if !sameBits(got.Users, want.Users) || !sameBits(got.Items, want.Items) {
				t.Errorf("%s: %d workers give another model", solver, workers)
			}
		}
		opt.Seed = 6
		if other, _ := train(t, data, opt); sameBits(other.Items, want.Items) {
			t.Errorf("%s: the seed changes nothing", solver)
		}
	}
}

func TestGradientReachesTheLossOfCholesky(t *testing.T) {
	data := random(t, 2, 400, 150, 6000)
	opt := als.Options{Rank: 16, Iterations: 30, TrackLoss: true}
	_, cg := train(t, data, opt)
	opt.Solver = als.SolverCholesky
	_, exact := train(t, data, opt)
	a, b := cg.Loss[29], exact.Loss[29]
	if math.Abs(a-b) > 1e-3*b {
		t.Errorf("loss %v by gradients, %v exactly", a, b)
	}
}

func TestFoldInOfTrainingRowIsTheStoredRow(t *testing.T) {
	data := random(t, 3, 300, 120, 4000)
	for _, solver := range []string{als.SolverCG, als.SolverCholesky} {
		m, _ := train(t, data, als.Options{Rank: 24, Iterations: 2, Solver: solver})
		folder := model.NewFolder(m)
		var scratch model.Scratch
		got := make([]float32, m.Rank)
		for u := range m.NumUsers {
			items, weights := data.Row(u)
			if err := folder.FoldIn(got, items, weights, &scratch); err != nil {
				t.Fatal(err)
			}
			if !sameBits(got, m.Users[u*m.Rank:(u+1)*m.Rank]) {
				t.Fatalf("%s: user %d folds in to another vector", solver, u)
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
	for name, c := range map[string]struct {
		data *dataset.CSR
		opt  als.Options
		want []string
	}{
		"all faults at once": {good, als.Options{Rank: -1, Alpha0: -1, Unobserved: -2, Nu: new(3.0), Solver: "sgd"}, []string{"rank", "alpha0", "unobserved -2", "nu", "sgd"}},
		"NaN":                {good, als.Options{Lambda: math.NaN(), FrequencyPower: new(math.NaN())}, []string{"lambda", "frequency power"}},
		"column beyond":      {&dataset.CSR{Rows: 1, Cols: 1, Indptr: []int64{0, 1}, Indices: []uint32{1}, Weights: []float32{1}}, als.Options{}, []string{"column 1"}},
		"NaN weight":         {&dataset.CSR{Rows: 1, Cols: 1, Indptr: []int64{0, 1}, Indices: []uint32{0}, Weights: []float32{float32(math.NaN())}}, als.Options{}, []string{"NaN"}},
		"not solvable": {
			&dataset.CSR{Rows: 1, Cols: 1, Indptr: []int64{0, 1}, Indices: []uint32{0}, Weights: []float32{math.MaxFloat32}},
			als.Options{Rank: 2, Solver: als.SolverCholesky, Init: &model.Model{Rank: 2, Users: []float32{1e9, 1e9}}},
			[]string{"solve items", "row 0", "raise lambda"},
		},
	} {
		_, _, err := als.Train(context.Background(), c.data, c.opt)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not name %q", name, err, want)
			}
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

func TestNoUsersOrNoItems(t *testing.T) {
	for _, data := range []*dataset.CSR{
		{Indptr: []int64{0}},
		{Rows: 2, Cols: 3, Indptr: []int64{0, 0, 0}},
	} {
		m, _ := train(t, data, als.Options{Rank: 4})
		if m.NumUsers != data.Rows || m.NumItems != data.Cols {
			t.Errorf("model is %d x %d", m.NumUsers, m.NumItems)
		}
	}
}

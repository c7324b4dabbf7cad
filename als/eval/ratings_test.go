package eval_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
)

func ratings(t testing.TB, test *dataset.CSR, p eval.Predictor, workers int) *eval.RatingResult {
	t.Helper()
	r, err := eval.Ratings(context.Background(), test, p, workers)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRatingsByHand(t *testing.T) {
	test, err := dataset.FromTriples(3, 3, []uint32{0, 0, 1, 2}, []uint32{0, 2, 1, 0}, []float32{4, 2, 5, 1})
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	predicted := map[[2]uint32]float32{{0, 0}: 3, {0, 2}: 4, {1, 1}: nan, {2, 0}: 1.5}
	for _, workers := range []int{0, 1, 3} {
		r := ratings(t, test, func(user int, items []uint32, dst []float32) {
			for n, item := range items {
				dst[n] = predicted[[2]uint32{uint32(user), item}]
			}
		}, workers)
		// Differences 1, 2 and a half.
		if math.Abs(r.RMSE-math.Sqrt(5.25/3)) > 1e-12 || math.Abs(r.MAE-3.5/3) > 1e-12 || r.Cells != 3 || r.Skipped != 1 {
			t.Errorf("%+v", r)
		}
		if !slices.Equal(r.Users, []int{0, 2}) || !slices.Equal(r.Squared, []float64{2.5, 0.25}) {
			t.Errorf("users %v, squared %v", r.Users, r.Squared)
		}
	}
	nothing := ratings(t, matrix(t, 3, nil), func(int, []uint32, []float32) {}, 1)
	if !math.IsNaN(nothing.RMSE) || !math.IsNaN(nothing.MAE) || nothing.Cells != 0 {
		t.Errorf("nothing: %+v", nothing)
	}
}

func TestPredictionsOfStrangers(t *testing.T) {
	m := &model.Model{
		Rank: 3, NumUsers: 2, NumItems: 2,
		Users: []float32{2, .5, 1, 0, 0, 0}, Items: []float32{1, 1, .25, 0, 1, 0}, ItemScale: []float32{1, 0},
		Params: model.Params{Explicit: true},
	}
	got := make([]float32, 2)
	predict := eval.Predictions(m)
	predict(0, []uint32{0, 1}, got)
	if got[0] != 2.75 || got[1] == got[1] {
		t.Errorf("known user: %v", got)
	}
	if predict(1, []uint32{0, 1}, got); got[0] == got[0] || got[1] == got[1] {
		t.Errorf("unknown user: %v", got)
	}
	m.Params.Biases, m.Params.Mean = true, 3
	if eval.Predictions(m)(0, []uint32{0, 1}, got); !slices.Equal(got, []float32{5.75, 3.5}) {
		t.Errorf("with biases: %v", got)
	}
	if eval.Within(1, 5, eval.Predictions(m))(0, []uint32{0, 1}, got); !slices.Equal(got, []float32{5, 3.5}) {
		t.Errorf("within 1..5: %v", got)
	}
}

func TestRatingsRefuseAndCancel(t *testing.T) {
	test := matrix(t, 3, []uint32{1}, []uint32{2})
	fill := func(int, []uint32, []float32) {}
	for what, call := range map[string]func() error{
		"no ratings":   func() error { _, err := eval.Ratings(context.Background(), nil, fill, 0); return err },
		"no predictor": func() error { _, err := eval.Ratings(context.Background(), test, nil, 0); return err },
		"workers":      func() error { _, err := eval.Ratings(context.Background(), test, fill, -1); return err },
	} {
		if call() == nil {
			t.Errorf("%s: no error", what)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := eval.Ratings(ctx, test, func(int, []uint32, []float32) { cancel() }, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// layout makes ratings as people give them: users and items with a bias each,
// some tastes, noise, whole stars from 1 to 5; popular items are rated more.
func layout(t testing.TB, users, items, each int) *dataset.CSR {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	const tastes = 6
	vector := func(n int, deviation float64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = deviation * r.NormFloat64()
		}
		return v
	}
	bu, bi, p, q := vector(users, .42), vector(items, .48), vector(users*tastes, 1), vector(items*tastes, 1)
	b := dataset.NewBuilder(items)
	for u := range users {
		row := map[uint32]bool{}
		for range int(float64(each) * math.Exp(.8*r.NormFloat64())) {
			x := r.Float64()
			row[uint32(float64(items)*x*x)] = true
		}
		cols := make([]uint32, 0, len(row))
		for col := range row {
			cols = append(cols, col)
		}
		slices.Sort(cols)
		for _, col := range cols {
			s := 3.5 + bu[u] + bi[col] + .85*r.NormFloat64()
			for f := range tastes {
				s += .42 * math.Pow(.7, float64(f)) * p[u*tastes+f] * q[int(col)*tastes+f]
			}
			if err := b.Add(col, float32(min(max(math.Round(s), 1), 5))); err != nil {
				t.Fatal(err)
			}
		}
		b.EndRow()
	}
	return b.Build()
}

// TestBiasesPayOff: over five folds of ratings in the size of MovieLens 100K,
// the model with biases is nearer than that of Spark's settings, and the noise
// bounds both.
func TestBiasesPayOff(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const folds = 5
	data := layout(t, 943, 1682, 80)
	var plain, biased float64
	for n := range folds {
		train, test, err := data.Fold(n, folds, 1)
		if err != nil {
			t.Fatal(err)
		}
		rmse := func(opt als.Options) float64 {
			opt.Loss = als.LossExplicit
			m, _, err := als.Train(context.Background(), train, opt)
			if err != nil {
				t.Fatal(err)
			}
			return ratings(t, test, eval.Predictions(m), 0).RMSE / folds
		}
		plain += rmse(als.Options{Rank: 10})
		biased += rmse(als.Options{Biases: true, Rank: 16})
	}
	t.Logf("RMSE %.4f as Spark, %.4f with biases", plain, biased)
	if biased > plain*(1-.0035) || biased < .85 {
		t.Errorf("RMSE %.4f as Spark, %.4f with biases", plain, biased)
	}
}

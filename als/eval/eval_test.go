package eval_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
)

func matrix(t testing.TB, items int, rows ...[]uint32) *dataset.CSR {
	t.Helper()
	b := dataset.NewBuilder(items)
	for _, row := range rows {
		for _, item := range row {
			if err := b.Add(item, 1); err != nil {
				t.Fatal(err)
			}
		}
		b.EndRow()
	}
	return b.Build()
}

func ranking(t testing.TB, in eval.Input) *eval.Result {
	t.Helper()
	r, err := eval.Ranking(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func descending(_ int, dst []float32) {
	for i := range dst {
		dst[i] = -float32(i)
	}
}

// TestMetricsByHand: items rank 0,1,2,... unless masked.
func TestMetricsByHand(t *testing.T) {
	l := func(rank float64) float64 { return 1 / math.Log2(rank+1) }
	for name, c := range map[string]struct {
		targets, mask []uint32
		k             int
		want          [6]float64 // precision recall ndcg hit_rate map mrr
	}{
		"first":         {[]uint32{0}, nil, 3, [6]float64{1. / 3, 1, 1, 1, 1, 1}},
		"second, fifth": {[]uint32{1, 4}, nil, 5, [6]float64{.4, 1, (l(2) + l(5)) / (l(1) + l(2)), 1, (.5 + .4) / 2, .5}},
		"beyond the cut": {
			[]uint32{1, 4},
			nil, 4,
			[6]float64{.25, .5, l(2) / (l(1) + l(2)), 1, .25, .5},
		},
		"none found":          {[]uint32{6}, nil, 3, [6]float64{}},
		"mask moves it up":    {[]uint32{3}, []uint32{0, 1, 2}, 3, [6]float64{1. / 3, 1, 1, 1, 1, 1}},
		"masked target":       {[]uint32{0, 2}, []uint32{0}, 2, [6]float64{.5, 1, l(2), 1, .5, .5}},
		"more targets than k": {[]uint32{0, 1, 2, 3}, nil, 2, [6]float64{1, .5, 1, 1, 1, 1}},
		"k above catalogue":   {[]uint32{7}, nil, 20, [6]float64{1. / 20, 1, l(8), 1, 1. / 8, 1. / 8}},
	} {
		r := ranking(t, eval.Input{Targets: matrix(t, 8, c.targets), Mask: matrix(t, 8, c.mask), Score: descending, Ks: []int{c.k}})
		for m, want := range c.want {
			if got := r.Mean(eval.Metric(m), c.k); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: %v@%d is %v, want %v", name, eval.Metric(m), c.k, got, want)
			}
		}
	}
}

func TestUsersWithNothingToFindAreLeftOut(t *testing.T) {
	r := ranking(t, eval.Input{
		Targets: matrix(t, 4, nil, []uint32{1}, []uint32{2}, []uint32{0, 3}),
		Mask:    matrix(t, 4, []uint32{0}, []uint32{0}, []uint32{2}, []uint32{3}),
		Score:   descending, Ks: []int{1, 2},
	})
	if want := []int{1, 3}; !slices.Equal(r.Users, want) {
		t.Fatalf("evaluated %v, want %v", r.Users, want)
	}
	if got := r.PerUser(eval.HitRate, 2); !slices.Equal(got, []float64{1, 1}) {
		t.Errorf("hit rates %v", got)
	}
	if r.PerUser(eval.NDCG, 3) != nil {
		t.Error("a cut that was not asked for has values")
	}
	empty := ranking(t, eval.Input{Targets: matrix(t, 4, nil), Score: descending, Ks: []int{1}})
	if len(empty.Users) != 0 || !math.IsNaN(empty.Mean(eval.NDCG, 1)) {
		t.Errorf("no users, mean %v", empty.Mean(eval.NDCG, 1))
	}
}

func TestTiesGoToTheLowerRowAndNaNIsNeverRanked(t *testing.T) {
	scores := []float32{float32(math.NaN()), 1, 5, 1, 1, float32(math.Inf(-1))}
	r := ranking(t, eval.Input{
		Targets: matrix(t, 6, []uint32{1}, []uint32{3}, []uint32{4}, []uint32{0}, []uint32{5}),
		Score:   func(_ int, dst []float32) { copy(dst, scores) },
		Ks:      []int{6},
	})
	if got, want := r.PerUser(eval.MRR, 6), []float64{1. / 2, 1. / 3, 1. / 4, 0, 1. / 5}; !slices.Equal(got, want) {
		t.Errorf("reciprocal ranks %v, want %v", got, want)
	}
}

// TestRankingEqualsFullSort compares with a naive sort of the catalogue, for
// several worker counts.
func TestRankingEqualsFullSort(t *testing.T) {
	const users, items, k = 60, 150, 20
	r := rand.New(rand.NewPCG(1, 1))
	m := &model.Model{Rank: 3, NumUsers: users, NumItems: items, Users: make([]float32, users*3), Items: make([]float32, items*3)}
	for _, v := range [][]float32{m.Users, m.Items} {
		for i := range v {
			v[i] = float32(r.IntN(5) - 2) // small integers: many ties
		}
	}
	pick := func() (row []uint32) {
		for i := range items {
			if r.IntN(12) == 0 {
				row = append(row, uint32(i))
			}
		}
		return row
	}
	var targetRows, maskRows [][]uint32
	for range users {
		targetRows, maskRows = append(targetRows, pick()), append(maskRows, pick())
	}
	in := eval.Input{Targets: matrix(t, items, targetRows...), Mask: matrix(t, items, maskRows...), Score: eval.Factors(m), Ks: []int{k}}
	var first *eval.Result
	for n, workers := range []int{0, 1, 3, 1, 2} {
		in.Workers = workers
		if n == 3 { // many users at a time
			in.Factors, in.Score = m, nil
		}
		got := ranking(t, in)
		if first == nil {
			first = got
		}
		for n, user := range got.Users {
			if want := naiveRecall(m, user, targetRows[user], maskRows[user], k); math.Abs(got.PerUser(eval.Recall, k)[n]-want) > 1e-12 {
				t.Fatalf("user %d: recall %v, want %v", user, got.PerUser(eval.Recall, k)[n], want)
			}
		}
		for _, metric := range eval.Metrics() {
			if !slices.Equal(got.PerUser(metric, k), first.PerUser(metric, k)) {
				t.Errorf("%v depends on the workers", metric)
			}
		}
	}
}

// TestUsersWithoutFactorsAreScored: Score answers for whom the model knows
// nothing of, and items that are not eligible are never ranked.
func TestUsersWithoutFactorsAreScored(t *testing.T) {
	m := &model.Model{Rank: 1, NumUsers: 2, NumItems: 3, Users: []float32{0, 1}, Items: []float32{1, 2, 3}}
	in := eval.Input{
		Targets: matrix(t, 3, []uint32{0}, []uint32{2}), Factors: m, Ks: []int{1},
		Score: func(user int, dst []float32) {
			if user != 0 {
				t.Errorf("user %d was scored", user)
			}
			descending(user, dst)
		},
	}
	if got := ranking(t, in).PerUser(eval.HitRate, 1); !slices.Equal(got, []float64{1, 1}) {
		t.Errorf("hits %v", got)
	}
	in.Eligible = []bool{false, true, false}
	if got := ranking(t, in).PerUser(eval.HitRate, 1); !slices.Equal(got, []float64{0, 0}) {
		t.Errorf("hits of items that are not eligible: %v", got)
	}
}

func naiveRecall(m *model.Model, user int, targets, mask []uint32, k int) float64 {
	var order []int
	score := func(i int) (s float32) {
		for f := range m.Rank {
			s += m.Users[user*m.Rank+f] * m.Items[i*m.Rank+f]
		}
		return s
	}
	for i := range m.NumItems {
		if !slices.Contains(mask, uint32(i)) {
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(a, b int) bool { return score(order[a]) > score(order[b]) })
	found, relevant := 0, 0
	for _, item := range targets {
		if slices.Contains(mask, item) {
			continue
		}
		relevant++
		if slices.Contains(order[:k], int(item)) {
			found++
		}
	}
	return float64(found) / float64(relevant)
}

func TestRankingRefusesAndCancels(t *testing.T) {
	targets := matrix(t, 3, []uint32{1}, []uint32{2})
	for want, in := range map[string]eval.Input{
		"no targets":      {Score: descending, Ks: []int{1}},
		"or no scorer":    {Targets: targets, Ks: []int{1}},
		"mask is 1 x 3":   {Targets: targets, Mask: matrix(t, 3, nil), Score: descending, Ks: []int{1}},
		"at least one":    {Targets: targets, Score: descending},
		"each at least 1": {Targets: targets, Score: descending, Ks: []int{0, 3}},
		"model is 2 x 2":  {Targets: targets, Factors: &model.Model{NumUsers: 2, NumItems: 2}, Ks: []int{1}},
		"1 items are":     {Targets: targets, Score: descending, Eligible: []bool{true}, Ks: []int{1}},
		"workers -1":      {Targets: targets, Score: descending, Ks: []int{1}, Workers: -1},
	} {
		if _, err := eval.Ranking(context.Background(), in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	in := eval.Input{Targets: targets, Ks: []int{1}, Workers: 1, Score: func(user int, dst []float32) { cancel(); descending(user, dst) }}
	if r, err := eval.Ranking(ctx, in); !errors.Is(err, context.Canceled) || r != nil {
		t.Errorf("cancelled: %v, %v", r, err)
	}
}

func TestPopularityRanksByWeight(t *testing.T) {
	r := ranking(t, eval.Input{Targets: matrix(t, 3, []uint32{2}, []uint32{0}), Score: eval.Popularity([]float32{1, 2, 3}), Ks: []int{1, 3}})
	if got := r.PerUser(eval.HitRate, 1); !slices.Equal(got, []float64{1, 0}) {
		t.Errorf("hits at 1: %v", got)
	}
	if got := r.PerUser(eval.MRR, 3); !slices.Equal(got, []float64{1, 1. / 3}) {
		t.Errorf("reciprocal ranks %v", got)
	}
}

// TestIntervalOfManyValues: on both sides of the number from which on nothing
// is drawn, the interval is the same as that of many draws.
func TestIntervalOfManyValues(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	values := make([]float64, 5_001)
	for i := range values {
		if r.IntN(10) == 0 { // most users hit nothing, as in life
			values[i] = r.Float64()
		}
	}
	mean, lo, hi := eval.Interval(values, 1000, 1)
	_, drawnLo, drawnHi := eval.Interval(values[:5_000], 4000, 1)
	if width := drawnHi - drawnLo; math.Abs(lo-drawnLo) > width/15 || math.Abs(hi-drawnHi) > width/15 || lo >= mean || hi <= mean {
		t.Errorf("%v [%v %v], drawn [%v %v]", mean, lo, hi, drawnLo, drawnHi)
	}
}

func TestIntervals(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	a, b := make([]float64, 2000), make([]float64, 2000)
	for n := range a {
		shared := 10 * r.NormFloat64() // pairing must remove it
		a[n], b[n] = shared+0.5+r.NormFloat64(), shared+r.NormFloat64()
	}
	mean, lo, hi := eval.PairedInterval(a, b, 1000, 1)
	// The difference has standard deviation sqrt(2): the mean's is 0.0316.
	if !(lo < mean && mean < hi) || math.Abs(mean-0.5) > 0.12 || math.Abs(hi-lo-2*1.96*0.0316) > 0.02 {
		t.Errorf("mean %v, interval %v..%v", mean, lo, hi)
	}
	if m2, l2, h2 := eval.PairedInterval(a, b, 1000, 1); m2 != mean || l2 != lo || h2 != hi {
		t.Error("the same seed gives another interval")
	}
	if mean, lo, hi := eval.Interval([]float64{3, 3, 3}, 10, 1); mean != 3 || lo != 3 || hi != 3 {
		t.Errorf("constant: %v %v..%v", mean, lo, hi)
	}
	if mean, lo, hi := eval.PairedInterval(nil, nil, 10, 1); !math.IsNaN(mean) || !math.IsNaN(lo) || !math.IsNaN(hi) {
		t.Errorf("nothing: %v %v..%v", mean, lo, hi)
	}
}

// Limit: with norms as flat as here, a user costs a look at every item's codes:
// 40,000 items at an instruction each with AVX-512 VNNI are 15 us at 2.7 GHz.
// One at a time, users cost items x rank multiply-adds of floats, 53 us at two
// vectors of 8 a cycle, and one comparison per item (20 us), and the rows have
// to come from where they do not fit a core's cache.
func BenchmarkRanking(b *testing.B) {
	const users, items, rank = 2000, 40_000, 64
	r := rand.New(rand.NewPCG(1, 1))
	m := &model.Model{Rank: rank, NumUsers: users, NumItems: items, Users: make([]float32, users*rank), Items: make([]float32, items*rank)}
	for _, v := range [][]float32{m.Users, m.Items} {
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
	}
	rows := make([][]uint32, users)
	for u := range rows {
		rows[u] = []uint32{uint32(u), uint32(u + 5000)}
	}
	targets := matrix(b, items, rows...)
	for name, in := range map[string]eval.Input{
		"together": {Targets: targets, Factors: m, Ks: []int{10, 20}, Workers: 1},
		"singly":   {Targets: targets, Score: eval.Factors(m), Ks: []int{10, 20}, Workers: 1},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ranking(b, in)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*users), "us/user")
		})
	}
}

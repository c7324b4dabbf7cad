//go:build unix

package quality

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
	"vitrine/als/neighbors"
)

// validationSeed picks the validation pairs; it was never changed.
const validationSeed = 1

// splitTable is the protocol of the collaborative filtering tables: rank all
// items but the user's own of the training part.
func splitTable(r *report, f folder) {
	r.t.Helper()
	known, test := readSplit(r.t, f)
	fit, validation := holdOut(known, 0.1)
	r.note("%s: validation = a random tenth of the train pairs (seed %d, %d pairs), Recall@20 there, of at most 10,000 users at rank 64 and 5,000 at 256", f.name, validationSeed, validation.NNZ())
	opt := als.Options{Lambda: .01, Unobserved: 24, FrequencyPower: new(.5), Iterations: 4}
	for _, run := range []struct {
		rank  int
		seeds uint64
		users int // of the validation part that are asked
		grid  splitGrid
	}{
		{64, 3, 10_000, splitGrid{lambda: []float64{.005, .01, .02}, unobserved: []float64{12, 24, 48}, power: []float64{.1, .3, .5, .7}, iterations: []int{3, 4, 6, 8}}},
		{256, 2, 5_000, splitGrid{lambda: []float64{.0025, .005, .01}, power: []float64{.3, .5}, unobserved: []float64{12, 24, 48}, iterations: []int{4, 6, 8}}},
	} {
		opt.Rank, opt.Seed = run.rank, 0
		opt = chooseSplit(r, f.name, opt, run.grid, fit, someUsers(validation, run.users))
		recall, ndcg, seconds := 0.0, 0.0, 0.0
		for seed := range run.seeds {
			opt.Seed = seed
			m, s := train(r.t, known, opt)
			result := rankAll(r.t, m, known, test)
			r.note("%s: rank %d seed %d: Recall@20 %.4f NDCG@20 %.4f, trained in %.1f s", f.name, run.rank, seed, result.Mean(eval.Recall, 20), result.Mean(eval.NDCG, 20), s)
			recall += result.Mean(eval.Recall, 20) / float64(run.seeds)
			ndcg += result.Mean(eval.NDCG, 20) / float64(run.seeds)
			seconds += s / float64(run.seeds)
		}
		name := fmt.Sprintf("ALS, mean of %d seeds", run.seeds)
		r.add(f.name, name, fmt.Sprintf("d=%d Recall@20", run.rank), recall, true)
		r.add(f.name, name, fmt.Sprintf("d=%d NDCG@20", run.rank), ndcg, true)
	}
}

// splitGrid is what is tried, one setting after the other.
type splitGrid struct {
	lambda, unobserved, power []float64
	iterations                []int
}

// chooseSplit goes through the settings one by one from a start, each time
// keeping the best.
func chooseSplit(r *report, name string, opt als.Options, g splitGrid, fit, sample *dataset.CSR) als.Options {
	tried := map[string]float64{}
	figure := func(o als.Options) float64 {
		key := describe(o)
		if _, ok := tried[key]; !ok {
			m, _ := train(r.t, fit, o)
			tried[key] = rankAll(r.t, m, fit, sample).Mean(eval.Recall, 20)
		}
		return tried[key]
	}
	reached := 0.0
	var options []als.Options
	try := func(change func(o *als.Options)) {
		o := opt
		change(&o)
		options = append(options, o)
	}
	choose := func() {
		opt, reached = best(options, figure)
		options = nil
	}
	for _, v := range g.lambda {
		try(func(o *als.Options) { o.Lambda = v })
	}
	choose()
	for _, v := range g.unobserved {
		try(func(o *als.Options) { o.Unobserved = v })
	}
	choose()
	for _, v := range g.power {
		try(func(o *als.Options) { o.FrequencyPower = &v })
	}
	choose()
	for _, v := range g.lambda { // again, the others have moved
		try(func(o *als.Options) { o.Lambda = v })
	}
	choose()
	for _, v := range g.iterations {
		try(func(o *als.Options) { o.Iterations = v })
	}
	choose()
	r.note("%s: ALS %s (validation Recall@20 %.4f, %d settings tried)", name, describe(opt), reached, len(tried))
	return opt
}

// readSplit reads both parts as matrices of one shape.
func readSplit(t testing.TB, f folder) (known, test *dataset.CSR) {
	t.Helper()
	users, items := 0, 0
	read := func(path string) ([]uint32, *neighbors.Sequences) {
		lines, _ := readLines(t, path)
		rows, q, n := withoutUser(lines)
		items = max(items, n)
		for _, u := range rows {
			users = max(users, int(u)+1)
		}
		return rows, q
	}
	knownUsers, knownItems := read(f.train)
	testUsers, testItems := read(f.test)
	build := func(rows []uint32, q *neighbors.Sequences) *dataset.CSR {
		byUser := make([][]uint32, users)
		for n, u := range rows {
			byUser[u] = append(byUser[u], q.At(n)...)
		}
		var all neighbors.Sequences
		for _, row := range byUser {
			all.Add(row)
		}
		return matrix(t, &all, items)
	}
	return build(knownUsers, knownItems), build(testUsers, testItems)
}

// holdOut moves a random share of the cells to a second matrix.
func holdOut(data *dataset.CSR, share float64) (kept, held *dataset.CSR) {
	random := rand.New(rand.NewPCG(validationSeed, 0))
	kept = &dataset.CSR{Rows: data.Rows, Cols: data.Cols, Indptr: []int64{0}}
	held = &dataset.CSR{Rows: data.Rows, Cols: data.Cols, Indptr: []int64{0}}
	for row := range data.Rows {
		cols, weights := data.Row(row)
		for n, col := range cols {
			to := kept
			if random.Float64() < share {
				to = held
			}
			to.Indices = append(to.Indices, col)
			to.Weights = append(to.Weights, weights[n])
		}
		kept.Indptr = append(kept.Indptr, int64(len(kept.Indices)))
		held.Indptr = append(held.Indptr, int64(len(held.Indices)))
	}
	return kept, held
}

// someUsers empties the rows of all but every n-th user.
func someUsers(data *dataset.CSR, limit int) *dataset.CSR {
	step := (data.Rows + limit - 1) / limit
	out := &dataset.CSR{Rows: data.Rows, Cols: data.Cols, Indptr: []int64{0}}
	for row := range data.Rows {
		if row%step == 0 {
			cols, weights := data.Row(row)
			out.Indices = append(out.Indices, cols...)
			out.Weights = append(out.Weights, weights...)
		}
		out.Indptr = append(out.Indptr, int64(len(out.Indices)))
	}
	return out
}

func rankAll(t testing.TB, m *model.Model, mask, targets *dataset.CSR) *eval.Result {
	t.Helper()
	result, err := eval.Ranking(context.Background(), eval.Input{Targets: targets, Mask: mask, Factors: m, Ks: []int{20}})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestSplitSlice: a small rank, on every thirtieth user.
func TestSplitSlice(t *testing.T) {
	for _, f := range folders(t) {
		if f.name != "gowalla-lightgcn" {
			continue
		}
		known, test := readSplit(t, f)
		m, seconds := train(t, known, als.Options{Rank: 32, Lambda: .005, Unobserved: 12, FrequencyPower: new(.5), Iterations: 4})
		result := rankAll(t, m, known, someUsers(test, 1000))
		recall := result.Mean(eval.Recall, 20)
		t.Logf("%s, slice: rank 32 Recall@20 %.4f, trained in %.1f s", f.name, recall, seconds)
		if recall < .13 {
			t.Errorf("%s, slice: Recall@20 %.4f", f.name, recall)
		}
	}
}

func TestHoldOut(t *testing.T) {
	var q neighbors.Sequences
	for n := range uint32(200) {
		q.Add([]uint32{n % 7, 7 + n%11, 20})
	}
	data := matrix(t, &q, 21)
	kept, held := holdOut(data, .3)
	if err := kept.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := held.Validate(); err != nil {
		t.Fatal(err)
	}
	if n := held.NNZ(); kept.NNZ()+n != data.NNZ() || n < 140 || n > 220 {
		t.Errorf("%d cells kept, %d held out of %d", kept.NNZ(), n, data.NNZ())
	}
	for row := range data.Rows {
		a, _ := kept.Row(row)
		b, _ := held.Row(row)
		if slices.ContainsFunc(a, func(c uint32) bool { return slices.Contains(b, c) }) {
			t.Errorf("row %d has a cell in both parts", row)
		}
	}
}

//go:build unix

package quality

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
)

// The model of ratings that others print: Spark MLlib's ALS at rank 10 with
// maxIter 20 and regParam 0.1, without biases.
var sparks = als.Options{Loss: als.LossExplicit, Rank: 10, Iterations: 20, Lambda: 0.1}

// biasGain is by how much biases must lower RMSE at the default settings.
const biasGain = 0.0035

// generateRatings writes a file in MovieLens' layout (user TAB item TAB rating
// TAB time): biases, six factors and noise, rounded to whole stars; users and
// items are chosen by Zipf's law, as in a shop.
func generateRatings(t testing.TB, ratings int) string {
	t.Helper()
	const users, items, factors = 943, 1682, 6
	random := rand.New(rand.NewPCG(7, 9))
	draw := func(n int, spread float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = spread * random.NormFloat64()
		}
		return out
	}
	userBias, itemBias := draw(users, .45), draw(items, .55)
	p, q := draw(users*factors, .5), draw(items*factors, .5)
	zipf := rand.NewZipf(random, 1.1, 20, items-1)
	active := rand.NewZipf(random, 1.05, 60, users-1)
	path := filepath.Join(t.TempDir(), "u.data")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // flushed below
	w := bufio.NewWriter(file)
	seen := map[[2]int]bool{}
	for at := 874724710; len(seen) < ratings; at += 1 + random.IntN(400) {
		u, i := int(active.Uint64()), int(zipf.Uint64())
		if seen[[2]int{u, i}] {
			continue
		}
		seen[[2]int{u, i}] = true
		stars := 3.4 + userBias[u] + itemBias[i] + .85*random.NormFloat64()
		for f := range factors {
			stars += p[u*factors+f] * q[i*factors+f]
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\n", u+1, i+1, int(math.Round(min(max(stars, 1), 5))), at)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

// readRatings reads a file in MovieLens' layout.
func readRatings(t testing.TB, path string) *dataset.CSR {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var us, is []uint32
	var stars []float32
	var users, items int
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			t.Fatalf("%s line %d: %q", path, n+1, line)
		}
		u, err1 := strconv.ParseUint(fields[0], 10, 31)
		i, err2 := strconv.ParseUint(fields[1], 10, 31)
		v, err3 := strconv.ParseFloat(fields[2], 32)
		if err1 != nil || err2 != nil || err3 != nil || v <= 0 {
			t.Fatalf("%s line %d: %q", path, n+1, line)
		}
		us, is, stars = append(us, uint32(u)), append(is, uint32(i)), append(stars, float32(v))
		users, items = max(users, int(u)+1), max(items, int(i)+1)
	}
	return must[*dataset.CSR](t)(dataset.FromTriples(users, items, us, is, stars))
}

// crossRMSE is the mean RMSE over folds.
func crossRMSE(t testing.TB, data *dataset.CSR, folds int, opt als.Options) float64 {
	t.Helper()
	mean := 0.0
	for n := range folds {
		fit, test, err := data.Fold(n, folds, 1)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := train(t, fit, opt)
		result := must[*eval.RatingResult](t)(eval.Ratings(context.Background(), test, eval.Predictions(m), 0))
		mean += result.RMSE / float64(folds)
	}
	return mean
}

// ratingsTable is five-fold cross-validation of models of ratings.
func ratingsTable(r *report, name, path string) {
	r.t.Helper()
	data := readRatings(r.t, path)
	plain := crossRMSE(r.t, data, 5, sparks)
	r.add(name, "ALS-WR, rank 10, lambda .1, as Spark MLlib", "RMSE", plain, false)
	for _, rank := range []int{10, als.DefaultRank} {
		biased := crossRMSE(r.t, data, 5, als.Options{Loss: als.LossExplicit, Biases: true, Rank: rank})
		r.add(name, fmt.Sprintf("ALS with biases, rank %d", rank), "RMSE", biased, false)
		gain := 1 - biased/plain
		r.note("%s: biases at rank %d lower RMSE by %.2f %%, bar %.2f %%; five folds, %d ratings", name, rank, 100*gain, 100*biasGain, data.NNZ())
		if gain < biasGain {
			r.t.Errorf("%s: biases at rank %d lower RMSE by %.2f %%, below the bar of %.2f %%", name, rank, 100*gain, 100*biasGain)
		}
	}
}

// TestRatingsSlice: two folds of a small generated file.
func TestRatingsSlice(t *testing.T) {
	data := readRatings(t, generateRatings(t, 20_000))
	plain := crossRMSE(t, data, 2, sparks)
	biased := crossRMSE(t, data, 2, als.Options{Loss: als.LossExplicit, Biases: true, Rank: 10})
	t.Logf("generated, slice: RMSE as Spark %.4f, with biases %.4f", plain, biased)
	if biased > plain*(1-biasGain) || biased > 1.2 {
		t.Errorf("RMSE as Spark %.4f, with biases %.4f", plain, biased)
	}
}

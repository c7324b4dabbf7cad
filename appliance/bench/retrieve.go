package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"vitrine/als/topk"
	"vitrine/appliance/bench/report"
)

// factors are generated item factors and queries.
type factors struct {
	name    string
	n       int
	items   []float32
	queries [][]float32
	// barTop100 is the most microseconds for a top-100, 0 for none.
	barTop100 float64
}

const (
	// retrieveQueries are timed, naiveQueries also held against a plain scan.
	retrieveQueries = 200
	naiveQueries    = 24
	// tasteWeight is how much of a skewed item is its cluster's direction.
	tasteWeight = 0.8
	// normPower makes the norms of skewed items fall with their popularity
	// rank as those of an implicit model of a shop do.
	normPower = 0.35
)

// retrieve measures exact top-K search over generated factors.
func (r *run) retrieve(ctx context.Context) (*report.Part, error) {
	sizes := []int{100_000}
	if r.opt.Full {
		sizes = []int{10_000, 100_000, 1_000_000}
	}
	part := &report.Part{Notes: []string{
		fmt.Sprintf("processor time of one query on one core, mean of %d queries, %d of them held against a naive scan", retrieveQueries, naiveQueries),
	}}
	got := samples{}
	mismatches := 0
	for _, n := range sizes {
		for _, f := range []*factors{skewedFactors(n), flatFactors(n)} {
			fmt.Fprintf(r.data, "retrieve %s %d %d\n", f.name, n, retrieveQueries)
			bad, err := r.search(ctx, f, got)
			if err != nil {
				return nil, err
			}
			mismatches += bad
			part.Figures = append(part.Figures, f.figures(got)...)
		}
	}
	part.Reference = dotReference(got["dot"])
	part.Figures = append(part.Figures, report.New("retrieve.all.mismatches", "", report.Lower, float64(mismatches)).WithBar(0))
	if mismatches > 0 {
		r.invalidate("retrieval differs from a naive scan in %d queries", mismatches)
	}
	return part, nil
}

// retrieveCuts are the list lengths measured.
func retrieveCuts() []int { return []int{20, 100} }

func (f *factors) figureName(what string) string { return "retrieve." + f.name + "." + what }

// figures of one set of factors. The ratio is that of the time per item of the
// catalogue to one inner product: below 1, items were not even looked at.
func (f *factors) figures(got samples) []report.Figure {
	dot := report.Median(got["dot"])
	var out []report.Figure
	for _, k := range retrieveCuts() {
		name := f.figureName(fmt.Sprintf("top%d", k))
		figure := got.figure(name, "us", report.Lower)
		figure.Ratio = new(1000 * figure.Value / float64(f.n) / dot)
		if k == 100 && f.barTop100 > 0 {
			figure = figure.WithBar(f.barTop100)
		}
		out = append(out, figure, got.figure(name+"_per_item", "ns", report.Lower).Against(dot))
	}
	return out
}

// search times all queries three times and counts those with wrong answers.
func (r *run) search(ctx context.Context, f *factors, got samples) (mismatches int, err error) {
	ix := topk.New(f.items, f.n, rank)
	var scratch topk.Scratch
	var hits []topk.Hit
	for rep := range r.repetitions {
		r.opt.Progress(f.figureName("search"), int64(rep), int64(r.repetitions))
		got.add("dot", dotKernel())
		for _, k := range retrieveCuts() {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			used := processorTime(func() {
				for _, q := range f.queries {
					hits = ix.Search(q, k, nil, hits, &scratch)
				}
			})
			us := float64(used.Nanoseconds()) / 1000 / float64(len(f.queries))
			name := f.figureName(fmt.Sprintf("top%d", k))
			got.add(name, us)
			got.add(name+"_per_item", 1000*us/float64(f.n))
		}
	}
	for i, q := range f.queries[:min(naiveQueries, len(f.queries))] {
		r.opt.Progress(f.figureName("check"), int64(i), naiveQueries)
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		exact := naiveScores(f.items, q)
		for _, k := range retrieveCuts() {
			hits = ix.Search(q, k, nil, hits, &scratch)
			if !sameTop(exact, hits, k) {
				mismatches++
			}
		}
	}
	return mismatches, nil
}

// scored is a row's exact score, and how far float32 may be from it.
type scored struct{ score, slack float64 }

// naiveScores computes every score in float64.
func naiveScores(items, q []float32) []scored {
	out := make([]scored, len(items)/len(q))
	for row := range out {
		sum, size := 0.0, 0.0
		for j, v := range items[row*len(q) : (row+1)*len(q)] {
			product := float64(v) * float64(q[j])
			sum += product
			size += math.Abs(product)
		}
		// Each of the products passes through at most rank roundings.
		out[row] = scored{sum, size * float64(len(q)+2) * 0x1p-24}
	}
	return out
}

// sameTop tells whether hits are the k best rows, best first, as far as
// float32 can tell rows apart.
func sameTop(exact []scored, hits []topk.Hit, k int) bool {
	if len(hits) != min(k, len(exact)) {
		return false
	}
	taken := make(map[uint32]bool, len(hits))
	worst := math.Inf(1)
	for i, h := range hits {
		e := exact[h.Row]
		if taken[h.Row] || !(math.Abs(float64(h.Score)-e.score) <= e.slack) { // NaN is refused, too
			return false
		}
		if i > 0 && h.Score > hits[i-1].Score {
			return false
		}
		taken[h.Row] = true
		worst = min(worst, e.score+e.slack)
	}
	for row, e := range exact {
		if !taken[uint32(row)] && e.score-e.slack > worst {
			return false
		}
	}
	return true
}

// skewedFactors are like those of an implicit model of a shop: items cluster
// by taste, and popular ones are long.
func skewedFactors(n int) *factors {
	const clusters = 100
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	centres := make([][]float32, clusters)
	for c := range centres {
		centres[c] = unit(gaussian(rng, rank))
	}
	near := func(c int) []float32 {
		v := unit(gaussian(rng, rank))
		for j := range v {
			v[j] = tasteWeight*centres[c][j] + (1-tasteWeight)*v[j]
		}
		return unit(v)
	}
	f := &factors{name: "skewed_" + short(n), n: n, items: make([]float32, n*rank)}
	if n == 100_000 {
		f.barTop100 = 30
	}
	for i, position := range rng.Perm(n) {
		v := near(rng.IntN(clusters))
		length := math.Pow(float64(i+1), -normPower) * math.Exp(0.3*rng.NormFloat64())
		for j := range v {
			f.items[position*rank+j] = float32(length) * v[j]
		}
	}
	for range retrieveQueries {
		// A customer likes two departments.
		a, b := near(rng.IntN(clusters)), near(rng.IntN(clusters))
		for j := range a {
			a[j] += b[j] / 2
		}
		f.queries = append(f.queries, a)
	}
	return f
}

// flatFactors are the worst case: no item is longer than another, and nothing
// can be left out.
func flatFactors(n int) *factors {
	rng := rand.New(rand.NewPCG(uint64(n), 2))
	f := &factors{name: "flat_" + short(n), n: n, items: gaussian(rng, n*rank)}
	if n == 100_000 {
		f.barTop100 = 260
	}
	for range retrieveQueries {
		f.queries = append(f.queries, gaussian(rng, rank))
	}
	return f
}

func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for j := range v {
		v[j] /= float32(math.Sqrt(sum))
	}
	return v
}

// short writes a count as people say it: 10k, 100M.
func short(n int) string {
	for _, unit := range []struct {
		size int
		name string
	}{{1_000_000, "M"}, {1_000, "k"}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d%s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprint(n)
}

// round125 is the largest of 1, 2 and 5 times a power of ten that is at most v.
func round125(v float64) int {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	steps := []float64{5, 2, 1}
	i := slices.IndexFunc(steps, func(s float64) bool { return s*power <= v })
	return int(math.Round(steps[max(i, 0)] * power))
}

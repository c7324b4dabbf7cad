// Package retrieval measures exact top-K search: catalogues whose norms fall
// steeply or not at all, each with every set of kernels that the machine can
// run, and holds the answers against a naive scan.
//
// It owns the catalogues and the figures. It may import als and its packages and
// bench/report; it must not know the rest of the benchmark: how processor time
// is taken comes with Options.
//
//	figures, wrong, err := retrieval.Measure(ctx, retrieval.Flat(100_000), retrieval.Options{Cost: cost, Dot: dot, Repetitions: 3})
package retrieval

import (
	"context"
	"math"
	"time"

	"vitrine/als/topk"
	"vitrine/appliance/bench/report"
)

// checked queries of a profile are held against a naive scan, in all ways that
// they are asked.
const checked = 24

// AVX2Factor is how much longer than with AVX-512 VNNI a search may take with
// AVX2.
const AVX2Factor = 3.5

// Options say how to measure.
type Options struct {
	// Cost is the processor time of do.
	Cost func(do func()) time.Duration
	// Dot is what one inner product costs now, in nanoseconds.
	Dot func() float64
	// Repetitions of every measurement, each over all queries.
	Repetitions int
	// Progress, when set, is told what is being done.
	Progress func(stage string, done, total int64)
}

// way is one of the ways that a profile is searched.
type way struct {
	// name is that of its figure.
	name  string
	ix    *topk.Index
	k     int
	batch bool
	// bar is its factor on the profile's bar, 0 for none.
	bar float64
	us  []float64
}

// measurement is that of one profile.
type measurement struct {
	p       *Profile
	opt     Options
	ways    []*way
	dots    []float64
	similar []float64
	build   float64 // ms
	ix      *topk.Index
	scratch topk.Scratch
	many    topk.BatchScratch
	hits    []topk.Hit
	lists   [][]topk.Hit
}

// Measure times the searches of a profile and returns their figures, and how
// many answers were wrong.
func Measure(ctx context.Context, p *Profile, opt Options) (figures []report.Figure, wrong int, err error) {
	if opt.Progress == nil {
		opt.Progress = func(string, int64, int64) {}
	}
	m := &measurement{p: p, opt: opt}
	start := time.Now()
	m.ix = topk.New(p.Items, p.N, Rank)
	m.build = report.Milliseconds(time.Since(start))
	m.addWays()
	for rep := range opt.Repetitions {
		opt.Progress(m.figure("search"), int64(rep), int64(opt.Repetitions))
		m.dots = append(m.dots, opt.Dot())
		for _, w := range m.ways {
			if err := ctx.Err(); err != nil {
				return nil, 0, err
			}
			w.us = append(w.us, m.time(len(p.Queries), func() { m.ask(w, p.Queries) }))
		}
		m.similar = append(m.similar, m.time(len(p.Queries), func() {
			for i := range p.Queries {
				m.hits = m.ix.Similar(uint32(i*(p.N/len(p.Queries))), 20, nil, m.hits, &m.scratch)
			}
		}))
	}
	if wrong, err = m.check(ctx); err != nil {
		return nil, 0, err
	}
	return m.figures(), wrong, nil
}

func (m *measurement) figure(what string) string { return "retrieve." + m.p.Name + "." + what }

// time is the microseconds of one of n queries.
func (m *measurement) time(n int, do func()) float64 {
	return float64(m.opt.Cost(do).Nanoseconds()) / 1000 / float64(n)
}

// addWays lists the ways: the kernels in use, in a batch, too, and the others.
func (m *measurement) addWays() {
	bar := 0.0
	switch m.ix.Kernels() {
	case "avx512vnni":
		bar = 1
	case "avx2":
		bar = AVX2Factor
	}
	m.ways = []*way{
		{name: "top20", ix: m.ix, k: 20},
		{name: "top100", ix: m.ix, k: 100, bar: bar},
		{name: "top100_batch", ix: m.ix, k: 100, batch: true},
	}
	for _, name := range topk.Kernels() {
		if name == m.ix.Kernels() {
			continue
		}
		other, ok := m.ix.WithKernels(name)
		if !ok {
			continue
		}
		w := &way{name: "top100_" + name, ix: other, k: 100}
		if name == "avx2" {
			w.bar = AVX2Factor
		}
		m.ways = append(m.ways, w)
	}
}

// ask answers queries; the answers of a batch are in lists, else the last one's
// in hits.
func (m *measurement) ask(w *way, queries [][]float32) {
	if w.batch {
		m.lists = w.ix.SearchBatch(queries, w.k, nil, m.lists, &m.many)
		return
	}
	for _, q := range queries {
		m.hits = w.ix.Search(q, w.k, nil, m.hits, &m.scratch)
	}
}

// check counts the wrong answers.
func (m *measurement) check(ctx context.Context) (wrong int, err error) {
	asked := m.p.Queries[:min(checked, len(m.p.Queries))]
	for i, q := range asked {
		m.opt.Progress(m.figure("check"), int64(i), int64(len(asked)))
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		exact := naiveScores(m.p.Items, q)
		for _, w := range m.ways {
			m.ask(w, asked[i:i+1])
			got := m.hits
			if w.batch {
				// In the company that it had when it was timed.
				m.ask(w, asked)
				got = m.lists[i]
			}
			if !sameTop(exact, got, w.k) {
				wrong++
			}
		}
	}
	return wrong, nil
}

// scanned is the mean number of items that a top 100 looks at.
func (m *measurement) scanned() float64 {
	sum := 0
	for _, q := range m.p.Queries {
		m.hits = m.ix.Search(q, 100, nil, m.hits, &m.scratch)
		sum += m.scratch.Scanned()
	}
	return float64(sum) / float64(len(m.p.Queries))
}

// figures of the profile. The ratio of a time is that of its share of one item
// of the catalogue to one inner product: below 1, items were not even looked
// at.
func (m *measurement) figures() []report.Figure {
	dot, scanned, n := report.Median(m.dots), m.scanned(), float64(m.p.N)
	var out []report.Figure
	timed := func(name string, us []float64) report.Figure {
		f := report.New(m.figure(name), "us", report.Lower, us...)
		f.Ratio = new(1000 * f.Value / n / dot)
		return f
	}
	bar := max(m.p.Bar, m.p.PerItem*scanned/1000+5)
	for _, w := range m.ways {
		f := timed(w.name, w.us)
		if w.bar > 0 && m.p.Bar > 0 {
			f = f.WithBar(w.bar * bar)
		}
		out = append(out, f)
	}
	out = append(out, timed("similar20", m.similar))
	told := func(name, unit string, v float64) {
		out = append(out, report.New(m.figure(name), unit, "", v))
	}
	told("scanned", "%", 100*scanned/n)
	norms := m.p.norms(0.5, 0.9, 0.99, 1)
	told("norm_p90", "x median", norms[1]/norms[0])
	told("norm_p99", "x median", norms[2]/norms[0])
	told("norm_max", "x median", norms[3]/norms[0])
	all, coded := m.ix.Memory()
	told("build", "ms", m.build)
	told("index", "MiB", float64(all)/(1<<20))
	told("index_codes", "MiB", float64(coded)/(1<<20))
	return out
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

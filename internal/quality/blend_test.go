//go:build unix

package quality

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tuning"
	"vitrine/als/topk"
)

// question is a history and the one item that came next.
type question struct {
	history []uint32
	target  uint32
}

// examiner asks questions: the blend with what is needed to fold a history in.
type examiner struct {
	blend  neighbors.Blend
	folder *model.Folder // nil without a factor model
	decay  float64       // weight of an item in the fold-in relative to the next one
	mask   bool          // items of the history are not shown
}

// memory is one goroutine's.
type memory struct {
	scratch neighbors.Scratch
	fold    model.Scratch
	items   []uint32
	weights []float32
	vector  []float32
	exclude []uint64
	hits    []topk.Hit
}

// query prepares a question.
func (e *examiner) query(q question, k int, m *memory) neighbors.Query {
	out := neighbors.Query{History: q.history, K: k}
	if e.mask {
		m.exclude = neighbors.Exclude(m.exclude, e.blend.Items, q.history)
		out.Exclude = m.exclude
	}
	if e.folder != nil {
		m.items, m.weights = m.items[:0], m.weights[:0]
		weight := 1.0
		for n := len(q.history) - 1; n >= 0 && weight > 1e-3; n-- {
			if !slices.Contains(m.items, q.history[n]) {
				m.items = append(m.items, q.history[n])
				m.weights = append(m.weights, float32(weight))
			}
			weight *= e.decay
		}
		m.vector = slices.Grow(m.vector[:0], e.blend.Factors.Index.Rank())[:e.blend.Factors.Index.Rank()]
		if err := e.folder.FoldIn(m.vector, m.items, m.weights, &m.fold); err != nil {
			panic(err) // only rows of the training data are asked for
		}
		out.Vector = m.vector
	}
	return out
}

// score is what an exam gives, at one cut.
type score struct {
	hitRate, ndcg, mrr float64
	perQuery           time.Duration // wall time of one core
}

// ask ranks the catalogue for every question.
func (e *examiner) ask(questions []question, k int) score {
	var next atomic.Int64
	var wg sync.WaitGroup
	places := make([]int, len(questions))
	start := time.Now()
	workers := runtime.GOMAXPROCS(0)
	for range workers {
		wg.Go(func() {
			var m memory
			for n := int(next.Add(1)) - 1; n < len(questions); n = int(next.Add(1)) - 1 {
				q := questions[n]
				m.hits = e.blend.Rank(e.query(q, k, &m), m.hits, &m.scratch)
				places[n] = slices.IndexFunc(m.hits, func(h topk.Hit) bool { return h.Row == q.target })
			}
		})
	}
	wg.Wait()
	var s score
	for _, place := range places {
		if place >= 0 {
			s.hitRate++
			s.ndcg += 1 / math.Log2(float64(place)+2)
			s.mrr += 1 / float64(place+1)
		}
	}
	n := float64(max(len(questions), 1))
	s.perQuery = time.Since(start) * time.Duration(workers) / time.Duration(n)
	s.hitRate, s.ndcg, s.mrr = s.hitRate/n, s.ndcg/n, s.mrr/n
	return s
}

// tune chooses the weights of the blend on questions, and returns NDCG there.
func (e *examiner) tune(t testing.TB, questions []question, k int, grid []float32) tuning.Tuned {
	t.Helper()
	memories := make([]memory, runtime.GOMAXPROCS(0))
	trials := tuning.Trials{N: len(questions), At: func(worker, n int) tuning.Trial {
		return tuning.Trial{Query: e.query(questions[n], k, &memories[worker]), Targets: []uint32{questions[n].target}}
	}}
	tuned, err := tuning.Grid(context.Background(), &e.blend, trials, tuning.GridOptions{Grid: grid, K: k})
	if err != nil {
		t.Fatal(err)
	}
	e.blend.Apply(tuned[0].Weights)
	return tuned[0]
}

// alone returns an examiner with one source.
func alone(items int, mask bool, s neighbors.Source) *examiner {
	return &examiner{mask: mask, blend: neighbors.Blend{Items: items, Sources: []neighbors.Weighted{{Source: s, Weight: 1}}}}
}

// factorsAlone returns an examiner with the factor model only.
func factorsAlone(m *model.Model, mask bool, decay float64) *examiner {
	e := &examiner{mask: mask, blend: neighbors.Blend{Items: m.NumItems, FactorWeight: 1}}
	e.addFactors(m, decay)
	return e
}

func (e *examiner) addFactors(m *model.Model, decay float64) {
	e.blend.Factors = &neighbors.Factors{Index: topk.New(m.Items, m.NumItems, m.Rank), Model: m}
	e.folder, e.decay = model.NewFolder(m), decay
}

// train is als.Train that must work.
func train(t testing.TB, data *dataset.CSR, opt als.Options) (*model.Model, float64) {
	t.Helper()
	m, report, err := als.Train(context.Background(), data, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m, report.Seconds
}

// must unwraps what a builder of the test's own data returns.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// every returns at most n questions, evenly spread.
func every(questions []question, n int) []question {
	if len(questions) <= n {
		return questions
	}
	out := make([]question, n)
	for i := range out {
		out[i] = questions[i*len(questions)/n]
	}
	return out
}

// best tries every value and returns the one with the highest figure, the
// first of equals.
func best[T any](values []T, figure func(T) float64) (T, float64) {
	at, highest := 0, math.Inf(-1)
	for n, v := range values {
		if f := figure(v); f > highest {
			at, highest = n, f
		}
	}
	return values[at], highest
}

// describe prints the settings that differ from the defaults of ALS.
func describe(o als.Options) string {
	power := als.DefaultFrequencyPower
	if o.FrequencyPower != nil {
		power = *o.FrequencyPower
	}
	return fmt.Sprintf("rank %d, lambda %g, unobserved %g, frequency power %g, %d iterations", o.Rank, o.Lambda, o.Unobserved, power, o.Iterations)
}

package neighbors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Trial is one query of a validation slice with the items it should find.
type Trial struct {
	Query
	// Targets are distinct and not excluded.
	Targets []uint32
}

// TuneOptions say how the weights of a blend are chosen. The zero value means
// the documented defaults.
type TuneOptions struct {
	// Grid are the weights tried for every part but the first, which keeps
	// 1; nil is 0, 0.05, 0.1, 0.2, 0.35, 0.6, 1.
	Grid []float32
	// K is the cut of NDCG; 0 is 10.
	K int
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
}

// Tuned is one choice of weights and what it reached.
type Tuned struct {
	// Weights belong to Blend.Sources, in order, and, where there is a factor
	// model, the last one to it.
	Weights []float32
	// NDCG is the mean over the trials.
	NDCG float64
}

// maxCombinations bounds the grid: every one is computed for every trial.
const maxCombinations = 4096

// Tune tries every combination of weights on trials 0 to n-1, which at
// returns, and returns them all, best first; the Blend's own weights play no
// part. Trials must come from a validation slice: part of the data that the
// sources were not built from and no test will use. at is called from several
// goroutines, and what it returns may be reused when the same goroutine calls
// it again (worker tells them apart, 0 to Workers-1).
func (b *Blend) Tune(ctx context.Context, n int, at func(worker, n int) Trial, opt TuneOptions) ([]Tuned, error) {
	setDefault(&opt.K, 10)
	setDefault(&opt.Workers, workersByDefault())
	if opt.Grid == nil {
		opt.Grid = []float32{0, 0.05, 0.1, 0.2, 0.35, 0.6, 1}
	}
	grid, err := b.combinations(opt.Grid)
	if err != nil {
		return nil, fmt.Errorf("tune blend: %w", err)
	}
	if n < 1 || opt.K < 1 || opt.Workers < 1 {
		return nil, fmt.Errorf("tune blend: %d trials, cut %d, %d workers", n, opt.K, opt.Workers)
	}
	// Sums of a fixed number of trials each, so that they do not depend on the
	// number of workers.
	const unit = 64
	sums := make([][]float64, (n+unit-1)/unit)
	pool := make(chan *judge, opt.Workers)
	for w := range opt.Workers {
		pool <- &judge{worker: w}
	}
	err = parallel(ctx, opt.Workers, len(sums), func(u int) {
		j := <-pool
		sums[u] = make([]float64, len(grid))
		for t := u * unit; t < min((u+1)*unit, n); t++ {
			j.trial(b, at(j.worker, t), grid, opt.K, sums[u])
		}
		pool <- j
	})
	if err != nil {
		return nil, err
	}
	for c := range grid {
		for _, s := range sums {
			grid[c].NDCG += s[c] / float64(n)
		}
	}
	// Of equals the first combination wins: the one with the smaller weights.
	slices.SortStableFunc(grid, func(x, y Tuned) int {
		switch {
		case x.NDCG > y.NDCG:
			return -1
		case x.NDCG < y.NDCG:
			return 1
		}
		return 0
	})
	return grid, nil
}

// Apply puts weights of Tune into the blend.
func (b *Blend) Apply(weights []float32) {
	for n := range b.Sources {
		b.Sources[n].Weight = weights[n]
	}
	if b.Factors != nil {
		b.FactorWeight = weights[len(b.Sources)]
	}
}

// combinations lists all weights: the first part has 1, the others run through
// the grid.
func (b *Blend) combinations(grid []float32) ([]Tuned, error) {
	parts := b.parts()
	if parts == 0 {
		return nil, errors.New("no sources")
	}
	for _, w := range grid {
		if !(w >= 0 && w <= math.MaxFloat32) {
			return nil, fmt.Errorf("weight %v is not a number of at least 0", w)
		}
	}
	out := []Tuned{{Weights: []float32{1}}}
	for range parts - 1 {
		var next []Tuned
		for _, c := range out {
			for _, w := range grid {
				next = append(next, Tuned{Weights: append(slices.Clone(c.Weights), w)})
			}
		}
		if len(next) > maxCombinations {
			return nil, fmt.Errorf("%d or more combinations of weights, at most %d: shorten the grid", len(next), maxCombinations)
		}
		out = next
	}
	return out, nil
}

// judge is one goroutine's working memory.
type judge struct {
	worker int
	s      Scratch
	// parts[p] holds part p's normalised scores of the candidates.
	parts  [][]float32
	total  []float32
	shown  []uint32
	places []int
	// said holds what the sources say, one after another; source p's ends at
	// ends[p].
	said []scored
	ends []int
}

// trial adds to sums the NDCG of one trial under every combination.
func (j *judge) trial(b *Blend, t Trial, grid []Tuned, k int, sums []float64) {
	j.collect(b, &t)
	if !j.aim(t.Targets) {
		return
	}
	j.total = slices.Grow(j.total[:0], len(j.shown))[:len(j.shown)]
	ideal := ideal(len(t.Targets), k)
	for c := range grid {
		clear(j.total)
		for p, w := range grid[c].Weights {
			if w > 0 {
				for n, v := range j.parts[p] {
					j.total[n] += w * v
				}
			}
		}
		for _, target := range j.places {
			if place := j.place(target, k); place < k {
				sums[c] += discount(place) / ideal
			}
		}
	}
}

// ideal is the highest gain that k places can have.
func ideal(targets, k int) float64 {
	sum := 0.0
	for place := range min(targets, k) {
		sum += discount(place)
	}
	return sum
}

// aim finds the targets among the candidates, if there are any.
func (j *judge) aim(targets []uint32) bool {
	j.places = j.places[:0]
	for n, item := range j.shown {
		if slices.Contains(targets, item) {
			j.places = append(j.places, n)
		}
	}
	return len(j.places) > 0
}

// place is the number of candidates in front of one, counted up to k. One that
// only parts without weight name has no score, and no place.
func (j *judge) place(target, k int) int {
	score, row, place := j.total[target], j.shown[target], 0
	if score == 0 {
		return k
	}
	for n, v := range j.total {
		if v > score || (v == score && j.shown[n] < row) {
			if place++; place == k {
				break
			}
		}
	}
	return place
}

func discount(place int) float64 { return 1 / math.Log2(float64(place)+2) }

// collect computes the normalised parts of a trial over all candidates that
// may be shown. Every source is asked once: what it said waits in said until the
// candidates of all are known.
func (j *judge) collect(b *Blend, t *Trial) {
	s := &j.s
	s.sum.Reset(b.Items)
	j.said, j.ends = j.said[:0], j.ends[:0]
	for _, w := range b.Sources {
		b.part(w.Source, &t.Query, s)
		factor := 1 / s.part.max(&t.Query)
		if factor-factor == 0 { // there is a positive score
			for _, item := range s.part.Items() {
				s.sum.Add(item, 0) // a candidate
				j.said = append(j.said, scored{item, factor * s.part.sums[item]})
			}
		}
		j.ends = append(j.ends, len(j.said))
	}
	highest := b.nearest(&t.Query, s)
	for _, hit := range s.hits {
		s.sum.Add(hit.Row, 0)
	}
	j.shown = j.shown[:0]
	s.part.Reset(b.Items) // from now on: where in shown an item stands
	for _, item := range s.sum.Items() {
		if t.shows(item) {
			s.part.Add(item, float32(len(j.shown)))
			j.shown = append(j.shown, item)
		}
	}
	for parts := b.parts(); len(j.parts) < parts; {
		j.parts = append(j.parts, nil)
	}
	for p := range j.parts {
		j.parts[p] = slices.Grow(j.parts[p][:0], len(j.shown))[:len(j.shown)]
		clear(j.parts[p])
	}
	from := 0
	for p, end := range j.ends {
		for _, c := range j.said[from:end] {
			if at, ok := s.part.Get(c.item); ok {
				j.parts[p][int(at)] = c.score
			}
		}
		from = end
	}
	if highest > 0 {
		for n, item := range j.shown {
			j.parts[len(b.Sources)][n] = b.Factors.score(&t.Query, item) / highest
		}
	}
}

// scored is an item and what one source says of it.
type scored struct {
	item  uint32
	score float32
}

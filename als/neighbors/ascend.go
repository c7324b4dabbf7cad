package neighbors

import (
	"context"
	"fmt"
	"slices"
)

// AscendOptions say how Ascend chooses weights. The zero value means the
// documented defaults.
type AscendOptions struct {
	// Grid are the weights tried for every part; nil is 0, 0.05, 0.1, 0.2,
	// 0.35, 0.6, 1, 1.5, 2.5.
	Grid []float32
	// K is the cut of NDCG; 0 is 10.
	K int
	// Least is by which share a change must raise NDCG to be made, so that no
	// part is asked on every request for nothing; 0 is 0.005.
	Least float64
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
}

// maxSteps bounds the changes of Ascend; five or so are usual.
const maxSteps = 24

// Ascend chooses weights for many parts, for which a whole grid would be too
// much: from the weights start on, it makes of all changes of a single part's
// weight the one that raises NDCG most, until none raises it by the least share.
// The first entry of the answer is the outcome, the second the start. n and at
// are those of Tune; every trial is asked once.
func (b *Blend) Ascend(ctx context.Context, n int, at func(worker, n int) Trial, start []float32, opt AscendOptions) ([2]Tuned, error) {
	setDefault(&opt.K, 10)
	setDefault(&opt.Least, .005)
	setDefault(&opt.Workers, workersByDefault())
	if opt.Grid == nil {
		opt.Grid = []float32{0, .05, .1, .2, .35, .6, 1, 1.5, 2.5}
	}
	if n < 1 || opt.K < 1 || opt.Workers < 1 || len(start) != b.parts() {
		return [2]Tuned{}, fmt.Errorf("choose weights of %d parts from %d, with %d trials, cut %d, %d workers", b.parts(), len(start), n, opt.K, opt.Workers)
	}
	cases, err := b.cases(ctx, n, at, opt)
	if err != nil {
		return [2]Tuned{}, err
	}
	now := Tuned{Weights: slices.Clone(start)}
	candidates := []Tuned{now}
	var first Tuned
	for range maxSteps {
		if err := measure(ctx, cases, candidates, n, opt); err != nil {
			return [2]Tuned{}, err
		}
		if first.Weights == nil {
			first, now = candidates[0], candidates[0]
		}
		// Of equals the first: the one with the smaller weight.
		best := slices.MaxFunc(candidates, func(x, y Tuned) int {
			switch {
			case x.NDCG > y.NDCG:
				return 1
			case x.NDCG < y.NDCG:
				return -1
			}
			return 0
		})
		if best.NDCG > now.NDCG*(1+opt.Least) {
			now = best
		} else if len(candidates) > 1 {
			break
		}
		candidates = neighborsOf(now.Weights, opt.Grid)
	}
	return [2]Tuned{now, first}, nil
}

// neighborsOf lists the weights that differ from w in one part.
func neighborsOf(w, grid []float32) []Tuned {
	var out []Tuned
	for part := range w {
		for _, v := range grid {
			if v != w[part] {
				next := slices.Clone(w)
				next[part] = v
				out = append(out, Tuned{Weights: next})
			}
		}
	}
	return out
}

func (b *Blend) parts() int {
	if b.Factors != nil {
		return len(b.Sources) + 1
	}
	return len(b.Sources)
}

// trialCase is what a trial's candidates are scored by the parts.
type trialCase struct {
	shown  []uint32
	places []int
	// parts holds part p's scores from p*len(shown) on.
	parts []float32
	ideal float64
}

// cases asks every part once per trial. Trials without a target among their
// candidates are left out: no weights can do anything for them.
func (b *Blend) cases(ctx context.Context, n int, at func(worker, n int) Trial, opt AscendOptions) ([]trialCase, error) {
	all := make([]trialCase, n)
	pool := make(chan *judge, opt.Workers)
	for w := range opt.Workers {
		pool <- &judge{worker: w}
	}
	err := parallel(ctx, opt.Workers, n, func(t int) {
		j := <-pool
		trial := at(j.worker, t)
		if j.collect(b, &trial); j.aim(trial.Targets) {
			c := trialCase{shown: slices.Clone(j.shown), places: slices.Clone(j.places), ideal: ideal(len(trial.Targets), opt.K)}
			for p := range b.parts() {
				c.parts = append(c.parts, j.parts[p]...)
			}
			all[t] = c
		}
		pool <- j
	})
	return slices.DeleteFunc(all, func(c trialCase) bool { return c.places == nil }), err
}

// measure sets the NDCG of every candidate, the mean over n trials.
func measure(ctx context.Context, cases []trialCase, candidates []Tuned, n int, opt AscendOptions) error {
	return parallel(ctx, opt.Workers, len(candidates), func(c int) {
		var j judge
		sum := 0.0
		for t := range cases {
			trial := &cases[t]
			j.shown = trial.shown
			j.total = slices.Grow(j.total[:0], len(trial.shown))[:len(trial.shown)]
			clear(j.total)
			for p, w := range candidates[c].Weights {
				if w > 0 {
					for at, v := range trial.parts[p*len(trial.shown) : (p+1)*len(trial.shown)] {
						j.total[at] += w * v
					}
				}
			}
			for _, target := range trial.places {
				if place := j.place(target, opt.K); place < opt.K {
					sum += discount(place) / trial.ideal
				}
			}
		}
		candidates[c].NDCG = sum / float64(n)
	})
}

package tuning

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"vitrine/als/internal/cores"
	"vitrine/als/neighbors"
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
// The first entry of the answer is the outcome, the second the start. Every trial
// is asked once.
func Ascend(ctx context.Context, b *neighbors.Blend, trials Trials, start []float32, opt AscendOptions) ([2]Tuned, error) {
	opt.K = cmp.Or(opt.K, defaultCut)
	opt.Least = cmp.Or(opt.Least, .005)
	opt.Workers = cmp.Or(opt.Workers, cores.Workers(0))
	if opt.Grid == nil {
		opt.Grid = []float32{0, .05, .1, .2, .35, .6, 1, 1.5, 2.5}
	}
	if trials.N < 1 || opt.K < 1 || opt.Workers < 1 || len(start) != b.NumParts() {
		return [2]Tuned{}, fmt.Errorf("choose weights of %d parts from %d, with %d trials, cut %d, %d workers", b.NumParts(), len(start), trials.N, opt.K, opt.Workers)
	}
	cases, err := casesOf(ctx, b, trials, opt)
	if err != nil {
		return [2]Tuned{}, err
	}
	a := &ascent{cases, trials.N, opt}
	now := Tuned{Weights: slices.Clone(start)}
	// The first change changes nothing: it tells what the start reaches.
	as := []change{{weight: start[0]}}
	if err := a.measure(ctx, now.Weights, as); err != nil {
		return [2]Tuned{}, err
	}
	now.NDCG = as[0].ndcg
	first := now
	for range maxSteps {
		changes := changesOf(now.Weights, opt.Grid)
		if err := a.measure(ctx, now.Weights, changes); err != nil {
			return [2]Tuned{}, err
		}
		best := change{ndcg: now.NDCG * (1 + opt.Least)}
		for _, c := range changes { // of equals the first: the one with the smaller weight
			if c.ndcg > best.ndcg {
				best = c
			}
		}
		if best.ndcg <= now.NDCG*(1+opt.Least) {
			break
		}
		now = Tuned{Weights: slices.Clone(now.Weights), NDCG: best.ndcg}
		now.Weights[best.part] = best.weight
	}
	return [2]Tuned{now, first}, nil
}

// ascent is what weights are measured by.
type ascent struct {
	cases  []trialCase
	trials int
	opt    AscendOptions
}

// change gives one part another weight.
type change struct {
	part   int
	weight float32
	ndcg   float64 // the mean over the trials, with it
}

// changesOf lists all changes of w by the grid, part by part.
func changesOf(w, grid []float32) []change {
	var out []change
	for part := range w {
		for _, v := range grid {
			if v != w[part] {
				out = append(out, change{part: part, weight: v})
			}
		}
	}
	return out
}

// trialCase is what a trial's candidates are scored by the parts.
type trialCase struct {
	shown  []uint32
	places []int
	// parts holds part p's scores from p*len(shown) on.
	parts []float32
	ideal float64
}

// casesOf asks every part once per trial. Trials without a target among their
// candidates are left out: no weights can do anything for them.
func casesOf(ctx context.Context, b *neighbors.Blend, trials Trials, opt AscendOptions) ([]trialCase, error) {
	all := make([]trialCase, trials.N)
	judges := judgesOf(opt.Workers)
	err := cores.Each(ctx, opt.Workers, trials.N, func(t int) {
		j := <-judges
		trial := trials.At(j.worker, t)
		if j.ask(b, &trial) {
			c := trialCase{shown: slices.Clone(j.parts.Items), places: slices.Clone(j.places), ideal: ideal(len(trial.Targets), opt.K)}
			for p := range b.NumParts() {
				c.parts = append(c.parts, j.parts.Scores[p]...)
			}
			all[t] = c
		}
		judges <- j
	})
	return slices.DeleteFunc(all, func(c trialCase) bool { return c.places == nil }), err
}

// measureUnit is how many cases are summed up on their own, so that sums do not
// depend on the number of workers.
const measureUnit = 32

// measure sets the NDCG that the weights w have with every change, which come
// part by part: what the other parts say is added up once for all changes of one.
func (a *ascent) measure(ctx context.Context, w []float32, changes []change) error {
	cases := a.cases
	sums := make([][]float64, (len(cases)+measureUnit-1)/measureUnit)
	err := cores.Each(ctx, a.opt.Workers, len(sums), func(u int) {
		sums[u] = make([]float64, len(changes))
		var rest []float32
		for t := u * measureUnit; t < min((u+1)*measureUnit, len(cases)); t++ {
			c := &cases[t]
			for at := range changes {
				part := changes[at].part
				if at == 0 || changes[at-1].part != part {
					rest = c.without(part, w, rest)
				}
				sums[u][at] += c.gain(rest, c.part(part), changes[at].weight, a.opt.K)
			}
		}
	})
	for at := range changes {
		for _, s := range sums {
			if s != nil {
				changes[at].ndcg += s[at] / float64(a.trials)
			}
		}
	}
	return err
}

// part returns the scores of one part.
func (c *trialCase) part(p int) []float32 { return c.parts[p*len(c.shown) : (p+1)*len(c.shown)] }

// without adds up all parts but one into dst.
func (c *trialCase) without(part int, weights, dst []float32) []float32 {
	dst = slices.Grow(dst[:0], len(c.shown))[:len(c.shown)]
	clear(dst)
	for p, w := range weights {
		if p != part && w > 0 {
			for at, v := range c.part(p) {
				dst[at] += w * v
			}
		}
	}
	return dst
}

// gain is the NDCG of rest + weight * part. One pass per target counts what
// stands in front of it, and ends with the first K of them.
func (c *trialCase) gain(rest, part []float32, weight float32, k int) float64 {
	sum := 0.0
	part = part[:len(rest)]
	for _, target := range c.places {
		score, row, place := rest[target]+weight*part[target], c.shown[target], 0
		if score == 0 {
			continue // only parts without weight name it: it has no place
		}
		for n, v := range rest {
			if v += weight * part[n]; v > score || v == score && c.shown[n] < row {
				if place++; place == k {
					break
				}
			}
		}
		if place < k {
			sum += discount(place)
		}
	}
	return sum / c.ideal
}

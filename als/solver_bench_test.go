//go:build unix

package als

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"vitrine/als/dataset"
)

// skewed makes a matrix of a shop's shape: a log-normal number of cells per
// user, item popularity falling as rank^(-2/3), ids that say nothing about it.
func skewed(users, items, cells int) *dataset.CSR {
	rng := rand.New(rand.NewPCG(1, 3))
	place := rng.Perm(items)
	m := &dataset.CSR{Rows: users, Cols: items, Indptr: make([]int64, 1, users+1)}
	const sigma = 0.8
	mean := float64(cells) / float64(users)
	var row []uint32
	for range users {
		row = row[:0]
		want := min(max(int(math.Round(mean*math.Exp(sigma*rng.NormFloat64()-sigma*sigma/2))), 1), items/4+1)
		for len(row) < want {
			for missing := want - len(row); missing > 0; missing-- {
				x := rng.Float64()
				row = append(row, uint32(place[min(int(float64(items)*x*x*x), items-1)]))
			}
			slices.Sort(row)
			row = slices.Compact(row)
		}
		m.Indices = append(m.Indices, row...)
		m.Indptr = append(m.Indptr, int64(len(m.Indices)))
	}
	m.Weights = make([]float32, len(m.Indices))
	for i := range m.Weights {
		m.Weights[i] = 1 + float32(rng.IntN(4))
	}
	return m
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHalfSteps times the half-steps alone, the quickest of all runs: on a
// shared machine the others tell about the neighbours. Limit at rank 64 with
// three gradient steps: a visit costs 448 multiply-adds, 9 ns of one core at
// two vectors a cycle and 3.1 GHz, and its row of 128 bytes from the
// third-level cache or main memory, 4 to 16 ns.
func BenchmarkHalfSteps(b *testing.B) {
	data := skewed(100_000, 20_000, 10_000_000)
	opt := Options{Rank: 64}
	if err := opt.complete(); err != nil {
		b.Fatal(err)
	}
	t, err := newTrainer(context.Background(), data, &opt)
	if err != nil {
		b.Fatal(err)
	}
	for name, exact := range map[string]bool{"cg": false, "exact": true} {
		for which, side := range [2]string{"users", "items"} {
			b.Run(name+"/"+side, func(b *testing.B) {
				best := time.Duration(math.MaxInt64)
				for b.Loop() {
					start := processorTime()
					if err := t.halfStep(context.Background(), which, exact); err != nil {
						b.Fatal(err)
					}
					best = min(best, processorTime()-start)
				}
				b.ReportMetric(float64(best.Nanoseconds())/float64(data.NNZ()), "cpu-ns/visit")
			})
		}
	}
}

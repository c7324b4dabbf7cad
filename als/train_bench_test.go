//go:build unix

package als_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"vitrine/als"
)

// Limit: at rank 64 a visit (one cell on one side) costs 448 multiply-adds
// with three gradient steps and 2,144 exactly: 9 and 42 ns of one core at two
// vectors of 8 a cycle and 3.2 GHz; each row adds 16k and 48k of them. Its
// factor row has to be fetched: 128 bytes in half precision. One iteration is
// two visits per cell; the last half-step is always exact. CPU time, so that
// other work on the machine shows less.
func BenchmarkIteration(b *testing.B) {
	const iterations = 8
	data := random(b, 1, 4000, 3000, 300_000)
	for _, solver := range []string{als.SolverCG, als.SolverCholesky} {
		b.Run(solver, func(b *testing.B) {
			start := cpu(b)
			for b.Loop() {
				opt := als.Options{Rank: 64, Iterations: iterations, Solver: solver, Workers: 1}
				if _, _, err := als.Train(context.Background(), data, opt); err != nil {
					b.Fatal(err)
				}
			}
			visits := float64(b.N) * 2 * iterations * float64(data.NNZ())
			b.ReportMetric(float64((cpu(b)-start).Nanoseconds())/visits, "cpu-ns/visit")
			b.ReportMetric(float64(data.NNZ()), "cells")
		})
	}
}

// Limit: with 100k x 20k the factors no longer fit a cache of a core, so every
// visit waits for a row from further away: 4 ns from a third-level cache that
// nobody else uses, up to 20 ns from memory. All of a training is counted, from
// the transposition to the last, exact half-step; 16 iterations are a real one.
// Ten million cells take some seconds to make; run it by name.
func BenchmarkLargeIteration(b *testing.B) {
	data := random(b, 1, 100_000, 20_000, 10_000_000)
	for _, iterations := range []int{2, 16} {
		b.Run(fmt.Sprintf("iterations=%d", iterations), func(b *testing.B) {
			for b.Loop() {
				start := cpu(b)
				if _, _, err := als.Train(context.Background(), data, als.Options{Rank: 64, Iterations: iterations}); err != nil {
					b.Fatal(err)
				}
				visits := 2 * float64(iterations) * float64(data.NNZ())
				b.ReportMetric(float64((cpu(b)-start).Nanoseconds())/visits, "cpu-ns/visit")
				b.ReportMetric(float64(data.NNZ()), "cells")
			}
		})
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

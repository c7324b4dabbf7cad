package als

import (
	"errors"
	"fmt"
	"math"
	"runtime"

	"vitrine/als/model"
)

// Solvers of the rows.
const (
	// SolverCG takes a few conjugate gradient steps from the row's present
	// vector: a third of the work of an exact solve, and after a few
	// iterations the same model.
	SolverCG = "cg"
	// SolverCholesky solves every row exactly: the reference.
	SolverCholesky = "cholesky"
)

// Defaults of a zero Options. The loss parameters and the iterations lie on the
// plateau of NDCG@10 on the validation slice of a real shop's log (the table is
// in docs/RATIONALE.md): 4 to 16 iterations change it by a few per cent,
// double Lambda costs a fifth. FrequencyPower is a compromise: the shop would take 0,
// a larger and flatter catalogue (Gowalla) 0.5.
const (
	DefaultRank           = 64
	DefaultIterations     = 8
	DefaultUnobserved     = 48.0
	DefaultLambda         = 0.005
	DefaultNu             = 1.0
	DefaultFrequencyPower = 0.1
	DefaultCGSteps        = 3
)

// initialDeviation is the standard deviation of a random start, before it is
// divided by sqrt(rank) (Rendle et al. 2021).
const initialDeviation = 0.1

// maxRank bounds the rank: beyond it the work per row grows absurd.
const maxRank = 4096

// Options say how to train. The zero value means the documented defaults.
type Options struct {
	// Rank is the number of factors; 0 is DefaultRank.
	Rank int
	// Iterations counts pairs of half-steps; 0 is DefaultIterations.
	Iterations int
	// Alpha0 weighs every cell, observed or not; 0 takes it from Unobserved.
	Alpha0 float64
	// Unobserved is what all cells together weigh by Alpha0, in multiples of
	// what the observed ones weigh by their weights; 0 is DefaultUnobserved.
	// Unlike a fixed Alpha0 it suits small and large catalogues alike, and
	// makes the model independent of the unit of the weights (with Nu 1).
	Unobserved float64
	// Lambda is the regularization; 0 is DefaultLambda.
	Lambda float64
	// Nu is the power of the row's mass in the regularization; nil is DefaultNu.
	Nu *float64
	// FrequencyPower is p of the frequency scales; nil is DefaultFrequencyPower.
	FrequencyPower *float64
	// Solver is SolverCG or SolverCholesky; "" is SolverCG.
	Solver string
	// CGSteps is the number of steps per row of SolverCG; 0 is DefaultCGSteps.
	CGSteps int
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
	// Seed makes the random start.
	Seed uint64
	// Init, of the same rank, is where the factors start from; rows beyond
	// its own, and rows that are zero in it, start random. Row r of Init is
	// row r of the data.
	Init *model.Model
	// TrackLoss computes the loss after every iteration, in float64 on one core.
	TrackLoss bool
	// Progress, when set, is called after every iteration.
	Progress func(Progress)
}

// complete puts the defaults in and reports all faults.
func (o *Options) complete() error {
	setDefault(&o.Rank, DefaultRank)
	setDefault(&o.Iterations, DefaultIterations)
	setDefault(&o.Unobserved, DefaultUnobserved)
	setDefault(&o.Lambda, DefaultLambda)
	setDefault(&o.CGSteps, DefaultCGSteps)
	setDefault(&o.Workers, runtime.GOMAXPROCS(0))
	setDefault(&o.Solver, SolverCG)
	if o.Nu == nil {
		o.Nu = new(DefaultNu)
	}
	if o.FrequencyPower == nil {
		o.FrequencyPower = new(DefaultFrequencyPower)
	}
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(o.Rank < 1 || o.Rank > maxRank, "rank %d is not within 1..%d", o.Rank, maxRank)
	fault(o.Iterations < 1, "iterations %d is below 1", o.Iterations)
	fault(o.Alpha0 != 0 && !within(o.Alpha0, 1e-9, 1e6), "alpha0 %v is not within 1e-9..1e6", o.Alpha0)
	fault(!within(o.Unobserved, 1e-3, 1e6), "unobserved %v is not within 1e-3..1e6", o.Unobserved)
	fault(!within(o.Lambda, 1e-9, 1e6), "lambda %v is not within 1e-9..1e6", o.Lambda)
	fault(!within(*o.Nu, 0, 2), "nu %v is not within 0..2", *o.Nu)
	fault(!within(*o.FrequencyPower, 0, 2), "frequency power %v is not within 0..2", *o.FrequencyPower)
	fault(o.Solver != SolverCG && o.Solver != SolverCholesky, "unknown solver %q (%s or %s)", o.Solver, SolverCG, SolverCholesky)
	fault(o.CGSteps < 1, "cg steps %d is below 1", o.CGSteps)
	fault(o.Workers < 1, "workers %d is below 1", o.Workers)
	fault(o.Init != nil && o.Init.Rank != o.Rank, "rank %d differs from the start model's", o.Rank)
	if len(faults) > 0 {
		return fmt.Errorf("check training options: %w", errors.Join(faults...))
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// within reports whether lo <= v <= hi; it is false for NaN.
func within(v, lo, hi float64) bool { return !math.IsNaN(v) && v >= lo && v <= hi }

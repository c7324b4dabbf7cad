package als

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"vitrine/als/model"
)

// Losses.
const (
	// LossImplicit ranks: weights say how sure it is that somebody liked
	// something, and all other cells count a little as not liked.
	LossImplicit = "implicit"
	// LossExplicit predicts ratings: weights are ratings, and other cells are
	// unknown.
	LossExplicit = "explicit"
)

// Solvers of the rows. On the same data all of them come to models of the same
// loss.
const (
	// SolverCG takes a few conjugate gradient steps from the row's present
	// vector: a third of the work of an exact solve, and after a few
	// iterations the same model.
	SolverCG = "cg"
	// SolverCholesky solves every row exactly: the reference.
	SolverCholesky = "cholesky"
	// SolverBlocks solves for 64 factors of a row at a time (iALS++): nearer
	// to the exact solve than SolverCG where the rank is large.
	SolverBlocks = "blocks"
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

// Defaults of the explicit loss: those of Spark MLlib as it is mostly used. With
// biases the regularization lies where it suits ratings files of 100 thousand
// and a million rows in MovieLens layout, at ranks from 10 to 64: there RMSE is
// half a per cent and more below that of the model without.
const (
	DefaultExplicitIterations = 20
	DefaultExplicitLambda     = 0.1
	DefaultBiasedLambda       = 0.38
	DefaultBiasedNu           = 0.75
	DefaultBiasLambda         = 3.0
)

// blocksFrom is the rank from which on SolverBlocks is the default.
const blocksFrom = 256

// MaxRank bounds the rank: beyond it the work per row grows absurd.
const MaxRank = 4096

// Options say how to train. The zero value means the documented defaults.
type Options struct {
	// Loss is LossImplicit or LossExplicit; "" is LossImplicit.
	Loss string
	// Biases gives every user and item of an explicit model a bias beside its
	// factors, and the model the mean rating.
	Biases bool
	// Rank is the number of factors; 0 is DefaultRank.
	Rank int
	// Iterations counts pairs of half-steps; 0 is DefaultIterations, or
	// DefaultExplicitIterations.
	Iterations int
	// Tolerance, when not 0, ends the training before its Iterations: after the
	// first, from the second on, that lowers the loss (the users' part of it, on
	// a sample of them) by less than this share. A warm start has little to do.
	Tolerance float64
	// Alpha0 weighs every cell, observed or not; 0 takes it from Unobserved.
	// It is of the implicit loss only.
	Alpha0 float64
	// Unobserved is what all cells together weigh by Alpha0, in multiples of
	// what the observed ones weigh by their weights; 0 is DefaultUnobserved.
	// Unlike a fixed Alpha0 it suits small and large catalogues alike, and
	// makes the model independent of the unit of the weights (with Nu 1).
	Unobserved float64
	// Lambda is the regularization; 0 is DefaultLambda, in the explicit loss
	// DefaultExplicitLambda, and with biases DefaultBiasedLambda.
	Lambda float64
	// Nu is the power of the row's mass, or number of ratings, in the
	// regularization; nil is DefaultNu, with biases DefaultBiasedNu.
	Nu *float64
	// BiasLambda is the regularization of the biases; 0 is DefaultBiasLambda.
	BiasLambda float64
	// FrequencyPower is p of the frequency scales; nil is
	// DefaultFrequencyPower. It is of the implicit loss only.
	FrequencyPower *float64
	// Solver is SolverCG, SolverCholesky or SolverBlocks. "" is SolverCG below
	// rank 256 and SolverBlocks from there on; of the explicit loss, whose
	// rows cost less, SolverCholesky below it.
	Solver string
	// CGSteps is the number of steps per row of SolverCG; 0 is DefaultCGSteps.
	CGSteps int
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
	// MemoryLimit, when not 0, is the number of bytes that Train may need: a
	// training that needs more (see Bytes) is refused before it starts.
	MemoryLimit int64
	// Seed makes the random start.
	Seed uint64
	// Init, of the same rank and loss, is where the factors start from; rows
	// beyond its own, and rows that are zero in it, start random. Row r of
	// Init is row r of the data.
	Init *model.Model
	// TrackLoss computes the loss after every iteration, in float64.
	TrackLoss bool
	// Progress, when set, is called after every iteration.
	Progress func(Progress)
}

// explicit reports which loss it is.
func (o *Options) explicit() bool { return o.Loss == LossExplicit }

// columns is the length of the model's rows.
func (o *Options) columns() int {
	if o.Biases {
		return o.Rank + biasColumns
	}
	return o.Rank
}

// biasColumns are what a model with biases holds behind the factors of a row.
const biasColumns = 2

// Columns is the length of the rows of the model: of the factors, and of what
// the biases take beside them.
func (o Options) Columns() int {
	o.fill()
	return o.columns()
}

// WithDefaults returns the options with what is zero replaced by its default.
func (o Options) WithDefaults() Options {
	o.fill()
	return o
}

// fill puts the defaults in.
func (o *Options) fill() {
	setDefault(&o.Loss, LossImplicit)
	setDefault(&o.Rank, DefaultRank)
	nu := DefaultNu
	if o.explicit() {
		setDefault(&o.Iterations, DefaultExplicitIterations)
		if o.Biases {
			setDefault(&o.Lambda, DefaultBiasedLambda)
			nu = DefaultBiasedNu
		}
		setDefault(&o.Lambda, DefaultExplicitLambda)
	}
	setDefault(&o.Iterations, DefaultIterations)
	setDefault(&o.Unobserved, DefaultUnobserved)
	setDefault(&o.Lambda, DefaultLambda)
	setDefault(&o.BiasLambda, DefaultBiasLambda)
	setDefault(&o.CGSteps, DefaultCGSteps)
	setDefault(&o.Workers, runtime.GOMAXPROCS(0))
	setDefault(&o.Solver, o.solver())
	if o.Nu == nil {
		o.Nu = &nu
	}
	if o.FrequencyPower == nil {
		o.FrequencyPower = new(DefaultFrequencyPower)
	}
}

// complete puts the defaults in and reports all faults.
func (o *Options) complete() error {
	o.fill()
	if faults := o.faults(); len(faults) > 0 {
		return fmt.Errorf("check training options: %w", errors.Join(faults...))
	}
	return nil
}

// solver is the default one.
func (o *Options) solver() string {
	switch {
	case o.Rank >= blocksFrom:
		return SolverBlocks
	case o.explicit():
		return SolverCholesky
	}
	return SolverCG
}

// faults lists what is wrong with complete options; every one is an ErrOption.
func (o *Options) faults() []error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrOption}, args...)...))
		}
	}
	fault(o.Loss != LossImplicit && o.Loss != LossExplicit, "unknown loss %q (%s or %s)", o.Loss, LossImplicit, LossExplicit)
	fault(o.Biases && !o.explicit(), "biases belong to the %s loss", LossExplicit)
	fault(o.Rank < 1 || o.columns() > MaxRank, "rank %d is not within 1..%d", o.Rank, MaxRank-o.columns()+o.Rank)
	fault(o.Iterations < 1, "iterations %d is below 1", o.Iterations)
	fault(!within(o.Tolerance, 0, 1), "tolerance %v is not within 0..1", o.Tolerance)
	fault(o.Alpha0 != 0 && !within(o.Alpha0, 1e-9, 1e6), "alpha0 %v is not within 1e-9..1e6", o.Alpha0)
	fault(!within(o.Unobserved, 1e-3, 1e6), "unobserved %v is not within 1e-3..1e6", o.Unobserved)
	fault(!within(o.Lambda, 1e-9, 1e6), "lambda %v is not within 1e-9..1e6", o.Lambda)
	fault(!within(o.BiasLambda, 1e-9, 1e6), "bias lambda %v is not within 1e-9..1e6", o.BiasLambda)
	fault(!within(*o.Nu, 0, 2), "nu %v is not within 0..2", *o.Nu)
	fault(!within(*o.FrequencyPower, 0, 2), "frequency power %v is not within 0..2", *o.FrequencyPower)
	fault(!slices.Contains([]string{SolverCG, SolverCholesky, SolverBlocks}, o.Solver),
		"unknown solver %q (%s, %s or %s)", o.Solver, SolverCG, SolverCholesky, SolverBlocks)
	fault(o.CGSteps < 1, "cg steps %d is below 1", o.CGSteps)
	fault(o.Workers < 1, "workers %d is below 1", o.Workers)
	if o.Init != nil {
		fault(o.Init.Rank != o.columns(), "rank %d differs from the start model's", o.Rank)
		fault(o.Init.Params.Explicit != o.explicit() || o.Init.Params.Biases != o.Biases, "the start model is of another loss")
	}
	return faults
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// within reports whether lo <= v <= hi; it is false for NaN.
func within(v, lo, hi float64) bool { return !math.IsNaN(v) && v >= lo && v <= hi }

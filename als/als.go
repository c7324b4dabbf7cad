// Package als trains factor models: of implicit feedback, which rank, and of
// ratings, which predict.
//
// It owns the losses, the alternation of the two half-steps and their spread
// over the cores. It may import the packages below als; it must not know
// events, ids, configuration, files or logs: matrices of dense rows come in, a
// model.Model goes out.
//
//	m, report, err := als.Train(ctx, data, als.Options{Rank: 64})
//
// # The implicit loss
//
// With c_ui the weights of the observed cells, f_i and g_u the scales of items
// and users, w_u and v_i their factors and s_ui = w_u . v_i, training lowers
//
//	L = sum_obs g_u f_i c_ui (1 - s_ui)^2 + alpha0 sum_all g_u f_i s_ui^2
//	  + lambda [ sum_u g_u M_u^nu |w_u|^2 + sum_i f_i M_i^nu |v_i|^2 ]
//
//	M_u = sum_obs(u) f_i c_ui + alpha0 sum_i f_i      (the mass of a row)
//	M_i = sum_obs(i) g_u c_ui + alpha0 sum_u g_u
//
// This is the loss of Rendle et al., "Revisiting the Performance of iALS"
// (2021), after Hu, Koren and Volinsky, "Collaborative Filtering for Implicit
// Feedback Datasets" (2008), with weights c and with the frequency scales
//
//	f_i = (n_i / mean n)^-p    n_i = users who touched item i, p = FrequencyPower
//
// g_u alike; a row that nobody touched has scale 0 and zero factors, so that
// empty rows never change a model. For a fixed other side every row is its own
// small least-squares problem (als/internal/solve), in which the row's own
// scale cancels out: a user's vector follows from Items, ItemScale and Params
// of the model and his own weights alone. The last half-step is the users',
// solved exactly, so folding in an unchanged user gives his stored row.
//
// # The explicit loss
//
// With r_ui the ratings and n_u, n_i their numbers per user and item,
//
//	L = sum_obs (r_ui - s_ui)^2 + lambda [ sum_u n_u^nu |w_u|^2 + sum_i n_i^nu |v_i|^2 ]
//
// which with nu 1, the default, is ALS-WR of Zhou et al., "Large-scale Parallel
// Collaborative Filtering for the Netflix Prize" (2008), as Spark MLlib trains
// it. With Options.Biases the rating is mean + b_u + b_i + s_ui, and L grows by
// biasLambda [ sum_u b_u^2 + sum_i b_i^2 ].
//
// # The solvers
//
// A row is solved exactly (Cholesky), by a few conjugate gradient steps from
// where it stands (Takacs, Pilaszy and Tikk, "Applications of the Conjugate
// Gradient Method for Implicit Feedback Collaborative Filtering", 2011), or 64
// factors at a time (Rendle et al., "iALS++", 2021). With n observations of a
// row and rank k they cost about n k^2/2 + k^3/6, 8 n k + 4 k^2 (three steps)
// and 35 n k + 2 k^2 + 700 k multiply-adds; of the 4 k^2 of three steps 2 k^2 are
// left where there are many rows.
package als

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vitrine/als/dataset"
	"vitrine/als/internal/solve"
	"vitrine/als/model"
)

// Errors of a training that cannot start or go on. Faults of the matrix are
// those of package dataset.
var (
	// ErrOption reports an option outside its range.
	ErrOption = errors.New("bad option")
	// ErrEmpty reports a matrix without users, without items or without cells.
	ErrEmpty = errors.New("nothing to train on")
	// ErrMemory reports that Options.MemoryLimit is below what training needs.
	ErrMemory = errors.New("too little memory")
	// ErrNotSolvable reports a row whose equations float32 cannot solve.
	ErrNotSolvable = solve.ErrNotPositive
)

// Report says what a training run did.
type Report struct {
	// Iterations counts the finished ones.
	Iterations int
	// Loss is L after every iteration, kept when Options.TrackLoss is set.
	Loss []float64
	// Seconds is the wall time of the whole run.
	Seconds float64
}

// Progress is told after every iteration.
type Progress struct {
	// Iterations falls to Iteration when Options.Tolerance ends the training.
	Iteration, Iterations int
	// Loss is L where Options.TrackLoss is set, and otherwise the users' part of
	// it (all but the items' regularization), estimated from a sample.
	Loss float64
}

// Train fits a model to data (users x items). The result depends on data and
// options alone, bit by bit, not on the number of workers. A cancelled run
// returns ctx.Err() within a tenth of a second, and no model.
func Train(ctx context.Context, data *dataset.CSR, opt Options) (*model.Model, Report, error) {
	start := time.Now()
	var report Report
	if err := opt.complete(); err != nil {
		return nil, report, err
	}
	if err := check(ctx, data, &opt); err != nil {
		return nil, report, err
	}
	t, err := newTrainer(ctx, data, &opt)
	if err != nil {
		return nil, report, err
	}
	var stop stopper
	for n := 0; n < opt.Iterations; n++ {
		last := n == opt.Iterations-1
		if err := t.halfStep(ctx, itemSide, false); err != nil {
			return nil, report, err
		}
		if err := t.halfStep(ctx, userSide, last); err != nil {
			return nil, report, err
		}
		report.Iterations = n + 1
		progress := Progress{Iteration: n + 1}
		if opt.Tolerance > 0 || opt.Progress != nil && !opt.TrackLoss {
			progress.Loss = t.look(ctx)
		}
		if !last && stop.enough(progress.Loss, opt.Tolerance, n+1) {
			// The last half-step must be exact; see the package's comment.
			if err := t.halfStep(ctx, userSide, true); err != nil {
				return nil, report, err
			}
			opt.Iterations = n + 1
		}
		if opt.TrackLoss {
			progress.Loss = t.loss(ctx)
			report.Loss = append(report.Loss, progress.Loss)
		}
		if ctx.Err() != nil {
			return nil, report, ctx.Err()
		}
		progress.Iterations = opt.Iterations
		if opt.Progress != nil {
			opt.Progress(progress)
		}
	}
	report.Seconds = time.Since(start).Seconds()
	return t.model(), report, nil
}

// check refuses what Train cannot work on.
func check(ctx context.Context, data *dataset.CSR, opt *Options) error {
	if data == nil {
		return fmt.Errorf("train: %w: no matrix", ErrEmpty)
	}
	if data.Rows == 0 || data.Cols == 0 || data.NNZ() == 0 {
		return fmt.Errorf("train: %w: %d users, %d items, %d cells", ErrEmpty, data.Rows, data.Cols, data.NNZ())
	}
	if err := opt.checkMemory(data, opt.halves()); err != nil {
		return err
	}
	return data.Check(ctx, opt.Workers)
}

// checkMemory refuses what needs more than the limit.
func (o *Options) checkMemory(data *dataset.CSR, halves bool) error {
	need := bytesOf(Shape{Users: data.Rows, Items: data.Cols, Cells: data.NNZ()}, o, halves)
	if o.MemoryLimit > 0 && need > o.MemoryLimit {
		return fmt.Errorf("train: %w: %d users, %d items and %d cells at rank %d need %d MiB, the limit is %d MiB",
			ErrMemory, data.Rows, data.Cols, data.NNZ(), o.Rank, need>>20, o.MemoryLimit>>20)
	}
	return nil
}

// trainer holds both sides of a model in the making.
type trainer struct {
	opt *Options
	// params hold the float32 values that the model keeps. Training uses the
	// same, or fold-in would differ from it.
	params model.Params
	sides  [2]side
	// scratch is each worker's memory, kept from one half-step to the next.
	scratch []solve.Scratch
}

// side is one half of the model: its rows, what they observed of the other
// half, and their scales.
type side struct {
	// cells has no weights where halves are there: the same in half precision,
	// as multiples of unit.
	cells   *dataset.CSR
	halves  []uint16
	unit    float32
	factors []float32
	scale   []float32
	// total is the sum of scale.
	total float64
	// rooted tells that the weights of cells are the roots of what they are
	// multiplied by the other side's scales.
	rooted bool
	// mass is what the cells of each row weigh; see solve.Fixed.Mass.
	mass []float64
	// fixed is this side as the other's half-step sees it.
	fixed *solve.Fixed
}

// The two halves. The other half of side s is 1-s.
const (
	userSide = 0
	itemSide = 1
)

func newTrainer(ctx context.Context, data *dataset.CSR, opt *Options) (*trainer, error) {
	t := &trainer{opt: opt, scratch: make([]solve.Scratch, opt.Workers)}
	t.sides[userSide] = side{cells: data, scale: t.scale(data)}
	var err error
	if t.sides[itemSide], err = t.sideways(ctx); err != nil {
		return nil, err
	}
	t.sides[itemSide].scale = t.scale(t.sides[itemSide].cells)
	for which := range t.sides {
		s := &t.sides[which]
		s.factors, s.total = t.start(ctx, s.cells, which), sum(s.scale)
	}
	t.setParams(ctx)
	return t, ctx.Err()
}

// setParams computes the parameters that depend on the data.
func (t *trainer) setParams(ctx context.Context) {
	opt := t.opt
	t.params = model.Params{Lambda: float32(opt.Lambda), Nu: float32(*opt.Nu)}
	if opt.explicit() {
		t.params.Explicit, t.params.Biases = true, opt.Biases
		if opt.Biases {
			ratings := t.sides[userSide].cells.Weights
			t.params.Mean = float32(sum(ratings) / float64(len(ratings)))
			t.params.BiasLambda = float32(opt.BiasLambda)
		}
		return
	}
	t.params.Alpha0, t.params.FrequencyPower = float32(opt.Alpha0), float32(*opt.FrequencyPower)
	if opt.Alpha0 == 0 {
		t.params.Alpha0 = float32(opt.Unobserved * t.density(ctx))
	}
}

// fix returns a side as the fixed one, up to date with its factors.
func (t *trainer) fix(ctx context.Context, which int) *solve.Fixed {
	s, p := &t.sides[which], t.params
	if s.fixed != nil {
		s.fixed.Refresh(t.workers(ctx))
		return s.fixed
	}
	s.fixed = solve.NewFixed(solve.Config{
		Rank: t.opt.columns(), Factors: s.factors, Scale: s.scale, Items: which == itemSide,
		Rooted: t.sides[1-which].rooted, Half: t.opt.Solver == SolverCG, Free: t.sides[1-which].cells.Rows,
		Loss: solve.Loss{
			Explicit: p.Explicit, Biased: p.Biases, Mean: p.Mean,
			Alpha0: p.Alpha0, Lambda: p.Lambda, Nu: p.Nu, BiasLambda: p.BiasLambda,
		},
	}, t.workers(ctx))
	return s.fixed
}

// weigh computes the mass of a side's rows, which stays the same.
func (t *trainer) weigh(ctx context.Context, which int, fixed *solve.Fixed) {
	s := &t.sides[which]
	if s.mass != nil {
		return
	}
	s.mass = make([]float64, s.cells.Rows)
	t.workers(ctx).Each((s.cells.Rows+unitRows-1)/unitRows, func(unit int) {
		for r := unit * unitRows; r < min((unit+1)*unitRows, s.cells.Rows); r++ {
			s.mass[r] = fixed.Mass(s.row(r))
		}
	})
}

// workers are the goroutines of a run, until ctx ends.
func (t *trainer) workers(ctx context.Context) solve.Workers {
	return solve.Workers{N: t.opt.Workers, Done: ctx.Done()}
}

// halfStep solves all rows of one side while the other side stays fixed.
func (t *trainer) halfStep(ctx context.Context, which int, exact bool) error {
	fixed := t.fix(ctx, 1-which)
	t.weigh(ctx, which, fixed)
	job := halfStep{side: &t.sides[which], solve: fixed.Exact}
	switch {
	case exact:
	case t.opt.Solver == SolverCG:
		job.solve = func(dst []float32, row solve.Row, s *solve.Scratch) error {
			return fixed.Gradient(dst, row, t.opt.CGSteps, s)
		}
		job.enter, job.leave = fixed.Enter, fixed.Leave
	case t.opt.Solver == SolverBlocks:
		job.solve = fixed.Blocks
	}
	if err := job.run(ctx, t.opt.columns(), t.scratch); err != nil && ctx.Err() == nil {
		return fmt.Errorf("solve %s: %w", [2]string{userSide: "users", itemSide: "items"}[which], err)
	}
	return ctx.Err()
}

func (t *trainer) model() *model.Model {
	return &model.Model{
		Rank:      t.opt.columns(),
		NumUsers:  t.sides[userSide].cells.Rows,
		NumItems:  t.sides[itemSide].cells.Rows,
		Users:     t.sides[userSide].factors,
		Items:     t.sides[itemSide].factors,
		ItemScale: t.sides[itemSide].scale,
		Params:    t.params,
	}
}

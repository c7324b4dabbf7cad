// Package als trains the implicit-feedback factor model.
//
// It owns the loss, the alternation of the two half-steps and their spread
// over the cores. It may import the packages below als; it must not know
// events, ids, configuration, files or logs: matrices of dense rows come in, a
// model.Model goes out.
//
// # The loss
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
// (2021), with weights c and with the frequency scales
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
//	m, report, err := als.Train(ctx, data, als.Options{Rank: 64})
package als

import (
	"context"
	"fmt"
	"time"

	"vitrine/als/dataset"
	"vitrine/als/internal/solve"
	"vitrine/als/model"
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
	Iteration, Iterations int
	// Loss is 0 unless Options.TrackLoss is set.
	Loss float64
}

// Train fits a model to data (users x items). The result depends on data and
// options alone, bit by bit, not on the number of workers. A cancelled run
// returns ctx.Err().
func Train(ctx context.Context, data *dataset.CSR, opt Options) (*model.Model, Report, error) {
	start := time.Now()
	var report Report
	if err := opt.complete(); err != nil {
		return nil, report, err
	}
	if err := data.Validate(); err != nil {
		return nil, report, err
	}
	t := newTrainer(data, &opt)
	for n := range opt.Iterations {
		last := n == opt.Iterations-1
		if err := t.halfStep(ctx, itemSide, false); err != nil {
			return nil, report, err
		}
		if err := t.halfStep(ctx, userSide, last); err != nil {
			return nil, report, err
		}
		report.Iterations = n + 1
		progress := Progress{Iteration: n + 1, Iterations: opt.Iterations}
		if opt.TrackLoss {
			progress.Loss = t.loss()
			report.Loss = append(report.Loss, progress.Loss)
		}
		if opt.Progress != nil {
			opt.Progress(progress)
		}
	}
	report.Seconds = time.Since(start).Seconds()
	return t.model(), report, nil
}

// trainer holds both sides of a model in the making.
type trainer struct {
	opt *Options
	// params hold the float32 values that the model keeps. Training uses the
	// same, or fold-in would differ from it.
	params model.Params
	sides  [2]side
}

// side is one half of the model: its rows, what they observed of the other
// half, and their scales.
type side struct {
	cells   *dataset.CSR
	factors []float32
	scale   []float32
}

// The two halves. The other half of side s is 1-s.
const (
	userSide = 0
	itemSide = 1
)

func newTrainer(data *dataset.CSR, opt *Options) *trainer {
	t := &trainer{opt: opt}
	for s, cells := range [2]*dataset.CSR{userSide: data, itemSide: data.Transpose()} {
		t.sides[s] = side{
			cells:   cells,
			factors: initialFactors(cells, s, opt),
			scale:   frequencyScale(cells, float64(float32(*opt.FrequencyPower))),
		}
	}
	t.params = model.Params{
		Alpha0: float32(opt.Alpha0), Lambda: float32(opt.Lambda),
		Nu: float32(*opt.Nu), FrequencyPower: float32(*opt.FrequencyPower),
	}
	if opt.Alpha0 == 0 {
		t.params.Alpha0 = float32(opt.Unobserved * t.density())
	}
	return t
}

// halfStep solves all rows of one side while the other side stays fixed.
func (t *trainer) halfStep(ctx context.Context, which int, exact bool) error {
	rows, fixed := &t.sides[which], &t.sides[1-which]
	p := t.params
	job := halfStep{
		rows:  rows,
		fixed: solve.NewFixed(t.opt.Rank, fixed.factors, fixed.scale, solve.Loss{Alpha0: p.Alpha0, Lambda: p.Lambda, Nu: p.Nu}, t.opt.Workers),
	}
	if !exact && t.opt.Solver == SolverCG {
		job.steps = t.opt.CGSteps
	}
	if err := job.run(ctx, t.opt.Workers); err != nil && ctx.Err() == nil {
		return fmt.Errorf("solve %s: %w", [2]string{userSide: "users", itemSide: "items"}[which], err)
	}
	return ctx.Err()
}

func (t *trainer) model() *model.Model {
	return &model.Model{
		Rank:      t.opt.Rank,
		NumUsers:  t.sides[userSide].cells.Rows,
		NumItems:  t.sides[itemSide].cells.Rows,
		Users:     t.sides[userSide].factors,
		Items:     t.sides[itemSide].factors,
		ItemScale: t.sides[itemSide].scale,
		Params:    t.params,
	}
}

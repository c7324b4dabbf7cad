package trainer

import (
	"math"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/neighbors/tables"
	"vitrine/appliance/signal"
)

// Options are the settings a run used, after rule, search and defaults.
type Options struct {
	Loss           string  `json:"loss"`
	Biases         bool    `json:"biases"`
	Measure        string  `json:"measure"`
	Rank           int     `json:"rank"`
	Iterations     int     `json:"iterations"`
	Regularization float64 `json:"regularization"`
	// Unobserved and FrequencyPower are those of als.Options; 0 in a model of
	// ratings.
	Unobserved     float64 `json:"unobserved"`
	FrequencyPower float64 `json:"frequency_power"`
	Alpha          float64 `json:"alpha"`
	HalfLifeHours  float64 `json:"half_life_hours"`
	History        int     `json:"history"`
	TestShare      float64 `json:"test_share"`
	// Sweeps is how many iterations the fit needed, RefitSweeps how many
	// brought the newest events in.
	Sweeps      int `json:"sweeps"`
	RefitSweeps int `json:"refit_sweeps"`
	// ChosenBy says where the settings that are not configured come from.
	ChosenBy string `json:"chosen_by"`
	// Sources tell of the sources beside the model; nil where it answers alone.
	Sources *SourceOptions `json:"sources,omitempty"`
}

// SourceOptions tell how the sources beside a model are blended.
type SourceOptions struct {
	// User, Session and Like are the weights, see tables.Settings.
	User    tables.Weights `json:"user"`
	Session tables.Weights `json:"session"`
	Like    tables.Weights `json:"like"`
	// Bytes is the size of all tables.
	Bytes int64 `json:"bytes"`
}

// ByKey are the options by configuration key, what has none by a plain name.
func (o *Options) ByKey() map[string]any {
	out := map[string]any{
		"train.loss": o.Loss, "train.biases": o.Biases, "measure": o.Measure, "train.rank": o.Rank,
		"train.iterations": o.Iterations, "train.regularization": o.Regularization,
		"train.history": o.History, "test_share": o.TestShare, "sweeps": o.Sweeps, "refit_sweeps": o.RefitSweeps, "chosen_by": o.ChosenBy,
	}
	if o.Loss == als.LossImplicit {
		out["train.alpha"], out["train.half_life_hours"] = o.Alpha, o.HalfLifeHours
		out["unobserved"], out["frequency_power"] = o.Unobserved, o.FrequencyPower
	}
	if s := o.Sources; s != nil {
		out["blend.user"], out["blend.session"], out["blend.like"] = s.User.String(), s.Session.String(), s.Like.String()
		out["tables_bytes"] = s.Bytes
	}
	return out
}

// explicit reports whether the model is one of ratings.
func (r *run) explicit() bool { return r.sig.Measure() != signal.Confidence }

// choose sets the options of the fit once the data is known.
func (r *run) choose() {
	opt := als.Options{Loss: als.LossImplicit}
	if r.explicit() {
		opt.Loss, opt.Biases = als.LossExplicit, r.job.Biases
	}
	override(&opt.Rank, r.job.Rank)
	override(&opt.Iterations, r.job.Iterations)
	override(&opt.Lambda, r.job.Regularization)
	r.settings = als.Suggest(shapeOf(r.train), opt).WithDefaults()
	r.result.Options = r.describe()
}

// shapeOf counts the rows and columns that have cells.
func shapeOf(m *dataset.CSR) als.Shape {
	s := als.Shape{Users: rowsWithCells(m), Cells: m.NNZ()}
	for _, n := range m.Counts() {
		if n > 0 {
			s.Items++
		}
	}
	return s
}

// describe are the settings in force, for the report.
func (r *run) describe() Options {
	opt := &r.settings
	o := Options{
		Loss: opt.Loss, Biases: opt.Biases, Measure: string(r.sig.Measure()),
		Rank: opt.Rank, Iterations: opt.Iterations, Regularization: opt.Lambda,
		Alpha: signal.DefaultAlpha, HalfLifeHours: r.sig.HalfLife().Hours(), History: r.sig.MaxItems(), TestShare: testShare, ChosenBy: r.job.ChosenBy(),
	}
	override(&o.Alpha, r.job.Signal.Alpha)
	if !r.explicit() {
		o.Unobserved, o.FrequencyPower = opt.Unobserved, *opt.FrequencyPower
	}
	return o
}

// options are the settings of one training, which tells its progress.
func (r *run) options(stage string) als.Options {
	opt := r.settings
	opt.Progress = func(p als.Progress) {
		progress := Progress{Stage: stage, Done: p.Iteration, Total: p.Iterations}
		if !math.IsNaN(p.Loss) && !math.IsInf(p.Loss, 0) {
			progress.Loss = p.Loss // JSON has no other numbers
		}
		r.progress(progress)
	}
	return opt
}

func override[T comparable](field *T, set T) {
	var zero T
	if set != zero {
		*field = set
	}
}

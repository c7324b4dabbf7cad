// Package offline measures how models rank and rate data that they have not
// seen: the archive's own, or files in the forms that data sets have. It splits
// interactions, fits the appliance's model, the blend and the baselines on one
// part, and asks all of them about the other.
//
// It owns the splits, what is masked, which baselines stand beside the model,
// and the report; it runs in a child process (Child), for it reads files of
// strangers and takes all cores. It may import what package trainer may, and
// trainer; it must not know the daemon, HTTP or the configuration.
package offline

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/als"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer"
)

// How the users' interactions are parted.
const (
	// SplitTime takes the newest tenth of all interactions for the test.
	SplitTime = "time"
	// SplitLast takes the last interaction of every user who has two and more.
	SplitLast = "leave-last-out"
	// SplitFolds, with ":N" behind it, takes every pair of a user and an item
	// for the test once, in N turns.
	SplitFolds = "folds"
	// splitGiven is that of a train and a test file.
	splitGiven = "given"
)

// What is done with the items that a user has in training.
const (
	// SeenMasked leaves them out of the ranking and out of the targets.
	SeenMasked = "masked"
	// SeenKept ranks them like others.
	SeenKept = "kept"
	// SeenBoth measures both; the models that rank them have -kept behind
	// their names.
	SeenBoth = "both"
)

// What the interactions are.
const (
	// ModeImplicit: they say what was chosen.
	ModeImplicit = "implicit"
	// ModeExplicit: they are ratings.
	ModeExplicit = "explicit"
	// ModeSession: they are sessions, one user_id each; the last item of a test
	// session is to be found from those before it.
	ModeSession = "session"
)

// Source says which interactions are measured: the archive in Dir, files to be
// split, or files of a given split.
type Source struct {
	Dir string `json:"dir,omitempty"`
	// Position is the log position that the archive must have reached.
	Position uint64   `json:"position,omitempty"`
	Events   []string `json:"events,omitempty"`
	Train    []string `json:"train,omitempty"`
	Test     []string `json:"test,omitempty"`
	// Format, Map, Where, TSFormat and TZ are those of an import.
	Format   string `json:"format,omitempty"`
	Map      string `json:"map,omitempty"`
	Where    string `json:"where,omitempty"`
	TSFormat string `json:"ts_format,omitempty"`
	TZ       string `json:"tz,omitempty"`
}

// Options say how to measure. The zero value means the documented defaults.
type Options struct {
	// Split is one of the splits; "" is SplitTime. A given split needs none.
	Split string `json:"split,omitempty"`
	// Seen is one of the rules for seen items; "" is SeenMasked.
	Seen string `json:"seen,omitempty"`
	// Mode is one of the modes; "" is ModeExplicit where the settings of the
	// training ask for a model of ratings, and ModeImplicit otherwise.
	Mode string `json:"mode,omitempty"`
	// K is a further cut beside 10 and 20; 0 is none.
	K int `json:"k,omitempty"`
	// EASEItems is the largest catalogue that EASE is trained on; 0 is
	// neighbors.DefaultEASEItems, negative leaves it out.
	EASEItems int `json:"ease_items,omitempty"`
}

// Job is a whole evaluation, as JSON on the child's standard input.
type Job struct {
	Source  Source  `json:"source"`
	Options Options `json:"options"`
	// Training has the settings of the model: those of a training.
	Training trainer.Job `json:"training"`
}

// Model is what was measured of one model.
type Model struct {
	Name string `json:"name"`
	// Published says that it is the one that would go live.
	Published bool `json:"published"`
	Figures
	// Slices are the figures of users by how much is known of them.
	Slices map[string]Figures `json:"slices,omitempty"`
}

// Figures are metrics by name, with their 95 % intervals.
type Figures struct {
	Users    int                   `json:"users"`
	Metrics  map[string]float64    `json:"metrics"`
	Interval map[string][2]float64 `json:"interval"`
}

// Result is the report.
type Result struct {
	Users        int `json:"users"`
	Items        int `json:"items"`
	Interactions int `json:"interactions"`
	// Models are in the order of the report, the appliance's own first.
	Models []Model `json:"models"`
	// Difference is that of the model that would go live and popularity, user
	// by user; nil where nothing was compared.
	Difference *Model             `json:"difference,omitempty"`
	Seconds    map[string]float64 `json:"seconds"`
	Options    map[string]any     `json:"options"`
	// Nothing says why there is nothing to measure; "" when there is.
	Nothing string `json:"nothing,omitempty"`
}

// Child is the entry of the child process.
func Child(ctx context.Context, in io.Reader, out io.Writer) error {
	return trainer.Serve(ctx, in, out, func(ctx context.Context, job Job, progress func(trainer.Progress)) (*Result, error) {
		if job.Training.MemoryLimit > 0 {
			debug.SetMemoryLimit(job.Training.MemoryLimit)
		}
		return Run(ctx, job, progress)
	})
}

// Spawn runs the job in a child process, whose command leads it to Child.
func Spawn(ctx context.Context, command []string, job Job, progress func(trainer.Progress)) (*Result, error) {
	return trainer.Process[Result](ctx, command, job, progress)
}

// complete puts the defaults in and reports what is wrong with the options.
func (o *Options) complete(given bool) (folds int, err error) {
	setDefault(&o.Split, SplitTime)
	setDefault(&o.Seen, SeenMasked)
	setDefault(&o.Mode, ModeImplicit)
	if given {
		o.Split = splitGiven
	}
	folds = 1
	name, count, many := strings.Cut(o.Split, ":")
	if name == SplitFolds {
		if folds, err = strconv.Atoi(count); !many || err != nil || folds < 2 || folds > maxFolds {
			return 0, fmt.Errorf("split %q: folds:N needs an N within 2..%d", o.Split, maxFolds)
		}
	} else if !slices.Contains([]string{SplitTime, SplitLast, splitGiven}, o.Split) {
		return 0, fmt.Errorf("split %q: it is %s, %s or %s:N", o.Split, SplitTime, SplitLast, SplitFolds)
	}
	if !slices.Contains([]string{SeenMasked, SeenKept, SeenBoth}, o.Seen) {
		return 0, fmt.Errorf("seen %q: it is %s, %s or %s", o.Seen, SeenMasked, SeenKept, SeenBoth)
	}
	if !slices.Contains([]string{ModeImplicit, ModeExplicit, ModeSession}, o.Mode) {
		return 0, fmt.Errorf("mode %q: it is %s, %s or %s", o.Mode, ModeImplicit, ModeExplicit, ModeSession)
	}
	if o.Mode == ModeSession {
		o.Seen = SeenKept // repeats are a fifth of the targets in some shops
	}
	return folds, nil
}

// maxFolds bounds the trainings of one evaluation.
const maxFolds = 100

// Check reports what is wrong with options, without running anything.
func (o Options) Check() error {
	_, err := o.complete(false)
	return err
}

// run is one evaluation in the making.
type run struct {
	job      Job
	opt      Options
	sig      *signal.Signal
	progress func(trainer.Progress)
	result   *Result
	tally    tally
	// settings are the options of the model, once they are chosen.
	settings als.Options
	// turn and turns number the folds.
	turn, turns int
}

// Run does the whole job in this process.
func Run(ctx context.Context, job Job, progress func(trainer.Progress)) (*Result, error) {
	given := len(job.Source.Train) > 0
	if job.Options.Mode == "" && job.Training.Signal.Measure != "" && job.Training.Signal.Measure != signal.Confidence {
		job.Options.Mode = ModeExplicit // what the appliance is set to train
	}
	folds, err := job.Options.complete(given)
	if err != nil {
		return nil, err
	}
	sig, err := signal.New(job.Training.Signal)
	if err != nil {
		return nil, fmt.Errorf("check signal: %w", err)
	}
	if job.Options.Mode == ModeExplicit && sig.Measure() == signal.Confidence {
		sig = sig.As(signal.Ratings)
	}
	r := &run{
		job: job, opt: job.Options, sig: sig, progress: progress, turns: folds,
		result: &Result{Models: []Model{}, Seconds: map[string]float64{}, Options: map[string]any{}},
	}
	start := time.Now()
	data, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	r.describe(data)
	for r.turn = range folds {
		if err := r.measure(ctx, data); err != nil {
			return nil, err
		}
		if r.result.Nothing != "" {
			return r.result, nil
		}
	}
	r.report()
	r.result.Seconds["total"] = time.Since(start).Seconds()
	return r.result, nil
}

// stage tells and times a part of the work. In folds the stages' times add up.
func (r *run) stage(name string, do func() error) error {
	r.progress(trainer.Progress{Stage: name, Done: r.turn, Total: r.turns})
	start := time.Now()
	err := do()
	r.result.Seconds[name] += time.Since(start).Seconds()
	return err
}

// describe counts the data.
func (r *run) describe(d *data) {
	r.result.Users, r.result.Items = d.train.users(), len(d.items)
	r.result.Interactions = len(d.train.events)
	o := r.result.Options
	o["split"], o["seen"], o["mode"] = r.opt.Split, r.opt.Seen, r.opt.Mode
	o["train.half_life_hours"], o["train.alpha"] = r.sig.HalfLife().Hours(), cmp.Or(r.job.Training.Signal.Alpha, signal.DefaultAlpha)
	o["train.history"] = cmp.Or(r.job.Training.Signal.MaxItems, signal.DefaultMaxItems)
	if d.test != nil {
		o["test_interactions"] = len(d.test.events)
	}
	if d.rejected > 0 {
		o["rejected_rows"], o["first_rejected"] = d.rejected, d.firstRejected
	}
	if d.idle > 0 {
		o["rows_without_weight"] = d.idle
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

package trainer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/als/neighbors/tables"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer/live"
)

// warmTolerance ends a fit that starts from the live version's factors: when a
// sweep lowers the loss by less than this share, a further one changes the order
// of nobody's list by much.
const warmTolerance = 0.005

// refitSweeps are the iterations over the whole window, from the evaluated
// factors, that bring the newest events into a model that passed the gate.
const refitSweeps = 3

// run is one training in the making.
type run struct {
	job      Job
	sig      *signal.Signal
	window   *window
	progress func(Progress)
	result   *Result

	// settings are the options of the fit: rule, then search, then Job.
	settings als.Options
	// overtrains tells that more sweeps than they say make the lists worse.
	overtrains bool
	live       *live.Version

	// older is the part that is fitted, newestOld its reference.
	older          span
	newestOld      int64
	train, targets *dataset.CSR
	popularity     []float32
	// eligible are the items of the older part, the only ones that a model of
	// it can name.
	eligible  []bool
	evaluated *model.Model
	// stays answers as the live version would if it stayed; nil without.
	stays *model.Model
	// sources stand beside the evaluated model, later beside the published one;
	// nil where it answers alone.
	sources *tables.Set
	// all is the whole window, itemWeight its popularity and published the model
	// of it.
	all        *dataset.CSR
	itemWeight []float32
	published  *model.Model
}

// Run does the whole job in this process. A model that does not pass the gate
// is no error: Result.Gate says so, and no file is written.
func Run(ctx context.Context, job Job, progress func(Progress)) (*Result, error) {
	sig, err := signal.New(job.Signal)
	if err != nil {
		return nil, fmt.Errorf("check signal: %w", err)
	}
	r := &run{job: job, sig: sig, progress: progress, result: &Result{Version: job.Version, Seconds: map[string]float64{}}}
	steps := []struct {
		stage string
		do    func(context.Context) error
	}{
		{"read", r.read},
		{"tune", r.tune},
		{"fit", r.fit},
		{"tables", r.tables},
		{"evaluate", r.evaluate},
		{"refit", r.refit},
		{"tables", r.rebuildTables},
		{"write", r.write},
	}
	for _, s := range steps {
		if s.stage == "tune" && !r.looks() {
			continue
		}
		progress(Progress{Stage: s.stage})
		start := time.Now()
		if err := s.do(ctx); err != nil {
			return nil, err
		}
		r.result.Seconds[s.stage] += time.Since(start).Seconds()
		r.result.Seconds["total"] += time.Since(start).Seconds()
		if r.result.Gate.Reason != "" && (!r.result.Gate.Passed || job.Out == "") {
			break
		}
	}
	return r.result, nil
}

// read loads the window and splits it in time.
func (r *run) read(ctx context.Context) error {
	start := time.Now()
	w, err := read(ctx, r.job.ArchiveDir, r.sig, memoryLimit(r.job.MemoryLimit), func(done, total int) {
		r.progress(Progress{Stage: "read", Done: done, Total: total})
	})
	if err != nil {
		return err
	}
	if w.position < r.job.Position {
		return fmt.Errorf("read archive %s: it ends at bus sequence %d, but was committed up to %d", r.job.ArchiveDir, w.position, r.job.Position)
	}
	r.window = w
	r.result.Seconds["load"] = time.Since(start).Seconds()
	r.result.Users, r.result.Items, r.result.Interactions = len(w.userIDs), len(w.itemIDs), w.count()
	if w.count() == 0 {
		r.refuse("the archive holds no interactions yet")
		return nil
	}
	old, newestOld, cut := w.split()
	r.result.SplitTime = cut
	older := func(u int) (lo, hi int) { return 0, int(old[u]) }
	r.older, r.newestOld = older, newestOld
	newer := func(u int) (lo, hi int) {
		_, hi = w.whole(u)
		return int(old[u]), hi
	}
	if r.train, err = w.matrix(ctx, r.sig, newestOld, older); err != nil {
		return err
	}
	all, err := w.matrix(ctx, r.sig, w.newest, newer)
	if err != nil {
		return err
	}
	r.popularity = w.popularity(r.sig, newestOld, older)
	r.targets = sample(known(all, r.train.Counts()), mostUsers)
	r.choose()
	if r.train.NNZ() == 0 {
		r.refuse("too little data: no interaction lies before the evaluation's split")
	}
	return nil
}

// known keeps the targets that the older part has interactions of: no model
// that has only seen that part can name another.
func known(targets *dataset.CSR, counts []int) *dataset.CSR {
	b := dataset.NewBuilder(targets.Cols)
	for row := range targets.Rows {
		cols, weights := targets.Row(row)
		for i, col := range cols {
			if counts[col] > 0 {
				_ = b.Add(col, weights[i]) // the cells come from a valid matrix
			}
		}
		b.EndRow()
	}
	return b.Build()
}

func (r *run) refuse(reason string) { r.result.Gate = registry.Gate{Reason: reason} }

// fit trains on the older part, from where the live version's evaluated factors
// stand.
func (r *run) fit(ctx context.Context) error {
	opt := r.options("fit")
	r.live, r.result.Start = live.Load(r.job.Live, r.window.userIDs, r.window.itemIDs)
	if r.live != nil {
		r.result.Start = r.live.OtherThan(r.sig.Measure(), r.settings.Columns(), r.job.Biases)
		switch {
		case r.result.Start != "":
		case r.tooMany():
			r.result.Start = fmt.Sprintf("anew, since more than %d sweeps make the lists worse", opt.Iterations)
		default:
			opt.Init, r.result.Start = r.live.Model, r.live.Name
			if r.job.Iterations == 0 {
				opt.Tolerance = warmTolerance
			}
		}
	}
	if err := r.window.checkFit(r.train, opt, memoryLimit(r.job.MemoryLimit)); err != nil {
		return err
	}
	m, report, err := als.Train(ctx, r.train, opt)
	if err != nil {
		return err
	}
	r.evaluated, r.result.Options.Sweeps = m, report.Iterations
	return nil
}

// tooMany tells that a start from a trained model would make more sweeps of it
// than are good.
func (r *run) tooMany() bool { return r.overtrains && r.job.Iterations == 0 }

// refit brings the newest events in, by a few sweeps more or, where those would
// be too many, by as many from the beginning.
func (r *run) refit(ctx context.Context) error {
	w := r.window
	r.train, r.targets, r.stays = nil, nil, nil // most memory is needed now
	var err error
	if r.all, err = w.matrix(ctx, r.sig, w.newest, w.whole); err != nil {
		return err
	}
	r.itemWeight = w.popularity(r.sig, w.newest, w.whole)
	if r.sources == nil { // else they are built of it once more
		w.release()
	}
	debug.FreeOSMemory()
	opt := r.options("refit")
	opt.Init, opt.Iterations = r.evaluated, refitSweeps
	if r.tooMany() {
		opt.Init, opt.Iterations = nil, r.settings.Iterations
	}
	r.published, _, err = als.Train(ctx, r.all, opt)
	if errors.Is(err, als.ErrEmpty) {
		r.refuse("nothing is left to train on: the newest events take all the older ones back")
		return nil
	}
	r.result.Options.RefitSweeps = opt.Iterations
	return err
}

// write makes the bundle.
func (r *run) write(context.Context) error {
	w := r.window
	return registry.Write(r.job.Out, &registry.Bundle{
		Version: r.job.Version, Parent: r.job.Parent, Created: time.Now().UTC(), Position: w.position, Reference: w.newest,
		Measure: string(r.sig.Measure()), Options: r.result.Options.ByKey(), Model: r.published, Evaluated: r.evaluated,
		UserIDs: w.userIDs, ItemIDs: w.itemIDs, ItemWeight: r.itemWeight, Sources: r.sources,
		Metrics: r.result.Metrics, Gate: r.result.Gate,
		Users: len(w.userIDs), Items: len(w.itemIDs), Interactions: r.result.Interactions, Seconds: r.result.Seconds,
	})
}

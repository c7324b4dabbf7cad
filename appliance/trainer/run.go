package trainer

import (
	"context"
	"fmt"
	"math"
	"time"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
)

// refitSweeps are the iterations over the whole window, from the evaluated
// factors, that bring the newest events into a model that passed the gate.
const refitSweeps = 3

// resamples of the bootstrap intervals.
const resamples = 1000

// run is one training in the making.
type run struct {
	job      Job
	sig      *signal.Signal
	window   *window
	progress func(Progress)
	result   *Result

	train, targets *dataset.CSR
	popularity     []float32
	evaluated      *model.Model
}

// Run does the whole job in this process. A model that does not pass the gate
// is no error: Result.Gate says so, and no file is written.
func Run(ctx context.Context, job Job, progress func(Progress)) (*Result, error) {
	sig, err := signal.New(job.Signal)
	if err != nil {
		return nil, fmt.Errorf("check signal: %w", err)
	}
	r := &run{job: job, sig: sig, progress: progress, result: &Result{Version: job.Version, Seconds: map[string]float64{}}}
	r.result.Options = r.options()
	steps := []struct {
		stage string
		do    func(context.Context) error
	}{
		{"read", r.read},
		{"fit", r.fit},
		{"evaluate", r.evaluate},
		{"refit", r.refitAndWrite},
	}
	for _, s := range steps {
		progress(Progress{Stage: s.stage})
		start := time.Now()
		if err := s.do(ctx); err != nil {
			return nil, err
		}
		r.result.Seconds[s.stage] = time.Since(start).Seconds()
		r.result.Seconds["total"] += time.Since(start).Seconds()
		if r.result.Gate.Reason != "" && (!r.result.Gate.Passed || job.Out == "") {
			break
		}
	}
	return r.result, nil
}

// options are the settings in force, for the report.
func (r *run) options() Options {
	o := Options{
		Rank: als.DefaultRank, Iterations: als.DefaultIterations, Regularization: als.DefaultLambda,
		Alpha: signal.DefaultAlpha, HalfLifeHours: r.sig.HalfLife().Hours(), History: signal.DefaultMaxItems, TestShare: testShare,
	}
	override(&o.Rank, r.job.Rank)
	override(&o.Iterations, r.job.Iterations)
	override(&o.Regularization, r.job.Regularization)
	override(&o.Alpha, r.job.Signal.Alpha)
	override(&o.History, r.job.Signal.MaxItems)
	return o
}

func override[T comparable](field *T, set T) {
	var zero T
	if set != zero {
		*field = set
	}
}

// read loads the window and splits it in time.
func (r *run) read(ctx context.Context) error {
	w, err := read(ctx, r.job.ArchiveDir, r.sig, func(done, total int) {
		r.progress(Progress{Stage: "read", Done: done, Total: total})
	})
	if err != nil {
		return err
	}
	if w.position < r.job.Position {
		return fmt.Errorf("read archive %s: it ends at bus sequence %d, but was committed up to %d", r.job.ArchiveDir, w.position, r.job.Position)
	}
	r.window = w
	r.result.Users, r.result.Items, r.result.Interactions = len(w.userIDs), len(w.itemIDs), w.count()
	if w.count() == 0 {
		r.refuse("the archive holds no interactions yet")
		return nil
	}
	old, newestOld, cut := w.split()
	r.result.SplitTime = cut
	older := func(u int) (lo, hi int) { return 0, int(old[u]) }
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
	r.targets = known(all, r.train.Counts())
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

func (r *run) alsOptions(stage string) als.Options {
	return als.Options{
		Rank: r.job.Rank, Iterations: r.job.Iterations, Lambda: r.job.Regularization,
		Progress: func(p als.Progress) { r.progress(Progress{Stage: stage, Done: p.Iteration, Total: p.Iterations}) },
	}
}

// fit trains on the older part.
func (r *run) fit(ctx context.Context) error {
	m, _, err := als.Train(ctx, r.train, r.alsOptions("fit"))
	r.evaluated = m
	return err
}

// evaluate ranks the newer part beside popularity and sets the gate.
func (r *run) evaluate(ctx context.Context) error {
	cuts := r.cuts()
	alsResult, err := eval.Ranking(ctx, eval.Input{
		Targets: r.targets, Mask: r.train, Score: onlyKnown(r.served(), r.popularity), Ks: cuts,
	})
	if err != nil {
		return err
	}
	popular, err := eval.Ranking(ctx, eval.Input{
		Targets: r.targets, Mask: r.train, Score: onlyKnown(eval.Popularity(r.popularity), r.popularity), Ks: cuts,
	})
	if err != nil {
		return err
	}
	r.result.EvaluatedUsers = len(alsResult.Users)
	if len(alsResult.Users) == 0 {
		r.refuse("too little data to judge a model: no user has interactions both before and after " +
			time.UnixMilli(r.result.SplitTime).UTC().Format(time.RFC3339))
		return nil
	}
	for _, m := range eval.Metrics() {
		for _, k := range r.reported(m) {
			r.report(m, k, alsResult, popular)
		}
	}
	r.judge(alsResult.Mean(eval.NDCG, 10), popular.Mean(eval.NDCG, 10))
	return nil
}

// served scores as the appliance answers: by the model, and by popularity for a
// user who has no history yet.
func (r *run) served() eval.Scorer {
	byModel, popular := eval.Factors(r.evaluated), eval.Popularity(r.popularity)
	return func(user int, dst []float32) {
		if cols, _ := r.train.Row(user); len(cols) == 0 {
			popular(user, dst)
			return
		}
		byModel(user, dst)
	}
}

// onlyKnown keeps items without any interaction in the older part out of the
// ranking: their score says nothing.
func onlyKnown(score eval.Scorer, popularity []float32) eval.Scorer {
	return func(user int, dst []float32) {
		score(user, dst)
		for i, p := range popularity {
			if p == 0 {
				dst[i] = float32(math.NaN())
			}
		}
	}
}

// cuts are all list lengths that any metric is reported at.
func (r *run) cuts() []int {
	if k := r.job.K; k > 0 && k != 10 && k != 20 {
		return []int{10, 20, k}
	}
	return []int{10, 20}
}

// reported are the cuts of one metric: its customary one, and Job.K.
func (r *run) reported(m eval.Metric) []int {
	cut := 10
	if m == eval.Recall || m == eval.MRR {
		cut = 20
	}
	if r.job.K > 0 && r.job.K != cut {
		return []int{cut, r.job.K}
	}
	return []int{cut}
}

func (r *run) report(m eval.Metric, k int, alsResult, popular *eval.Result) {
	name := fmt.Sprintf("%s@%d", m, k)
	a, p := alsResult.PerUser(m, k), popular.PerUser(m, k)
	add := func(of string, value, lo, hi float64) {
		r.result.Metrics = append(r.result.Metrics, registry.Metric{Model: of, Name: name, Value: value, Lo: lo, Hi: hi})
	}
	value, lo, hi := eval.Interval(a, resamples, 1)
	add("als", value, lo, hi)
	value, lo, hi = eval.Interval(p, resamples, 1)
	add("popularity", value, lo, hi)
	value, lo, hi = eval.PairedInterval(a, p, resamples, 1)
	add(Difference, value, lo, hi)
}

// fewUsers is how many evaluated users it takes to say anything: fewer may let
// the first model of a small shop go live, but none take a live one's place.
const fewUsers = 5

// judge is the gate's rule: a model worse than popularity is not published.
func (r *run) judge(model, popular float64) {
	if n := r.result.EvaluatedUsers; n < fewUsers && r.job.Parent != "" {
		r.refuse(fmt.Sprintf("too little data to judge a model: %d users could be evaluated, at least %d are needed to replace the live one", n, fewUsers))
		return
	}
	verdict := "better than"
	switch {
	case model < popular:
		verdict = "worse than"
	case model == popular:
		verdict = "as good as"
	}
	r.result.Gate = registry.Gate{
		Passed: model >= popular,
		Reason: fmt.Sprintf("%s popularity: NDCG@10 %.4f against %.4f over %d users", verdict, model, popular, r.result.EvaluatedUsers),
	}
}

// refitAndWrite brings the newest events in and writes the bundle.
func (r *run) refitAndWrite(ctx context.Context) error {
	w := r.window
	all, err := w.matrix(ctx, r.sig, w.newest, w.whole)
	if err != nil {
		return err
	}
	opt := r.alsOptions("refit")
	opt.Init, opt.Iterations = r.evaluated, refitSweeps
	m, _, err := als.Train(ctx, all, opt)
	if err != nil {
		return err
	}
	r.progress(Progress{Stage: "write"})
	return registry.Write(r.job.Out, &registry.Bundle{
		Version: r.job.Version, Parent: r.job.Parent, Created: time.Now().UTC(), Position: w.position, Reference: w.newest,
		Model: m, Evaluated: r.evaluated, UserIDs: w.userIDs, ItemIDs: w.itemIDs,
		ItemWeight: w.popularity(r.sig, w.newest, w.whole), Metrics: r.result.Metrics, Gate: r.result.Gate,
		Users: len(w.userIDs), Items: len(w.itemIDs), Interactions: w.count(), Seconds: r.result.Seconds,
	})
}

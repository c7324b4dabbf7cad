package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
	"vitrine/appliance/registry"
	"vitrine/appliance/trainer/gate"
)

// resamples of the bootstrap intervals.
const resamples = 1000

// fewUsers is how many evaluated users it takes to say anything: fewer may let
// the first model of a small shop go live, but none take a live one's place.
const fewUsers = 5

// mostUsers are evaluated at most, evenly spread: of so many the intervals are a
// few per cent wide, and a million would take longer than the training.
const mostUsers = 50_000

// contender is a model with its figures on the newer part.
type contender struct {
	name  string
	lists *eval.Result
}

// evaluate ranks the newer part by the candidate, by the live version and by
// popularity, and sets the gate.
func (r *run) evaluate(ctx context.Context) error {
	counts := r.train.Counts()
	r.eligible = make([]bool, len(counts))
	for item, n := range counts {
		r.eligible[item] = n > 0
	}
	factors, err := r.contend(ctx, Factors, r.evaluated, r.eligible)
	if err != nil {
		return err
	}
	candidates := []contender{factors}
	if r.sources != nil {
		blend, err := r.blended(ctx)
		if err != nil {
			return err
		}
		candidates = []contender{blend, factors}
	}
	candidate := candidates[0]
	r.result.EvaluatedUsers = len(candidate.lists.Users)
	if len(candidate.lists.Users) == 0 {
		r.refuse("too little data to judge a model: no user has interactions both before and after " +
			time.UnixMilli(r.result.SplitTime).UTC().Format(time.RFC3339))
		return nil
	}
	popular, err := r.contend(ctx, Popularity, nil, r.eligible)
	if err != nil {
		return err
	}
	rivals := []contender{popular}
	if r.live != nil && r.live.Measure == r.sig.Measure() {
		if r.stays, err = r.live.Served(ctx, r.train, r.targets); err != nil {
			return err
		}
		known := make([]bool, len(r.eligible))
		for item, scale := range r.stays.ItemScale {
			known[item] = scale > 0 && r.eligible[item]
		}
		stays, err := r.contend(ctx, Live, r.stays, known)
		if err != nil {
			return err
		}
		rivals = append(rivals, stays)
	}
	for _, m := range eval.Metrics() {
		for _, k := range r.reported(m) {
			r.report(fmt.Sprintf("%s@%d", m, k), candidates, rivals, func(c contender) []float64 { return c.lists.PerUser(m, k) })
		}
	}
	if r.explicit() {
		return r.judgeRatings(ctx, factors, popular)
	}
	r.judgeLists(candidates, rivals)
	return nil
}

// contend ranks by a model's factors, or where it has no row for a user, and
// for a nil model, by popularity: as the appliance answers.
func (r *run) contend(ctx context.Context, name string, m *model.Model, eligible []bool) (contender, error) {
	in := eval.Input{
		Targets: r.targets, Mask: r.train, Factors: m, Score: eval.Popularity(r.popularity),
		Eligible: eligible, Ks: r.cuts(), Popularity: r.popularity,
	}
	if m != nil && m.Params.Biases {
		in.Factors = r.withoutStrangers(m)
	}
	lists, err := eval.Ranking(ctx, in)
	return contender{name: name, lists: lists}, err
}

// withoutStrangers is a model with biases in which users without a history have
// no row: popular items answer them, not the items' biases.
func (r *run) withoutStrangers(m *model.Model) *model.Model {
	out := *m
	out.Users = slices.Clone(m.Users)
	for u := range r.train.Rows {
		if cols, _ := r.train.Row(u); len(cols) == 0 {
			clear(out.Users[u*m.Rank : (u+1)*m.Rank])
		}
	}
	return &out
}

// sample empties all but mostUsers rows, so that the same data always gives the
// same users.
func sample(targets *dataset.CSR, most int) *dataset.CSR {
	total := 0
	for u := range targets.Rows {
		if cols, _ := targets.Row(u); len(cols) > 0 {
			total++
		}
	}
	if total <= most {
		return targets
	}
	b, n := dataset.NewBuilder(targets.Cols), 0
	for u := range targets.Rows {
		if cols, weights := targets.Row(u); len(cols) > 0 {
			if n*most/total != (n+1)*most/total {
				for i, col := range cols {
					_ = b.Add(col, weights[i]) // the cells come from a valid matrix
				}
			}
			n++
		}
		b.EndRow()
	}
	return b.Build()
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

// opponent is which of the candidates a rival is held against: the live
// version is known by its factors alone, so that a blend must not make up for
// factors that have become worse.
func opponent(candidates []contender, rival string) contender {
	if rival == Live {
		return candidates[len(candidates)-1]
	}
	return candidates[0]
}

// report adds one metric of the candidates, of their rivals, and the
// differences user by user.
func (r *run) report(name string, candidates, rivals []contender, of func(contender) []float64) {
	for _, c := range slices.Concat(candidates, rivals) {
		r.add(c.name, name, of(c))
	}
	for _, c := range rivals {
		candidate := opponent(candidates, c.name)
		value, lo, hi := eval.PairedInterval(of(candidate), of(c), resamples, 1)
		r.result.Metrics = append(r.result.Metrics, registry.Metric{Model: difference(candidate.name, c.name), Name: name, Value: value, Lo: lo, Hi: hi})
	}
}

func (r *run) add(of, name string, perUser []float64) {
	value, lo, hi := eval.Interval(perUser, resamples, 1)
	r.result.Metrics = append(r.result.Metrics, registry.Metric{Model: of, Name: name, Value: value, Lo: lo, Hi: hi})
}

// conclude is the gate's rule: a model is refused that is worse than any rival
// by more than chance explains.
func (r *run) conclude(v *gate.Verdict) {
	if n := r.result.EvaluatedUsers; n < fewUsers && r.job.Parent != "" {
		r.refuse(fmt.Sprintf("too little data to judge a model: %d users could be evaluated, at least %d are needed to replace the live one", n, fewUsers))
		return
	}
	if r.live != nil && r.stays == nil {
		v.Note("not compared with the live %s, which was trained on %s", r.live.Name, r.live.Measure)
	}
	r.result.Gate = v.Conclude(r.result.EvaluatedUsers)
}

// judgeLists compares models that rank by NDCG@10, which rewards what stands
// in front.
func (r *run) judgeLists(candidates, rivals []contender) {
	var v gate.Verdict
	for _, c := range rivals {
		candidate := opponent(candidates, c.name)
		a, b := candidate.lists.PerUser(eval.NDCG, 10), c.lists.PerUser(eval.NDCG, 10)
		_, lo, hi := eval.PairedInterval(a, b, resamples, 1)
		v.Add(r.nameOf(c.name), gate.Comparison{
			Metric: "NDCG@10", Ours: candidate.lists.Mean(eval.NDCG, 10), Theirs: c.lists.Mean(eval.NDCG, 10), Lo: lo, Hi: hi,
		})
	}
	r.conclude(&v)
}

// nameOf is a rival's name in a sentence.
func (r *run) nameOf(name string) string {
	if name == Live {
		return "the live " + r.live.Name
	}
	return name
}

// judgeRatings is the rule for models of ratings: by squared error, which they
// are fitted to, and against a live one of ratings alone. As lists they lose to
// popularity, and where ratings are counts of events the mean of them is hard to
// beat, since a tenth of the time holds fewer of a user's events with an item
// than nine tenths do. Neither is news to whoever asked for ratings, so the
// reason says it and the gate does not ask. Each rival is measured on the cells
// that both can tell.
func (r *run) judgeRatings(ctx context.Context, candidate, popular contender) error {
	predict := eval.Predictions(r.evaluated)
	own, err := eval.Ratings(ctx, r.targets, predict, 0)
	if err != nil {
		return err
	}
	if own.Cells == 0 {
		r.refuse("too little data to judge a model of ratings: none of the newer ones is of a user and an item with older ones")
		return nil
	}
	r.addRatings(candidate.name, own)
	var v gate.Verdict
	for _, rival := range []rater{{Mean, r.meanRating()}, {Live, r.livePredictions()}} {
		if rival.by == nil {
			continue
		}
		ours, err := eval.Ratings(ctx, r.targets, where(predict, rival.by), 0)
		if err != nil {
			return err
		}
		theirs, err := eval.Ratings(ctx, r.targets, where(rival.by, predict), 0)
		if err != nil {
			return err
		}
		if theirs.Cells == 0 {
			continue
		}
		r.addRatings(rival.name, theirs)
		if rival.name == Mean {
			v.Note("RMSE %.4f, of the mean %.4f", ours.RMSE, theirs.RMSE)
			continue
		}
		_, lo, hi := eval.PairedInterval(theirs.Squared, ours.Squared, resamples, 1)
		v.Add(r.nameOf(rival.name), gate.Comparison{Metric: "RMSE", Ours: ours.RMSE, Theirs: theirs.RMSE, Lo: lo, Hi: hi})
	}
	v.Note("a model of ratings, not held against popularity: as lists NDCG@10 %.4f against %.4f",
		candidate.lists.Mean(eval.NDCG, 10), popular.lists.Mean(eval.NDCG, 10))
	r.conclude(&v)
	return nil
}

// livePredictions are what the live version expects; nil when there is none of
// ratings.
func (r *run) livePredictions() eval.Predictor {
	if r.stays == nil {
		return nil
	}
	return eval.Predictions(r.stays)
}

// rater is a rival that predicts ratings.
type rater struct {
	name string
	by   eval.Predictor
}

// where is a predictor that tells only what another can tell too.
func where(predict, other eval.Predictor) eval.Predictor {
	return func(user int, items []uint32, dst []float32) {
		also := make([]float32, len(dst))
		predict(user, items, dst)
		other(user, items, also)
		for n, v := range also {
			if v != v {
				dst[n] = v
			}
		}
	}
}

// meanRating expects the mean of the older ratings.
func (r *run) meanRating() eval.Predictor {
	sum := 0.0
	for _, v := range r.train.Weights {
		sum += float64(v)
	}
	mean := float32(sum / float64(len(r.train.Weights)))
	return func(_ int, _ []uint32, dst []float32) {
		for n := range dst {
			dst[n] = mean
		}
	}
}

// addRatings reports RMSE and MAE. The interval is of RMSE alone: that of the
// users' mean squared errors, as a share of their mean.
func (r *run) addRatings(of string, result *eval.RatingResult) {
	mean, lo, hi := eval.Interval(result.Squared, resamples, 1)
	share := func(v float64) float64 {
		if mean == 0 {
			return 1
		}
		return math.Sqrt(v / mean)
	}
	r.result.Metrics = append(r.result.Metrics,
		registry.Metric{Model: of, Name: "rmse", Value: result.RMSE, Lo: result.RMSE * share(lo), Hi: result.RMSE * share(hi)},
		registry.Metric{Model: of, Name: "mae", Value: result.MAE, Lo: math.NaN(), Hi: math.NaN()})
}

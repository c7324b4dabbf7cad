package trainer

import (
	"context"
	"fmt"
	"slices"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
	"vitrine/appliance/trainer/search"
)

// A search is made on a part of the data, so that its time is bounded.
const (
	// searchUsers are fitted at most, evenly spread.
	searchUsers = 100_000
	// searchJudged are asked at most; with fewer than fewJudged nothing is
	// searched, since chance would choose.
	searchJudged = 10_000
	fewJudged    = 50
	// behind is the share of the best score after earlySweeps that a trial must
	// reach there to be gone on with.
	behind      = 0.8
	earlySweeps = 5
	// asGood is the share of the best score with which fewer sweeps are taken;
	// muchWorse the share below which further ones are called too many.
	asGood    = 0.995
	muchWorse = 0.95
)

// slice is what a search fits and judges on: the older part's own older and
// newer parts. The newer part of all plays no part.
type slice struct {
	fit, targets *dataset.CSR
}

// looks reports whether settings are tried before the fit. Without a search that
// is the rule's alone, for the number of sweeps that suits the data: the best is
// 2 on some shops and 16 on others, and no size or density tells it. A model of
// ratings has as many as Spark's.
func (r *run) looks() bool {
	return r.job.Tune > 0 || r.job.Iterations == 0 && !r.explicit()
}

// tune searches for settings.
func (r *run) tune(ctx context.Context) error {
	s, err := r.slice(ctx)
	if err != nil {
		return err
	}
	if judged := rowsWithCells(s.targets); judged < fewJudged {
		if r.job.Tune > 0 {
			r.result.Options.ChosenBy = fmt.Sprintf("rule, since a search could judge only %d users", judged)
		}
		return nil
	}
	budget := max(r.job.Tune, 1)
	trials, best, err := search.Run(ctx, search.Search{
		Path: r.job.Trials, Subject: r.subject(), Interactions: r.window.count(), Budget: budget,
		Start: r.settings, Fixed: r.job.Regularization > 0,
		Try: (&Trier{
			Fit: s.fit, Iterations: r.job.Iterations,
			Score: func(ctx context.Context, m *model.Model) (float64, error) { return r.score(ctx, s, m) },
		}).Try,
		Progress: func(done int) { r.progress(Progress{Stage: "tune", Done: done, Total: budget}) },
	})
	if err != nil {
		return err
	}
	r.settings = best.Apply(r.settings)
	r.settings.Iterations, r.overtrains = best.Sweeps, best.Overtrains
	override(&r.settings.Iterations, r.job.Iterations)
	r.result.Options = r.describe()
	if r.job.Tune > 0 {
		r.result.Trials = trials
		r.result.Options.ChosenBy = fmt.Sprintf("the best of %d trials", len(trials))
	}
	return nil
}

// subject names what scores depend on beside setting and amount of data.
func (r *run) subject() string {
	return fmt.Sprintf("loss %s, biases %t, rank %d, iterations %d, regularization %g, signal %+v",
		r.settings.Loss, r.job.Biases, r.settings.Rank, r.job.Iterations, r.job.Regularization, r.job.Signal)
}

// slice cuts the older part in two.
func (r *run) slice(ctx context.Context) (s slice, err error) {
	w := r.window
	cut := dataset.TimeCutOf(w.times(r.older), testShare)
	step := (len(w.userIDs) + searchUsers - 1) / searchUsers
	old, n := make([]int32, len(w.userIDs)), 0
	end := func(user int) int {
		if user%step != 0 {
			return 0 // he is not of the sample
		}
		_, hi := r.older(user)
		return hi
	}
	for user := range w.userIDs {
		first := int(w.starts[user])
		for at := first; at < first+end(user) && cut.Old(w.events.time(at)); at++ {
			old[user]++
		}
		n += int(old[user])
	}
	before := func(user int) (lo, hi int) { return 0, int(old[user]) }
	after := func(user int) (lo, hi int) { return int(old[user]), end(user) }
	if s.fit, err = w.matrix(ctx, r.sig, reference(n, w.times(before)), before); err != nil {
		return s, err
	}
	targets, err := w.matrix(ctx, r.sig, r.newestOld, after)
	if err != nil {
		return s, err
	}
	s.targets = sample(known(targets, s.fit.Counts()), searchJudged)
	return s, nil
}

func rowsWithCells(m *dataset.CSR) int {
	n := 0
	for row := range m.Rows {
		if m.Indptr[row+1] > m.Indptr[row] {
			n++
		}
	}
	return n
}

// Trier tries settings of a search on a part of the data that no test will use.
type Trier struct {
	// Fit is what is trained on.
	Fit *dataset.CSR
	// Iterations, when not 0, is the number of sweeps; otherwise it is searched
	// for too.
	Iterations int
	// Score judges a model; more is better.
	Score func(context.Context, *model.Model) (float64, error)
}

// Try trains with a setting, a few sweeps at a time, until further ones make it
// clearly worse.
func (t *Trier) Try(ctx context.Context, opt als.Options, best *search.Trial) (search.Trial, error) {
	sweeps := []int{2, 3, 5, 8, 12, 16}
	switch {
	case t.Iterations > 0:
		sweeps = []int{t.Iterations}
	case opt.Loss == als.LossExplicit:
		sweeps = []int{5, 10, 20}
	}
	var scores []float64
	var trial search.Trial
	done := 0
	for _, n := range sweeps {
		opt.Iterations, done = n-done, n
		m, _, err := als.Train(ctx, t.Fit, opt)
		if err != nil {
			return trial, err
		}
		opt.Init = m
		score, err := t.Score(ctx, m)
		if err != nil {
			return trial, err
		}
		scores = append(scores, score)
		if trial.Overtrains = below(score, slices.Max(scores), muchWorse); trial.Overtrains {
			break
		}
		if n >= earlySweeps && trial.Early == 0 {
			trial.Early = score
			if best != nil && below(score, best.Early, behind) {
				break
			}
		}
	}
	top := slices.Max(scores)
	at := slices.IndexFunc(scores, func(score float64) bool { return !below(score, top, asGood) })
	trial.Sweeps, trial.Score = sweeps[at], scores[at]
	return trial, nil
}

// below reports whether a score is less than a share of another. Errors are
// negative scores.
func below(score, of, share float64) bool {
	if of < 0 {
		return score < of/share
	}
	return score < of*share
}

// score is what is searched for: NDCG@10 of models that rank, and the negative
// RMSE of models of ratings.
func (r *run) score(ctx context.Context, s slice, m *model.Model) (float64, error) {
	if r.explicit() {
		ratings, err := eval.Ratings(ctx, s.targets, eval.Predictions(m), 0)
		if err != nil || ratings.Cells == 0 {
			return 0, err
		}
		return -ratings.RMSE, nil
	}
	lists, err := eval.Ranking(ctx, eval.Input{Targets: s.targets, Mask: s.fit, Factors: m, Ks: []int{10}})
	if err != nil || len(lists.Users) == 0 {
		return 0, err
	}
	return lists.Mean(eval.NDCG, 10), nil
}

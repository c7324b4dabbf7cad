package offline

import (
	"context"
	"fmt"
	"slices"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
	"vitrine/appliance/trainer"
	"vitrine/appliance/trainer/search"
)

// fewJudged is how many questions it takes to choose anything by them.
const fewJudged = 50

// searchJudged are asked at most, evenly spread.
const searchJudged = 10_000

// tune finds the options of the model as a training does: the rule's, with the
// number of sweeps that suits the data, or the best of train.tune trials. It
// looks at the validation part alone.
func (r *run) tune(ctx context.Context, v *fitted) error {
	r.settings = r.alsOptions()
	t := r.job.Training
	r.result.Options["chosen_by"] = t.ChosenBy()
	if t.Tune == 0 && (t.Iterations > 0 || r.opt.Mode == ModeExplicit) {
		return nil
	}
	if v.matrix.NNZ() == 0 || len(r.asked(v)) < fewJudged {
		return nil
	}
	trier := trainer.Trier{
		Fit: v.matrix, Iterations: t.Iterations,
		Score: func(ctx context.Context, m *model.Model) (float64, error) { return r.score(ctx, v, m) },
	}
	budget := max(t.Tune, 1)
	trials, best, err := search.Run(ctx, search.Search{
		Budget: budget, Start: r.settings.WithDefaults(), Fixed: t.Regularization > 0, Try: trier.Try,
		Progress: func(done int) { r.progress(trainer.Progress{Stage: "tune", Done: done, Total: budget}) },
	})
	if err != nil {
		return err
	}
	r.settings = best.Apply(r.settings)
	r.settings.Iterations = best.Sweeps
	if t.Tune > 0 {
		r.result.Options["chosen_by"] = fmt.Sprintf("the best of %d trials", len(trials))
		r.result.Options["trials"] = trials
	}
	return nil
}

// score is NDCG at the deepest cut of models that rank, and the negative RMSE of
// models of ratings.
func (r *run) score(ctx context.Context, v *fitted, m *model.Model) (float64, error) {
	if r.opt.Mode == ModeExplicit {
		ratings, err := eval.Ratings(ctx, v.targets, eval.Predictions(m), 0)
		if err != nil || ratings.Cells == 0 {
			return 0, err
		}
		return -ratings.RMSE, nil
	}
	if !v.exam.own {
		var err error
		if m, err = foldAll(ctx, m, v.questions); err != nil {
			return 0, err
		}
	}
	var mask *dataset.CSR
	if !r.repeats() {
		mask = v.mask
	}
	k := slices.Max(r.cuts())
	lists, err := eval.Ranking(ctx, eval.Input{
		Targets: sample(v.targets, searchJudged), Mask: mask, Factors: m, Eligible: v.eligible, Ks: []int{k},
	})
	if err != nil || len(lists.Users) == 0 {
		return 0, err
	}
	return lists.Mean(eval.NDCG, k), nil
}

// settled are the options that were found.
func (r *run) settled(stage string) als.Options {
	opt := r.settings
	opt.Progress = func(p als.Progress) {
		r.progress(trainer.Progress{Stage: stage, Done: p.Iteration, Total: p.Iterations})
	}
	return opt
}

package trainer

import (
	"context"
	"slices"

	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/neighbors/tables"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer/blend"
)

// blends tells whether the version answers with more than its factors.
func (r *run) blends() bool {
	if r.job.Blend == nil {
		return !r.explicit()
	}
	return !r.job.Blend.FactorsAlone()
}

// builder builds sources from the window.
func (r *run) builder() *blend.Builder {
	return &blend.Builder{Data: material{r.window, r.sig}, Signal: r.sig, Users: len(r.window.userIDs), Items: len(r.window.itemIDs)}
}

// steps makes a builder tell how far it is on its way through so many steps.
func (r *run) steps(b *blend.Builder, total int) {
	done := 0
	b.Step = func(steps int) {
		done += steps
		r.progress(Progress{Stage: "tables", Done: done, Total: total})
	}
}

// tables chooses the weights and builds the sources on the older part.
func (r *run) tables(ctx context.Context) (err error) {
	if !r.blends() {
		return nil
	}
	b, settings := r.builder(), tables.Given(r.job.Blend)
	if r.job.Blend == nil {
		r.steps(b, blend.ChooseSteps(r.settings)+blend.BuildSteps)
		if settings, err = b.Choose(ctx, r.older, r.settings); err != nil {
			return err
		}
	} else {
		r.steps(b, blend.BuildSteps)
	}
	r.sources, err = b.Build(ctx, blend.Part{Span: r.older, Newest: r.newestOld, Matrix: r.train}, settings)
	if err != nil {
		return err
	}
	r.result.Options.Sources = &SourceOptions{User: settings.User, Session: settings.Session, Like: settings.Like, Bytes: r.sources.Bytes()}
	return nil
}

// rebuildTables builds the sources that are published, on the whole window.
func (r *run) rebuildTables(ctx context.Context) (err error) {
	if r.sources == nil {
		return nil
	}
	b, part := r.builder(), blend.Part{Span: r.window.whole, Newest: r.window.newest, Matrix: r.all}
	r.steps(b, blend.BuildSteps)
	if r.sources, err = b.Build(ctx, part, r.sources.Settings); err != nil {
		return err
	}
	r.result.Options.Sources.Bytes = r.sources.Bytes()
	return nil
}

// blended ranks by the blend of the evaluated factors and the sources, and
// where it knows nothing of a user by popularity, as the appliance answers.
func (r *run) blended(ctx context.Context) (contender, error) {
	score, err := r.builder().Scorer(r.sources, r.evaluated, r.older, r.train, slices.Max(r.cuts()))
	if err != nil {
		return contender{}, err
	}
	popular := eval.Popularity(r.popularity)
	lists, err := eval.Ranking(ctx, eval.Input{
		Targets: r.targets, Mask: r.train, Eligible: r.eligible, Ks: r.cuts(), Popularity: r.popularity,
		Score: func(user int, dst []float32) {
			if cols, _ := r.train.Row(user); len(cols) == 0 {
				popular(user, dst)
				return
			}
			score(user, dst)
		},
	})
	return contender{name: Blend, lists: lists}, err
}

// material is the window as blend.Data.
type material struct {
	w   *window
	sig *signal.Signal
}

func (m material) Of(user int, part blend.Span, dst []signal.Interaction) []signal.Interaction {
	return m.w.of(user, part, dst)
}

func (m material) Matrix(ctx context.Context, now int64, part blend.Span) (*dataset.CSR, error) {
	return m.w.matrix(ctx, m.sig, now, part)
}

func (m material) Newest(part blend.Span) int64 {
	n := 0
	for user := range m.w.userIDs {
		lo, hi := part(user)
		n += hi - lo
	}
	return reference(n, m.w.times(part))
}

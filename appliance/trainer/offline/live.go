package offline

import (
	"context"
	"slices"

	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
	"vitrine/als/neighbors/tuning"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer/blend"
)

// asLive tells whether the blend is made as a training makes it: with the
// weights that are set, or chosen by parting histories in time, which splits in
// time allow. Of files whose rows have no times that would ask the last users of
// the file alone; an archive is taken as a training takes it.
func (r *run) asLive(f *fitted) bool {
	switch {
	case r.opt.Mode != ModeImplicit:
		return false
	case r.job.Training.Blend != nil:
		return true
	}
	return r.opt.Split == SplitTime && (r.job.Source.Dir != "" || !f.exam.timeless)
}

// blends tells whether the appliance would answer with more than its factors.
func (r *run) blends() bool {
	if r.job.Training.Blend == nil {
		return r.opt.Mode != ModeExplicit
	}
	return !r.job.Training.Blend.FactorsAlone()
}

// liveBlend is the blend that would go live.
func (r *run) liveBlend(ctx context.Context, f *fitted) (lister, error) {
	b := &blend.Builder{Data: material{r, f}, Signal: r.sig, Users: f.exam.fit.users(), Items: f.items}
	older := func(user int) (lo, hi int) { return 0, len(f.exam.fit.of(user)) }
	settings := tables.Given(r.job.Training.Blend)
	var err error
	if r.job.Training.Blend == nil {
		err = r.stage("tables", func() error {
			settings, err = b.Choose(ctx, older, r.settings.WithDefaults())
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	r.result.Options["blend"] = settings.User
	set, err := b.Build(ctx, blend.Part{Span: older, Newest: f.exam.newest, Matrix: f.matrix}, settings)
	if err != nil {
		return nil, err
	}
	return func(masked bool) (eval.Scorer, error) {
		seen := f.mask
		if !masked {
			seen = &dataset.CSR{Rows: f.mask.Rows, Cols: f.mask.Cols, Indptr: make([]int64, f.mask.Rows+1)}
		}
		score, err := b.Scorer(set, f.model, older, seen, slices.Max(r.cuts()))
		return func(q int, dst []float32) {
			if items, _ := f.questions.Row(q); len(items) == 0 {
				copy(dst, f.popularity)
				return
			}
			score(q, dst)
		}, err
	}, nil
}

// material is the part that is fitted on, as blend.Data.
type material struct {
	r *run
	f *fitted
}

// Of implements blend.Data.
func (m material) Of(user int, part blend.Span, dst []signal.Interaction) []signal.Interaction {
	lo, hi := part(user)
	return append(dst[:0], m.f.exam.fit.of(user)[lo:hi]...)
}

func (m material) history(part blend.Span) *history {
	fit := m.f.exam.fit
	return fit.part(func(user, at int) bool {
		lo, hi := part(user)
		return at-fit.starts[user] >= lo && at-fit.starts[user] < hi
	})
}

// Matrix implements blend.Data.
func (m material) Matrix(_ context.Context, now int64, part blend.Span) (*dataset.CSR, error) {
	return m.r.matrix(m.history(part), m.f.items, now, m.r.job.Source.Dir == "")
}

// Newest implements blend.Data.
func (m material) Newest(part blend.Span) int64 { return reference(m.history(part)) }

// ownBlend is the blend of data without times, of sessions and of other splits.
func (r *run) ownBlend(ctx context.Context, f, validation *fitted) (lister, error) {
	b, err := r.blend(ctx, f, validation)
	if err != nil {
		return nil, err
	}
	return r.listed(f, b.rank), nil
}

// ascend chooses the weights of a blend from the factors alone, from session
// neighbours alone and from all parts alike, and returns the best: a climb by
// single steps ends on the hill that it began on.
func ascend(ctx context.Context, b *neighbors.Blend, trials tuning.Trials) (tuning.Tuned, error) {
	parts := len(b.Sources) + 1
	factors, sessions := make([]float32, parts), make([]float32, parts)
	factors[parts-1], sessions[placeOfSessions] = 1, 1
	var best tuning.Tuned
	for _, start := range [][]float32{factors, sessions, slices.Repeat([]float32{1}, parts)} {
		chosen, err := tuning.Ascend(ctx, b, trials, start, tuning.AscendOptions{})
		if err != nil {
			return best, err
		}
		if best.Weights == nil || chosen[0].NDCG > best.NDCG {
			best = chosen[0]
		}
	}
	return best, nil
}

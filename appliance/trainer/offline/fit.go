package offline

import (
	"context"
	"math"
	"slices"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
)

// alsOptions are the settings of the model.
func (r *run) alsOptions() als.Options {
	t := r.job.Training
	o := als.Options{Rank: t.Rank, Iterations: t.Iterations, Lambda: t.Regularization}
	if r.opt.Mode == ModeExplicit {
		o.Loss, o.Biases = als.LossExplicit, t.Biases
	}
	return o
}

// otherName is the name of the model of ratings that the settings do not ask
// for: with biases, or without.
func (r *run) otherName() string {
	if r.job.Training.Biases {
		return namePlain
	}
	return nameBiased
}

// fitModels trains ALS on the part that is fitted on, of ratings with and
// without biases, and folds questions in that are not its users.
func (r *run) fitModels(ctx context.Context, f *fitted) error {
	opt := r.settled("fit")
	var err error
	if f.model, err = r.fitModel(ctx, f, opt); err != nil {
		return err
	}
	r.describeModel(opt.WithDefaults())
	if r.opt.Mode == ModeExplicit {
		opt = r.settled("fit")
		opt.Biases = !opt.Biases
		if opt.Biases && r.job.Training.Regularization == 0 {
			opt.Lambda = 0 // each has a default of its own
		}
		f.other, err = r.fitModel(ctx, f, opt)
	}
	return err
}

// describeModel are the settings in force, for the report.
func (r *run) describeModel(opt als.Options) {
	o := r.result.Options
	o["train.loss"], o["train.biases"], o["measure"] = opt.Loss, opt.Biases, r.sig.Measure()
	o["train.rank"], o["train.iterations"], o["train.regularization"] = opt.Rank, opt.Iterations, opt.Lambda
	if r.opt.Mode != ModeExplicit {
		o["unobserved"], o["frequency_power"] = opt.Unobserved, *opt.FrequencyPower
	}
}

func (r *run) fitModel(ctx context.Context, f *fitted, opt als.Options) (*model.Model, error) {
	m, _, err := als.Train(ctx, f.matrix, opt)
	if err != nil || f.exam.own {
		return m, err
	}
	return foldAll(ctx, m, f.questions)
}

// withoutStrangers is a model with biases in which questions without a history
// have no row: popular items answer them, as in service.
func withoutStrangers(m *model.Model, questions *dataset.CSR) *model.Model {
	if !m.Params.Biases {
		return m
	}
	out := *m
	out.Users = slices.Clone(m.Users)
	for q := range questions.Rows {
		if items, _ := questions.Row(q); len(items) == 0 {
			clear(out.Users[q*m.Rank : (q+1)*m.Rank])
		}
	}
	return &out
}

// foldAll is the model with the given rows as its users.
func foldAll(ctx context.Context, m *model.Model, rows *dataset.CSR) (*model.Model, error) {
	out := *m
	out.NumUsers, out.Users = rows.Rows, make([]float32, rows.Rows*m.Rank)
	folder := model.NewFolder(m)
	err := parallel(ctx, rows.Rows, func(row int, s *model.Scratch) error {
		items, weights := rows.Row(row)
		if len(items) == 0 {
			return nil
		}
		return folder.FoldIn(out.Users[row*m.Rank:(row+1)*m.Rank], items, weights, s)
	})
	return &out, err
}

// askRatings measures the predicted ratings.
func (r *run) askRatings(ctx context.Context, f *fitted) error {
	bias := newBias(f.matrix)
	for _, p := range []struct {
		name    string
		predict eval.Predictor
	}{
		{nameALS, eval.Predictions(f.model)},
		{r.otherName(), eval.Predictions(f.other)},
		{nameBias, bias.predict},
	} {
		result, err := eval.Ratings(ctx, f.targets, p.predict, 0)
		if err != nil {
			return err
		}
		r.tally.rate(p.name, result)
	}
	return nil
}

// Damping of the biases, in ratings (Koren 2008).
const (
	itemDamping = 25
	userDamping = 10
)

// bias predicts mean + item's bias + user's bias: what any model of ratings has
// to beat.
type bias struct {
	mean         float64
	users, items []float64
}

func newBias(m *dataset.CSR) *bias {
	b := &bias{users: make([]float64, m.Rows), items: make([]float64, m.Cols)}
	for _, v := range m.Weights {
		b.mean += float64(v)
	}
	b.mean /= math.Max(float64(m.NNZ()), 1)
	counts := m.Counts()
	for n, item := range m.Indices {
		b.items[item] += (float64(m.Weights[n]) - b.mean) / float64(itemDamping+counts[item])
	}
	for u := range m.Rows {
		items, weights := m.Row(u)
		for n, item := range items {
			b.users[u] += (float64(weights[n]) - b.mean - b.items[item]) / float64(userDamping+len(items))
		}
	}
	return b
}

func (b *bias) predict(user int, items []uint32, dst []float32) {
	for n, item := range items {
		dst[n] = float32(b.mean + b.users[user] + b.items[item])
	}
}

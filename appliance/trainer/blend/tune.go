package blend

import (
	"context"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
	"vitrine/als/neighbors/tuning"
	"vitrine/als/topk"
	"vitrine/appliance/signal"
)

// How the weights of the blend are chosen. The validation slice is the newest
// validationShare of the older part, which the tables and the factors that the
// weights are chosen with do not see; the test slice plays no part.
const (
	validationShare = 0.1
	// tuneCells bounds the interactions of the users that those tables and
	// factors are made from, evenly spread, and with them the time that choosing
	// takes in a large shop. It does not save sweeps: factors weighed before
	// they have settled lose to tables that are worse than they will be.
	tuneCells = 2_000_000
	// maxTrials are asked of each kind; fewer than fewTrials choose nothing.
	maxTrials = 1500
	fewTrials = 30
)

// Default are the weights where there is nothing to choose them by.
func Default() tables.Settings {
	return tables.Settings{
		User: tables.Weights{
			tables.PartFactors: 1, tables.PartTransitions: .35, tables.PartSessions: .35, tables.PartSimilar: .2,
		},
		Session: tables.Weights{
			tables.PartSessions: 1, tables.PartTransitions: .6, tables.PartSimilar: .35, tables.PartFactors: .35,
		},
		Like: tables.Weights{tables.PartFactors: 1, tables.PartSimilar: 1},
	}
}

// kindSteps is what the weights of one kind of request take, of three.
const kindSteps = 4

// ChooseSteps is what a Choose with these options tells in all. Where there is
// little to choose by, it tells less.
func ChooseSteps(opt als.Options) int { return BuildSteps + opt.Iterations + 3*kindSteps }

// Choose finds the weights on the newest part of older: opt is how factors are
// trained. It tells its own progress, not that of opt.
func (b *Builder) Choose(ctx context.Context, older Span, opt als.Options) (tables.Settings, error) {
	t, err := b.newTuner(ctx, older, opt)
	if err != nil {
		return tables.Settings{}, fmt.Errorf("choose the weights of the blend: %w", err)
	}
	settings, err := t.choose(ctx)
	if err != nil {
		return tables.Settings{}, fmt.Errorf("choose the weights of the blend: %w", err)
	}
	return settings, nil
}

// examiner asks a blend what the appliance would answer. It is one goroutine's.
type examiner struct {
	events  []signal.Interaction
	order   []signal.Interaction
	history []uint32
	weights []signal.Weighted
	rows    []uint32
	values  []float32
	vector  []float32
	exclude []uint64
	hits    []topk.Hit
	folding model.Scratch
	scratch neighbors.Scratch
}

// follow makes the history's order what sources are asked with, as the
// appliance does.
func (x *examiner) follow(sig *signal.Signal, h []signal.Interaction) {
	x.order = sig.Sequence(h, signal.Places, x.order[:0])
	x.history = x.history[:0]
	for _, in := range x.order {
		x.history = append(x.history, in.Item)
	}
}

// fold computes the vector of a history of items that the model knows.
func (x *examiner) fold(t *tuner, h []signal.Interaction) error {
	x.weights = t.b.Signal.Weigh(h, t.newest, x.weights)
	x.rows, x.values = x.rows[:0], x.values[:0]
	for _, w := range x.weights {
		x.rows, x.values = append(x.rows, w.Item), append(x.values, w.Weight)
	}
	x.vector = slices.Grow(x.vector[:0], t.model.Rank)[:t.model.Rank]
	return t.folder.FoldIn(x.vector, x.rows, x.values, &x.folding)
}

// Scorer ranks by the blend of a model and the set beside it, for evaluation:
// what the appliance answers to users with the history that older gives them,
// without the items that seen holds. Behind the first depth items there are none.
func (b *Builder) Scorer(set *tables.Set, m *model.Model, older Span, seen *dataset.CSR, depth int) (eval.Scorer, error) {
	sources, err := set.Sources()
	if err != nil {
		return nil, err
	}
	blend := sources.Blend(set.Settings.User, &neighbors.Factors{Index: topk.New(m.Items, m.NumItems, m.Rank), Model: m})
	idle := sync.Pool{New: func() any { return new(examiner) }}
	return func(user int, dst []float32) {
		x := idle.Get().(*examiner)
		defer idle.Put(x)
		x.events = b.Data.Of(user, older, x.events)
		x.follow(b.Signal, b.Signal.Trim(x.events))
		cols, _ := seen.Row(user)
		x.exclude = neighbors.Exclude(x.exclude, m.NumItems, cols)
		x.hits = blend.Rank(neighbors.Query{
			History: x.history, Vector: m.Users[user*m.Rank : (user+1)*m.Rank], Exclude: x.exclude, K: depth,
		}, x.hits, &x.scratch)
		for i := range dst {
			dst[i] = float32(math.NaN())
		}
		for _, hit := range x.hits {
			dst[hit.Row] = hit.Score
		}
	}, nil
}

// tuner chooses the weights on the validation slice.
type tuner struct {
	b   *Builder
	opt als.Options
	// early and late are what everybody did before the slice and in it.
	early, late Span
	// newest is the reference of the early part.
	newest  int64
	model   *model.Model
	factors *neighbors.Factors
	folder  *model.Folder
	sources *tables.Sources
	// known is how often the early part has an item.
	known []int
	users []int // who is asked
}

// newTuner trains and counts on the early part of older.
func (b *Builder) newTuner(ctx context.Context, older Span, opt als.Options) (*tuner, error) {
	total := 0
	for user := range b.Users {
		lo, hi := older(user)
		total += hi - lo
	}
	step := max(1, (total+tuneCells-1)/tuneCells)
	sample := func(user int) (lo, hi int) {
		if user%step != 0 {
			return 0, 0
		}
		return older(user)
	}
	cut := dataset.TimeCutOf(b.times(sample), validationShare)
	before := make([]int32, b.Users)
	n := 0
	var events []signal.Interaction
	for user := range b.Users {
		events = b.Data.Of(user, sample, events)
		for before[user] < int32(len(events)) && cut.Old(events[before[user]].Time) {
			before[user]++
		}
		n += int(before[user])
	}
	opt.Progress = func(als.Progress) { b.step(1) }
	t := &tuner{b: b, opt: opt}
	t.early = func(user int) (lo, hi int) { return 0, int(before[user]) }
	t.late = func(user int) (lo, hi int) {
		_, hi = sample(user)
		return int(before[user]), hi
	}
	if n == 0 {
		return t, nil
	}
	t.newest = b.Data.Newest(t.early)
	matrix, err := b.Data.Matrix(ctx, t.newest, t.early)
	if err != nil || matrix.NNZ() == 0 {
		return t, err
	}
	for user := range b.Users {
		if lo, hi := t.late(user); lo > 0 && hi > lo {
			t.users = append(t.users, user)
		}
	}
	return t, t.prepare(ctx, matrix)
}

// times are those of a part of every user's interactions, user by user.
func (b *Builder) times(part Span) iter.Seq[[]int64] {
	return func(yield func([]int64) bool) {
		var events []signal.Interaction
		var times []int64
		for user := range b.Users {
			events, times = b.Data.Of(user, part, events), times[:0]
			for _, in := range events {
				times = append(times, in.Time)
			}
			if !yield(times) {
				return
			}
		}
	}
}

// prepare builds all sources and the factors of the early part.
func (t *tuner) prepare(ctx context.Context, matrix *dataset.CSR) error {
	t.known = matrix.Counts()
	everything := tables.Weights{}
	for _, part := range tables.Parts() {
		everything[part] = 1
	}
	set, err := t.b.Build(ctx, Part{Span: t.early, Newest: t.newest, Matrix: matrix}, tables.Given(everything))
	if err != nil {
		return err
	}
	if t.sources, err = set.Sources(); err != nil {
		return err
	}
	if t.model, _, err = als.Train(ctx, matrix, t.opt); err != nil {
		return err
	}
	m := t.model
	t.factors = &neighbors.Factors{Index: topk.New(m.Items, m.NumItems, m.Rank), Model: m, Norms: neighbors.Norms(m)}
	t.folder = model.NewFolder(m)
	return nil
}

// choose finds the weights of each kind of request.
func (t *tuner) choose(ctx context.Context) (tables.Settings, error) {
	settings := Default()
	for _, kind := range []struct {
		weights *tables.Weights
		start   tables.Weights
		parts   []string
		ask     func(*examiner, int) (tuning.Trial, bool)
	}{
		{&settings.User, tables.Weights{tables.PartFactors: 1}, tables.Parts(), t.askUser},
		{&settings.Session, settings.Session, tables.Parts(), t.askSession},
		{&settings.Like, tables.Weights{tables.PartFactors: 1}, []string{tables.PartSimilar, tables.PartFactors}, t.askLike},
	} {
		chosen, err := t.ascend(ctx, kind.parts, kind.start, kind.ask)
		if err != nil {
			return settings, err
		}
		if chosen != nil {
			*kind.weights = chosen
		}
		t.b.step(kindSteps)
	}
	return settings, nil
}

// ascend chooses weights for the parts by one kind of trial; nil where there
// are too few.
func (t *tuner) ascend(ctx context.Context, parts []string, start tables.Weights, ask func(*examiner, int) (tuning.Trial, bool)) (tables.Weights, error) {
	askable := t.askable(ask)
	if len(askable) < fewTrials {
		return nil, nil
	}
	all := tables.Weights{}
	for _, part := range parts {
		all[part] = 1
	}
	blend := t.sources.Blend(all, t.factors)
	names := slices.DeleteFunc(tables.Parts(), func(name string) bool { return !slices.Contains(parts, name) })
	from := make([]float32, len(names))
	for p, name := range names {
		from[p] = start[name]
	}
	opt := tuning.AscendOptions{Workers: runtime.GOMAXPROCS(0)}
	examiners := slices.Repeat([]examiner{{}}, opt.Workers)
	trials := tuning.Trials{N: len(askable), At: func(worker, n int) tuning.Trial {
		trial, _ := ask(&examiners[worker], askable[n])
		return trial
	}}
	best, err := tuning.Ascend(ctx, blend, trials, from, opt)
	if err != nil {
		return nil, err
	}
	chosen := tables.Weights{}
	for p, name := range names {
		if w := best[0].Weights[p]; w > 0 {
			chosen[name] = w
		}
	}
	return chosen, nil
}

// askable lists the users, spread over all of them, who make a trial.
func (t *tuner) askable(ask func(*examiner, int) (tuning.Trial, bool)) []int {
	var out []int
	if len(t.users) == 0 {
		return nil
	}
	var x examiner
	for n := range min(len(t.users), maxTrials) {
		user := t.users[n*len(t.users)/min(len(t.users), maxTrials)]
		if _, ok := ask(&x, user); ok {
			out = append(out, user)
		}
	}
	return out
}

// askUser asks with a user's history. Every other user is asked as the
// evaluation does, with what he did before the slice, for all that he does in
// it; the others as the appliance is, with all that came before, for the last
// thing.
func (t *tuner) askUser(x *examiner, user int) (tuning.Trial, bool) {
	sig := t.b.Signal
	lo, hi := t.late(user)
	at := lo
	if user%2 == 1 {
		at = hi - 1
	}
	x.events = t.b.Data.Of(user, func(int) (int, int) { return 0, hi }, x.events)
	past := sig.Trim(x.events[:at])
	x.follow(sig, past)
	if len(x.history) == 0 || x.fold(t, past) != nil {
		return tuning.Trial{}, false
	}
	return t.trial(x, x.rows, x.events[at:hi])
}

// askSession asks with nothing but the items that came before the last one in
// its session.
func (t *tuner) askSession(x *examiner, user int) (tuning.Trial, bool) {
	sig := t.b.Signal
	x.events = t.b.Data.Of(user, t.late, x.events)
	x.order = sig.Sequence(sig.Trim(x.events), signal.Places, x.order[:0])
	last := len(x.order) - 1
	begin := last
	for begin > 0 && x.order[begin].Time-x.order[begin-1].Time <= sessionGap {
		begin--
	}
	if last <= begin {
		return tuning.Trial{}, false
	}
	now := x.order[last].Time
	target := x.order[last]
	x.history = x.history[:0]
	views := x.events[:0]
	for _, in := range x.order[begin:last] {
		x.history = append(x.history, in.Item)
		views = append(views, sig.View(in.Item, now))
	}
	if x.fold(t, views) != nil {
		return tuning.Trial{}, false
	}
	return t.trial(x, x.history, []signal.Interaction{target})
}

// askLike asks for what is like the first item of the slice: what the user did
// after it.
func (t *tuner) askLike(x *examiner, user int) (tuning.Trial, bool) {
	x.events = t.b.Data.Of(user, t.late, x.events)
	first := x.events[0].Item
	if t.known[first] == 0 {
		return tuning.Trial{}, false
	}
	x.history = append(x.history[:0], first)
	trial, ok := t.trial(x, x.history, x.events[1:])
	trial.Cosine, trial.Row = true, first
	return trial, ok
}

// trial is the examiner's history as a query, for those of the events' items
// that the early part knows and seen does not hold.
func (t *tuner) trial(x *examiner, seen []uint32, events []signal.Interaction) (tuning.Trial, bool) {
	x.exclude = neighbors.Exclude(x.exclude, t.model.NumItems, seen)
	x.rows = x.rows[:0]
	for _, in := range events {
		item := in.Item
		if x.exclude[item/64]>>(item%64)&1 == 0 && t.known[item] > 0 && !slices.Contains(x.rows, item) && t.b.Signal.Strength(&in) > 0 {
			x.rows = append(x.rows, item)
		}
	}
	return tuning.Trial{
		Query:   neighbors.Query{History: x.history, Vector: x.vector, Exclude: x.exclude, K: 10},
		Targets: x.rows,
	}, len(x.rows) > 0
}

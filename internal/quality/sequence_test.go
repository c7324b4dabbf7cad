//go:build unix

package quality

import (
	"context"
	"testing"
	"time"

	"vitrine/als"
	"vitrine/als/model"
	"vitrine/als/neighbors"
)

// sequenceParts are the settings of the sources for ordered histories.
type sequenceParts struct {
	als         als.Options
	fold        float64 // decay of the fold-in
	transitions neighbors.TransitionOptions
	decay       float32
	knn         neighbors.KNNOptions
	cosine      float32
}

// beautySettings are what the full run chose on Amazon Beauty's validation
// part: where it starts on any set, and what the slice of go test uses.
var beautySettings = sequenceParts{
	als:         als.Options{Rank: 128, Lambda: .02, Unobserved: 20, FrequencyPower: new(0.0), Iterations: 10},
	fold:        .6,
	decay:       .6,
	transitions: neighbors.TransitionOptions{Shrink: 1},
	knn:         neighbors.KNNOptions{QueryDecay: 1.5, NearDecay: 5, Before: new(.15)},
	cosine:      .6,
}

// cut gives, for every history, what the statistics may see, and the question:
// the target is the held-th item from the end, asked with all before it, the
// statistics stop gap items before the target.
func cut(all *neighbors.Sequences, held, gap int) (fit *neighbors.Sequences, questions []question) {
	fit = &neighbors.Sequences{}
	for n := range all.Len() {
		s := all.At(n)
		target := len(s) - held
		fit.Add(s[:max(target-gap, 0)])
		if target >= 1 {
			questions = append(questions, question{history: s[:target], target: s[target]})
		}
	}
	return fit, questions
}

// sequenceTable is the leave-one-out protocol in its strict form.
func sequenceTable(r *report, f folder) {
	r.t.Helper()
	lines, _ := readLines(r.t, f.train)
	_, all, items := withoutUser(lines)
	fit, questions := cut(all, 2, 1)
	set := chooseSequence(r, f.name, fit, questions, items)

	fit, test := cut(all, 1, 1)
	e := set.build(r.t, fit, items, false)
	before, validation := cut(all, 2, 1)
	tuner := set.build(r.t, before, items, false)
	weights := tuner.tune(r.t, every(validation, 15_000), 10, []float32{0, .2, .5, 1, 1.5, 2})
	e.blend.Apply(weights.Weights)
	r.note("%s: weights of transitions, session kNN, cosine, ALS %v by NDCG@10 there (%.4f)", f.name, weights.Weights, weights.NDCG)
	strict := e.ask(test, 10)
	r.add(f.name, "blend, strict", "HR@10", strict.hitRate, true)
	r.add(f.name, "blend, strict", "NDCG@10", strict.ndcg, true)
	r.note("%s: test = the last item, statistics from the first n-2, history n-1; one query %v of one core, fold-in included", f.name, strict.perQuery)
	for _, part := range set.parts(r.t, fit, items) {
		s := part.e.ask(test, 10)
		r.add(f.name, part.name+", strict", "HR@10", s.hitRate, false)
		r.add(f.name, part.name+", strict", "NDCG@10", s.ndcg, false)
		r.note("%s: %s built in %v, one query %v", f.name, part.name, part.built.Round(time.Millisecond), s.perQuery)
	}
	fit, test = cut(all, 1, 0)
	e = set.build(r.t, fit, items, false)
	e.blend.Apply(weights.Weights)
	retrained := e.ask(test, 10)
	r.add(f.name, "blend, statistics with the validation event (not strict)", "HR@10", retrained.hitRate, false)
	r.add(f.name, "blend, statistics with the validation event (not strict)", "NDCG@10", retrained.ndcg, false)
}

// chooseSequence chooses the settings of the sources by NDCG@10 on questions.
func chooseSequence(r *report, name string, fit *neighbors.Sequences, questions []question, items int) sequenceParts {
	t, ctx := r.t, context.Background()
	r.note("%s: validation = the item before the last, asked with all before it; statistics from the first n-3, so that its own history's newest event is new to them, as in the test (%d users, %d of them used)", name, len(questions), min(len(questions), 12_000))
	sample := every(questions, 12_000)
	set := beautySettings
	data := matrix(t, fit, items)
	// Transitions first, then ALS by what the two reach together: the settings
	// that are best for ALS alone repeat what transitions already say.
	tables := map[float64]*neighbors.Table{}
	for _, shrink := range []float64{1, 3, 10} {
		tables[shrink] = must[*neighbors.Table](t)(neighbors.Transitions(ctx, fit, neighbors.TransitionOptions{Items: items, Shrink: shrink}))
	}
	var figure float64
	set.decay, figure = best([]float32{.4, .6, .8}, func(d float32) float64 {
		return alone(items, true, &neighbors.Lookup{Table: tables[10], Decay: d}).ask(sample, 10).ndcg
	})
	r.note("%s: transitions decay %g (NDCG@10 %.4f of 3)", name, set.decay, figure)
	pair := func(m *model.Model, shrink, fold float64) float64 {
		e := alone(items, true, &neighbors.Lookup{Table: tables[shrink], Decay: set.decay})
		e.addFactors(m, fold)
		return e.tune(t, sample, 10, []float32{.5, 1, 1.5}).NDCG
	}
	figure = 0
	for _, c := range []struct{ lambda, power float64 }{{.005, 0}, {.01, 0}, {.02, 0}, {.01, .3}} {
		opt := set.als
		opt.Lambda, opt.FrequencyPower = c.lambda, &c.power
		m, _ := train(t, data, opt)
		if f := pair(m, 10, .8); f > figure {
			figure, set.als = f, opt
		}
	}
	m, _ := train(t, data, set.als)
	set.fold, _ = best([]float64{1, .8, .6}, func(d float64) float64 { return pair(m, 10, d) })
	set.transitions.Shrink, figure = best([]float64{1, 3, 10}, func(s float64) float64 { return pair(m, s, set.fold) })
	r.note("%s: ALS %s, fold-in decay %g, transitions shrink %g, by the blend of the two (NDCG@10 %.4f of 10)", name, describe(set.als), set.fold, set.transitions.Shrink, figure)
	index := must[*neighbors.Sessions](t)(neighbors.NewSessions(t.Context(), fit, neighbors.SessionOptions{Items: items}))
	var options []neighbors.KNNOptions
	for _, query := range []float64{1.5, 2.5} {
		for _, reach := range []float64{2, 5, 10} {
			for _, before := range []float64{.15, .7} {
				options = append(options, neighbors.KNNOptions{QueryDecay: query, NearDecay: reach, Before: &before})
			}
		}
	}
	set.knn, figure = best(options, func(o neighbors.KNNOptions) float64 {
		return alone(items, true, must[*neighbors.SessionKNN](t)(neighbors.NewSessionKNN(index, o))).ask(sample, 10).ndcg
	})
	r.note("%s: session kNN query decay %g, near decay %g, before %g (NDCG@10 %.4f of 12)", name, set.knn.QueryDecay, set.knn.NearDecay, *set.knn.Before, figure)
	similar := must[*neighbors.Table](t)(neighbors.Similar(ctx, data, neighbors.SimilarOptions{}))
	set.cosine, figure = best([]float32{.4, .6, .8}, func(d float32) float64 {
		return alone(items, true, &neighbors.Lookup{Table: similar, Decay: d}).ask(sample, 10).ndcg
	})
	r.note("%s: cosine decay %g (NDCG@10 %.4f of 3)", name, set.cosine, figure)
	return set
}

// namedPart is one source alone.
type namedPart struct {
	name  string
	e     *examiner
	built time.Duration
}

// parts builds every source.
func (s sequenceParts) parts(t testing.TB, fit *neighbors.Sequences, items int) []namedPart {
	t.Helper()
	ctx := context.Background()
	var out []namedPart
	start := time.Now()
	add := func(name string, e *examiner) {
		out = append(out, namedPart{name, e, time.Since(start)})
		start = time.Now()
	}
	s.transitions.Items = items
	table := must[*neighbors.Table](t)(neighbors.Transitions(ctx, fit, s.transitions))
	add("transitions", alone(items, true, &neighbors.Lookup{Table: table, Decay: s.decay}))
	index := must[*neighbors.Sessions](t)(neighbors.NewSessions(t.Context(), fit, neighbors.SessionOptions{Items: items}))
	add("session kNN", alone(items, true, must[*neighbors.SessionKNN](t)(neighbors.NewSessionKNN(index, s.knn))))
	data := matrix(t, fit, items)
	similar := must[*neighbors.Table](t)(neighbors.Similar(ctx, data, neighbors.SimilarOptions{}))
	add("cosine", alone(items, true, &neighbors.Lookup{Table: similar, Decay: s.cosine}))
	m, _ := train(t, data, s.als)
	add("ALS", factorsAlone(m, true, s.fold))
	return out
}

// build puts all sources into one blend, without weights, or for the small
// slice transitions and ALS alone with weight 1.
func (s sequenceParts) build(t testing.TB, fit *neighbors.Sequences, items int, small bool) *examiner {
	t.Helper()
	if small {
		s.transitions.Items = items
		table := must[*neighbors.Table](t)(neighbors.Transitions(context.Background(), fit, s.transitions))
		e := alone(items, true, &neighbors.Lookup{Table: table, Decay: s.decay})
		m, _ := train(t, matrix(t, fit, items), s.als)
		e.addFactors(m, s.fold)
		e.blend.FactorWeight = 1
		return e
	}
	e := &examiner{mask: true, blend: neighbors.Blend{Items: items}}
	for _, part := range s.parts(t, fit, items) {
		if part.e.folder != nil {
			e.blend.Factors, e.folder, e.decay = part.e.blend.Factors, part.e.folder, part.e.decay
			continue
		}
		e.blend.Sources = append(e.blend.Sources, part.e.blend.Sources...)
	}
	return e
}

// TestSequenceSlice: transitions and a small ALS with the settings found, on
// every fourth user's question.
func TestSequenceSlice(t *testing.T) {
	for _, f := range folders(t) {
		if f.name != "amazon-beauty" {
			continue
		}
		lines, _ := readLines(t, f.train)
		_, all, items := withoutUser(lines)
		fit, test := cut(all, 1, 1)
		set := beautySettings
		set.als.Rank, set.als.Iterations = 32, 4
		s := set.build(t, fit, items, true).ask(every(test, len(test)/4), 10)
		t.Logf("%s, slice: HR@10 %.4f NDCG@10 %.4f", f.name, s.hitRate, s.ndcg)
		if s.hitRate < .082 || s.ndcg < .052 {
			t.Errorf("%s, slice: HR@10 %.4f NDCG@10 %.4f", f.name, s.hitRate, s.ndcg)
		}
	}
}

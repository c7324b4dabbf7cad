//go:build unix

package quality

import (
	"context"
	"testing"
	"time"

	"vitrine/als"
	"vitrine/als/neighbors"
)

// sessionParts are the settings of the sources for sessions.
type sessionParts struct {
	knn    neighbors.KNNOptions
	cosine float32
	als    als.Options
	fold   float64
}

// prefixes asks for every item of a session but the first.
func prefixes(q *neighbors.Sequences, from int) []question {
	var out []question
	for n := from; n < q.Len(); n++ {
		s := q.At(n)
		for k := 1; k < len(s); k++ {
			out = append(out, question{history: s[:k], target: s[k]})
		}
	}
	return out
}

// head is the first n sessions.
func head(q *neighbors.Sequences, n int) *neighbors.Sequences {
	return &neighbors.Sequences{Start: q.Start[:n+1], Items: q.Items[:q.Start[n]]}
}

// testQuestions splits off the last item of every line.
func testQuestions(q *neighbors.Sequences) []question {
	var out []question
	for n := range q.Len() {
		if s := q.At(n); len(s) > 1 {
			out = append(out, question{history: s[:len(s)-1], target: s[len(s)-1]})
		}
	}
	return out
}

// sessionTable is the protocol of the session tables.
func sessionTable(r *report, f folder) {
	r.t.Helper()
	past, a := readLines(r.t, f.train)
	lines, b := readLines(r.t, f.test)
	items := max(a, b)
	known := past.Len() - past.Len()/12
	validation := prefixes(past, known)
	r.note("%s: validation = all prefixes of the newest twelfth of the train sessions, statistics from the others (%d questions, %d of them used)", f.name, len(validation), min(len(validation), 10_000))
	validation = every(validation, 10_000)
	set := chooseSessions(r, f.name, head(past, known), validation, items)
	tuned := set.build(r, f.name, head(past, known), items).tune(r.t, validation, 20, []float32{0, .05, .1, .2, .35})
	r.note("%s: weights of session kNN, repeats, cosine, ALS %v by NDCG@20 there (%.4f)", f.name, tuned.Weights, tuned.NDCG)

	test := testQuestions(lines)
	e := set.build(r, f.name, past, items)
	show := func(name string, weights []float32, held bool) {
		e.blend.Apply(weights)
		s := e.ask(test, 20)
		r.add(f.name, name, "P@20", s.hitRate, held)
		r.add(f.name, name, "MRR@20", s.mrr, held)
		r.note("%s: %s, one query %v of one core", f.name, name, s.perQuery)
	}
	folder := e.folder
	e.folder = nil // spares the fold-in where the factor model weighs nothing
	show("session kNN", []float32{1, 0, 0, 0}, true)
	show("cosine", []float32{0, 0, 1, 0}, false)
	repeats := tuned.Weights[1]
	show("session kNN + repeats", []float32{1, repeats, 0, 0}, false)
	show("session kNN + repeats + cosine", []float32{1, repeats, tuned.Weights[2], 0}, false)
	e.folder = folder
	show("blend", tuned.Weights, true)
}

// chooseSessions chooses each source's settings by its own NDCG@20.
func chooseSessions(r *report, name string, fit *neighbors.Sequences, questions []question, items int) sessionParts {
	t := r.t
	set := sessionParts{cosine: .6, fold: .7}
	index := must[*neighbors.Sessions](t)(neighbors.NewSessions(t.Context(), fit, neighbors.SessionOptions{Items: items}))
	ask := func(o neighbors.KNNOptions) float64 {
		return alone(items, false, must[*neighbors.SessionKNN](t)(neighbors.NewSessionKNN(index, o))).ask(questions, 20).ndcg
	}
	var figure float64
	tried := 0
	choose := func(options ...neighbors.KNNOptions) {
		tried += len(options)
		set.knn, figure = best(options, ask)
	}
	var options []neighbors.KNNOptions
	for _, age := range []float64{0, .4, .8} {
		for _, reach := range []float64{2, 5, 20} {
			options = append(options, neighbors.KNNOptions{Age: age * float64(fit.Len()), NearDecay: reach})
		}
	}
	choose(options...)
	options = nil
	for _, query := range []float64{1, 1.5, 3} {
		for _, rarity := range []float64{.3, .5, .7} {
			o := set.knn
			o.QueryDecay, o.Rarity = query, &rarity
			options = append(options, o)
		}
	}
	choose(options...)
	o := set.knn
	o.Recent, o.Neighbors = 5000, 1500
	choose(set.knn, o)
	r.note("%s: session kNN recent %d, neighbors %d (0: defaults), age %.0f sessions, near %g, query decay %g, rarity %g (NDCG@20 %.4f of %d)",
		name, set.knn.Recent, set.knn.Neighbors, set.knn.Age, set.knn.NearDecay, set.knn.QueryDecay, *set.knn.Rarity, figure, tried)

	data := matrix(t, fit, items)
	sample := every(questions, 3000)
	set.als, figure = best([]als.Options{
		{Rank: 128, Lambda: .003, Unobserved: 1, FrequencyPower: new(.5), Iterations: 6},
		{Rank: 128, Lambda: .006, Unobserved: 1, FrequencyPower: new(.5), Iterations: 6},
		{Rank: 128, Lambda: .003, Unobserved: 4, FrequencyPower: new(.5), Iterations: 6},
		{Rank: 128, Lambda: .006, Unobserved: 4, FrequencyPower: new(.5), Iterations: 6},
	}, func(opt als.Options) float64 {
		m, _ := train(t, data, opt)
		return factorsAlone(m, false, set.fold).ask(sample, 20).ndcg
	})
	r.note("%s: ALS of sessions %s, fold-in decay %g (NDCG@20 %.4f of 4)", name, describe(set.als), set.fold, figure)
	return set
}

// build puts all sources into one blend, without weights.
func (s sessionParts) build(r *report, name string, fit *neighbors.Sequences, items int) *examiner {
	t, ctx := r.t, context.Background()
	t.Helper()
	start := time.Now()
	index := must[*neighbors.Sessions](t)(neighbors.NewSessions(t.Context(), fit, neighbors.SessionOptions{Items: items}))
	knn := must[*neighbors.SessionKNN](t)(neighbors.NewSessionKNN(index, s.knn))
	sessions := time.Since(start)
	data := matrix(t, fit, items)
	start = time.Now()
	similar := must[*neighbors.Table](t)(neighbors.Similar(ctx, data, neighbors.SimilarOptions{}))
	cosine := time.Since(start)
	m, seconds := train(t, data, s.als)
	e := &examiner{blend: neighbors.Blend{Items: items, Sources: []neighbors.Weighted{
		{Source: knn}, {Source: neighbors.Repeat{Decay: .8}}, {Source: &neighbors.Lookup{Table: similar, Decay: s.cosine}},
	}}}
	e.addFactors(m, s.fold)
	r.note("%s: built from %d sessions: index %v, cosine %v, ALS %.1f s", name, fit.Len(), sessions.Round(time.Millisecond), cosine.Round(time.Millisecond), seconds)
	return e
}

// TestSessionSlice: session neighbours with their defaults, repeats and
// cosine, on a tenth of the test.
func TestSessionSlice(t *testing.T) {
	for _, f := range folders(t) {
		if f.name != "diginetica" {
			continue
		}
		past, a := readLines(t, f.train)
		lines, b := readLines(t, f.test)
		items := max(a, b)
		index := must[*neighbors.Sessions](t)(neighbors.NewSessions(t.Context(), past, neighbors.SessionOptions{Items: items}))
		knn := must[*neighbors.SessionKNN](t)(neighbors.NewSessionKNN(index, neighbors.KNNOptions{}))
		e := alone(items, false, knn)
		e.blend.Sources = append(e.blend.Sources, neighbors.Weighted{Source: neighbors.Repeat{Decay: .8}, Weight: .2})
		s := e.ask(every(testQuestions(lines), lines.Len()/10), 20)
		t.Logf("%s, slice: P@20 %.4f MRR@20 %.4f, one query %v", f.name, s.hitRate, s.mrr, s.perQuery)
		if s.hitRate < .51 || s.mrr < .18 {
			t.Errorf("%s, slice: P@20 %.4f MRR@20 %.4f", f.name, s.hitRate, s.mrr)
		}
	}
}

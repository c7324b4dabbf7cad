package offline

import (
	"fmt"
	"math"
	"slices"

	"vitrine/als/dataset"
	"vitrine/als/eval"
)

// resamples of the bootstrap intervals.
const resamples = 1000

// tally collects what was measured over all turns, by model, in the order in
// which models came.
type tally struct {
	models []*measured
}

// measured is all that is known of one model.
type measured struct {
	name     string
	rankings []*eval.Result
	// slices[n] is the slice of every user of rankings[n].
	slices  [][]eval.Slice
	ratings []*eval.RatingResult
}

func (t *tally) of(name string) *measured {
	for _, m := range t.models {
		if m.name == name {
			return m
		}
	}
	m := &measured{name: name}
	t.models = append(t.models, m)
	return m
}

// rank adds the lists of one turn; known is what was known of their users.
func (t *tally) rank(name string, result *eval.Result, known *dataset.CSR) {
	m := t.of(name)
	slices := make([]eval.Slice, len(result.Users))
	for n, user := range result.Users {
		cols, _ := known.Row(user)
		slices[n] = eval.SliceOf(len(cols))
	}
	m.rankings, m.slices = append(m.rankings, result), append(m.slices, slices)
}

func (t *tally) rate(name string, result *eval.RatingResult) {
	m := t.of(name)
	m.ratings = append(m.ratings, result)
}

// perUser are the values of one metric over all turns, of a slice or of all
// users.
func (m *measured) perUser(metric eval.Metric, k int, keep func(eval.Slice) bool) []float64 {
	var out []float64
	for n, result := range m.rankings {
		for i, v := range result.PerUser(metric, k) {
			if keep(m.slices[n][i]) {
				out = append(out, v)
			}
		}
	}
	return out
}

func everybody(eval.Slice) bool { return true }

// report turns the tally into the result.
func (r *run) report() {
	for _, m := range r.tally.models {
		out := Model{Name: m.name, Figures: r.figures(m, everybody)}
		r.overall(m, &out.Figures)
		for _, s := range eval.Slices() {
			if part := r.figures(m, func(of eval.Slice) bool { return of == s }); part.Users > 0 {
				if out.Slices == nil {
					out.Slices = map[string]Figures{}
				}
				out.Slices[s.String()] = part
			}
		}
		r.result.Models = append(r.result.Models, out)
		r.result.Options["evaluated_users"] = max(out.Users, r.evaluated())
	}
	r.publish()
}

// evaluated is the number of users that were evaluated so far.
func (r *run) evaluated() int {
	n, _ := r.result.Options["evaluated_users"].(int)
	return n
}

// figures are the ranking metrics of some users.
func (r *run) figures(m *measured, keep func(eval.Slice) bool) Figures {
	f := Figures{Metrics: map[string]float64{}, Interval: map[string][2]float64{}}
	var names []string
	var values [][]float64
	for _, metric := range eval.Metrics() {
		for _, k := range r.cuts() {
			names = append(names, fmt.Sprintf("%s@%d", metric, k))
			values = append(values, m.perUser(metric, k, keep))
		}
	}
	if f.Users = len(values[0]); f.Users == 0 {
		return f
	}
	for n, i := range eval.Intervals(values, resamples, 1) {
		f.Metrics[names[n]], f.Interval[names[n]] = i.Mean, [2]float64{i.Lo, i.Hi}
	}
	return f
}

// overall adds what is measured over all lists or ratings together, as means
// over the turns.
func (r *run) overall(m *measured, f *Figures) {
	mean := func(name string, n int, value func(n int) float64) {
		sum := 0.0
		for at := range n {
			sum += value(at)
		}
		if v := sum / float64(n); v-v == 0 {
			f.Metrics[name] = v
		}
	}
	for _, k := range r.cuts() {
		mean(fmt.Sprintf("coverage@%d", k), len(m.rankings), func(n int) float64 { return m.rankings[n].Coverage(k) })
		mean(fmt.Sprintf("novelty@%d", k), len(m.rankings), func(n int) float64 { return m.rankings[n].Novelty(k) })
		mean(fmt.Sprintf("popularity_share@%d", k), len(m.rankings), func(n int) float64 { return m.rankings[n].PopularShare(k) })
	}
	if len(m.ratings) == 0 {
		return
	}
	mean("rmse", len(m.ratings), func(n int) float64 { return m.ratings[n].RMSE })
	mean("mae", len(m.ratings), func(n int) float64 { return m.ratings[n].MAE })
	if lo, hi := eval.RMSEInterval(m.ratings, resamples, 1); lo-lo == 0 {
		f.Interval["rmse"] = [2]float64{lo, hi}
	}
	skipped := 0
	for _, result := range m.ratings {
		skipped += result.Skipped
	}
	if skipped > 0 {
		r.result.Options["unpredicted_ratings_"+m.name] = skipped
	}
}

// publish marks the model that would go live: the appliance's own, unless it is
// worse than popularity by more than chance explains, as in the gate.
func (r *run) publish() {
	name := nameALS
	if r.blends() && r.index(nameBlend) >= 0 {
		name = nameBlend
	}
	own, popular := r.index(name), r.index(namePopularity)
	if own < 0 || popular < 0 {
		return
	}
	difference := Model{Name: name + "-" + namePopularity, Figures: Figures{Metrics: map[string]float64{}, Interval: map[string][2]float64{}}}
	mine, theirs := r.tally.of(name), r.tally.of(namePopularity)
	for _, metric := range eval.Metrics() {
		for _, k := range r.cuts() {
			mean, lo, hi := eval.PairedInterval(mine.perUser(metric, k, everybody), theirs.perUser(metric, k, everybody), resamples, 1)
			if !math.IsNaN(mean) {
				name := fmt.Sprintf("%s@%d", metric, k)
				difference.Metrics[name], difference.Interval[name] = mean, [2]float64{lo, hi}
			}
		}
	}
	// A model of ratings is not held against popularity.
	worse := difference.Interval["ndcg@10"][1] < 0
	r.result.Models[own].Published = !worse || r.opt.Mode == ModeExplicit
	difference.Users = r.result.Models[own].Users
	r.result.Difference = &difference
}

func (r *run) index(name string) int {
	return slices.IndexFunc(r.result.Models, func(m Model) bool { return m.Name == name })
}

// countTargets tells what of the targets cannot be found, over all turns.
func (r *run) countTargets(f *fitted) {
	add := func(name string, n int) {
		if before, _ := r.result.Options[name].(int); n+before > 0 {
			r.result.Options[name] = n + before
		}
	}
	shared, _ := dataset.Shared(f.targets, f.mask) // of one shape
	unknown, empty := 0, 0
	for row := range f.targets.Rows {
		items, _ := f.targets.Row(row)
		history, _ := f.mask.Row(row)
		if len(items) > 0 && len(history) == 0 {
			empty++
		}
		for _, item := range items {
			if !f.eligible[item] {
				unknown++
			}
		}
	}
	add("targets", f.targets.NNZ())
	add("targets_of_unknown_items", unknown)
	add("users_without_history", empty)
	if r.opt.Seen == SeenMasked {
		add("masked_targets", shared)
	}
}

package training

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
)

// printReport is the table of a training or an evaluation.
func (a app) printReport(r *client.TrainReport) {
	fmt.Fprintf(a.Out, "%s users, %s items, %s interactions\n", progress.Count(int64(r.Users)), progress.Count(int64(r.Items)), progress.Count(int64(r.Interactions)))
	names := metricNames(r.Models)
	if len(names) == 0 {
		return // nothing was measured, which the verdict explains
	}
	if n, ok := r.Options["evaluated_users"].(float64); ok {
		fmt.Fprintf(a.Out, "measured on what %s of them did in the newest tenth of the time, which the models had not seen:\n", progress.Count(int64(n)))
	}
	t := cli.NewTable(reportHead(r)...)
	for _, name := range names {
		t.Row(reportRow(r, name)...)
	}
	_ = t.Write(a.Out)
	fmt.Fprintln(a.Out, "in brackets: where the figure lies with 95 % certainty; more is better, but for rmse and mae")
	a.printTrials(r.Trials)
	fmt.Fprint(a.Out, fitLine(r))
	var times []string
	for _, stage := range []string{"read", "tune", "fit", "tables", "evaluate", "refit", "write", "total"} {
		if s, ok := r.Seconds[stage]; ok {
			times = append(times, fmt.Sprintf("%s %.2f s", stage, s))
		}
	}
	fmt.Fprintln(a.Out, strings.Join(times, ", "))
}

// shownTrials is how many of the best trials are printed; --json has all.
const shownTrials = 5

// printTrials is the table of a search.
func (a app) printTrials(trials []client.Trial) {
	if len(trials) == 0 {
		return
	}
	best := slices.Clone(trials)
	slices.SortStableFunc(best, func(a, b client.Trial) int { return cmp.Compare(b.Score, a.Score) })
	fmt.Fprintf(a.Out, "the best of %d trials, judged on a part of the older events; trial 1 is the rule's:\n", len(trials))
	table := cli.NewTable("trial", "score", "sweeps", "regularization", "unobserved", "frequency power", "nu", "bias regularization")
	for _, t := range best[:min(shownTrials, len(best))] {
		row := []string{strconv.Itoa(t.Number), fmt.Sprintf("%.4f", t.Score), strconv.Itoa(t.Sweeps), fmt.Sprintf("%.4g", t.Regularization)}
		for _, v := range []float64{t.Unobserved, t.FrequencyPower, t.Nu, t.BiasRegularization} {
			cell := "-"
			if v != 0 {
				cell = fmt.Sprintf("%.4g", v)
			}
			row = append(row, cell)
		}
		table.Row(row...)
	}
	_ = table.Write(a.Out)
}

// metricNames are the metrics that any model has, those of ratings first.
func metricNames(models []client.ModelMetrics) []string {
	all := map[string]bool{}
	for _, m := range models {
		for name := range m.Metrics {
			all[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(names, func(a, b string) int { return strings.Count(a, "@") - strings.Count(b, "@") })
	return names
}

// reportHead are the titles of the columns; that of the metrics has none.
func reportHead(r *client.TrainReport) []string {
	out := []string{""}
	for _, m := range r.Models {
		out = append(out, m.Name)
	}
	for _, d := range []*client.ModelMetrics{r.Difference, r.DifferenceLive} {
		if d != nil {
			out = append(out, strings.Replace(d.Name, "-", " to ", 1))
		}
	}
	return append(out, "what it says")
}

// reportRow are the cells of one metric.
func reportRow(r *client.TrainReport, name string) []string {
	base := map[string]float64{}
	out := []string{name}
	for n, m := range r.Models {
		value, ok := m.Metrics[name]
		base[m.Name] = value
		cell := "-"
		if ok {
			cell = fmt.Sprintf("%.4f", value)
		}
		if ci := m.Interval[name]; n == 0 && len(ci) == 2 {
			cell += fmt.Sprintf(" [%.4f, %.4f]", ci[0], ci[1])
		}
		out = append(out, cell)
	}
	if r.Difference != nil {
		out = append(out, relative(r.Difference, name, base["popularity"]))
	}
	if r.DifferenceLive != nil {
		out = append(out, relative(r.DifferenceLive, name, base["live"]))
	}
	return append(out, meaning(name))
}

// relative is a difference in per cent of what it is a difference to.
func relative(d *client.ModelMetrics, name string, base float64) string {
	value, ok := d.Metrics[name]
	if !ok || base == 0 {
		return "-"
	}
	cell := fmt.Sprintf("%+.0f %%", 100*value/base)
	if ci := d.Interval[name]; len(ci) == 2 {
		cell += fmt.Sprintf(" [%+.0f, %+.0f]", 100*ci[0]/base, 100*ci[1]/base)
	}
	return cell
}

// meaning is a metric in words.
func meaning(name string) string {
	metric, k, _ := strings.Cut(name, "@")
	switch metric {
	case "hit_rate":
		return "share of the users who took any of their first " + k
	case "precision":
		return "share of the first " + k + " that were taken"
	case "recall":
		return "share of what was taken that stood in the first " + k
	case "ndcg":
		return "how well the first " + k + " are ordered; 1 is perfect"
	case "map":
		return "mean precision at the places of what was taken, of the first " + k
	case "mrr":
		return "1 / place of the first one taken, 0 behind " + k
	case "rmse":
		return "how far off predicted ratings are, big misses weighing more"
	case "mae":
		return "how far off predicted ratings are"
	}
	return ""
}

// fitLine says with what the model was made.
func fitLine(r *client.TrainReport) string {
	number := func(key string) float64 {
		v, _ := r.Options[key].(float64)
		return v
	}
	line := fmt.Sprintf("made with: %v loss, rank %.0f, regularization %.4g", r.Options["train.loss"], number("train.rank"), number("train.regularization"))
	if v, ok := r.Options["unobserved"].(float64); ok {
		line += fmt.Sprintf(", unobserved %.4g, frequency power %.4g", v, number("frequency_power"))
	}
	if by, ok := r.Options["chosen_by"].(string); ok {
		line += ", chosen by " + by
	}
	if by, ok := r.Options["blend.user"].(string); ok {
		line += "\nblended: " + by
	}
	line += fmt.Sprintf("\n%.0f sweeps", number("sweeps"))
	if r.Start != "" {
		line += " (start: " + r.Start + ")"
	}
	if n := number("refit_sweeps"); n > 0 {
		line += fmt.Sprintf(", then %.0f over everything", n)
	}
	return line + "\n"
}

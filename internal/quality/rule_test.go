//go:build unix

package quality

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/therootcompany/xz"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer/search"
	"vitrine/bridge/event"
)

// ruleBar is what the rule's settings must reach of what searched ones do.
const ruleBar = 0.97

// ruleTrials is the budget of the search, the rule's own settings among them.
const ruleTrials = 16

// problem is one data set as a factor model sees it.
type problem struct {
	name string
	// fit is what is left of known when the validation part is cut off.
	fit, known *dataset.CSR
	// onValidation and onTest are NDCG@10 of models of fit and of known.
	onValidation, onTest func(m *model.Model) float64
}

// problemOf is the data set by the protocol of its table; of the validation part
// some thousand users are asked.
func problemOf(t testing.TB, f folder) problem {
	t.Helper()
	p := problem{name: f.name}
	switch f.layout {
	case givenSplit:
		known, test := readSplit(t, f)
		fit, validation := holdOut(known, 0.1)
		p.fit, p.known = fit, known
		p.onValidation = func(m *model.Model) float64 { return ndcg(t, m, fit, someUsers(validation, 4000)) }
		p.onTest = func(m *model.Model) float64 { return ndcg(t, m, known, test) }
	case leaveOneOut:
		lines, _ := readLines(t, f.train)
		_, all, items := withoutUser(lines)
		fit, validation := cut(all, 2, 0)
		known, test := cut(all, 1, 0)
		p.fit, p.known = matrix(t, fit, items), matrix(t, known, items)
		p.onValidation = func(m *model.Model) float64 { return factorsAlone(m, true, 1).ask(every(validation, 6000), 10).ndcg }
		p.onTest = func(m *model.Model) float64 { return factorsAlone(m, true, 1).ask(test, 10).ndcg }
	case sessions:
		past, a := readLines(t, f.train)
		lines, b := readLines(t, f.test)
		items, n := max(a, b), past.Len()-past.Len()/12
		p.fit, p.known = matrix(t, head(past, n), items), matrix(t, past, items)
		validation, test := every(prefixes(past, n), 6000), testQuestions(lines)
		p.onValidation = func(m *model.Model) float64 { return factorsAlone(m, false, 1).ask(validation, 10).ndcg }
		p.onTest = func(m *model.Model) float64 { return factorsAlone(m, false, 1).ask(test, 10).ndcg }
	}
	return p
}

func ndcg(t testing.TB, m *model.Model, mask, targets *dataset.CSR) float64 {
	t.Helper()
	result, err := eval.Ranking(t.Context(), eval.Input{Targets: targets, Mask: mask, Factors: m, Ks: []int{10}})
	if err != nil {
		t.Fatal(err)
	}
	return result.Mean(eval.NDCG, 10)
}

// retail is the shop's log of the README by the appliance's own weights, split
// in time: the newest tenth is the test, the newest tenth of the rest validation.
func retail(t testing.TB, path string) problem {
	t.Helper()
	events := readRetail(t, path)
	sig, err := signal.New(signal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	users, items := map[string]uint32{}, map[string]uint32{}
	number := func(of map[string]uint32, id string) uint32 {
		if _, ok := of[id]; !ok {
			of[id] = uint32(len(of))
		}
		return of[id]
	}
	for i := range events {
		number(users, events[i].UserID)
		number(items, events[i].ItemID)
	}
	weigh := func(part []event.Event) *dataset.CSR {
		histories := make([][]signal.Interaction, len(users))
		for i := range part {
			in, _ := sig.Interaction(&part[i], items[part[i].ItemID])
			u := users[part[i].UserID]
			histories[u] = append(histories[u], in)
		}
		b := dataset.NewBuilder(len(items))
		for _, h := range histories {
			for _, w := range sig.Weigh(sig.Trim(h), part[len(part)-1].Time, nil) {
				if err := b.Add(w.Item, w.Weight); err != nil {
					t.Fatal(err)
				}
			}
			b.EndRow()
		}
		return b.Build()
	}
	eight, nine := len(events)*81/100, len(events)*9/10
	p := problem{name: "online-retail", fit: weigh(events[:eight]), known: weigh(events[:nine])}
	validation, test := weigh(events[eight:nine]), weigh(events[nine:])
	p.onValidation = func(m *model.Model) float64 { return ndcg(t, m, p.fit, validation) }
	p.onTest = func(m *model.Model) float64 { return ndcg(t, m, p.known, test) }
	return p
}

// readRetail reads purchases of customers, by time.
func readRetail(t testing.TB, path string) []event.Event {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := xz.NewReader(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(text)
	head, err := rows.Read()
	if err != nil {
		t.Fatal(err)
	}
	var out []event.Event
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		of := func(column string) string { return row[slices.Index(head, column)] }
		amount, _ := strconv.ParseFloat(of("Quantity"), 64)
		at, err := time.Parse("2006-01-02 15:04:05", of("InvoiceDate"))
		if of("CustomerID") == "" || amount <= 0 || err != nil {
			continue
		}
		out = append(out, event.Event{
			UserID: of("CustomerID"), ItemID: of("StockCode"), Type: "purchase", Value: amount, HasValue: true, Time: at.UnixMilli(),
		})
	}
	slices.SortStableFunc(out, func(a, b event.Event) int { return cmp.Compare(a.Time, b.Time) })
	return out
}

// searched goes through a budget of settings on the validation part, as
// train.tune does, and returns what the rule and the search would train with.
func searched(t testing.TB, p problem, budget int) (rule, best als.Options) {
	t.Helper()
	shape := als.Shape{Cells: p.known.NNZ()}
	for row := range p.known.Rows {
		if p.known.Indptr[row] < p.known.Indptr[row+1] {
			shape.Users++
		}
	}
	for _, n := range p.known.Counts() {
		if n > 0 {
			shape.Items++
		}
	}
	start := als.Suggest(shape, als.Options{}).WithDefaults()
	try := func(ctx context.Context, opt als.Options, _ *search.Trial) (search.Trial, error) {
		var trial search.Trial
		done := 0
		for _, n := range []int{2, 3, 5, 8, 12, 16} {
			opt.Iterations, done = n-done, n
			m, _, err := als.Train(ctx, p.fit, opt)
			if err != nil {
				return trial, err
			}
			opt.Init = m
			score := p.onValidation(m)
			if score > trial.Score {
				trial.Sweeps, trial.Score = n, score
			}
			if score < .95*trial.Score {
				break
			}
		}
		return trial, nil
	}
	trials, top, err := search.Run(t.Context(), search.Search{Budget: budget, Start: start, Try: try})
	if err != nil {
		t.Fatal(err)
	}
	rule, best = start, top.Apply(start)
	rule.Iterations, best.Iterations = trials[0].Sweeps, top.Sweeps
	return rule, best
}

// TestRule is the table of the rule beside the search: with VITRINE_QUALITY=full
// or rule.
func TestRule(t *testing.T) {
	if !full() && os.Getenv("VITRINE_QUALITY") != "rule" {
		t.Skip("a search on every set takes minutes: VITRINE_QUALITY=rule")
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "set\tNDCG@10, rule\tof %d trials\tratio\tbar %.2f\trule\tsearched\n", ruleTrials, ruleBar)
	for _, p := range problems(t) {
		rule, best := searched(t, p, ruleTrials)
		onTest := func(o als.Options) float64 {
			m, _ := train(t, p.known, o)
			return p.onTest(m)
		}
		a, b := onTest(rule), onTest(best)
		verdict := "met"
		if a < ruleBar*b {
			verdict = fmt.Sprintf("missed by %.3f", ruleBar-a/b)
			t.Errorf("%s: the rule reaches %.4f of NDCG@10, the search %.4f", p.name, a, b)
		}
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.3f\t%s\t%s\t%s\n", p.name, a, b, a/b, verdict, describe(rule), describe(best))
		_ = w.Flush()
		t.Logf("\n%s", out.String())
	}
}

// problems are all data sets found.
func problems(t testing.TB) []problem {
	t.Helper()
	var out []problem
	for _, f := range folders(t) {
		out = append(out, problemOf(t, f))
	}
	only := os.Getenv("VITRINE_QUALITY_ONLY")
	if path := filepath.Join(dataDir, "online-retail", "online_retail.csv.xz"); only == "" || strings.Contains(only, "retail") {
		if _, err := os.Stat(path); err == nil {
			out = append(out, retail(t, path))
		}
	}
	return out
}

//go:build unix

package quality

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

// bar is what a figure is held against; 0 is none.
type bar struct {
	bar, stretch float64
	published    string
}

// bars by folder and metric. Published figures: the SOURCE.md of each set.
var bars = map[string]map[string]bar{
	"amazon-beauty": {
		"HR@10":   {.086, .10, "ICLRec .0744"},
		"NDCG@10": {.053, .062, "ICLRec .0403"},
	},
	"diginetica": {
		"P@20":   {.505, .54, "SR-GNN .5126, GCE-GNN .5422"},
		"MRR@20": {.177, .19, "SR-GNN .1778, GCE-GNN .1904"},
	},
	"gowalla-lightgcn": {
		"d=64 Recall@20":  {.155, 0, "MF-BPR .1627, ItemCF .1570"},
		"d=256 Recall@20": {.175, .182, "EASE .1765, LightGCN .1820"},
		"d=256 NDCG@20":   {.147, .155, "EASE .1467, LightGCN .1547"},
	},
}

// line is one row of the table. Held lines fail below their bar.
type line struct {
	set, model, metric string
	ours               float64
	held               bool
}

// report collects the lines and the notes under the table.
type report struct {
	t     *testing.T
	start time.Time
	lines []line
	notes []string
}

func (r *report) add(set, model, metric string, ours float64, held bool) {
	r.lines = append(r.lines, line{set, model, metric, ours, held})
	if b := bars[set][metric]; held && ours < b.bar {
		r.t.Errorf("%s: %s of %s is %.4f, below the bar of %.4f by %.4f", set, metric, model, ours, b.bar, b.bar-ours)
	}
}

// note also prints at once, so that a long run shows where it is.
func (r *report) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.notes = append(r.notes, text)
	r.t.Logf("[%5.1fs] %s", time.Since(r.start).Seconds(), text)
}

// String is the table.
func (r *report) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "set\tmodel\tmetric\tours\tbar\tstretch\tpublished")
	for _, l := range r.lines {
		b := bars[l.set][l.metric]
		fmt.Fprintf(w, "%s\t%s\t%s\t%.4f\t%s\t%s\t%s\n", l.set, l.model, l.metric, l.ours, target(b.bar, l), target(b.stretch, l), b.published)
	}
	_ = w.Flush()
	return out.String()
}

// cpuTime is what this process has used of all cores: other work on the
// machine does not show in it.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// target shows a bar and whether it is met.
func target(value float64, l line) string {
	switch {
	case value == 0:
		return "-"
	case l.ours >= value:
		return fmt.Sprintf("%.4f met", value)
	default:
		return fmt.Sprintf("%.4f missed by %.4f", value, value-l.ours)
	}
}

// full reports whether the whole table was asked for.
func full() bool { return os.Getenv("VITRINE_QUALITY") == "full" }

// TestQuality is the table: with VITRINE_QUALITY=full all of it.
func TestQuality(t *testing.T) {
	if !full() {
		t.Skip("the whole table takes minutes: VITRINE_QUALITY=full, or make quality")
	}
	r := &report{t: t, start: time.Now()}
	ratingsTable(r, "generated ratings", generateRatings(t, 100_000))
	sets := folders(t)
	for _, f := range sets {
		begin, cpu := time.Now(), cpuTime(t)
		switch f.layout {
		case givenSplit:
			splitTable(r, f)
		case sessions:
			sessionTable(r, f)
		case leaveOneOut:
			sequenceTable(r, f)
		case ratings:
			ratingsTable(r, f.name, f.train)
		}
		r.note("%s: %.0f s, %.0f s of CPU", f.name, time.Since(begin).Seconds(), (cpuTime(t) - cpu).Seconds())
	}
	t.Logf("\n%s\n%s", r, strings.Join(r.notes, "\n"))
}

func TestReportFailsBelowTheBar(t *testing.T) {
	r := &report{t: t, start: time.Now()}
	r.add("amazon-beauty", "m", "HR@10", .09, true)
	r.add("amazon-beauty", "m", "NDCG@10", .01, false)
	r.add("elsewhere", "m", "HR@10", .01, true)
	got := r.String()
	for _, want := range []string{"0.0860 met", "missed by 0.0100", "missed by 0.0430", "elsewhere"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

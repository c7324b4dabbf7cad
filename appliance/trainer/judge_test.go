package trainer

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/als/dataset"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// follow is a job like j whose live version is the bundle that j wrote.
func follow(t *testing.T, j Job) Job {
	t.Helper()
	next := j
	next.Parent, next.Live, next.Version = j.Version, j.Out, "v2"
	next.Out = filepath.Join(t.TempDir(), "second.bundle")
	return next
}

// TestWarmStart: a retrain starts where the live version's evaluated factors
// stand, whatever the rows are now, and needs no more sweeps.
func TestWarmStart(t *testing.T) {
	records := tastes(90, 4000)
	first := job(t, archiveOf(t, 5000, records[:3600]...))
	first.Iterations = 0
	cold, _ := train(t, first)
	if cold.Start != "no live version" || cold.Options.Sweeps != cold.Options.Iterations {
		t.Errorf("cold start %q, %d of %d sweeps", cold.Start, cold.Options.Sweeps, cold.Options.Iterations)
	}
	// A new first event moves every row.
	records = slices.Insert(records, 0, visit("somebody-new", "something-new", "view", begin-minute))
	second := follow(t, first)
	second.ArchiveDir = archiveOf(t, 5000, records...)
	warm, _ := train(t, second)
	if warm.Start != "v1" || warm.Options.Sweeps > cold.Options.Sweeps || warm.Options.RefitSweeps != refitSweeps {
		t.Errorf("start %q, %d sweeps after %d, then %d", warm.Start, warm.Options.Sweeps, cold.Options.Sweeps, warm.Options.RefitSweeps)
	}
	if a, b := metric(t, warm, "als", "ndcg@10").Value, metric(t, warm, "popularity", "ndcg@10").Value; a < 1.5*b {
		t.Errorf("warm %v, popularity %v", a, b)
	}
	exact := second
	exact.Iterations = 6
	if r, _ := train(t, exact); r.Options.Sweeps != 6 {
		t.Errorf("%d sweeps, 6 are set", r.Options.Sweeps)
	}
	for want, change := range map[string]func(*Job){
		"rows of 8 numbers, not 9": func(j *Job) { j.Rank = 9 },
		"trained on confidence":    func(j *Job) { j.Signal.Measure = signal.Counts },
		"cannot be read":           func(j *Job) { j.Live += ".gone" },
	} {
		j := second
		change(&j)
		if r, _ := train(t, j); !strings.Contains(r.Start, want) {
			t.Errorf("start %q, want %q", r.Start, want)
		}
	}
}

// TestWorseThanTheLiveVersionIsRefused: settings that spoil the model do not get
// past a good one, though it may still beat popularity.
func TestWorseThanTheLiveVersionIsRefused(t *testing.T) {
	good := job(t, archiveOf(t, 5000, tastes(150, 6000)...))
	_, bundle := train(t, good)
	bad := follow(t, good)
	bad.Rank, bad.Iterations = 1, 1
	r := refused(t, bad)
	if !strings.HasPrefix(r.Gate.Reason, "worse than the live v1: NDCG@10 0.") {
		t.Errorf("reason %q", r.Gate.Reason)
	}
	difference := metric(t, r, difference(Factors, Live), "ndcg@10")
	if difference.Hi >= 0 || math.Abs(difference.Value-(metric(t, r, "als", "ndcg@10").Value-metric(t, r, Live, "ndcg@10").Value)) > 1e-9 {
		t.Errorf("difference %+v", difference)
	}
	// On the same data the live version has the figures that it was judged by.
	at := slices.IndexFunc(bundle.Metrics, func(m registry.Metric) bool { return m.Model == "als" && m.Name == "ndcg@10" })
	if a, b := metric(t, r, Live, "ndcg@10").Value, bundle.Metrics[at].Value; math.Abs(a-b) > 1e-3 {
		t.Errorf("live %v, when it was trained %v", a, b)
	}
	same := follow(t, good)
	if r, _ := train(t, same); !strings.Contains(r.Gate.Reason, "as good as the live v1: NDCG@10 0.") {
		t.Errorf("reason %q", r.Gate.Reason)
	}
	// A damaged live version does not stand in the way.
	if err := os.WriteFile(good.Out, []byte("no bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, _ := train(t, same); !strings.Contains(r.Start, "cannot be read") || strings.Contains(r.Gate.Reason, "live") {
		t.Errorf("start %q, reason %q", r.Start, r.Gate.Reason)
	}
}

// stars makes every third event a rating: 5 of the own group's items, 1 of
// others.
func stars(records []event.Record) []event.Record {
	out := slices.Clone(records)
	for n := range out {
		e := &out[n].Event
		user, item := 0, 0
		_, _ = fmt.Sscanf(e.UserID, "u%d", &user)
		_, _ = fmt.Sscanf(e.ItemID, "i%d", &item)
		e.Type, e.HasValue, e.Value = "rating", true, 5
		if n%3 == 0 {
			item = (item + 15) % 45
			e.ItemID, e.Value = fmt.Sprintf("i%d", item), 1
		}
	}
	return out
}

// TestModelOfRatings: explicit models report how far off they are, beat the mean
// where there is something to find, and rank what is liked in front.
func TestModelOfRatings(t *testing.T) {
	dir := archiveOf(t, 5000, stars(tastes(90, 4000))...)
	for _, biases := range []bool{false, true} {
		j := job(t, dir)
		j.Signal.Measure, j.Biases, j.Iterations = signal.Ratings, biases, 0
		r, bundle := train(t, j)
		rmse, mean := metric(t, r, "als", "rmse"), metric(t, r, Mean, "rmse")
		if rmse.Value > 0.7*mean.Value || rmse.Lo > rmse.Value || rmse.Hi < rmse.Value || metric(t, r, "als", "mae").Value > rmse.Value {
			t.Errorf("biases %t: RMSE %+v, of the mean %+v", biases, rmse, mean)
		}
		metric(t, r, "als", "ndcg@10")
		if !strings.Contains(r.Gate.Reason, "not held against popularity: as lists NDCG@10") || bundle.Measure != "ratings" || bundle.Options["train.loss"] != "explicit" {
			t.Errorf("biases %t: reason %q, measure %q, options %v", biases, r.Gate.Reason, bundle.Measure, bundle.Options)
		}
		if r.Options.Iterations != 20 || r.Options.Biases != biases {
			t.Errorf("options %+v", r.Options)
		}
		bad := follow(t, j)
		bad.Iterations, bad.Regularization = 1, 1e4
		if r := refused(t, bad); !strings.HasPrefix(r.Gate.Reason, "worse than the live v1: RMSE ") {
			t.Errorf("biases %t: reason %q", biases, r.Gate.Reason)
		}
		other := follow(t, j)
		other.Signal.Measure, other.Biases = signal.Confidence, false
		if r, _ := train(t, other); !strings.Contains(r.Gate.Reason, "not compared with the live v1, which was trained on ratings") {
			t.Errorf("reason %q", r.Gate.Reason)
		}
	}
}

// TestSampleOfTargets: so many rows, evenly spread, always the same.
func TestSampleOfTargets(t *testing.T) {
	b := dataset.NewBuilder(3)
	for u := range 100 {
		if u%4 != 0 {
			_ = b.Add(uint32(u%3), 1)
		}
		b.EndRow()
	}
	all := b.Build()
	few := sample(all, 20)
	rows := func(m *dataset.CSR) (out []int) {
		for u := range m.Rows {
			if cols, _ := m.Row(u); len(cols) > 0 {
				out = append(out, u)
			}
		}
		return out
	}
	got := rows(few)
	if len(got) != 20 || got[0] > 8 || got[19] < 90 || !slices.Equal(got, rows(sample(all, 20))) || few.Rows != 100 {
		t.Errorf("rows %v", got)
	}
	if sample(all, 75) != all || len(rows(sample(all, 74))) != 74 {
		t.Error("few enough are not left alone")
	}
}

// TestAllTakenBack: the newest events take everything back.
func TestAllTakenBack(t *testing.T) {
	records := tastes(20, 1900)
	now := records[len(records)-1].Event.Time
	for u := range 20 {
		for i := range 45 {
			if now++; i/15 == u%3 {
				records = append(records, visit(fmt.Sprintf("u%d", u), fmt.Sprintf("i%d", i), "remove", now))
			}
		}
	}
	r, err := Run(t.Context(), job(t, archiveOf(t, 5000, records...)), noProgress)
	if err != nil || r.Gate.Passed || r.Gate.Reason == "" {
		t.Errorf("gate %+v, error %v", r, err)
	}
}

package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"vitrine/als/model"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// train runs a job in this process and loads what it wrote.
func train(t *testing.T, j Job) (*Result, *registry.Bundle) {
	t.Helper()
	result, err := Run(t.Context(), j, noProgress)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Gate.Passed {
		t.Fatalf("refused: %s", result.Gate.Reason)
	}
	bundle, err := registry.Load(j.Out)
	if err != nil {
		t.Fatal(err)
	}
	return result, bundle
}

// refused runs a job that must not lead to a bundle.
func refused(t *testing.T, j Job) *Result {
	t.Helper()
	result, err := Run(t.Context(), j, noProgress)
	if err != nil {
		t.Fatal(err)
	}
	if result.Gate.Passed {
		t.Fatalf("passed: %s", result.Gate.Reason)
	}
	if _, err := os.Stat(j.Out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a bundle was written: %v", err)
	}
	return result
}

func metric(t *testing.T, r *Result, of, name string) registry.Metric {
	t.Helper()
	for _, m := range r.Metrics {
		if m.Model == of && m.Name == name {
			return m
		}
	}
	t.Fatalf("no %s of %s in %v", name, of, r.Metrics)
	return registry.Metric{}
}

func TestModelBetterThanPopularityIsWritten(t *testing.T) {
	j := job(t, archiveOf(t, 500, tastes(120, 4000)...))
	stages := []string{}
	result, err := Run(t.Context(), j, func(p Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(stages, " "); got != "read fit tables evaluate refit tables write" {
		t.Errorf("stages %s", got)
	}
	if als, pop := metric(t, result, "als", "ndcg@10"), metric(t, result, "popularity", "ndcg@10"); !result.Gate.Passed || als.Value < 1.5*pop.Value || als.Lo > als.Value || als.Hi < als.Value {
		t.Errorf("gate %+v, als %+v, popularity %+v", result.Gate, als, pop)
	}
	bundle, err := registry.Load(j.Out)
	if err != nil {
		t.Fatal(err)
	}
	if bundle.Version != "v1" || bundle.Parent != "v0" || bundle.Position != 8 || bundle.Reference != begin+3959*minute {
		t.Errorf("bundle %s of %s at %d, reference %d", bundle.Version, bundle.Parent, bundle.Position, bundle.Reference)
	}
	if bundle.Evaluated == nil || len(bundle.UserIDs) != 120 || len(bundle.ItemIDs) != 45 || result.Interactions != 4000 {
		t.Errorf("%d users, %d items, result %+v", len(bundle.UserIDs), len(bundle.ItemIDs), result)
	}
}

// TestModelWorseThanPopularityIsRefused: everybody's taste breaks off, and all
// that is new is what was popular with others.
func TestModelWorseThanPopularityIsRefused(t *testing.T) {
	var records []event.Record
	now := begin
	add := func(user, item, kind string) {
		now += minute
		records = append(records, visit(user, item, kind, now))
	}
	for n := range 40 { // they make the hits, and leave
		for i := range 6 {
			add(fmt.Sprintf("gone%d", n), fmt.Sprintf("hit%d", i), "purchase")
		}
	}
	for n := range 60 {
		for i := range 6 {
			add(fmt.Sprintf("u%d", n), fmt.Sprintf("niche%d-%d", n%6, (n+i)%9), "view")
		}
	}
	for n := range 60 {
		add(fmt.Sprintf("u%d", n), "hit0", "view")
	}
	r := refused(t, job(t, archiveOf(t, 1000, records...)))
	if !strings.HasPrefix(r.Gate.Reason, "worse than popularity: NDCG@10 ") || metric(t, r, "blend-popularity", "ndcg@10").Value >= 0 {
		t.Errorf("reason %q, metrics %v", r.Gate.Reason, r.Metrics)
	}
}

func TestTooLittleDataIsRefused(t *testing.T) {
	cases := map[string]struct {
		records []event.Record
		want    string
	}{
		"nothing":     {nil, "no interactions"},
		"impressions": {[]event.Record{visit("u", "i", "impression", begin)}, "no interactions"},
		"one event":   {[]event.Record{visit("u", "i", "view", begin)}, "too little data"},
		"removes only": {
			[]event.Record{visit("u", "i", "remove", begin), visit("u", "j", "remove", begin+minute)},
			"too little data",
		},
		"only new items at the end": {
			append(slices.Repeat([]event.Record{visit("u", "i", "view", begin)}, 10), visit("u", "j", "view", begin+minute)),
			"too little data",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if r := refused(t, job(t, archiveOf(t, 100, c.records...))); !strings.Contains(r.Gate.Reason, c.want) {
				t.Errorf("reason %q", r.Gate.Reason)
			}
		})
	}
}

func TestArchiveThatFellBehindIsAnError(t *testing.T) {
	j := job(t, archiveOf(t, 1000, tastes(20, 2000)...)) // two commits
	j.Position = 3
	if _, err := Run(t.Context(), j, noProgress); err == nil || !strings.Contains(err.Error(), "ends at bus sequence 2") {
		t.Errorf("error %v", err)
	}
}

func TestNoArchiveIsRefused(t *testing.T) {
	if r := refused(t, job(t, t.TempDir()+"/nowhere")); !strings.Contains(r.Gate.Reason, "no interactions") {
		t.Errorf("reason %q", r.Gate.Reason)
	}
}

// TestAmountsWithoutMeasure: a few senseless amounts must not keep a shop from
// being trained, nor own its popular list: a rating says at most 100.
func TestAmountsWithoutMeasure(t *testing.T) {
	records := tastes(60, 2000)
	for n := range 10 {
		records[100*n+7].Event.Type, records[100*n+7].Event.ItemID = "rating", "i3"
		records[100*n+7].Event.Value, records[100*n+7].Event.HasValue = 1e308, true
	}
	_, bundle := train(t, job(t, archiveOf(t, 1000, records...)))
	if w := slices.Max(bundle.ItemWeight); w > 10*100+1000 {
		t.Errorf("greatest popularity %v", w)
	}
}

// TestOneSidedShops: data of one user, or of one item, trains or is refused,
// but nothing breaks.
func TestOneSidedShops(t *testing.T) {
	var oneUser, oneItem []event.Record
	for n := range int64(50) {
		oneUser = append(oneUser, visit("u", fmt.Sprintf("i%d", n%20), "view", begin+n*minute))
		oneItem = append(oneItem, visit(fmt.Sprintf("u%d", n), "i", "view", begin+n*minute))
	}
	for name, records := range map[string][]event.Record{"one user": oneUser, "one item": oneItem} {
		if _, err := Run(t.Context(), job(t, archiveOf(t, 100, records...)), noProgress); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCancelledRunWritesNothing(t *testing.T) {
	dir := archiveOf(t, 1000, tastes(50, 1500)...)
	for _, stage := range []string{"read", "fit", "evaluate", "refit"} {
		ctx, cancel := context.WithCancel(t.Context())
		j := job(t, dir)
		_, err := Run(ctx, j, func(p Progress) {
			if p.Stage == stage {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %s: %v", stage, err)
		}
		if _, err := os.Stat(j.Out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("cancelled at %s: a bundle was written", stage)
		}
	}
}

func TestEvaluationOnlyWritesNothing(t *testing.T) {
	j := job(t, archiveOf(t, 1000, tastes(60, 2000)...))
	j.Out, j.K = "", 7
	result, err := Run(t.Context(), j, func(p Progress) {
		if p.Stage == "refit" || p.Stage == "write" {
			t.Errorf("stage %s without a file to write", p.Stage)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ndcg@10", "ndcg@7", "recall@20", "recall@7", "mrr@20", "hit_rate@10", "precision@10", "map@10"} {
		metric(t, result, "als", name)
	}
}

// TestColdUsersCountByPopularity: users whose every interaction lies in the
// newer part are judged as the appliance answers them.
func TestColdUsersCountByPopularity(t *testing.T) {
	records := tastes(60, 2000)
	now := records[len(records)-1].Event.Time
	without := refusedOrNot(t, records)
	for n := range 40 {
		now += minute
		records = append(records, visit(fmt.Sprintf("cold%d", n), "i0", "view", now))
	}
	with := refusedOrNot(t, records)
	if with.EvaluatedUsers < without.EvaluatedUsers/2+40 {
		t.Errorf("%d users judged with 40 cold ones, %d without", with.EvaluatedUsers, without.EvaluatedUsers)
	}
	if als := metric(t, with, "als", "hit_rate@10"); als.Value <= 0.5 {
		t.Errorf("hit rate %v: cold users get the best seller i0", als)
	}
}

func refusedOrNot(t *testing.T, records []event.Record) *Result {
	t.Helper()
	j := job(t, archiveOf(t, 1000, records...))
	j.Out = ""
	result, err := Run(t.Context(), j, noProgress)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestRefitBringsTheNewestIn: items and users that are only in the newer part
// are in the published model, with factors: those that meet older ones, and
// those that only meet each other.
func TestRefitBringsTheNewestIn(t *testing.T) {
	records := tastes(90, 3000)
	now := records[len(records)-1].Event.Time
	for n := range 40 {
		now += minute
		records = append(records,
			visit(fmt.Sprintf("u%d", 3*(n%20)), "new-for-group-0", "purchase", now),
			visit(fmt.Sprintf("pioneer%d", n%8), fmt.Sprintf("island%d", n%5), "purchase", now))
	}
	_, bundle := train(t, job(t, archiveOf(t, 5000, records...)))
	if slices.Contains(bundle.ItemIDs[:bundle.Evaluated.NumItems], "") || bundle.Evaluated.NumItems > bundle.Model.NumItems {
		t.Errorf("evaluated rows: %d of %d", bundle.Evaluated.NumItems, bundle.Model.NumItems)
	}
	score := func(user, item string) float32 {
		u, i := slices.Index(bundle.UserIDs, user), slices.Index(bundle.ItemIDs, item)
		if u < 0 || i < 0 {
			t.Fatalf("%s has row %d, %s has row %d", user, u, item, i)
		}
		var s float32
		for k := range bundle.Model.Rank {
			s += bundle.Model.Users[u*bundle.Model.Rank+k] * bundle.Model.Items[i*bundle.Model.Rank+k]
		}
		return s
	}
	if own, other := score("u0", "new-for-group-0"), score("u1", "new-for-group-0"); own < 0.05 || own < 2*other {
		t.Errorf("the new item scores %v for its group, %v for another", own, other)
	}
	if own, other := score("pioneer1", "island1"), score("u0", "island1"); own < 0.05 || own < 2*other {
		t.Errorf("an item of new users alone scores %v for them, %v for others", own, other)
	}
}

// TestOnlyWhatEntersHasRows: an item that was only shown must not get a row
// without factors.
func TestOnlyWhatEntersHasRows(t *testing.T) {
	records := tastes(60, 4000)
	for n := range int64(30) {
		records = append(records, visit(fmt.Sprintf("passer-by%d", n), fmt.Sprintf("shown%d", n), "impression", begin+n*minute))
	}
	result, bundle := train(t, job(t, archiveOf(t, 5000, records...)))
	if len(bundle.ItemIDs) != 45 || len(bundle.UserIDs) != 60 || result.Items != 45 || result.Users != 60 {
		t.Errorf("rows of %d items and %d users, result %d and %d", len(bundle.ItemIDs), len(bundle.UserIDs), result.Items, result.Users)
	}
	for _, id := range slices.Concat(bundle.ItemIDs, bundle.UserIDs) {
		if strings.HasPrefix(id, "shown") || strings.HasPrefix(id, "passer") {
			t.Errorf("a row of %s", id)
		}
	}
}

// TestStoredRowsEqualFoldIn: every user's row is what the served fold-in
// computes from the archive's history, the cap and removes included.
func TestStoredRowsEqualFoldIn(t *testing.T) {
	records := tastes(40, 4000) // 100 events a user on 15 items
	j := job(t, "")
	j.Signal = signal.Config{MaxItems: 6, MaxEvents: 40}
	for n := range records {
		switch n % 17 {
		case 0:
			records[n].Event.Type = "remove"
		case 1:
			records[n].Event.Value, records[n].Event.HasValue = float64(n%9), true
		case 2: // equal times
			records[n].Event.Time = records[max(n-1, 0)].Event.Time
		}
	}
	j.ArchiveDir = archiveOf(t, 700, records...)
	_, bundle := train(t, j)

	sig, err := signal.New(j.Signal)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]uint32{}
	for row, id := range bundle.ItemIDs {
		rows[id] = uint32(row)
	}
	histories := map[string][]signal.Interaction{}
	slices.SortStableFunc(records, func(a, b event.Record) int { return int(a.Event.Time - b.Event.Time) })
	for i := range records {
		e := &records[i].Event
		in, ok := sig.Interaction(e, rows[e.ItemID])
		if !ok {
			t.Fatalf("event %+v does not enter", e)
		}
		histories[e.UserID] = append(histories[e.UserID], in)
	}
	folder := model.NewFolder(bundle.Model)
	vector := make([]float32, bundle.Model.Rank)
	for row, id := range bundle.UserIDs {
		var items []uint32
		var weights []float32
		for _, w := range sig.Weigh(sig.Trim(histories[id]), bundle.Reference, nil) {
			items, weights = append(items, w.Item), append(weights, w.Weight)
		}
		if err := folder.FoldIn(vector, items, weights, new(model.Scratch)); err != nil {
			t.Fatal(err)
		}
		stored := bundle.Model.Users[row*bundle.Model.Rank : (row+1)*bundle.Model.Rank]
		for k := range vector {
			if d := math.Abs(float64(vector[k] - stored[k])); !(d <= 1e-3) {
				t.Fatalf("user %s factor %d: %v stored, %v folded in", id, k, stored[k], vector[k])
			}
		}
	}
}

// TestOneClickYearsLater: an old log with a few clicks of today still trains on
// the log, and the clicks count.
func TestOneClickYearsLater(t *testing.T) {
	records := tastes(60, 3000)
	late := begin + 15*365*24*60*minute
	records = append(records, visit("u1", "i3", "cart", late))
	result, bundle := train(t, job(t, archiveOf(t, 1000, records...)))
	if !result.Gate.Passed || result.EvaluatedUsers < 5 || bundle.Reference >= late {
		t.Errorf("gate %+v over %d users, ages count from %d", result.Gate, result.EvaluatedUsers, bundle.Reference)
	}
	weighing := 0
	for _, w := range bundle.ItemWeight {
		if w > 0.1 {
			weighing++
		}
	}
	if weighing < len(bundle.ItemWeight)/2 {
		t.Errorf("%d of %d items weigh anything", weighing, len(bundle.ItemWeight))
	}
}

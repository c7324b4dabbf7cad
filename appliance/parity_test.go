package appliance

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"vitrine/als/model"
	"vitrine/appliance/config"
	"vitrine/appliance/frame"
	"vitrine/appliance/registry"
	"vitrine/bridge/archive"
)

// archivedEvents counts the event rows of a data folder, duplicates included.
func archivedEvents(t testing.TB, dir string) int64 {
	t.Helper()
	a, err := archive.OpenReadOnly(context.Background(), archive.Options{Dir: filepath.Join(dir, "archive")})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := a.Summary(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return sum.Events
}

// hardHistories are events as no test shop has them: many users beyond the
// cap, equal times, late ones, removes with and without an amount, ratings,
// types that do not count, amounts of 0 and beyond float32. They come in the
// order of arrival, which is not that of time.
func hardHistories(users, each int, from time.Time) []string {
	random := rand.New(rand.NewPCG(3, 9))
	kinds := []string{"view", "view", "view", "click", "favorite", "cart", "purchase", "purchase", "rating", "remove", "impression"}
	type sent struct {
		arrival int64
		text    string
	}
	var all []sent
	for u := range users {
		items := 4 + random.IntN(25)
		now := from.UnixMilli() + int64(random.IntN(1000))
		for range 1 + random.IntN(2*each) {
			if random.IntN(4) > 0 { // else the same millisecond again
				now += int64(random.IntN(7_200_000))
			}
			kind, extra := kinds[random.IntN(len(kinds))], ""
			switch random.IntN(4) {
			case 0:
				extra = fmt.Sprintf(`,"value":%d`, random.IntN(6))
			case 1:
				extra = fmt.Sprintf(`,"value":%.2f,"event_id":"h%d"`, 5*random.Float64(), len(all))
			case 2:
				if random.IntN(20) == 0 {
					extra = `,"value":1e300`
				}
			}
			late := int64(0)
			if random.IntN(5) == 0 {
				late = int64(random.IntN(100_000_000))
			}
			item := u%3*12 + random.IntN(items)
			all = append(all, sent{now + late, eventJSON(fmt.Sprintf("u%d", u), fmt.Sprintf("i%d", item), kind, now, extra)})
		}
	}
	slices.SortStableFunc(all, func(a, b sent) int { return int(a.arrival - b.arrival) })
	out := make([]string, len(all))
	for n := range all {
		out[n] = all[n].text
	}
	return out
}

// foldedIn compares the row that training has stored for every user with what
// the request path computes from his profile, and returns how many it was.
func (r *rig) foldedIn(version string, except func(user string) bool) int {
	r.t.Helper()
	within := 1e-5
	if r.app.config.Train.Effective().Loss == config.LossExplicit {
		within = 1e-3 // ratings reach 100, and so do sums of them
	}
	bundle, err := registry.Load(filepath.Join(r.dir, "models", version+".bundle"))
	if err != nil {
		r.t.Fatal(err)
	}
	rows := map[string]uint32{}
	for row, id := range bundle.ItemIDs {
		rows[id] = uint32(row)
	}
	p := r.app.parts
	folder := model.NewFolder(bundle.Model)
	vector := make([]float32, bundle.Model.Rank)
	worst, compared, biggest := 0.0, 0, 0.0
	for row, id := range bundle.UserIDs {
		if except(id) {
			continue
		}
		code, ok := p.catalog.UserCode(id)
		if !ok {
			r.t.Fatalf("user %s has no code", id)
		}
		var taste frame.Frame
		p.profile.Weights(code, nil, bundle.Reference, &taste)
		var items []uint32
		for _, item := range taste.Items {
			at, ok := rows[p.catalog.ItemID(item)]
			if !ok {
				r.t.Fatalf("item %s of user %s is not in the model", p.catalog.ItemID(item), id)
			}
			items = append(items, at)
		}
		if err := folder.FoldIn(vector, items, taste.Scores, new(model.Scratch)); err != nil {
			r.t.Fatal(err)
		}
		stored := bundle.Model.Users[row*bundle.Model.Rank : (row+1)*bundle.Model.Rank]
		for k := range vector {
			d := math.Abs(float64(vector[k] - stored[k]))
			if biggest = max(biggest, math.Abs(float64(stored[k]))); !(d <= within) {
				r.t.Fatalf("user %s factor %d: stored %v, served %v", id, k, stored[k], vector[k])
			}
			worst = max(worst, d)
		}
		compared++
	}
	r.t.Logf("%d users: stored and served differ by at most %.1e, of factors up to %.2f", compared, worst, biggest)
	return compared
}

// TestServedFoldInEqualsTheStoredRow: training and request read one capped
// history through one weighting code, whichever way the history came about:
// live, from the archive, or from the bus, and with late events.
func TestServedFoldInEqualsTheStoredRow(t *testing.T) {
	for name, settings := range map[string]config.Train{
		"implicit":             {Preset: config.PresetDefault},
		"explicit":             {Preset: config.PresetDefault, Loss: config.LossExplicit},
		"explicit with biases": {Preset: config.PresetDefault, Loss: config.LossExplicit, Biases: true},
		"article":              {Preset: config.PresetArticle},
	} {
		t.Run(name, func(t *testing.T) { servedFoldInEqualsTheStoredRow(t, settings) })
	}
}

func servedFoldInEqualsTheStoredRow(t *testing.T, settings config.Train) {
	dir := shortDir(t)
	small := func(c *config.Config) {
		c.Train.Preset, c.Train.Loss, c.Train.Biases = settings.Preset, settings.Loss, settings.Biases
		c.Train.History = 8
		c.Archive.CommitEvery = 100 * time.Millisecond
	}
	events := hardHistories(150, 60, time.Now().Add(-40*24*time.Hour))
	all := func(string) bool { return false }

	r := run(t, dir, small)
	r.post(events[:len(events)/3]...)
	r.until("events are in the archive", func() bool { return r.app.parts.archive.Position() > 0 })
	r.post(events[len(events)/3 : len(events)/2]...)
	r.close()

	// Half of the profile comes from the archive now.
	r = run(t, dir, func(c *config.Config) { small(c); c.Archive.CommitEvery = time.Hour })
	for n := len(events) / 2; n < len(events); n += 500 {
		r.post(events[n:min(n+500, len(events))]...)
	}
	version := r.trained()
	if n := r.foldedIn(version, all); n < 140 {
		t.Errorf("only %d users compared", n)
	}
	// Those with news differ, the others do not.
	r.post(eventJSON("u0", "i1", "purchase", 0, ""), eventJSON("u1", "i1", "remove", 0, ""))
	r.foldedIn(version, func(user string) bool { return user == "u0" || user == "u1" })
	r.close()

	// And all of it comes from the archive.
	r = run(t, dir, small)
	r.foldedIn(version, func(user string) bool { return user == "u0" || user == "u1" })
	r.close()

	// Histories at random teach nothing that a gate could rely on: the second
	// model has no live one to be held against.
	if err := os.RemoveAll(filepath.Join(dir, "models")); err != nil {
		t.Fatal(err)
	}
	r = run(t, dir, small)
	r.foldedIn(r.trained(), all)
	r.close()
}

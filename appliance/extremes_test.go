package appliance

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/config"
	"vitrine/appliance/signal"
)

// TestExtremes: the longest ids, the oldest and the farthest times, and a user
// with more events than any history keeps go the whole way.
func TestExtremes(t *testing.T) {
	dir := shortDir(t)
	r := run(t, dir, nil)
	r.post(shopEvents(60, 3000, "")...)
	now := time.Now()
	longItem, longUser := strings.Repeat("\u00e9", 128), strings.Repeat("u", 256)
	r.post(
		eventJSON(longUser, longItem, "purchase", now.UnixMilli(), ""),
		eventJSON(longUser, "i3", "purchase", now.UnixMilli(), ""),
		eventJSON("u3", longItem, "purchase", now.UnixMilli(), ""),
		eventJSON("u3", "i0", "view", 1, `,"event_id":"the first millisecond"`),
		eventJSON("u3", "i0", "view", 253402300799999, `,"event_id":"the last millisecond"`),
		eventJSON("u3", "i0", "rating", now.UnixMilli(), `,"value":1.7e308`),
	)
	var out taken
	r.call("POST", "/v1/events", strings.Join([]string{
		eventJSON("u", longItem+"x", "view", 1, ""),
		eventJSON("u", "i", "view", -1, ""),
		eventJSON("u", "i", "view", 253402300800000, ""),
		`{"user_id":"u","item_id":"i\u0001","event_type":"view"}`,
	}, "\n"), &out)
	for _, code := range []string{"invalid_id", "invalid_ts"} {
		if strings.Count(string(out.Rejected), code) != 2 {
			t.Errorf("rejected %s", out.Rejected)
		}
	}
	r.post(crowdOfOne(now, 30_000)...)
	began := time.Now()
	if l := r.recommend("user_id=bot&exclude_seen=true"); l.Reason != "no_model" {
		t.Errorf("bot: %+v", l)
	}
	r.trained()
	if l := r.recommend("user_id=bot&exclude_seen=true"); l.Source != "live" {
		t.Errorf("bot: %+v", l)
	}
	t.Logf("two answers for 30,000 events and a training: %v", time.Since(began))
	code, _ := r.app.parts.catalog.UserCode("bot")
	if h, seen := r.app.parts.profile.History(code, nil); len(h) > signal.DefaultMaxEvents || seen != 30_000 {
		t.Errorf("%d of %d events are kept of the bot", len(h), seen)
	}
	found := false
	for _, it := range r.recommend("user_id=" + url.QueryEscape(longUser) + "&limit=50").Items {
		found = found || it.ItemID == longItem && it.Score != 0
	}
	if !found {
		t.Error("the item with the longest id has no score for the one who bought it")
	}
	r.close()
	days, err := os.ReadDir(filepath.Join(dir, "archive", "events"))
	if err != nil {
		t.Fatal(err)
	}
	first, last := days[0].Name(), days[len(days)-1].Name()
	if soon := now.Add(time.Hour).UTC().Format(time.DateOnly); first != "dt=1970-01-01" || last > "dt="+soon {
		t.Errorf("dates from %s to %s", first, last)
	}
	r = run(t, dir, nil)
	if l := r.recommend("user_id=" + longUser); l.Source != "live" {
		t.Errorf("after a restart: %+v", l)
	}
	r.close()
}

// crowdOfOne is a bot that looks at everything, several times a second.
func crowdOfOne(end time.Time, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = eventJSON("bot", fmt.Sprintf("i%d", i%45), "view", end.UnixMilli()-int64(n-i)*100, "")
	}
	return out
}

// TestDemoFillGoesOnWhereItWasCut: an interrupted fill is resumed by the next
// start, and in the end every event is there once.
func TestDemoFillGoesOnWhereItWasCut(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo shop takes some seconds")
	}
	dir := shortDir(t)
	first := newRig(t, dir, func(c *config.Config) { c.Train.Rank = 8 })
	first.app.opt.Demo = true
	cut := make(chan struct{})
	first.app.opt.Progress = func(stage string, done, total int64) {
		if stage == "fill" && done > total/3 {
			select {
			case <-cut:
			default:
				close(cut)
			}
		}
	}
	ready := make(chan struct{})
	first.app.opt.Announce = func(Ready) { close(ready) }
	go func() {
		<-cut
		first.stop()
	}()
	first.begin()
	if err := <-first.done; err != nil {
		t.Fatalf("cut short: %v\n%s", err, first.log)
	}
	select {
	case <-ready:
		t.Error("an interrupted fill counts as ready")
	default:
	}
	partly := archivedEvents(t, dir)
	if partly < 50_000 || partly >= 300_000 {
		t.Fatalf("%d events after the cut", partly)
	}

	second := newRig(t, dir, func(c *config.Config) { c.Train.Rank = 8 })
	second.app.opt.Demo = true
	second.start()
	if l := second.recommend("user_id=u1"); l.Source != "live" {
		t.Errorf("after the second start: %+v", l)
	}
	second.close()
	if n := archivedEvents(t, dir); n != 300_000 {
		t.Errorf("%d events in the archive, not 300000", n)
	}

	third := newRig(t, dir, nil)
	third.app.opt.Demo = true
	stages := []string{}
	third.app.opt.Progress = func(stage string, _, _ int64) { stages = append(stages, stage) }
	third.start()
	third.close()
	if slices.Contains(stages, "fill") {
		t.Error("a full shop was filled again")
	}
}

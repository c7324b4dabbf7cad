package recommend

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/recommend/pace"
)

// drowsy is a shop that sleeps once, in the given stage.
type drowsy struct {
	*shop
	stage pace.Stage
	sleep time.Duration
}

func (d *drowsy) at(stage pace.Stage) {
	if stage == d.stage {
		time.Sleep(d.sleep)
		d.sleep = 0
	}
}

func (d *drowsy) Weights(user uint32, session []uint32, reference int64, dst *frame.Frame) {
	d.at(pace.Visitor)
	d.shop.Weights(user, session, reference, dst)
}

func (d *drowsy) Expired(code uint32, now int64) bool {
	d.at(pace.Candidates)
	return d.shop.Expired(code, now)
}

func (d *drowsy) Filter(text string) (frame.Filter, error) {
	f, err := d.shop.Filter(text)
	return sleeper{f, d}, err
}

// sleeper is a filter that sleeps no longer than it may.
type sleeper struct {
	frame.Filter
	d *drowsy
}

func (s sleeper) Ready(by time.Time) bool {
	rest := time.Until(by)
	if s.d.stage != pace.Filter || s.d.sleep <= rest {
		s.d.at(pace.Filter)
		return true
	}
	time.Sleep(rest)
	s.d.sleep -= rest
	return false
}

// Depth and Rank make it a plugin that takes its time, but no more than there is.
func (d *drowsy) Depth() int { return 20 }

func (d *drowsy) Rank(ctx context.Context, _ *frame.Frame, tr *frame.Trace) {
	status := "ok"
	deadline, _ := ctx.Deadline()
	if rest := time.Until(deadline); rest <= 0 {
		status = "skipped"
	} else if d.stage == pace.Plugins {
		time.Sleep(min(rest, d.sleep))
		d.sleep = 0
	}
	tr.Calls = append(tr.Calls, frame.Call{Name: "slow", Stage: "scorer", Status: status})
}

// within is a context that leaves so much time, as the ladder gives one.
func within(t *testing.T, d time.Duration) context.Context {
	return &pace.Until{Context: t.Context(), At: time.Now().Add(d)}
}

// TestStagesKeepTheirTime: a stage that takes more than its share leaves out what
// can be left out, or ends the request while there is time to answer it in another
// way; the 100 ms are kept.
func TestStagesKeepTheirTime(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name    string
		stage   pace.Stage
		takes   time.Duration
		plugins bool
		late    string // the stage that ended it
		status  string // of the plugin
		took    time.Duration
	}{
		{"none", pace.Page, 0, true, "", "ok", 0},
		{"a filter in time", pace.Filter, 39 * ms, true, "", "ok", 39 * ms},
		{"a filter", pace.Filter, time.Second, true, "filter", "", 40 * ms},
		{"a history in time", pace.Visitor, 74 * ms, true, "", "ok", 74 * ms},
		{"a history", pace.Visitor, 76 * ms, true, "visitor", "", 76 * ms},
		{"candidates in time", pace.Candidates, 79 * ms, true, "", "ok", 79 * ms},
		{"candidates into the time of plugins", pace.Candidates, 94 * ms, true, "", "ok", 94 * ms},
		{"candidates through the time of plugins", pace.Candidates, 96 * ms, true, "", "skipped", 96 * ms},
		{"candidates", pace.Candidates, 101 * ms, true, "candidates", "", 101 * ms},
		{"candidates without plugins", pace.Candidates, 99 * ms, false, "", "", 99 * ms},
		{"candidates without plugins, later", pace.Candidates, 101 * ms, false, "candidates", "", 101 * ms},
		{"plugins", pace.Plugins, time.Second, true, "", "ok", 95 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &drowsy{stage: c.stage, sleep: c.takes, shop: &shop{items: 1000, history: map[uint32]frame.Frame{1: taste(50, 150)}}}
				e := New(Deps{History: s, Popularity: s, Codes: s, Shelf: s, Filters: s})
				if c.plugins {
					e.deps.Plugins = s
				}
				e.Swap(newTestView(t, newModel(900, 8), 0))
				begun := time.Now()
				var resp Response
				err := e.Recommend(within(t, 100*ms), &Request{UserID: "u1", Limit: 10, Filter: "0/2"}, &resp)
				if took := time.Since(begun); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				var late *pace.Late
				stage := ""
				if errors.As(err, &late) && errors.Is(err, context.DeadlineExceeded) {
					stage = late.Stage.String()
				}
				if stage != c.late || err == nil && len(resp.Items) != 10 {
					t.Errorf("%v, %d items, want late %q", err, len(resp.Items), c.late)
				}
				if err == nil && c.plugins && resp.Plugins.Calls[0].Status != c.status {
					t.Errorf("plugin %s, want %s", resp.Plugins.Calls[0].Status, c.status)
				}
			})
		})
	}
}

// TestLateCandidatesEndTheRounds: where the candidates were late, plugins are shown
// no further ones.
func TestLateCandidatesEndTheRounds(t *testing.T) {
	for _, c := range []struct {
		takes  time.Duration
		rounds int
	}{{60 * time.Millisecond, 4}, {85 * time.Millisecond, 1}} {
		synctest.Test(t, func(t *testing.T) {
			d := &drowsy{stage: pace.Candidates, sleep: c.takes, shop: &shop{items: 1000, history: map[uint32]frame.Frame{1: taste(50, 150)}}}
			few := &stages{depth: 20, rank: func(f *frame.Frame, tr *frame.Trace) {
				for i, item := range f.Items {
					f.Mask[i] = item%50 == 7
				}
				tr.Calls = append(tr.Calls, frame.Call{Name: "few", Stage: "filter", Status: "ok"})
			}}
			e := New(Deps{History: d, Popularity: d, Codes: d, Shelf: d, Plugins: few})
			e.Swap(newTestView(t, newModel(1000, 8), 0))
			var resp Response
			if err := e.Recommend(within(t, 100*time.Millisecond), &Request{UserID: "u1", Limit: 15}, &resp); err != nil {
				t.Fatal(err)
			}
			if len(few.sizes) != c.rounds {
				t.Errorf("candidates took %v: %d rounds of plugins, want %d", c.takes, len(few.sizes), c.rounds)
			}
		})
	}
}

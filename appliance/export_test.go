package appliance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/recommend"
)

// exported asks for a table and returns its rows.
func (r *rig) exported(path string) []string {
	r.t.Helper()
	resp, err := r.client.Get("http://vitrine/v1/export/" + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Vitrine-Rows") == "" {
		r.t.Fatalf("export %s: %s, header %v", path, resp.Status, resp.Header)
	}
	var rows []string
	for in := bufio.NewScanner(resp.Body); in.Scan(); {
		rows = append(rows, in.Text())
	}
	last := rows[len(rows)-1]
	if rows = rows[:len(rows)-1]; last != fmt.Sprintf(`{"rows":%d,"failed":0}`, len(rows)) {
		r.t.Fatalf("export %s: %d rows, and in the end %s", path, len(rows), last)
	}
	return rows
}

// TestExportAnswersAsLive: the lists of an export are those that /v1/recommend
// gives, to the last bit, with rules and items that may not be shown, for the
// blend and for the factors alone; and the events are those that were sent.
func TestExportAnswersAsLive(t *testing.T) {
	dir := shortDir(t)
	r := run(t, dir, nil)
	r.post(hardHistories(70, 20, time.Now().Add(-20*24*time.Hour))...)
	if code := r.call("GET", "/v1/export/model", "", nil); code != http.StatusConflict {
		t.Errorf("export of no model: %d", code)
	}
	r.trained()
	for n, rule := range []string{`{"rules":[{"action":"bury","filter":"stock == 0"},{"action":"pin","item_id":"i3","slot":2,"scene":"home"}]}`, `{"rules":[]}`} {
		put(r, "/v1/items/i1", `{"attributes":{"stock":0}}`)
		put(r, "/v1/items/i2", `{"attributes":{},"expires_at":"2020-01-01T00:00:00Z"}`)
		put(r, "/v1/rules", rule)
		rows := r.exported("recommendations?limit=7")
		if len(rows) < 60 {
			t.Fatalf("%d lists", len(rows))
		}
		for _, text := range rows {
			var got struct {
				UserID          string `json:"user_id"`
				Recommendations []struct {
					ItemID string  `json:"item_id"`
					Score  float64 `json:"score"`
				}
				Source, Reason, Model string
			}
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(text, err)
			}
			r.until(fmt.Sprintf("rules %d, live as exported: %+v", n, got), func() bool { // a busy machine may answer with less at times
				want := r.recommend("limit=7&user_id=" + url.QueryEscape(got.UserID))
				return want.Source == got.Source && want.Reason == got.Reason && want.Model.Version == got.Model && fmt.Sprint(want.Items) == fmt.Sprint(got.Recommendations)
			})
		}
	}
	if events, users := r.exported("events"), r.exported("users"); len(events) != int(archivedEvents(t, dir)) || len(users) < 60 {
		t.Errorf("%d events, %d users", len(events), len(users))
	}
	if items := r.exported("items"); !strings.HasPrefix(items[slices.IndexFunc(items, func(row string) bool { return strings.Contains(row, `"i1"`) })], `{"item_id":"i1","attributes":{"stock":0},"ts":`) {
		t.Errorf("%s", items)
	}
	if model := r.exported("model"); len(model) < 60 {
		t.Errorf("%d rows of factors", len(model))
	}
	r.close()
}

// put replaces something.
func put(r *rig, path, body string) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://vitrine"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		r.t.Fatalf("PUT %s: %s", path, resp.Status)
	}
}

// TestPatiently: who has time waits for room and gets whole lists or is told
// why not, never less than was asked for.
func TestPatiently(t *testing.T) { synctest.Test(t, patiently) }

func patiently(t *testing.T) {
	const n = recommend.BatchSize
	calls, broken := 0, errors.New("broken")
	m := &moody{live: func(context.Context) error {
		if calls++; calls == 3 {
			return broken
		}
		return nil
	}}
	l, _ := ladderOver(m, admit.Options{Slots: 1, Wait: time.Millisecond})
	lists, errs := make([]httpapi.List, n), make([]error, n)
	verdict := l.gate.Enter(t.Context())
	for ; verdict != admit.Work; verdict = l.gate.Enter(t.Context()) { // until it has the only slot
		l.gate.Leave(verdict)
	}
	waits := make(chan error)
	go func() { waits <- l.Patiently(t.Context(), queriesOf(n), lists, errs) }()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Patiently(gone, queriesOf(1), make([]httpapi.List, 1), make([]error, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	time.Sleep(5 * askAgain)
	synctest.Wait()
	select {
	case err := <-waits:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	l.gate.Leave(verdict)
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	for i, list := range lists {
		if i == 2 {
			if !errors.Is(errs[i], broken) {
				t.Errorf("%v", errs[i])
			}
		} else if errs[i] != nil || list.Source != httpapi.SourceLive || list.Picks[0].ItemID != fmt.Sprintf("u%d-0", i) {
			t.Errorf("list %d: %+v, %v", i, list, errs[i])
		}
	}
	// A plugin that had no time is asked again, but not for ever.
	asked := map[string]int{}
	m.plugins = func(user string) []httpapi.PluginCall {
		if asked[user]++; user == "u1" && asked[user] < 3 || user == "u9" {
			return []httpapi.PluginCall{{Status: "skipped"}}
		}
		return nil
	}
	if err := l.Patiently(t.Context(), queriesOf(n), lists, errs); err != nil || asked["u1"] != 3 || asked["u9"] != 1+askedAgain-2 || asked["u10"] != 1 || len(lists[1].Plugins) != 0 {
		t.Errorf("%v, asked %v", err, asked)
	}
	// A batch that panics is made one by one, and what was made is not kept for
	// others.
	m.batch = func([]httpapi.Query) { panic("oh no") }
	if err := l.Patiently(t.Context(), queriesOf(n), lists, errs); err != nil || errs[2] != nil || lists[2].Source != httpapi.SourceLive {
		t.Errorf("%v, %v, %+v", err, errs[2], lists[2])
	}
	if l.gate.InFlight() != 0 || len(l.turns) != 0 {
		t.Error("it has not left")
	}
}

// TestRestOfABatch: who makes lists beside others rests for as long as that took,
// but not for a time in which the machine stood still.
func TestRestOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := time.Duration(0)
		m := &moody{batch: func([]httpapi.Query) { time.Sleep(takes) }}
		l, _ := ladderOver(m, admit.Options{Slots: 8})
		for _, c := range []struct {
			beside      bool
			takes, rest time.Duration
		}{{false, time.Minute, 0}, {true, 300 * time.Millisecond, 300 * time.Millisecond}, {true, time.Hour, maxRest}} {
			if c.beside {
				defer l.gate.Leave(l.gate.Enter(t.Context()))
			}
			takes = c.takes
			rest, err := l.patiently(t.Context(), queriesOf(4), make([]httpapi.List, 4), make([]error, 4))
			if err != nil || rest != c.rest {
				t.Errorf("%+v: it rests for %v, %v", c, rest, err)
			}
		}
	})
}

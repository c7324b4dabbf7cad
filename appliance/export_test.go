package appliance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
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

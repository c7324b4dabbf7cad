package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vitrine/appliance/httpapi/publicapi"
)

// FuzzIngest: whatever the body, the answer is a 202 whose counts add up to
// what was kept, or a 4xx that kept nothing.
func FuzzIngest(f *testing.F) {
	for _, body := range []string{goodEvent, "[" + goodEvent + ",{}]", goodEvent + "\n{\n" + goodEvent, `[{"user_id":1,"item_id":2,"event_type":"view","ts":"x"}`, "\xef\xbb\xbf[]", "", "[", "\x00"} {
		f.Add(body, true)
		f.Add(body, false)
	}
	f.Fuzz(func(t *testing.T, body string, lines bool) {
		s := newShop()
		srv, log := serverOf(t, s, Config{})
		media := mediaJSON
		if lines {
			media = mediaNDJSON
		}
		r := httptest.NewRequest(http.MethodPost, "/v1/events", strings.NewReader(body))
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		srv.API().ServeHTTP(w, r)
		switch {
		case w.Code == http.StatusAccepted:
			var res publicapi.IngestResult
			if err := json.Unmarshal(w.Body.Bytes(), &res); err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if res.Accepted != len(s.records) || len(res.Rejected) != len(s.letters) {
				t.Errorf("%+v with %d records and %d letters", res, len(s.records), len(s.letters))
			}
		case w.Code >= 400 && w.Code < 500:
			if len(s.records) != 0 {
				t.Errorf("%d kept %d records", w.Code, len(s.records))
			}
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if log.String() != "" {
			t.Errorf("logged: %s", log)
		}
	})
}

// FuzzRecommend: whatever the query or body, the answer is valid JSON and no
// 5xx.
func FuzzRecommend(f *testing.F) {
	for _, s := range []string{"user_id=u", "user_id=%ff&limit=5", "session=a&session=b&fields=title,x", `{"user_id":"u","fields":["title"]}`, `{"limit":1e9}`, "personalized=false&limit=0x5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		srv, log := serverOf(t, newShop(), Config{})
		get := httptest.NewRequest(http.MethodGet, "/v1/recommend", nil)
		get.URL.RawQuery = in
		post := httptest.NewRequest(http.MethodPost, "/v1/recommend", strings.NewReader(in))
		for _, r := range []*http.Request{get, post} {
			w := httptest.NewRecorder()
			srv.API().ServeHTTP(w, r)
			if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if log.String() != "" {
			t.Errorf("logged: %s", log)
		}
	})
}

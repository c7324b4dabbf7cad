package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"vitrine/appliance/httpapi/entities"
	"vitrine/bridge/event"
)

// TestConditions: a tag names one representation, and a write under a
// condition that does not hold leaves everything as it is.
func TestConditions(t *testing.T) {
	for _, path := range []string{"/v1/items/x", "/v1/users/x"} {
		s := newShop()
		srv, _ := serverOf(t, s, Config{})
		h := srv.API()
		do := func(method, body, header string) (int, string) {
			w := call{do: method + " " + path, headers: header, body: body}.to(h)
			if w.Code == 412 {
				if p := problemOf(t, w); p.Code != "precondition_failed" {
					t.Errorf("%s %s: %+v", method, path, p)
				}
			}
			return w.Code, w.Header().Get("ETag")
		}
		want := func(code int, tag string, wantCode int, wantTag string) {
			t.Helper()
			if code != wantCode || wantTag != "any" && tag != wantTag {
				t.Errorf("%s: %d with tag %s, want %d with %s", path, code, tag, wantCode, wantTag)
			}
		}
		const one, two = `{"attributes":{"a":1}}`, `{"attributes":{"a":2}}`
		code, _ := do("PUT", one, "If-Match: *")
		want(code, "", 412, "any")
		code, first := do("PUT", one, "If-None-Match: *")
		want(code, first, 200, "any")
		code, tag := do("GET", "", "")
		want(code, tag, 200, first)
		code, tag = do("GET", "", `If-None-Match: "old", `+first)
		want(code, tag, 304, first)
		code, _ = do("PUT", one, "If-None-Match: *")
		want(code, "", 412, "any")
		code, second := do("PUT", two, "If-Match: "+first)
		if want(code, second, 200, "any"); second == first || second == "" {
			t.Errorf("%s: another representation has the tag %s", path, second)
		}
		code, _ = do("PATCH", one, "If-Match: "+first)
		want(code, "", 412, "any")
		code, tag = do("PATCH", one, "If-Match: "+second)
		want(code, tag, 200, first)
		code, _ = do("DELETE", "", "If-Match: "+second)
		want(code, "", 412, "any")
		if len(s.records) != 3 {
			t.Errorf("%d records, want 3", len(s.records))
		}
		if code, _ = do("DELETE", "", "If-Match: *"); code/100 != 2 {
			t.Errorf("DELETE %s: %d", path, code)
		}
		code, _ = do("GET", "", "")
		want(code, "", 404, "any")
	}
}

// TestTwoConditionalWrites: of many that saw the same tag one wins.
func TestTwoConditionalWrites(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	tag := call{do: "GET /v1/items/i1"}.to(srv.API()).Header().Get("ETag")
	var wg sync.WaitGroup
	codes := make([]int, 16)
	for i := range codes {
		wg.Go(func() {
			codes[i] = call{do: "PATCH /v1/items/i1", headers: "If-Match: " + tag, body: fmt.Sprintf(`{"attributes":{"n":%d}}`, i)}.to(srv.API()).Code
		})
	}
	wg.Wait()
	won := 0
	for _, code := range codes {
		if code == 200 {
			won++
		} else if code != 412 {
			t.Errorf("status %d", code)
		}
	}
	if won != 1 {
		t.Errorf("%d writes won", won)
	}
}

func TestErasure(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	if w := (call{do: "GET /v1/users/u%2F1/erasure"}).to(srv.API()); w.Code != 404 || problemOf(t, w).Code != "unknown_erasure" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := call{do: "DELETE /v1/users/u%2F1"}.to(srv.API())
	where := w.Header().Get("Location")
	if w.Code != 202 || where != "/v1/users/u%2F1/erasure" || len(s.records) != 1 || s.records[0].Kind != event.KindUserErase || s.records[0].User.ID != "u/1" {
		t.Fatalf("%d, at %q, %+v", w.Code, where, s.records)
	}
	status := call{do: "GET " + where}.to(srv.API())
	if status.Code != 200 || status.Body.String() != `{"user_id":"u/1","erased_at":"2026-09-21T14:13:20Z","serving":"done","archive":"pending"}`+"\n" || w.Body.String() != status.Body.String() {
		t.Errorf("%d %s", status.Code, status.Body)
	}
	s.submit = func([]event.Record) (Result, error) { return Result{}, fmt.Errorf("full: %w", ErrBusy) }
	for _, do := range []string{"DELETE /v1/users/u1", "DELETE /v1/items/i1"} {
		if w := (call{do: do}).to(srv.API()); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s on a full log: %d", do, w.Code)
		}
	}
}

// TestHistoryPages: every event once and in order, however many have the same
// time, also when new ones come in front between the pages.
func TestHistoryPages(t *testing.T) {
	s := newShop()
	for n := range 57 {
		s.past = append(s.past, entities.Past{ItemID: fmt.Sprint("i", n), Type: "view", Time: 1790000000000 - int64(n/10), Value: 1.5, HasValue: n%2 == 0})
	}
	srv, _ := serverOf(t, s, Config{})
	var got []string
	cursor := ""
	for range 100 {
		w := call{do: "GET /v1/users/u1/history?limit=4&cursor=" + cursor}.to(srv.API())
		var page struct {
			Events []struct {
				Item  string   `json:"item_id"`
				Value *float64 `json:"value"`
				TS    string   `json:"ts"`
			} `json:"events"`
			Next string `json:"next_cursor"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, e := range page.Events {
			got = append(got, e.Item)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
		s.past = append([]entities.Past{{ItemID: "new", Type: "view", Time: 1790000000001}}, s.past...)
	}
	if len(got) != 57 || got[0] != "i0" || got[56] != "i56" || strings.Contains(strings.Join(got, " "), "new") {
		t.Errorf("%d events: %v", len(got), got)
	}
	for _, bad := range []string{"x", "MQ", "MS4tMQ", "%FF", strings.Repeat("A", 300)} {
		if w := (call{do: "GET /v1/users/u1/history?cursor=" + bad}).to(srv.API()); w.Code != 400 {
			t.Errorf("cursor %q: %d", bad, w.Code)
		}
	}
	if w := (call{do: "GET /v1/users/nobody/history"}).to(srv.API()); w.Code != 200 || !strings.Contains(w.Body.String(), `"events":[],"next_cursor":""`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMergeUsers(t *testing.T) {
	s := newShop()
	s.past = make([]entities.Past, 3)
	srv, _ := serverOf(t, s, Config{})
	w := call{do: "POST /v1/users:merge", body: `{"from":"u1","into":42}`}.to(srv.API())
	if w.Code != 200 || w.Body.String() != `{"from":"u1","into":"42","moved":3}`+"\n" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if r := s.records[0]; r.Kind != event.KindUserMerge || r.User.ID != "u1" || r.User.Into != "42" {
		t.Errorf("%+v", r)
	}
	for body, code := range map[string]string{
		`{"from":"a","into":"a"}`: "invalid_into", `{"from":"a"}`: "missing_into", `{"into":"a"}`: "missing_from", `{"from":"a","into":"b","x":1}`: "unknown_field",
	} {
		w := call{do: "POST /v1/users:merge", body: body}.to(srv.API())
		if p := problemOf(t, w); w.Code != 400 || p.Code != code {
			t.Errorf("%s: %d %+v", body, w.Code, p)
		}
	}
	s.submit = func([]event.Record) (Result, error) { return Result{}, errors.New("broken") }
	if w := (call{do: "POST /v1/users:merge", body: `{"from":"a","into":"b"}`}).to(srv.API()); w.Code != 500 {
		t.Errorf("%d", w.Code)
	}
}

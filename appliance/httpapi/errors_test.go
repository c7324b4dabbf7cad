package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/event"
)

const goodEvent = `{"user_id":"u","item_id":"i","event_type":"view"}`

// problemOf decodes the answer and checks what every problem must have.
func problemOf(t *testing.T, w *httptest.ResponseRecorder) adminapi.Problem {
	t.Helper()
	var p adminapi.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if p.Status != w.Code || p.Code == "" || p.Title == "" || p.Type != "urn:vitrine:problem:"+p.Code {
		t.Errorf("problem %+v with status %d", p, w.Code)
	}
	if id := w.Header().Get("X-Request-ID"); id == "" || id != p.RequestID {
		t.Errorf("request id %q, in the problem %q", id, p.RequestID)
	}
	return p
}

// manyAttributes is a body with n of them.
func manyAttributes(n int) string {
	b := []byte(`{"attributes":{`)
	for j := range n {
		b = fmt.Appendf(b, `"a%02d":1,`, j)
	}
	return string(b[:len(b)-1]) + "}}"
}

func TestProblems(t *testing.T) {
	long := strings.Repeat("x", 257)
	tests := []struct {
		call
		status int
		code   string
	}{
		// lists
		{call{do: "GET /recommend?user_id=u&limit=0"}, 400, "invalid_limit"},
		{call{do: "GET /recommend?user_id=u&limit=501"}, 400, "invalid_limit"},
		{call{do: "GET /recommend?user_id=u&limit=ten"}, 400, "invalid_limit"},
		{call{do: "GET /recommend?user_id=u&limit=1&limit=2"}, 400, "invalid_limit"},
		{call{do: "GET /recommend?user_id=u&limit=99999999999999999999"}, 400, "invalid_limit"},
		{call{do: "GET /recommend?user_id=%zz"}, 400, "invalid_query"},
		{call{do: "GET /recommend?user_id=a;b"}, 400, "invalid_query"},
		{call{do: "GET /recommend?user_id=" + long}, 400, "invalid_user_id"},
		{call{do: "GET /recommend?user_id=%ff"}, 400, "invalid_user_id"},
		{call{do: "GET /recommend?user_id=a%0ab"}, 400, "invalid_user_id"},
		{call{do: "GET /v1/recommend"}, 400, "missing_user_id"},
		{call{do: "GET /v1/recommend?user_id=u&limit=0"}, 400, "invalid_limit"},
		{call{do: "GET /v1/recommend?user_id=u&exclude_seen=maybe"}, 400, "invalid_exclude_seen"},
		{call{do: "GET /v1/recommend?session="}, 400, "invalid_session"},
		{call{do: "GET /v1/recommend?user_id=u&exclude=" + long}, 400, "invalid_exclude"},
		{call{do: "GET /v1/recommend?user_id=u" + strings.Repeat("&session=i", 501)}, 400, "invalid_session"},
		{call{do: "GET /v1/recommend?user_id=u" + strings.Repeat("&exclude=i", 1001)}, 400, "invalid_exclude"},
		{call{do: "POST /v1/recommend", body: `{"user_id":"u","limit":501}`}, 400, "invalid_limit"},
		{call{do: "POST /v1/recommend", body: `{"user_id":"u","limit":"5"}`}, 400, "invalid_limit"},
		{call{do: "POST /v1/recommend", body: `{"user_id":"u","limit":1.5}`}, 400, "invalid_limit"},
		{call{do: "POST /v1/recommend", body: `{"user":"u"}`}, 400, "unknown_field"},
		{call{do: "POST /v1/recommend", body: `{"user_id":5.5}`}, 400, "invalid_user_id"},
		{call{do: "POST /v1/recommend", body: `{"user_id":"u"`}, 400, "invalid_json"},
		{call{do: "POST /v1/recommend", body: `{"user_id":"u"} x`}, 400, "invalid_json"},
		{call{do: "POST /v1/recommend", body: `[]`}, 400, "invalid_json"},
		{call{do: "POST /v1/recommend", headers: "Content-Type: application/json"}, 400, "invalid_json"},
		{call{do: "POST /v1/recommend", headers: "Content-Type: text/plain", body: `{}`}, 415, "unsupported_media_type"},
		{call{do: "POST /v1/recommend", body: `{"user_id":"` + strings.Repeat("u", wire.MaxDocument) + `"}`}, 413, "body_too_large"},
		{call{do: "GET /v1/items/nope/similar"}, 404, "unknown_item"},
		{call{do: "GET /v1/items/i1/similar?limit=501"}, 400, "invalid_limit"},
		{call{do: "GET /v1/popular?limit=-1"}, 400, "invalid_limit"},
		// events
		{call{do: "POST /v1/events", body: `nonsense`}, 400, "invalid_json"},
		{call{do: "POST /v1/events", body: `{"user_id":"u",`}, 400, "invalid_json"},
		{call{do: "POST /v1/events", headers: "Content-Type: application/json"}, 400, "invalid_json"},
		{call{do: "POST /v1/events", headers: "Content-Type: application/x-ndjson", body: "\n\n"}, 400, "invalid_json"},
		{call{do: "POST /v1/events", headers: "Content-Type: application/x-www-form-urlencoded", body: goodEvent}, 415, "unsupported_media_type"},
		{call{do: "POST /v1/events", headers: "Content-Type: a/b; =", body: goodEvent}, 415, "unsupported_media_type"},
		{call{do: "POST /v1/events", headers: "Content-Encoding: gzip", body: goodEvent}, 415, "unsupported_encoding"},
		{call{do: "POST /v1/events", body: strings.Repeat(" ", 4097)}, 413, "body_too_large"},
		// items
		{call{do: "GET /v1/items/nope"}, 404, "unknown_item"},
		{call{do: "GET /v1/items/" + long}, 400, "invalid_id"},
		{call{do: "PUT /v1/items/x", body: `{"title":"T"}`}, 400, "unknown_field"},
		{call{do: "PUT /v1/items/x", body: `{}`}, 400, "missing_attributes"},
		{call{do: "PUT /v1/items/x", body: `{"attributes":{"a":{"b":1}}}`}, 400, "invalid_attribute"},
		{call{do: "PUT /v1/items/x", body: `{"attributes":{},"expires_at":"soon"}`}, 400, "invalid_expires_at"},
		{call{do: "PUT /v1/items/x", body: `{"attributes":{},"expires_at":-5}`}, 400, "invalid_expires_at"},
		{call{do: "PATCH /v1/items/x", body: `{}`}, 400, "missing_attributes"},
		{call{do: "PATCH /v1/items/x", body: `{"attributes":null}`}, 400, "invalid_json"},
		{call{do: "PATCH /v1/items/x", body: `{"expires_at":null}`}, 400, "invalid_expires_at"},
		{call{do: "PATCH /v1/items/x", body: `{"expires_at":"soon"}`}, 400, "invalid_expires_at"},
		{call{do: "PATCH /v1/items/x", body: `{"attributes":{"1":null}}`}, 400, "invalid_attribute"},
		{call{do: "PATCH /v1/items/i1", body: manyAttributes(61)}, 400, "invalid_attribute"},
		{call{do: "POST /v1/items:batch", body: `{"item_id":"a","attributes":{}}`}, 400, "invalid_json"},
		{call{do: "POST /v1/items:batch", body: ` `}, 400, "invalid_json"},
		{call{do: "POST /v1/items:batch", body: `[nonsense`}, 400, "invalid_json"},
		{call{do: "POST /v1/items:batch", headers: "Content-Type: application/x-ndjson", body: `{}`}, 415, "unsupported_media_type"},
		{call{do: "POST /v1/items:batch", body: "[" + strings.Repeat(" ", 4096) + "]"}, 413, "body_too_large"},
		// users
		{call{do: "GET /v1/users/nobody"}, 404, "unknown_user"},
		{call{do: "GET /v1/users/" + long}, 400, "invalid_id"},
		{call{do: "PUT /v1/users/x", body: `{}`}, 400, "missing_attributes"},
		{call{do: "PUT /v1/users/x", body: `{"attributes":{},"expires_at":1}`}, 400, "unknown_field"},
		{call{do: "PUT /v1/users/x", body: manyAttributes(65)}, 400, "invalid_attribute"},
		{call{do: "PATCH /v1/users/x", body: `{}`}, 400, "missing_attributes"},
		{call{do: "PATCH /v1/users/u1", body: manyAttributes(64)}, 400, "invalid_attribute"},
		// routing
		{call{do: "GET /nothing"}, 404, "unknown_path"},
		{call{do: "GET /"}, 404, "unknown_path"},
		{call{do: "GET /recommend/"}, 404, "unknown_path"},
		{call{do: "POST /recommend"}, 405, "method_not_allowed"},
		{call{do: "DELETE /v1/events"}, 405, "method_not_allowed"},
		{call{do: "POST /v1/items/x"}, 405, "method_not_allowed"},
		{call{do: "GET /v1/items:batch"}, 405, "method_not_allowed"},
		{call{do: "POST /v1/itemsx", body: `[]`}, 404, "unknown_path"},
		{call{do: "POST /v1/items:other", body: `[]`}, 404, "unknown_path"},
		// admin routes
		{call{do: "POST /v1/import?kind=user"}, 400, "invalid_kind"},
		{call{do: "POST /v1/import?format=xlsx"}, 400, "invalid_format"},
		{call{do: "POST /v1/import?tz=" + long}, 400, "invalid_tz"},
		{call{do: "POST /v1/jobs", body: `{"kind":"export"}`}, 400, "invalid_kind"},
		{call{do: "POST /v1/jobs", body: `{"kind":"train","rank":3}`}, 400, "unknown_field"},
		{call{do: "POST /v1/jobs", body: `{"kind":"train","k":5}`}, 400, "invalid_job"},
		{call{do: "POST /v1/jobs", body: `{"kind":"eval","k":501}`}, 400, "invalid_k"},
		{call{do: "POST /v1/jobs", body: `{"kind":"train","split":"time"}`}, 400, "invalid_job"},
		{call{do: "POST /v1/jobs", body: `{"kind":"eval","k":"x"}`}, 400, "invalid_k"},
		{call{do: "POST /v1/recommend", body: "{\"user_id\":\"\xff\"}"}, 400, "invalid_utf8"},
		{call{do: "GET /v1/jobs/none"}, 404, "unknown_job"},
		{call{do: "GET /v1/models/none"}, 404, "unknown_model"},
		{call{do: "GET /v1/deadletters?limit=501"}, 400, "invalid_limit"},
		{call{do: "GET /v1/deadletters?cursor=bad"}, 400, "invalid_cursor"},
		{call{do: "GET /v1/deadletters/zz"}, 404, "unknown_letter"},
	}
	s := newShop()
	srv, log := serverOf(t, s, Config{MaxBody: 4096})
	k := newContract(t)
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%.80s %s", tt.do, tt.code), func(t *testing.T) {
			w := tt.to(srv.Socket())
			p := problemOf(t, w)
			if w.Code != tt.status || p.Code != tt.code {
				t.Errorf("%d %s, want %d %s: %s", w.Code, p.Code, tt.status, tt.code, w.Body)
			}
			if tt.code == "method_not_allowed" && w.Header().Get("Allow") == "" {
				t.Error("no Allow header")
			}
			if tt.code != "unknown_path" && tt.code != "method_not_allowed" {
				k.check(t, srv.Socket(), tt.call, tt.status)
			}
		})
	}
	if len(s.records) != 0 {
		t.Errorf("%d records of refused requests were kept", len(s.records))
	}
	if log.String() != "" {
		t.Errorf("a caller's mistake was logged: %s", log)
	}
}

func TestFailuresOfThePartsBehind(t *testing.T) {
	boom := errors.New("secret: disk on fire")
	tests := []struct {
		err        error
		status     int
		code       string
		retryAfter string
		logged     bool
	}{
		{fmt.Errorf("append: %w", ErrBusy), 503, "bus_full", "5", false},
		{fmt.Errorf("append: %w", ErrDiskFull), 503, "disk_full", "5", false},
		{fmt.Errorf("append: %w", ErrUnavailable), 503, "bus_unavailable", "5", false},
		{fmt.Errorf("%w: %w", ErrUnsure, ErrUnavailable), 503, "outcome_unknown", "5", false},
		{ErrClosed, 503, "shutting_down", "5", false},
		{context.DeadlineExceeded, 503, "timeout", "1", false},
		{&Problem{Status: 409, Code: "mine", Detail: "d", Hint: "h"}, 409, "mine", "", false},
		{boom, 500, "internal", "", true},
	}
	for _, tt := range tests {
		s := newShop()
		s.submit = func([]event.Record) (Result, error) { return Result{}, tt.err }
		s.recommend = func(*Query) error { return tt.err }
		srv, log := serverOf(t, s, Config{})
		for _, c := range []call{
			{do: "POST /v1/events", body: goodEvent},
			{do: "PUT /v1/items/x", body: `{"attributes":{}}`},
			{do: "GET /recommend?user_id=u"},
		} {
			w := c.to(srv.API())
			p := problemOf(t, w)
			if w.Code != tt.status || p.Code != tt.code || w.Header().Get("Retry-After") != tt.retryAfter {
				t.Errorf("%s with %v: %d %s, Retry-After %q", c.do, tt.err, w.Code, p.Code, w.Header().Get("Retry-After"))
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s shows the inside: %s", c.do, w.Body)
			}
		}
		want := 0
		if tt.logged {
			want = 3
		}
		if got := strings.Count(log.String(), `"msg":"request failed"`); got != want {
			t.Errorf("%v: logged %d times, want %d", tt.err, got, want)
		}
	}
}

func TestPanicIsAnsweredAndLoggedOnce(t *testing.T) {
	s := newShop()
	s.recommend = func(*Query) error { panic("index out of range") }
	srv, log := serverOf(t, s, Config{})
	w := call{do: "GET /v1/recommend?user_id=u", headers: "X-Request-ID: req-7"}.to(srv.API())
	if p := problemOf(t, w); w.Code != 500 || p.Code != "internal" || p.RequestID != "req-7" {
		t.Errorf("%d %+v", w.Code, p)
	}
	if n := strings.Count(log.String(), `"msg":"request handler panicked"`); n != 1 || !strings.Contains(log.String(), "req-7") {
		t.Errorf("logged %d times: %s", n, log)
	}
	if s.routes["/v1/recommend 500"] != 1 {
		t.Errorf("observed %v", s.routes)
	}
}

func TestPanicAfterTheAnswerBeganCutsTheConnection(t *testing.T) {
	s := newShop()
	srv, log := serverOf(t, s, Config{})
	srv.deps.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", 100_000))
		panic("midway")
	})
	ts := httptest.NewServer(srv.Socket())
	defer ts.Close()
	r, err := http.Get(ts.URL + "/metrics")
	if err == nil {
		_, err = io.ReadAll(r.Body)
		r.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks whole")
	}
	if n := strings.Count(log.String(), `"msg":"request handler panicked"`); n != 1 {
		t.Errorf("logged %d times: %s", n, log)
	}
}

func TestRequestID(t *testing.T) {
	srv, _ := serverOf(t, newShop(), Config{})
	for id, kept := range map[string]bool{
		"abc-1.2_3:4": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false,
		"a b": false, "\"x\"": false, "é": false,
	} {
		w := call{do: "GET /livez", headers: "X-Request-ID: " + id}.to(srv.API())
		if got := w.Header().Get("X-Request-ID"); (got == id) != kept || got == "" {
			t.Errorf("%q was answered as %q", id, got)
		}
	}
	a, b := call{do: "GET /livez"}.to(srv.API()), call{do: "GET /livez"}.to(srv.API())
	if a.Header().Get("X-Request-ID") == b.Header().Get("X-Request-ID") {
		t.Error("two requests have one id")
	}
}

func TestNotReady(t *testing.T) {
	s := newShop()
	s.ready = errors.New("the demo shop is being trained")
	srv, _ := serverOf(t, s, Config{})
	for _, h := range []http.Handler{srv.API(), srv.Admin(), srv.Socket()} {
		w := call{do: "GET /readyz"}.to(h)
		if p := problemOf(t, w); w.Code != 503 || p.Code != "not_ready" || p.Detail != s.ready.Error() {
			t.Errorf("%d %+v", w.Code, p)
		}
		if w := (call{do: "GET /livez"}).to(h); w.Code != 200 {
			t.Errorf("livez: %d", w.Code)
		}
	}
}

func TestAdminListenerIsGuarded(t *testing.T) {
	srv, _ := serverOf(t, newShop(), Config{AdminListen: "admin.shop.example:8081"})
	tests := []struct {
		call
		status int
		code   string
	}{
		{call{do: "GET /metrics", headers: "Host: evil.example"}, 200, ""},
		{call{do: "GET /livez", headers: "Host: evil.example"}, 200, ""},
		{call{do: "GET /openapi.json"}, 200, ""},
		{call{do: "GET /v1/models", headers: "Host: 127.0.0.1:8081"}, 401, "key_required"},
		{call{do: "GET /v1/models", headers: "Host: localhost:8081"}, 401, "key_required"},
		{call{do: "GET /v1/models", headers: "Host: [::1]:8081"}, 401, "key_required"},
		{call{do: "GET /v1/models", headers: "Host: admin.shop.example"}, 401, "key_required"},
		{call{do: "GET /v1/models", headers: "Host: localhost:8081\nAuthorization: Bearer guess"}, 401, "invalid_key"},
		{call{do: "POST /v1/models/rollback", headers: "Host: localhost"}, 401, "key_required"},
		{call{do: "POST /v1/import", headers: "Host: localhost"}, 401, "key_required"},
		{call{do: "GET /debug/pprof/", headers: "Host: localhost"}, 401, "key_required"},
		{call{do: "GET /debug/pprof/heap", headers: "Host: localhost"}, 401, "key_required"},
		{call{do: "GET /v1/models", headers: "Host: evil.example"}, 403, "foreign_host"},
		{call{do: "GET /v1/models", headers: "Host: 10.1.2.3:8081"}, 403, "foreign_host"},
		{call{do: "GET /v1/models", headers: "Host: localhost.evil.example"}, 403, "foreign_host"},
		{call{do: "GET /v1/models", headers: "Host: localhost:8081\nOrigin: http://evil.example"}, 403, "foreign_origin"},
		{call{do: "GET /v1/models", headers: "Host: localhost:8081\nOrigin: null"}, 403, "foreign_origin"},
		{call{do: "GET /v1/models", headers: "Host: localhost:8081\nOrigin: http://localhost:8081"}, 401, "key_required"},
		{call{do: "GET /nothing", headers: "Host: evil.example"}, 404, "unknown_path"},
		{call{do: "GET /recommend?user_id=u"}, 404, "unknown_path"},
	}
	for _, tt := range tests {
		w := tt.to(srv.Admin())
		if w.Code != tt.status {
			t.Errorf("%s with %q: %d, want %d: %s", tt.do, tt.headers, w.Code, tt.status, w.Body)
			continue
		}
		if tt.code != "" {
			if p := problemOf(t, w); p.Code != tt.code || (tt.status == 401 && p.Hint == "") {
				t.Errorf("%s: %+v", tt.do, p)
			}
		}
	}
	for _, g := range good {
		if h := (call{do: g.do, headers: "Host: localhost"}).to(srv.Admin()); strings.Contains(g.do, " /v1/") && h.Code/100 == 2 {
			t.Errorf("%s passes the guard", g.do)
		}
	}
	if w := (call{do: "GET /v1/models"}).to(srv.API()); w.Code != 404 {
		t.Errorf("the API listener has an admin route: %d", w.Code)
	}
	if w := (call{do: "GET /debug/pprof/goroutine?debug=1"}).to(srv.Socket()); w.Code != 200 {
		t.Errorf("pprof over the socket: %d", w.Code)
	}
}

// TestProblemsSayWhatToDo: an answer names what is wrong, and what would not be.
func TestProblemsSayWhatToDo(t *testing.T) {
	srv, _ := serverOf(t, newShop(), Config{})
	for _, tt := range []struct {
		call
		code, detail, hint string
	}{
		{call{do: "GET /metrics"}, "unknown_path", `there is nothing at "/metrics" on this listener`, "those with the tag admin are on the admin listener"},
		{call{do: "GET /v1/popular/"}, "unknown_path", `"/v1/popular/"`, "leave out the slash at the end"},
		{call{do: "GET /v1/items/a/b"}, "unknown_path", `"/v1/items/a/b"`, "%2F"},
		{call{do: "GET /v1/events"}, "method_not_allowed", `"/v1/events" does not take GET`, "it takes OPTIONS, POST"},
		{call{do: "POST /v1/events?x=1", body: goodEvent}, "unknown_parameter", `"x"`, "this route takes none"},
		{call{do: "GET /v1/popular?x=1"}, "unknown_parameter", `"x"`, "known are: limit, fields"},
		{call{do: "GET /v1/recommend?user_id=a&user_id=b"}, "invalid_user_id", "user_id must be given once", ""},
		{call{do: "POST /v1/recommend", body: `{"user_id":"u","limti":5}`}, "unknown_field", `"limti"`, "user_id, session, exclude, fields, limit"},
		{call{do: "POST /v1/recommend", body: `{"user_id":"u","session":"i1"}`}, "invalid_session", "session must be an array, not a string (byte 29 of the body)", ""},
		{call{do: "POST /v1/recommend", body: `{"user_id":true}`}, "invalid_user_id", "user_id must be a string, not a bool", ""},
		{call{do: "POST /v1/recommend", body: `[]`}, "invalid_json", "must be a JSON object, not an array", "JSON object with user_id"},
		{call{do: "POST /v1/recommend:batch", body: `[{"user_id":"u"}]`}, "invalid_json", "must be a JSON object, not an array", "JSON object with requests"},
		{call{do: "GET /v1/items/nope/similar"}, "unknown_item", `"nope"`, "send an event of it"},
		{call{do: "POST /v1/recommend:batch", body: `{"requests":[{"user_id":"u"},{"user_id":"u","fields":7}]}`}, "invalid_fields", "requests.fields must be an array, not a number (byte 54 of the body)", ""},
		{call{do: "POST /v1/recommend:batch", body: `{"requests":[{"user_id":"u","limit":"x"}]}`}, "invalid_limit", "whole number", ""},
		{call{do: "POST /v1/users:merge", body: `{"from":"u","to":"v"}`}, "unknown_field", `"to"`, "known are: from, into"},
		{call{do: "GET /v1/items/nope"}, "unknown_item", `"nope"`, "PUT it first"},
	} {
		w := tt.to(srv.API())
		p := problemOf(t, w)
		if p.Code != tt.code || !strings.Contains(p.Detail, tt.detail) || !strings.Contains(p.Hint, tt.hint) {
			t.Errorf("%s %s: %s", tt.do, tt.body, w.Body)
		}
		if !strings.HasPrefix(w.Body.String(), `{"type":"`) {
			t.Errorf("%s: hard to read: %s", tt.do, w.Body)
		}
	}
}

package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"vitrine/appliance/httpapi/publicapi"
	"vitrine/bridge/event"
)

func TestPatchItem(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	for _, step := range []struct{ do, body, want string }{
		{"PATCH /v1/items/i1", `{"attributes":{"title":"T","tags":null,"nope":null,"x":1}}`, `{"item_id":"i1","attributes":{"price":9.5,"title":"T","vegan":true,"x":1},"expires_at":"2026-09-21T14:13:20.5Z"}`},
		{"PATCH /v1/items/i1", `{"expires_at":"2030-01-01T00:00:00Z"}`, `{"item_id":"i1","attributes":{"price":9.5,"title":"T","vegan":true,"x":1},"expires_at":"2030-01-01T00:00:00Z"}`},
		{"PATCH /v1/items/new", `{"attributes":{"a":1,"b":null}}`, `{"item_id":"new","attributes":{"a":1}}`},
	} {
		if w := (call{do: step.do, body: step.body}).to(srv.API()); w.Code != 200 || w.Body.String() != step.want+"\n" {
			t.Errorf("%s %s: %d %s", step.do, step.body, w.Code, w.Body)
		}
	}
	for _, do := range []string{"PUT /v1/items/i1", "PATCH /v1/items/i1"} {
		w := (call{do: do, body: `{"attributes":{"available_from":"soon"}}`}).to(srv.API())
		if w.Code != 400 || !strings.Contains(w.Body.String(), "available_from must be a time") {
			t.Errorf("%s with a time that is none: %d %s", do, w.Code, w.Body)
		}
	}
	want := event.Record{
		Kind: event.KindItemPatch, Source: event.Source{Name: "http"},
		Item: event.Item{ID: "new", Time: 1790000000000, Attributes: []event.Attribute{
			{Name: "a", Value: event.Value{Kind: event.Number, Num: 1}}, {Name: "b", Value: event.Value{Kind: event.Removed}},
		}},
	}
	if got := s.records[len(s.records)-1]; !reflect.DeepEqual(got, want) {
		t.Errorf("logged %+v\nwant %+v", got, want)
	}
}

func TestUsersAreWrittenAndRead(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	for _, step := range []struct{ do, body, want string }{
		{"PUT /v1/users/a%2Fb", `{"attributes":{"region":"north","age":41,"gone":null}}`, `{"user_id":"a/b","attributes":{"age":41,"region":"north"}}`},
		{"GET /v1/users/a%2Fb", "", `{"user_id":"a/b","attributes":{"age":41,"region":"north"}}`},
		{"PATCH /v1/users/a%2Fb", `{"attributes":{"age":null,"vip":true}}`, `{"user_id":"a/b","attributes":{"region":"north","vip":true}}`},
		{"PUT /v1/users/a%2Fb", `{"attributes":{}}`, `{"user_id":"a/b","attributes":{}}`},
		{"PATCH /v1/users/new", `{"attributes":{"x":1}}`, `{"user_id":"new","attributes":{"x":1}}`},
	} {
		if w := (call{do: step.do, body: step.body}).to(srv.API()); w.Code != 200 || w.Body.String() != step.want+"\n" {
			t.Errorf("%s %s: %d %s", step.do, step.body, w.Code, w.Body)
		}
	}
	want := event.Record{
		Kind: event.KindUserPut, Source: event.Source{Name: "http"},
		User: event.User{ID: "a/b", Time: 1790000000000, Attributes: []event.Attribute{
			{Name: "age", Value: event.Value{Kind: event.Number, Num: 41}}, {Name: "region", Value: event.Value{Kind: event.String, Str: "north"}},
		}},
	}
	if !reflect.DeepEqual(s.records[0], want) {
		t.Errorf("logged %+v\nwant %+v", s.records[0], want)
	}
}

// putItems sends a batch that must be taken.
func putItems(t *testing.T, h http.Handler, body string) publicapi.IngestResult {
	t.Helper()
	w := call{do: "POST /v1/items:batch", body: body}.to(h)
	var res publicapi.IngestResult
	if err := json.Unmarshal(w.Body.Bytes(), &res); err != nil || w.Code != 202 {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return res
}

func TestItemsInBatches(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	res := putItems(t, srv.API(), `[{"item_id":"a","attributes":{"price":1,"gone":null},"expires_at":1790000000500},
		{"attributes":{}}, {"item_id":7,"attributes":{"tags":["b","a"]}}, {"item_id":1.5,"attributes":{}}, {"item_id":"b"},
		{"item_id":"c","attributes":{"x":{}}}, {"item_id":"d","attributes":{},"expires_at":"soon"}, {"item_id":"e","attributes":{},"stock":1}, 5,
		{"item_id":"a","attributes":{"price":2}}, {"item_id": "z" "attributes"}, {"item_id":"lost","attributes":{}}]`)
	got := map[int]string{}
	for _, r := range res.Rejected {
		got[r.Index] = r.Code
		if r.Detail == "" {
			t.Errorf("no detail: %+v", r)
		}
	}
	want := map[int]string{
		1: "missing_item_id", 3: "invalid_id", 4: "missing_attributes", 5: "invalid_attribute", 6: "invalid_expires_at",
		7: "unknown_field", 8: "invalid_json", 10: "invalid_json",
	}
	if res.Accepted != 3 || res.Duplicate != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d accepted, rejected %v, want %v", res.Accepted, got, want)
	}
	var kept []string
	for _, r := range s.records {
		if r.Kind != event.KindItemPut || r.Source.Name != "http" || r.Item.Time != 1790000000000 {
			t.Errorf("logged %+v", r)
		}
		kept = append(kept, fmt.Sprintf("%s %s %d", r.Item.ID, event.AppendAttributesJSON(nil, r.Item.Attributes), r.Item.ExpiresAt))
	}
	if want := []string{`a {"price":1} 1790000000500`, `7 {"tags":["a","b"]} 0`, `a {"price":2} 0`}; !reflect.DeepEqual(kept, want) {
		t.Errorf("kept %q, want %q", kept, want)
	}
	if len(s.letters) != len(want) || string(s.letters[0].Raw) != `{"attributes":{}}` {
		t.Errorf("letters %+v", s.letters)
	}
	if want := (Ingested{Accepted: 3, Rejected: 8}); s.ingested != want {
		t.Errorf("observed %+v", s.ingested)
	}
	// The scratch is that of events too, whose records are others.
	if res := ingest(t, srv.API(), "application/json", goodEvent); res.Accepted != 1 || s.records[3].Kind != event.KindEvent || s.records[3].Item.ID != "" {
		t.Errorf("an event after items: %+v %+v", res, s.records[3])
	}
	if s.routes["/v1/items:batch 202"] != 1 {
		t.Errorf("routes %v", s.routes)
	}
}

func TestItemBatchesAreBounded(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	body := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"item_id":"a","attributes":{}},`, n), ",") + "]"
	}
	w := call{do: "POST /v1/items:batch", body: body(maxItems + 1)}.to(srv.API())
	if p := problemOf(t, w); p.Status != 413 || p.Code != "too_many_items" || len(s.records) != 0 {
		t.Errorf("%+v with %d records kept", p, len(s.records))
	}
	if res := putItems(t, srv.API(), body(maxItems)); res.Accepted != maxItems || len(s.records) != maxItems {
		t.Errorf("%d accepted, %d kept", res.Accepted, len(s.records))
	}
	calls := 0
	s.submit = func(records []event.Record) (Result, error) {
		if calls++; calls > 1 {
			return Result{}, ErrBusy
		}
		return Result{Accepted: len(records)}, nil
	}
	res := putItems(t, srv.API(), body(maxItems))
	if n := len(res.Rejected); res.Accepted+n != maxItems || n == 0 || res.Rejected[0].Code != "bus_full" || res.Rejected[0].Index != res.Accepted {
		t.Errorf("%d accepted, %d rejected", res.Accepted, n)
	}
}

// FuzzItemBatch: whatever the body, the answer is a 202 whose counts add up
// to what was kept, all of it valid, or a 4xx that kept nothing.
func FuzzItemBatch(f *testing.F) {
	for _, body := range []string{
		`[{"item_id":"a","attributes":{"x":1}},{"item_id":2,"attributes":{"t":["a"]},"expires_at":"2030-01-01T00:00:00Z"}]`,
		`[{"item_id":"a","attributes":null}`, `[{}]`, `[]`, `[`, `{}`, "", "[1,\"\xff\"]", `[{"ITEM_ID":"a","item_id":"b","Attributes":{}}]`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s := newShop()
		srv, log := serverOf(t, s, Config{})
		r := httptest.NewRequest(http.MethodPost, "/v1/items:batch", strings.NewReader(body))
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
		case w.Code < 400 || w.Code >= 500 || len(s.records) != 0:
			t.Errorf("%d %s with %d records kept", w.Code, w.Body, len(s.records))
		}
		for i := range s.records {
			if inv := s.records[i].Item.Validate(); inv != nil || s.records[i].Kind != event.KindItemPut {
				t.Errorf("kept %+v: %v", s.records[i], inv)
			}
		}
		if log.String() != "" {
			t.Errorf("logged: %s", log)
		}
	})
}

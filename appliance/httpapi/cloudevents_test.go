package httpapi

import (
	"strings"
	"testing"
)

// TestCloudEvents: structured, batched and binary, the same events each time.
func TestCloudEvents(t *testing.T) {
	const one = `{"specversion":"1.0","id":"1","source":"/s","type":"shop.view","userid":"u1","subject":"i1"}`
	for _, g := range []struct {
		headers, body string
		code          int
		want          string
	}{
		{"Content-Type: application/cloudevents+json; charset=utf-8", one, 202, `"accepted":1,`},
		{"Content-Type: application/cloudevents-batch+json", "[" + one + "," + strings.Replace(one, "1.0", "0.1", 1) + "]", 202, `"accepted":1,"duplicate":0,"rejected":[{"index":1,"code":"invalid_cloudevent"`},
		{"Ce-Specversion: 1.0\nCe-Id: 1\nCe-Source: /s\nCe-Type: shop.view\nContent-Type: application/json", `{"user_id":"u1","item_id":"i1"}`, 202, `"accepted":1,`},
		{"Ce-Specversion: 1.0\nCe-Id: 1\nCe-Source: /s\nCe-Type: shop.view\nCe-Userid: u1\nCe-Subject: i1", "", 202, `"accepted":1,`},
		{"Ce-Specversion: 1.0\nCe-Id: 1\nCe-Source: /s\nCe-Type: shop.view\nContent-Type: text/xml", "<a/>", 415, "unsupported_media_type"},
		{"Content-Type: application/cloudevents+xml", "<a/>", 415, "unsupported_media_type"},
		{"Content-Type: application/cloudevents+json", "", 400, "invalid_json"},
	} {
		s := newShop()
		srv, _ := serverOf(t, s, Config{})
		w := call{do: "POST /v1/events", headers: g.headers, body: g.body}.to(srv.API())
		if w.Code != g.code || !strings.Contains(w.Body.String(), g.want) {
			t.Errorf("%s %s: %d %s", g.headers, g.body, w.Code, w.Body)
			continue
		}
		if g.code != 202 {
			continue
		}
		if e := s.records[0].Event; e.UserID != "u1" || e.ItemID != "i1" || e.Type != "view" || e.EventID != "/s#1" || e.Time == 0 {
			t.Errorf("%s: %+v", g.headers, e)
		}
	}
}

package cloudevents

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"vitrine/bridge/event"
)

func TestParse(t *testing.T) {
	const head = `{"specversion":"1.0","id":"7","source":"/shop","type":"com.example.view","time":"2026-11-22T10:00:00Z"`
	for _, g := range []struct {
		name, raw string
		want      event.Event
		code      string
	}{
		{"data says all", head + `,"data":{"user_id":"u","item_id":"i","event_type":"cart","ts":5,"event_id":"own","value":2}}`, event.Event{UserID: "u", ItemID: "i", Type: "cart", Time: 5, EventID: "own", Value: 2, HasValue: true}, ""},
		{"the envelope fills in", head + `,"userid":12,"subject":"i9"}`, event.Event{UserID: "12", ItemID: "i9", Type: "view", Time: 1795341600000, EventID: "/shop#7"}, ""},
		{"extensions before the subject", head + `,"userid":"u","itemid":"i1","subject":"i9","data":null}`, event.Event{UserID: "u", ItemID: "i1", Type: "view", Time: 1795341600000, EventID: "/shop#7"}, ""},
		{"base64", head + `,"datacontenttype":"application/json; charset=utf-8","data_base64":"eyJ1c2VyX2lkIjoidSIsIml0ZW1faWQiOiJpIn0="}`, event.Event{UserID: "u", ItemID: "i", Type: "view", Time: 1795341600000, EventID: "/shop#7"}, ""},
		{"another version", `{"specversion":"0.3","id":"7","source":"/s","type":"view"}`, event.Event{}, CodeInvalid},
		{"no id", `{"specversion":"1.0","source":"/s","type":"view"}`, event.Event{}, CodeInvalid},
		{"XML", head + `,"datacontenttype":"text/xml","data":"<a/>"}`, event.Event{}, CodeInvalid},
		{"both", head + `,"data":{},"data_base64":"e30="}`, event.Event{}, CodeInvalid},
		{"no base64", head + `,"data_base64":"?"}`, event.Event{}, CodeInvalid},
		{"a bad time", `{"specversion":"1.0","id":"7","source":"/s","type":"view","time":"soon"}`, event.Event{}, event.CodeInvalidTime},
		{"data of another kind", head + `,"data":[1]}`, event.Event{}, event.CodeInvalidJSON},
		{"no JSON", `{`, event.Event{}, CodeInvalid},
		{"too large", head + `,"data":"` + strings.Repeat("x", event.MaxJSON) + `"}`, event.Event{}, event.CodeTooLarge},
	} {
		var got event.Event
		_, inv := Parse([]byte(g.raw), &got)
		switch {
		case g.code != "":
			if inv == nil || inv.Code != g.code {
				t.Errorf("%s: %+v, want %s", g.name, inv, g.code)
			}
		case inv != nil || got != g.want:
			t.Errorf("%s: %+v %+v", g.name, got, inv)
		}
	}
	long := `{"specversion":"1.0","id":"` + strings.Repeat("7", 400) + `","source":"/s","type":"view","userid":"u","subject":"i"}`
	var got event.Event
	if _, inv := Parse([]byte(long), &got); inv != nil || len(got.EventID) != 64 {
		t.Errorf("a long id: %+v %+v", got, inv)
	}
}

func TestParseBinary(t *testing.T) {
	h := http.Header{}
	for name, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "view", "ce-userid": "J%C3%BCrgen", "ce-subject": "i1", "ce-time": "2026-11-22T10:00:00Z",
	} {
		h.Set(name, value)
	}
	var got event.Event
	_, inv := ParseBinary(h, []byte(`{"value":3,"more":1}`), &got)
	if inv != nil || !Binary(h) || got != (event.Event{UserID: "Jürgen", ItemID: "i1", Type: "view", Time: 1795341600000, EventID: "/s#1", Value: 3, HasValue: true}) {
		t.Errorf("%+v %+v", got, inv)
	}
	if Binary(http.Header{}) {
		t.Error("no headers are a CloudEvent")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"7","source":"/shop","type":"view","userid":12,"subject":"i9","data":{"value":1}}`))
	f.Add([]byte(`{"specversion":"1.0","id":"7","source":"/shop","type":"a.","data_base64":"e30="}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e event.Event
		if _, inv := Parse(raw, &e); inv != nil {
			if inv.Code == "" || inv.Detail == "" {
				t.Errorf("%+v", inv)
			}
			return
		}
		if e.Validate(nil) == nil && (e.UserID == "" || e.ItemID == "" || !utf8.ValidString(e.UserID)) {
			t.Errorf("%+v", e)
		}
	})
}

package values

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/schema"
)

func TestItemsAndUsers(t *testing.T) {
	rec := func(key, value string) *fetch.Record {
		r := &fetch.Record{Key: []byte(key), Time: 5}
		if value != "" {
			r.Value = []byte(value)
		}
		return r
	}
	for _, test := range []struct {
		key, value string
		want       string // kind, id, expiry, attributes; or the code of the refusal
	}{
		{"i1", `{"price":2,"name":"x"}`, "2 i1 0 [name price]"},
		{"ignored", `{"item_id":17,"attributes":{"price":2},"expires_at":"1970-01-01T00:00:01Z"}`, "2 17 1000 [price]"},
		{"i1", "", "6 i1 0 []"},
		{"", "", "missing_item_id"},
		{"i1", `{"a":{}}`, "invalid_attribute"},
		{"i1", `[]`, "invalid_json"},
		{"i1", `{"expires_at":"soon"}`, "invalid_ts"},
		{"i1", `{"item_id":{}}`, "invalid_id"},
	} {
		var got event.Record
		_, inv := decodeItem(rec(test.key, test.value), &got)
		var names []string
		for _, a := range got.Item.Attributes {
			names = append(names, a.Name)
		}
		text := fmt.Sprint(got.Kind, " ", got.Item.ID, " ", got.Item.ExpiresAt, " ", names)
		if inv != nil {
			text = inv.Code
		}
		if text != test.want {
			t.Errorf("%s %s: %s, want %s", test.key, test.value, text, test.want)
		}
	}
	var got event.Record
	if _, inv := decodeUser(rec("u1", ""), &got); inv != nil || got.Kind != event.KindUserErase || got.User.ID != "u1" || got.User.Time != 5 {
		t.Errorf("%+v %v", got, inv)
	}
}

func TestFormats(t *testing.T) {
	binary := &fetch.Record{Value: []byte(`{"user_id":"u","item_id":"i"}`)}
	for _, h := range [][2]string{{"ce_specversion", "1.0"}, {"ce_id", "7"}, {"ce_source", "/shop"}, {"ce_type", "shop.view"}, {"content-type", "application/json"}} {
		binary.Headers.Add(h[0], []byte(h[1]))
	}
	text := func(value string) *fetch.Record { return &fetch.Record{Value: []byte(value)} }
	for _, test := range []struct {
		format, mapping string
		record          *fetch.Record
		want            string
	}{
		{JSON, "", text(`{"user_id":"u","item_id":"i","event_type":"view"}`), "u i view 0 "},
		{JSON, "user_id=customer,item_id=sku,event_type==purchase,value=qty", text(`{"customer":7,"sku":"s","qty":2}`), "7 s purchase 2 "},
		{JSON, "user_id=customer", text(`{"customer":7,"item_id":"s","event_type":"view"}`), "7 s view 0 "},
		{JSON, "user_id=customer", text(`{"customer":`), "invalid_json"},
		{JSON, "user_id=customer", text(``), "invalid_json"},
		{CSV, "", text("u,i,view,2026-01-02T03:04:05Z"), "u i view 0 "},
		{CSV, "", text("u,\"i,1\",view,,3\r\n"), "u i,1 view 3 "},
		{CSV, "user_id=3,item_id=1,event_type==cart", text("i,x,u,y"), "u i cart 0 "},
		{CSV, "", text("u,i,view\nu,i,view"), "invalid_row"},
		{CSV, "", text(`u,"i`), "invalid_row"},
		{CloudEvents, "", binary, "u i view 0 /shop#7"},
		{CloudEvents, "", text(`{"specversion":"1.0","id":"8","source":"/s","type":"view","subject":"i","data":{"user_id":"u"}}`), "u i view 0 /s#8"},
		{CloudEvents, "", text(`{"id":"8"}`), "invalid_cloudevent"},
	} {
		d, err := newMaker(Topics{Format: test.format, Map: test.mapping}).interactions()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time with used buffers
			var got event.Record
			_, inv := d.decode(test.record, &got)
			said := fmt.Sprint(got.Event.UserID, " ", got.Event.ItemID, " ", got.Event.Type, " ", got.Event.Value, " ", got.Event.EventID)
			if inv != nil {
				said = inv.Code
			}
			if said != test.want {
				t.Errorf("%s %q %s: %q, want %q", test.format, test.mapping, test.record.Value, said, test.want)
			}
		}
	}
	for format, mapping := range map[string]string{CSV: "user_id=name", CloudEvents: "user_id=u", JSON: "usr_id=u"} {
		if CheckMap(format, mapping) == nil {
			t.Errorf("%s takes the map %q", format, mapping)
		}
	}
	if CheckMap(JSON, "attr.price=p") == nil {
		t.Error("attributes of items in interactions are accepted")
	}
}

// TestBinaryFormats: what becomes JSON first goes through the map and the checks of
// JSON.
func TestBinaryFormats(t *testing.T) {
	text := `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"sku","type":"string"}]}`
	d, err := newMaker(Topics{Format: Avro, Schema: write(t, text), Map: "item_id=sku,event_type==purchase"}).interactions()
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"\x02u\x02i": "u i purchase ", "\x00\x02i": "   missing_user_id", "\x02u": "   " + schema.CodeInvalid, "": "   " + event.CodeInvalidJSON,
		strings.Repeat("x", event.MaxJSON+1): "   " + event.CodeTooLarge,
	} {
		var r event.Record
		_, inv := d.decode(&fetch.Record{Value: []byte(value)}, &r)
		code := ""
		if inv != nil {
			code, r = inv.Code, event.Record{}
		}
		if got := fmt.Sprint(r.Event.UserID, " ", r.Event.ItemID, " ", r.Event.Type, " ", code); got != want {
			t.Errorf("%.20q: %q, want %q", value, got, want)
		}
	}
	for _, format := range []string{Avro, Protobuf} {
		if _, err := newMaker(Topics{Format: format}).interactions(); err == nil {
			t.Errorf("%s without a schema is accepted", format)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"user_id":"u","item_id":"i","event_type":"view","ts":1}`), []byte("k"))
	f.Add([]byte("u,\"i\",view,2026-01-02,3"), []byte(""))
	f.Add([]byte(`{"attributes":{"a":[1]},"expires_at":1}`), []byte("i"))
	var decoders []decoding
	for _, topics := range []Topics{
		{Format: JSON}, {Format: CSV}, {Format: CloudEvents}, {Format: JSON, Map: "user_id=a,item_id=b,event_type==view,props=p"},
	} {
		d, err := newMaker(topics).interactions()
		if err != nil {
			f.Fatal(err)
		}
		decoders = append(decoders, d.decode)
	}
	decoders = append(decoders, decodeItem, decodeUser)
	f.Fuzz(func(t *testing.T, value, key []byte) {
		for _, decode := range decoders {
			var r event.Record
			if _, inv := decode(&fetch.Record{Key: key, Value: value}, &r); inv == nil {
				if r.Kind == event.KindEvent && r.Event.Validate(nil) != nil {
					continue
				}
				var b frames.Builder
				b.Add(&r) // what was accepted can be written
				_ = b.Seal()
			}
		}
	})
}

// write makes a file.
func write(t testing.TB, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNoObject: a value that is no object of attributes is told without words of Go.
func TestNoObject(t *testing.T) {
	for value, want := range map[string]string{
		`[1]`:       "expected a JSON object",
		`null`:      "expected a JSON object",
		`"x"`:       "expected a JSON object",
		`{"a":tru}`: "invalid JSON at byte 9",
		`i1,table`:  "invalid JSON at byte 1",
	} {
		var got event.Record
		_, inv := decodeItem(&fetch.Record{Key: []byte("i1"), Value: []byte(value)}, &got)
		if inv == nil || inv.Code != event.CodeInvalidJSON || !strings.Contains(inv.Detail, want) || strings.Contains(inv.Detail, "Go ") {
			t.Errorf("%s: %v, want %q", value, inv, want)
		}
	}
}

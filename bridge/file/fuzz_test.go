package file

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"testing/iotest"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
)

// FuzzRead feeds whole files to the importer: no panic, counts that add up,
// only valid records, and the same result however the bytes arrive.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"user_id,item_id,event_type\nu,i,view\n\"a\nb\",\"c\"\"d\",view\nx,\"y",
		"user_id\titem_id\tevent_type\nu\t\"i\tview\n",
		`{"user_id":1,"item_id":"\u00e9","event_type":"view","props":{"a":[1]},"ts":1291191960}` + "\n[1]\n{",
		"item_id,name,price\na,Lamp,5\n",
		"user_id,region\na,north\n",
		"\x1f\x8b\x08", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd", "\xef\xbb\xbf",
	} {
		for _, kind := range []Kind{Events, Items, Users} {
			f.Add([]byte(text), byte(kind))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, kind byte) {
		spec := Spec{Name: "fuzz", Kind: Kind(kind % 3), Now: time.UnixMilli(testNow)}
		var whole, slow recorder
		counts, err := Read(context.Background(), bytes.NewReader(data), spec, &whole)
		if counts.Read != counts.Emitted+counts.Rejected+counts.Skipped || counts.Rejected != int64(len(whole.rejected)) {
			t.Fatalf("counts %+v do not add up", counts)
		}
		for i := range whole.records {
			var inv *event.Invalid
			switch r := &whole.records[i]; r.Kind {
			case event.KindEvent:
				inv = r.Event.Validate(nil)
			case event.KindUserPatch:
				inv = r.User.Validate()
			default:
				inv = r.Item.Validate()
			}
			if inv != nil {
				t.Fatalf("record %d is not valid: %v", i, inv)
			}
		}
		if len(data) > 4096 {
			return
		}
		_, slowErr := Read(context.Background(), iotest.OneByteReader(bytes.NewReader(data)), spec, &slow)
		if (err == nil) != (slowErr == nil) || !reflect.DeepEqual(whole, slow) {
			t.Fatalf("byte by byte: %v %+v, at once: %v %+v", slowErr, slow, err, whole)
		}
	})
}

// FuzzCSVCells holds the splitter against encoding/csv on what that package
// writes.
func FuzzCSVCells(f *testing.F) {
	f.Add("a", "b,\"c\"", "d\ne")
	f.Add("", "\r\n", "\"")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if len(a)+len(b)+len(c) > MaxRow/4 || a == "" && b == "" && c == "" {
			return
		}
		var text bytes.Buffer
		w := csv.NewWriter(&text)
		want := []string{a, b, c}
		if err := errors.Join(w.Write([]string{"x", "y", "z"}), w.Write(want)); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		win := stream.NewWindow(&text)
		rows, err := newCSVRows(win, &Spec{}, ',')
		if err != nil {
			t.Fatal(err)
		}
		r, err := rows.next()
		if err != nil || r == nil || r.fault != nil {
			t.Fatalf("row of %q: %+v, %v", want, r, err)
		}
		for i, cell := range r.cells {
			if string(cell.text) != want[i] {
				t.Fatalf("cell %d = %q, want %q", i, cell.text, want[i])
			}
		}
	})
}

// FuzzJSONMembers holds the member scan against encoding/json.
func FuzzJSONMembers(f *testing.F) {
	f.Add([]byte(`{"a":"x\ny","b":[1,"]"],"c":{"d":"}"},"e":-1.5e3,"f":true,"g":null , "a" : 2}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.TrimSpace(data)
		var want map[string]json.RawMessage
		if len(data) == 0 || data[0] != '{' || json.Unmarshal(data, &want) != nil {
			return
		}
		j := &jsonRows{cols: newColumns("field"), open: true}
		j.members(data)
		for name, raw := range want {
			col, found := j.cols.index[name]
			if !found {
				if bytes.ContainsRune([]byte(name), '\ufffd') {
					continue // not UTF-8: encoding/json replaces what we keep
				}
				t.Fatalf("member %q of %s is missing", name, data)
			}
			got := j.row.cells[col]
			switch got.kind {
			case cellAbsent:
				if string(raw) != "null" {
					t.Fatalf("member %q is absent, want %s", name, raw)
				}
			case cellString:
				var s string
				if err := json.Unmarshal(raw, &s); err != nil || string(bytes.ToValidUTF8(got.text, nil)) != string(bytes.ToValidUTF8([]byte(s), nil)) && !bytes.ContainsRune([]byte(s), '\ufffd') {
					t.Fatalf("member %q = %q, want %s", name, got.text, raw)
				}
			default:
				if string(got.text) != string(raw) {
					t.Fatalf("member %q = %q, want %s", name, got.text, raw)
				}
			}
		}
	})
}

// FuzzParseMap checks that no mapping panics and that what is accepted is
// complete.
func FuzzParseMap(f *testing.F) {
	f.Add(`user_id=a,event_type==b,attr.x="c,""d"`)
	f.Add(`=,==`)
	f.Fuzz(func(t *testing.T, src string) {
		mappings, err := ParseMap(src)
		if err != nil {
			return
		}
		for _, m := range mappings {
			if m.Field == "" || m.Constant == (m.Text == "") || m.Constant == (m.Column != "") {
				t.Fatalf("ParseMap(%q) holds %+v", src, m)
			}
		}
	})
}

package file

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
)

// recorder keeps what it is given.
type recorder struct {
	records  []event.Record
	rejected []Rejected
}

func (r *recorder) Records(_ context.Context, records []event.Record) error {
	r.records = append(r.records, records...)
	return nil
}

func (r *recorder) Reject(_ context.Context, rejected []Rejected) error {
	r.rejected = append(r.rejected, rejected...)
	return nil
}

// events returns the recorded events as "user item type value time" lines.
func (r *recorder) events() []string {
	var out []string
	for i := range r.records {
		if r.records[i].Kind != event.KindEvent {
			continue
		}
		e := &r.records[i].Event
		value := "-"
		if e.HasValue {
			value = fmt.Sprint(e.Value)
		}
		out = append(out, fmt.Sprintf("%s %s %s %s %d", e.UserID, e.ItemID, e.Type, value, e.Time))
	}
	return out
}

// items returns the recorded attribute changes as "id {json}" lines.
func (r *recorder) items() []string {
	var out []string
	for i := range r.records {
		if it := &r.records[i].Item; r.records[i].Kind == event.KindItemPatch {
			out = append(out, it.ID+" "+string(event.AppendAttributesJSON(nil, it.Attributes)))
		}
	}
	return out
}

// users is items for the attribute changes of users.
func (r *recorder) users() []string {
	var out []string
	for i := range r.records {
		if u := &r.records[i].User; r.records[i].Kind == event.KindUserPatch {
			out = append(out, u.ID+" "+string(event.AppendAttributesJSON(nil, u.Attributes)))
		}
	}
	return out
}

func (r *recorder) ids() []string {
	var out []string
	for i := range r.records {
		if r.records[i].Kind == event.KindEvent {
			out = append(out, r.records[i].Event.EventID)
		}
	}
	return out
}

// faults returns the rejected rows as "line code" lines.
func (r *recorder) faults() []string {
	var out []string
	for _, f := range r.rejected {
		out = append(out, fmt.Sprintf("%d %s", f.Line, f.Code))
	}
	return out
}

// discard keeps nothing.
type discard struct{}

func (discard) Records(context.Context, []event.Record) error { return nil }
func (discard) Reject(context.Context, []Rejected) error      { return nil }

const testNow = 1_800_000_000_000

// read imports a text; mapping is what --map takes.
func read(t testing.TB, text, mapping string, spec Spec) (*recorder, Counts, error) {
	t.Helper()
	var err error
	if spec.Map, err = ParseMap(mapping); err != nil {
		t.Fatal(err)
	}
	if spec.Name == "" {
		spec.Name = "test"
	}
	spec.Now = time.UnixMilli(testNow)
	var sink recorder
	counts, err := Read(context.Background(), strings.NewReader(text), spec, &sink)
	if counts.Emitted+counts.Rejected+counts.Skipped != counts.Read ||
		counts.Emitted+counts.Patches != int64(len(sink.records)) || counts.Rejected != int64(len(sink.rejected)) {
		t.Errorf("counts %+v do not add up with %d records and %d rejected", counts, len(sink.records), len(sink.rejected))
	}
	return &sink, counts, err
}

func mustRead(t testing.TB, text, mapping string, spec Spec) *recorder {
	t.Helper()
	sink, _, err := read(t, text, mapping, spec)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(got) == 0 && len(want) == 0 || reflect.DeepEqual(got, want) {
		return
	}
	t.Errorf("%s:\n got %q\nwant %q", what, got, want)
}

func TestEventsFromCSV(t *testing.T) {
	const header = "user_id,item_id,event_type,ts,value\n"
	tests := []struct {
		name, text, mapping string
		spec                Spec
		events, faults      []string
	}{
		{
			name:   "standard columns",
			text:   header + "u1,i1,view,2010-12-01 08:26:00,\nu2,i2,cart,1291191960,2\nu3,i3,view,1291191960000,0.5\nu4,i4,view,2010-12-01T09:26:00+01:00,\n",
			events: []string{"u1 i1 view - 1291191960000", "u2 i2 cart 2 1291191960000", "u3 i3 view 0.5 1291191960000", "u4 i4 view - 1291191960000"},
		},
		{
			name:    "mapped, constant, time zone, no time means now",
			text:    "Who,What,When\n17850,85123A,2010-12-01 09:26:00\n007,x,\n",
			mapping: "user_id=Who, item_id=What, event_type==purchase, ts=When",
			spec:    Spec{TZ: "Europe/Berlin"},
			events:  []string{"17850 85123A purchase - 1291191960000", "007 x purchase - 1800000000000"},
		},
		{
			name:    "where skips, remove-where removes without the sign",
			text:    "inv,u,i,q\n1,u1,a,3\nC2,u1,a,-3\n3,,a,1\n4,u1,POST,1\n5,u2,b,-1\n",
			mapping: "user_id=u,item_id=i,value=q,event_type==purchase",
			spec:    Spec{Where: `i != "POST"`, RemoveWhere: `inv.startsWith("C")`},
			events:  []string{"u1 a purchase 3 1800000000000", "u1 a remove 3 1800000000000"},
			faults:  []string{"4 missing_user_id", "6 invalid_value"},
		},
		{
			name:    "strftime",
			text:    "user_id,item_id,d\nu,i,01/12/2010 08:26\nu,i,2010-12-01\n",
			mapping: "event_type==view,ts=d",
			spec:    Spec{TSFormat: "%d/%m/%Y %H:%M"},
			events:  []string{"u i view - 1291191960000"},
			faults:  []string{"3 invalid_ts"},
		},
		{
			name: "quotes, line numbers, CRLF, BOM, blank lines, no last line end",
			text: "\xef\xbb\xbfuser_id,item_id,event_type\r\n\r\n\"u,1\",\"i \"\"1\"\"\",view\r\n\"u\r\n2\",i2,view\r\nu3,i3\r\nu4,\"i4\",view",
			// the id with a line break is refused by the rules of ids
			events: []string{`u,1 i "1" view - 1800000000000`, "u4 i4 view - 1800000000000"},
			faults: []string{"4 invalid_id", "6 invalid_row"},
		},
		{
			name:   "a stray quote costs its line only",
			text:   "user_id,item_id,event_type\nu1,\"i1,view\nu2,i2,view\nu3,\"i\"3,view\nu4,i\"4,view\nu5,i5,view\n",
			events: []string{"u2 i2 view - 1800000000000", `u4 i"4 view - 1800000000000`, "u5 i5 view - 1800000000000"},
			faults: []string{"2 invalid_row", "4 invalid_row"},
		},
		{
			name:   "tsv knows no multi-line quotes",
			text:   "user_id\titem_id\tevent_type\nu1\t\"big\" lamp\tview\nu2\t\"a\tb\"\tview\nu3\t\"open\tview\n",
			events: []string{`u1 "big" lamp view - 1800000000000`, `u3 "open view - 1800000000000`},
			faults: []string{"3 invalid_id"},
		},
		{
			name:   "semicolons",
			text:   "user_id;item_id;event_type\nu;i;view\n",
			events: []string{"u i view - 1800000000000"},
		},
		{
			name: "every fault of a row",
			text: "user_id,item_id,event_type,ts,value,position,props\n" +
				",i,view,,,,\nu,,view,,,,\nu,i,,,,,\nu,i,nope,,,,\nu,i,view,yesterday,,,\nu,i,view,,abc,,\nu,i,view,,-1,,\nu,i,view,,NaN,,\n" +
				"u\xff,i,view,,,,\nu,i,view,,,1.5,\nu,i,view,,,,[]\nu,i,view,,0x10,,\n" + strings.Repeat("u", 257) + ",i,view,,,,\n",
			spec: Spec{Types: onlyView{}},
			faults: []string{
				"2 missing_user_id", "3 missing_item_id", "4 missing_event_type", "5 unknown_event_type", "6 invalid_ts",
				"7 invalid_value", "8 invalid_value", "9 invalid_value", "10 invalid_utf8", "11 invalid_value", "12 invalid_json",
				"13 invalid_value", "14 invalid_id",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sink := mustRead(t, tt.text, tt.mapping, tt.spec)
			same(t, "events", sink.events(), tt.events)
			same(t, "faults", sink.faults(), tt.faults)
		})
	}
}

type onlyView struct{}

func (onlyView) Known(t string) bool { return t == "view" }

func TestEventsFromNDJSON(t *testing.T) {
	text := `{"user_id":17850,"item_id":"i\u00e9\n"}
{"user_id":"u1","item_id":"i1","event_type":"view","ts":"2010-12-01T08:26:00Z","value":null,"extra":[1,{"a":"}"}]}
{"user_id":2,"item_id":3,"event_type":"cart","ts":1291191960000,"value":2,"props":{"a": [1, 2]},"position":3,"price":9.5,"currency":"EUR"}

  {"user_id":"u3","item_id":"i3","event_type":"view"}  ` + "\r" + `
{"user_id":1.5,"item_id":"i","event_type":"view"}
{"user_id":true,"item_id":"i","event_type":"view"}
[1]
{"user_id":"u"
{"event_type":"view","item_id":"i"}
{"user_id":"\ud800","item_id":"i","event_type":"view"}`
	sink := mustRead(t, text, "", Spec{Name: "x.ndjson.gz"})
	same(t, "events", sink.events(), []string{
		"u1 i1 view - 1291191960000", "2 3 cart 2 1291191960000", "u3 i3 view - 1800000000000",
		"\ufffd i view - 1800000000000",
	})
	same(t, "faults", sink.faults(), []string{
		"1 missing_event_type", "6 invalid_id", "7 invalid_id", "8 invalid_json", "9 invalid_json", "10 missing_user_id",
	})
	e := sink.records[1].Event
	if e.Props != `{"a":[1,2]}` || e.Position != 3 || e.Price != 9.5 || e.Currency != "EUR" {
		t.Errorf("event = %+v, want all its fields", e)
	}
	if src := sink.records[1].Source; src != (event.Source{Name: "x.ndjson.gz", Offset: 3}) {
		t.Errorf("source = %+v, want line 3 of x.ndjson.gz", src)
	}
}

func TestFilterOnJSON(t *testing.T) {
	text := `{"u":"a","i":"1","n":5,"ok":true,"tags":["x","y"]}
{"u":"b","i":"1","n":"5","ok":"true","tags":"x"}
{"u":"c","i":"1","n":6}
`
	const mapping = "user_id=u,item_id=i,event_type==view"
	for where, want := range map[string]string{
		`n == 5`:              "ab",
		`n == "5"`:            "ab",
		`ok`:                  "ab",
		`"x" in tags`:         "a",
		`has(tags)`:           "ab",
		`!has(tags) && n > 5`: "c",
	} {
		sink := mustRead(t, text, mapping, Spec{Where: where})
		got := ""
		for i := range sink.records {
			got += sink.records[i].Event.UserID
		}
		if got != want {
			t.Errorf("where %s keeps %q, want %q", where, got, want)
		}
	}
}

func TestAttributesOfAnEventFile(t *testing.T) {
	text := "u,i,name,price,stock,code\n" +
		"u1,a,Lamp,2.50,true,007\n" +
		"u1,b,\"Chair, old\",10,False,1e5\n" +
		"u2,a,Lamp red,,,0.5\n" +
		",c,Ghost,1,true,1\n" +
		"u2,a,,3,,+49\n"
	mapping := "user_id=u,item_id=i,event_type==view,attr.name=name,attr.price=price,attr.stock=stock,attr.code=code,attr.shop==de"
	sink := mustRead(t, text, mapping, Spec{})
	same(t, "items", sink.items(), []string{
		`a {"code":"+49","name":"Lamp red","price":3,"shop":"de","stock":true}`,
		`b {"code":"1e5","name":"Chair, old","price":10,"shop":"de","stock":false}`,
	})
	same(t, "faults", sink.faults(), []string{"5 missing_user_id"})
	long := "u,i,name\nu1,a," + strings.Repeat("x", 5000) + "\nu1,b,\xe9\n"
	sink = mustRead(t, long, "user_id=u,item_id=i,event_type==view,attr.name=name", Spec{})
	same(t, "faults", sink.faults(), []string{"2 invalid_attribute", "3 invalid_utf8"})
}

func TestPatchesAreFlushedWithinBounds(t *testing.T) {
	var text strings.Builder
	text.WriteString("user_id,item_id,name\n")
	for i := range maxPendingItems + 10 {
		fmt.Fprintf(&text, "u,i%d,n%d\n", i, i)
	}
	sink, counts, err := read(t, text.String(), "event_type==view,attr.name=name", Spec{})
	if err != nil || counts.Patches != maxPendingItems+10 || counts.Emitted != maxPendingItems+10 {
		t.Fatalf("counts %+v, error %v, want all items", counts, err)
	}
	if last := sink.records[len(sink.records)-1]; last.Item.ID != fmt.Sprintf("i%d", maxPendingItems+9) {
		t.Errorf("last patch is of %s, want the last item", last.Item.ID)
	}
}

func TestItems(t *testing.T) {
	sink := mustRead(t, "item_id,name,price,expires_at\na,Lamp,5,2026-01-01\nb,,,\n,x,1,\n", "", Spec{Kind: Items})
	same(t, "csv", sink.items(), []string{`a {"name":"Lamp","price":5}`, `b {}`})
	same(t, "faults", sink.faults(), []string{"4 missing_item_id"})
	if got := sink.records[0].Item.ExpiresAt; got != 1767225600000 {
		t.Errorf("expires_at = %d, want 2026-01-01", got)
	}
	sink = mustRead(t, "sku,Product Name,x\na,Lamp,1\n", "item_id=sku,attr.name=Product Name", Spec{Kind: Items})
	same(t, "mapped", sink.items(), []string{`a {"name":"Lamp"}`})
	sink = mustRead(t, `{"item_id":1,"name":"5","n":5,"ok":true,"tags":["b","a"],"gone":null}
{"item_id":"b","attributes":{"name":"Lamp","price":9.5,"tags":["x"]},"expires_at":"2026-01-01T00:00:00Z"}
{"item_id":"c","later":"yes"}
{"item_id":"d","nested":{"a":1}}
`, "", Spec{Kind: Items})
	same(t, "ndjson", sink.items(), []string{
		`1 {"n":5,"name":"5","ok":true,"tags":["a","b"]}`, `b {"name":"Lamp","price":9.5,"tags":["x"]}`, `c {"later":"yes"}`,
	})
	same(t, "faults", sink.faults(), []string{"4 invalid_attribute"})
	var many strings.Builder
	for i := range maxColumns + 5 {
		fmt.Fprintf(&many, `{"item_id":"a","f%d":1}`+"\n", i)
	}
	if sink = mustRead(t, many.String(), "", Spec{Kind: Items}); len(sink.rejected) == 0 {
		t.Error("no row is rejected, want those with names beyond the limit")
	}
}

func TestUsers(t *testing.T) {
	sink := mustRead(t, "user_id,region,age,item_id\n7,north,41,i1\nb,,,\n,south,1,\nc,\xff,1,\n", "", Spec{Kind: Users})
	same(t, "csv", sink.users(), []string{`7 {"age":41,"item_id":"i1","region":"north"}`, `b {}`})
	same(t, "faults", sink.faults(), []string{"4 missing_user_id", "5 invalid_utf8"})
	if r := &sink.records[0]; r.User.Time != testNow || r.Source != (event.Source{Name: "test", Offset: 2}) || r.Item.ID != "" {
		t.Errorf("the record is %+v", r)
	}
	sink = mustRead(t, "Customer,Home Region,x\nu1,north,1\nu2,south,2\n", "user_id=Customer,attr.region=Home Region,attr.vip==true", Spec{Kind: Users, Where: "x > 1"})
	same(t, "mapped", sink.users(), []string{`u2 {"region":"south","vip":true}`})
	sink = mustRead(t, `{"user_id":1,"vip":true,"tags":["b","a"],"gone":null}
{"user_id":"b","attributes":{"region":"north"}}
{"user_id":1.5,"vip":true}
`, "", Spec{Kind: Users})
	same(t, "ndjson", sink.users(), []string{`1 {"tags":["a","b"],"vip":true}`, `b {"region":"north"}`})
	same(t, "faults", sink.faults(), []string{"3 invalid_id"})
}

// TestIdentity checks that a row keeps its id however the file is written.
func TestIdentity(t *testing.T) {
	const mapping = "user_id=u,item_id=i,event_type==purchase,ts=t,value=q"
	rows := "u1,a,2010-12-01 08:26:00,2\nu1,a,2010-12-01 08:26:00,2\nu2,b,2010-12-02,1\n"
	want := mustRead(t, "u,i,t,q\n"+rows, mapping, Spec{}).ids()
	if want[0] == want[1] || len(want[0]) != 32 {
		t.Fatalf("ids %q: equal rows must stay apart, by 128 bits in hexadecimal", want)
	}
	if _, err := hex.DecodeString(want[0]); err != nil {
		t.Error(err)
	}
	variants := map[string]string{
		"other columns, order and number form": "x,q,t,i,u\n1,2.0,2010-12-01T08:26:00Z,a,u1\n2,2,1291191960,a,u1\n3,1,1291248000000,b,u2\n",
		"ndjson":                               `{"u":"u1","i":"a","t":"2010-12-01 08:26:00","q":2}` + "\n" + `{"u":"u1","i":"a","t":1291191960,"q":2}` + "\n" + `{"u":"u2","i":"b","t":"2010-12-02","q":"1"}`,
		"rejected rows between":                "u,i,t,q\n,a,2010-12-01 08:26:00,2\n" + rows,
	}
	for name, text := range variants {
		same(t, name, mustRead(t, text, mapping, Spec{Name: name}).ids(), want)
	}
	appended := mustRead(t, "u,i,t,q\n"+rows+"u1,a,2010-12-01 08:26:00,2\n", mapping, Spec{}).ids()
	same(t, "appended to", appended[:3], want)
	if appended[3] == want[0] || appended[3] == want[1] {
		t.Error("the third equal row has the id of an earlier one")
	}
	given := mustRead(t, "u,i,t,q,event_id\nu1,a,,,e-1\nu1,a,,,\n", mapping, Spec{}).ids()
	if given[0] != "e-1" || len(given[1]) != 32 {
		t.Errorf("ids %q, want the given one and a hash", given)
	}
}

// TestIdentityIsFrozen pins the hash: the ids are stored for ever.
func TestIdentityIsFrozen(t *testing.T) {
	got := mustRead(t, "user_id,item_id,event_type,ts,value,price,session_id,props\nu1,a,view,2010-12-01,2,9.5,s,\"{\"\"a\"\":1}\"\nu,i,view,,,,,\nu,i,view,,,,,\n", "", Spec{}).ids()
	same(t, "ids", got, frozenIDs)
}

var frozenIDs = []string{"0814eeb4015676587b2af1a39813f7ac", "a6f968bb6db4d972d5e910c7a756dc3b", "d1b551ba528b8f775283441075ac47da"}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t testing.TB, text string) string {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(z.EncodeAll([]byte(text), nil))
}

// xzRows is 2000 rows packed by xz, for there is no packer in Go here: user
// i%7, item i%5, ts 1291000000+i.
const xzRows = "/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4Kv9B7RdADqcyM7hrEgAwADgPpmXLtWvdRWOPPGcJ18SgqW+ONB1ybT8XsZ+KZOciBZ2TBi15r0G62" +
	"f+f4imbXOSiS0ktuJMczfSjvHNBdjqjFGIjVgkaXvobI7qPtaqeVLeQXV930oShu0eyYx7DiDYG38E+VEcNg63gsS7aAuqrSzPfUcyonoOGUM4" +
	"XeHSl6ziWAgVzvozsg9Z3QG83otkRIqvrjFMYtxjU+82O0yWApw/PPvpi/Rzw4Eu6JQ2Y48Nv7DfPNKF1EZFpiz7PgXrOhxgOzEsjo4xBmrPk+" +
	"6klzLrtBp088rYXlZ9IJMSdRo6OlcO7yPBQcDa6K7atMGRI9CYcmDEWh+eNixISX7VYvonFDpSbI5l/yEVNG5Zw2kQkJ2wH6RaADfjnvb0WaLp" +
	"+tlsbmOaQZV58tXOlnTOpyP1c0qjZjEiNcj45guApF66czd4UJmZnF7lBghZUcXu9usicKbQQNsY19LzH1KNofu0yXQem78wHnvKXtnuAli0BQ" +
	"xrqnmipp4MkePIbyE+plyr9LdZnnSKXWP0P1Z6KZptLYAt2kncQmuajl1hBbtyoexvHUPGhStdCt4yV+51Goo64mSlH+3J46cD9q9Bs+kV/s2c" +
	"13rUTqrRWbhc+CfLvqEIXmTTuQ+LOPpwNT5l1K25zeBnR5DgEn7IeJUTZG4jZATB4qa588UJKTcd7ozZzQ/ppW8nL5kibbGkkKjMplCHQsDSKf" +
	"k/5DT4uX/jdW+nuWUtkAnMgj0zcYBPqBotkPfARTXaGd7ojLpGffrE6s1bva2yTx+FHbk/XZrfOuno0TmlZVG2lPlc7RDa1Hs8BheJ0FTh7dro" +
	"wvRqbE7UiB6thJYjSnnFFg9lTBDJYHjxBoJGHK9jmncrMFfCyLU69KWn3OLU1Vr18vVB2EWPe9H170TIkpJVoJcJvhn0wyhwgbZCVWIer3OAvQ" +
	"zuagsCxr7Anlm0H659ma7mg4RRbf1mxfYs+5JT/3ozkihnWbEYcwRnLIZXPoza0zVbLEIUQ3NeIVorDaT7xyxKQmpZlcbUpb7kyqyPISUvHx0D" +
	"2rZHkb7Y6Lupf42CY23VSYOSvYOroHIBYt/Osaty2ySFsrB9o+rj5zwKxaQkb4Bk81ytFTA4Tuq6PE0CzaY/hSEi73nKvC7XYcXDBJE9OmQXhc" +
	"fjQYG7HeiB5b9SpJFpWAr+K3sB18z50qBdK+JLwZ9jqwrE892d2wVm74Pmxso7uS32ucqpQtLbUAvhkYxgoSbLMcyv3i08s/SUfK2CDTdUDi1j" +
	"ZCyJRDNf4r/wQ1VG2il6YTw+NsEpBx/oE4fGfepQW4+ADxw8jHaZFNKFnoagAwvmEsygNPw20DxbGFqSlHsqaEwTuRxZguo7vsV2yv+Ey88pR+" +
	"UtjMGBxbqqpQFL9uP/DYGJokcBzMuPO/G1H0wbTCutx0dVBDLLdMvDEfb3x+m/Fbttb/W4kntFlavj6Tsm4OIJ0PIIM+nDVfrGu6izPyTBWtND" +
	"FFAjV5p5LxQ7ijtalDHGP/4JJCr3rKDuBMTSfUgyDxUTJa5wI4DHnjhuTxk3E4kAMzDFlTZZomE4zmiDvyPgZ0DZbAGOoHv3T2na9mgsSUhTuy" +
	"YppYfSjRKbIkml9HCZyP1Mwr8Gtxxjuv/WU/Rcf6OIqklWi06IT6R+27ZGngjHof25+eMqb5AoebAir43PP6H/bvyPulZ9GZXIyjGm3OXni/6r" +
	"EZ1K6xZaLmqIjIm7Ul9O57SRRI/xrprg4cbh9R1tBUzY+nlS642tETwHSlbETjTYXH+8faYDm/OPoDThez4lvfVo5vYTguH3rKeqnwrRu69mvA" +
	"NOUOhci6U92x9wobCVUZdlDc35uT4nphd7U7DARc1Y43sRt6M1LI9E3/VnMnbPiGLP3vDh0kxzs62GQfGMjGd0otaDyIB9Xo1PbCcrB1hk2ipJ" +
	"2YNyRrX4TVw7tNVNX0xPtjJ58DW9tmbGYxKPemiTvtVXIfA9/liWjTIU7aKhOhNWJhu3bF8ZNGhcyf8ADN00HnIhihKEuJIRmJ6p/4UhJShNzL" +
	"XSPDaIMZDmz56FswoFUMHSNNGoGaUnjPoyi20Ta2Z5NC7GPphiCPLhwYSElVQt1HDWCyZYFs5BiWJ87XJ/PE+qzLmS8yN0iaTrDn4NuwYHIHx6" +
	"IB/vc6gyvaDcRLBS9xv0HyFq4oZRX8AbXEroQZaQMWfKOrk2E5KNE0dqLEeXyohTA79+URUQxeuHdkLvbAjn6TucRyGOsqj4O+xDfjtiIi7WoG" +
	"ceCFrjiVRLLUgroUoLnUNYUx7uYgqFfD8pahDStZixRqHUutz/U6acUfIEVr+/MwttZ7x3uqRa8tO5b9Lhza42nn6dm137It/6u41fbLfWDwHR" +
	"K9/kyG3EYss2b+wNZ/MFBMy3tWg/zw/k7H56xDrSkymB7jYhlUpaH4GFnO3j446KeLvPG7WsBHeqXF12vlnhpCyx7zT07SyAdhKlzb7ktQ8u6o" +
	"yWNKRED5q4ZvEeyrDowPPk8kt+jEVvJEBzOHln9/5vPiewX6hn5av2CmsrKgtW/cEyVE3PBuUb1jLkHsSrHfW8lgYZj4+PDDWUkEIqoeHwI/mZ" +
	"vuqp4iJPF+mCauwHqUkJx4AFJldz0AAA0yHW5QABzA/+1wIAYL1m+z4wDYsCAAAAAAFZWg=="

func unbase64(t testing.TB, text string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// manyRows is a file large enough to be cut in the middle of its data.
func manyRows(n int) string {
	var b strings.Builder
	b.WriteString("user_id,item_id,event_type,ts\n")
	for i := range n {
		fmt.Fprintf(&b, "u%d,i%d,view,%d\n", i*7919%1000, i*104729%5000, 1_291_000_000+i*37)
	}
	return b.String()
}

func TestCompressed(t *testing.T) {
	text := manyRows(30_000)
	want := mustRead(t, text, "", Spec{}).ids()
	for name, packed := range map[string]string{
		"gzip": gzipped(t, text), "zstd": zstded(t, text), "two gzip members": gzipped(t, text[:1000]) + gzipped(t, text[1000:]),
	} {
		got := mustRead(t, packed, "", Spec{Name: "x.csv"}).ids()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d ids differ from the %d of the plain file", name, len(got), len(want))
		}
	}
}

func TestXZ(t *testing.T) {
	packed := unbase64(t, xzRows)
	sink := mustRead(t, packed, "", Spec{Name: "x.csv.xz"})
	if n := len(sink.records); n != 2000 || sink.records[n-1].Event.Time != 1291001999000 {
		t.Errorf("%d records, want all 2000", n)
	}
	_, counts, err := read(t, packed[:len(packed)/2], "", Spec{Name: "x.csv.xz"})
	var fault *InputError
	if !errors.As(err, &fault) || fault.Code != stream.CodeTruncated || counts.Rejected > 0 || counts.Emitted == 0 || counts.Emitted >= 2000 {
		t.Errorf("cut in half: %+v, %v, want some of the rows and code truncated", counts, err)
	}
}

func TestBrokenCompression(t *testing.T) {
	text := manyRows(30_000)
	gz, zst := gzipped(t, text), zstded(t, text)
	damaged := []byte(gz)
	damaged[len(damaged)/2] ^= 0x55
	tests := []struct{ name, packed, code string }{
		{"x.csv.gz", gz[:len(gz)/2], stream.CodeTruncated},
		{"x.csv.zst", zst[:len(zst)/2], stream.CodeTruncated},
		{"x.csv.gz", gz[:5], stream.CodeTruncated},
		{"x.csv.gz", string(damaged), stream.CodeCorrupt},
	}
	for _, tt := range tests {
		_, counts, err := read(t, tt.packed, "", Spec{Name: tt.name})
		var fault *InputError
		if !errors.As(err, &fault) || fault.Code != tt.code || !strings.HasPrefix(err.Error(), tt.name+": ") {
			t.Errorf("%s: error %v, want code %s and the name", tt.name, err, tt.code)
		}
		// gzip tells damage at its end only, so only a cut is clean.
		if tt.code == stream.CodeTruncated && len(tt.packed) > 100 && (counts.Emitted == 0 || counts.Emitted >= 30_000 || counts.Rejected > 0) {
			t.Errorf("%s: counts %+v, want the rows before the cut and none cut in two", tt.name, counts)
		}
	}
}

func TestInputErrors(t *testing.T) {
	const ok = "user_id,item_id,event_type\nu,i,view\n"
	tests := []struct {
		name, text, mapping string
		spec                Spec
		code                string
		parts               []string // of the error and its hint
	}{
		{"empty", "", "", Spec{Name: "a.csv"}, stream.CodeEmptyFile, []string{"a.csv: it is empty"}},
		{"byte order mark alone", "\xef\xbb\xbf", "", Spec{}, stream.CodeEmptyFile, nil},
		{"blanks", "\n \n", "", Spec{}, stream.CodeEmptyFile, nil},
		{"header alone", "user_id,item_id,event_type\n", "", Spec{}, stream.CodeEmptyFile, []string{"no rows"}},
		{"no user column", "CustomerID,item_id,event_type\n1,2,view\n", "", Spec{}, stream.CodeUnknownColumn, []string{`no column "user_id"`, "CustomerID, item_id", "--map user_id="}},
		{"no type", "user_id,item_id\n1,2\n", "", Spec{}, stream.CodeUnknownColumn, []string{"event_type==view"}},
		{"map names no column", "Customer_ID,item_id,event_type\n1,2,view\n", "user_id=CustomerId", Spec{}, stream.CodeUnknownColumn, []string{`no column "CustomerId"`, "Customer_ID, item_id, event_type", "nearest column: Customer_ID"}},
		{"where names no column", ok, "", Spec{Where: "usr_id != ''"}, stream.CodeUnknownColumn, []string{"where", "nearest column: user_id"}},
		{"json where names no field", `{"user_id":1,"item_id":2,"event_type":"view"}`, "", Spec{Where: "usr_id != ''"}, stream.CodeUnknownColumn, []string{"nearest field: user_id"}},
		{"json of another kind", `{"user":1,"item":2}`, "", Spec{}, stream.CodeUnknownColumn, []string{`no field "user_id"`, "--map user_id=user"}},
		{"column twice", "user_id,user_id,item_id,event_type\n", "", Spec{}, stream.CodeUnknownColumn, []string{"stands twice"}},
		{"where is broken", ok, "", Spec{Where: "user_id = 1"}, stream.CodeInvalidExpr, []string{"where: at character 9", "write =="}},
		{"remove-where is broken", ok, "", Spec{RemoveWhere: "("}, stream.CodeInvalidExpr, []string{"remove-where"}},
		{"zone", ok, "", Spec{TZ: "Mars/Base"}, stream.CodeInvalidTZ, []string{"Mars/Base"}},
		{"ts format", ok, "", Spec{TSFormat: "%Q"}, stream.CodeInvalidTSForm, nil},
		{"ts format without a day", ok, "", Spec{TSFormat: "%H:%M"}, stream.CodeInvalidTSForm, nil},
		{"format", ok, "", Spec{Format: "xls"}, stream.CodeUnknownFormat, []string{"csv, tsv, ndjson"}},
		{"json array", `[{"user_id":1}]`, "", Spec{}, stream.CodeUnknownFormat, []string{"jq"}},
		{"utf-16", "\xff\xfeu\x00", "", Spec{}, stream.CodeUnknownFormat, []string{"iconv"}},
		{"binary", "user_id\x00\x01", "", Spec{}, stream.CodeUnknownFormat, nil},
		{"zip", "PK\x03\x04aaaa", "", Spec{}, stream.CodeUnknownFormat, []string{"zip"}},
		{"field of events for items", "item_id,x\n1,2\n", "value=x", Spec{Kind: Items}, stream.CodeInvalidMap, []string{"an item has no field"}},
		{"attribute names", "item_id,Product Name\n1,2\n", "", Spec{Kind: Items}, stream.CodeInvalidMap, []string{"Product Name", "attr.name=Product Name"}},
		{"remove-where for items", "item_id,x\n1,2\n", "", Spec{Kind: Items, RemoveWhere: "x == 1"}, stream.CodeInvalidExpr, nil},
		{"no user column in users", "customer,region\n1,2\n", "", Spec{Kind: Users}, stream.CodeUnknownColumn, []string{`no column "user_id"`, "--map user_id=COLUMN"}},
		{"field of items for users", "user_id,x\n1,2\n", "expires_at=x", Spec{Kind: Users}, stream.CodeInvalidMap, []string{"a user has no field", "its fields are user_id, attr.NAME"}},
		{"remove-where for users", "user_id,x\n1,2\n", "", Spec{Kind: Users, RemoveWhere: "x == 1"}, stream.CodeInvalidExpr, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := read(t, tt.text, tt.mapping, tt.spec)
			var fault *InputError
			if !errors.As(err, &fault) || fault.Code != tt.code {
				t.Fatalf("error %v (%+v), want code %s", err, fault, tt.code)
			}
			for _, part := range tt.parts {
				if !strings.Contains(err.Error()+"\n"+fault.Hint, part) {
					t.Errorf("error %q with hint %q, want %q in it", err, fault.Hint, part)
				}
			}
		})
	}
}

func TestHugeRows(t *testing.T) {
	huge := strings.Repeat("x", 10<<20)
	sink := mustRead(t, "user_id,item_id,event_type\nu,i1,view\nu,"+huge+",view\nu,i2,view\n", "", Spec{})
	same(t, "csv", sink.faults(), []string{"3 too_large"})
	if n := len(sink.records); n != 2 || sink.records[1].Source.Offset != 4 {
		t.Errorf("%d records, want the two rows around the huge one", n)
	}
	if r := sink.rejected[0]; len(r.Raw) != MaxRaw || !r.Truncated {
		t.Errorf("kept %d raw bytes, truncated %v, want %d and true", len(r.Raw), r.Truncated, MaxRaw)
	}
	good := `{"user_id":"u","item_id":"i","event_type":"view"}` + "\n"
	sink = mustRead(t, `{"user_id":"`+huge+"\"}\n"+good+`{"user_id":"`+huge, "", Spec{Format: NDJSON})
	same(t, "ndjson", sink.faults(), []string{"1 too_large", "3 too_large"})
	if len(sink.records) != 1 {
		t.Errorf("%d records, want 1", len(sink.records))
	}
	// A quote that never closes costs its own line, even with 10 MB behind it.
	many := strings.Repeat("u,i,view\n", 130_000)
	sink = mustRead(t, "user_id,item_id,event_type\n\"u,i,view\n"+many, "", Spec{})
	same(t, "open quote", sink.faults(), []string{"2 invalid_row"})
	if len(sink.records) != 130_000 {
		t.Errorf("%d records, want 130000", len(sink.records))
	}
}

// TestSmallReads checks that the cutting of rows does not depend on how the
// bytes arrive.
func TestSmallReads(t *testing.T) {
	text := "user_id,item_id,event_type\r\n\"u\"\"1\",i1,view\r\n\"u\n2\",\"i2\",view\nu3,\"i3,view\n\r\nu4,i4,\"view\"\r\nu5,\"i\"5,view\nu6,i6,view"
	whole := mustRead(t, text, "", Spec{})
	for _, slow := range []io.Reader{iotest.OneByteReader(strings.NewReader(text)), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		var sink recorder
		if _, err := Read(context.Background(), slow, Spec{Name: "test", Now: time.UnixMilli(testNow)}, &sink); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(sink, *whole) {
			t.Errorf("%T: %q %q, want %q %q", slow, sink.events(), sink.faults(), whole.events(), whole.faults())
		}
	}
}

func TestSourceError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("user_id,item_id,event_type\nu,i,view\nu,i,vi"), iotest.ErrReader(io.ErrUnexpectedEOF))
	var sink recorder
	counts, err := Read(context.Background(), broken, Spec{Name: "up.csv"}, &sink)
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(*InputError)) || !strings.Contains(err.Error(), "read up.csv") {
		t.Errorf("error %v, want the source's own", err)
	}
	if counts.Read != 1 || len(sink.records) != 1 {
		t.Errorf("counts %+v, want the one complete row", counts)
	}
}

// failing is a sink that fails, or calls back, at its nth batch.
type failing struct {
	recorder
	after int
	fail  func() error
}

func (f *failing) Records(ctx context.Context, records []event.Record) error {
	if f.after--; f.after < 0 {
		return f.fail()
	}
	return f.recorder.Records(ctx, records)
}

func TestSinkErrorEndsTheReading(t *testing.T) {
	full := errors.New("the log is full")
	sink := &failing{after: 2, fail: func() error { return full }}
	counts, err := Read(context.Background(), strings.NewReader(manyRows(50_000)), Spec{}, sink)
	if !errors.Is(err, full) {
		t.Errorf("error %v, want the sink's", err)
	}
	if counts.Emitted != int64(len(sink.records)) || counts.Emitted != 2*batchRecords {
		t.Errorf("counts %+v, want the %d records delivered before", counts, len(sink.records))
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	sink := &failing{after: 1, fail: func() error { cancel(); return nil }}
	endless := io.MultiReader(strings.NewReader("user_id,item_id,event_type\n"), forever{})
	done := make(chan error, 1)
	go func() {
		_, err := Read(ctx, endless, Spec{}, sink)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Read does not end with its context")
	}
}

type forever struct{}

func (forever) Read(p []byte) (int, error) { return copy(p, "u,i,view\n"), nil }

package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"vitrine/bridge/event/shape"
)

// fullJSON is the example of the API with every field.
const fullJSON = `{"user_id":"u1","item_id":"i9","event_type":"view","ts":"2026-11-22T10:00:00Z","value":1,"event_id":"e-1","session_id":"s-1","request_id":"r-1","position":3,"scene":"home","price":9.5,"currency":"EUR","props":{"a":[1,{"b":null}]}}`

// fullEvent is what it means.
var fullEvent = Event{
	UserID: "u1", ItemID: "i9", Type: "view", Time: 1795341600000, Value: 1, HasValue: true,
	EventID: "e-1", SessionID: "s-1", RequestID: "r-1", Position: 3, Scene: "home",
	Price: 9.5, HasPrice: true, Currency: "EUR", Props: `{"a":[1,{"b":null}]}`,
}

func TestParseEvent(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     Event
		unknown  int
	}{
		{"every field", fullJSON, fullEvent, 0},
		{"empty", `{}`, Event{}, 0},
		{"white space", " {\n\t\"user_id\" : \"u\" ,\r\n\"item_id\":\"i\" } \n", Event{UserID: "u", ItemID: "i"}, 0},
		{"integer ids", `{"user_id":17850,"item_id":-0,"event_id":900719925474099300000}`, Event{UserID: "17850", ItemID: "0", EventID: "900719925474099300000"}, 0},
		{"nulls are absent", `{"user_id":null,"ts":null,"value":null,"price":null,"props":null,"position":null,"scene":null,"event_type":null,"currency":null}`, Event{}, 0},
		{"unknown fields", `{"x":{"user_id":"no"},"y":[[],[1,"]"]],"z":-1.5e+3,"w":true,"v":false,"u":null,"user_id":"u"}`, Event{UserID: "u"}, 6},
		{"last of two counts", `{"user_id":"a","user_id":"b"}`, Event{UserID: "b"}, 0},
		{"escapes", `{"user_id":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z"}`, Event{UserID: "a\"\\/\b\f\n\r\t\u00e9\U0001F600z"}, 0},
		{"escaped name", `{"user\u005fid":"u"}`, Event{UserID: "u"}, 0},
		{"ts in milliseconds", `{"ts":1700000000123}`, Event{Time: 1700000000123}, 0},
		{"small ts stays milliseconds", `{"ts":1000}`, Event{Time: 1000}, 0},
		{"the last ts that does", `{"ts":999999999}`, Event{Time: 999999999}, 0},
		{"as text", `{"ts":"1000"}`, Event{Time: 1000}, 0},
		{"ts in seconds", `{"ts":1795727616}`, Event{Time: 1795727616000}, 0},
		{"ts in seconds with a fraction", `{"ts":1795727616.844}`, Event{Time: 1795727616844}, 0},
		{"ts in seconds as text", `{"ts":"1795727616"}`, Event{Time: 1795727616000}, 0},
		{"ts with a fraction", `{"ts":1700000000123.9}`, Event{Time: 1700000000123}, 0},
		{"ts with an exponent", `{"ts":1.7e12}`, Event{Time: 1700000000000}, 0},
		{"ts as numeric text", `{"ts":"1700000000123"}`, Event{Time: 1700000000123}, 0},
		{"ts with a zone", `{"ts":"2026-11-22T12:00:00.25+02:00"}`, Event{Time: 1795341600250}, 0},
		{"value zero", `{"value":0}`, Event{HasValue: true}, 0},
		{"value negative", `{"value":-0.125}`, Event{Value: -0.125, HasValue: true}, 0},
		{"value of many digits", `{"value":0.1000000000000000055511151231257827}`, Event{Value: 0.1, HasValue: true}, 0},
		{"value tiny", `{"value":1e-400}`, Event{HasValue: true}, 0},
		{"empty props", `{"props":{}}`, Event{}, 0},
		{"props over lines", "{\"props\":{\"a\":\n\"x y\"}}", Event{Props: `{"a":"x y"}`}, 0},
	} {
		got := Event{UserID: "left over", HasPrice: true}
		unknown, inv := ParseEvent([]byte(tc.in), &got)
		if inv != nil || unknown != tc.unknown || got != tc.want {
			t.Errorf("%s: %+v, %d unknown, %v; want %+v, %d unknown", tc.name, got, unknown, inv, tc.want, tc.unknown)
		}
	}
}

func TestParseEventRefuses(t *testing.T) {
	for _, tc := range []struct{ in, code string }{
		{``, CodeInvalidJSON},
		{`[]`, CodeInvalidJSON},
		{`"u"`, CodeInvalidJSON},
		{`{`, CodeInvalidJSON},
		{`{"user_id"}`, CodeInvalidJSON},
		{`{"user_id":}`, CodeInvalidJSON},
		{`{"user_id":"u`, CodeInvalidJSON},
		{`{"user_id":"u"`, CodeInvalidJSON},
		{`{"user_id":"u",}`, CodeInvalidJSON},
		{`{"user_id":"u" "item_id":"i"}`, CodeInvalidJSON},
		{`{user_id:"u"}`, CodeInvalidJSON},
		{`{"user_id":"a` + "\n" + `b"}`, CodeInvalidJSON},
		{`{"user_id":"\x"}`, CodeInvalidJSON},
		{`{"user_id":"\u12g4"}`, CodeInvalidJSON},
		{`{"user_id":"u"}{}`, CodeInvalidJSON},
		{`{"user_id":01}`, CodeInvalidJSON},
		{`{"value":1.}`, CodeInvalidJSON},
		{`{"value":.5}`, CodeInvalidJSON},
		{`{"value":1e}`, CodeInvalidJSON},
		{`{"value":-}`, CodeInvalidJSON},
		{`{"value":NaN}`, CodeInvalidJSON},
		{`{"x":nul}`, CodeInvalidJSON},
		{`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, CodeInvalidJSON},
		{`{"user_id":"\ud800"}`, CodeInvalidUTF8},
		{`{"user_id":"\ud800\u0041"}`, CodeInvalidUTF8},
		{`{"x":"` + "\xff" + `"}`, CodeInvalidUTF8},
		{`{"user_id":1.5}`, CodeInvalidID},
		{`{"user_id":true}`, CodeInvalidID},
		{`{"user_id":{"a":1}}`, CodeInvalidID},
		{`{"event_type":5}`, CodeInvalidType},
		{`{"ts":"yesterday"}`, CodeInvalidTime},
		{`{"ts":""}`, CodeInvalidTime},
		{`{"ts":-5}`, CodeInvalidTime},
		{`{"ts":1e30}`, CodeInvalidTime},
		{`{"ts":"99999999999999999999"}`, CodeInvalidTime},
		{`{"ts":true}`, CodeInvalidTime},
		{`{"value":"1"}`, CodeInvalidValue},
		{`{"value":1e400}`, CodeInvalidValue},
		{`{"price":[]}`, CodeInvalidValue},
		{`{"position":1.5}`, CodeInvalidValue},
		{`{"position":3000000000}`, CodeInvalidValue},
		{`{"position":"3"}`, CodeInvalidValue},
		{`{"scene":{}}`, CodeInvalidID},
		{`{"currency":1}`, CodeInvalidValue},
		{`{"props":[]}`, CodeInvalidValue},
		{`{"props":{"a":}}`, CodeInvalidJSON},
		{strings.Repeat(" ", MaxJSON) + `{}`, CodeTooLarge},
	} {
		var e Event
		if _, inv := ParseEvent([]byte(tc.in), &e); code(inv) != tc.code {
			t.Errorf("%.60s: %q (%v), want %q", tc.in, code(inv), inv, tc.code)
		}
	}
}

// TestRefusalsSayWhatToDo: what a shop mostly gets wrong is told so that it can be
// mended.
func TestRefusalsSayWhatToDo(t *testing.T) {
	for in, want := range map[string]string{
		`{"ts":1795727616844000}`:    "ts 1795727616844000 is no Unix time in milliseconds of the years 1970 to 9999; is it in microseconds?",
		`{"ts":1795727616844000000}`: "is it in nanoseconds?",
		`{"ts":-5}`:                  "ts -5 is no Unix time",
		`{"ts":"2026年11月26日 21:00"}`: `ts "2026年11月26日 21:00" is neither`,
		`{"ts":"2026年11月26日 二十一点零五分三十秒"}`:    `ts "2026年11月26日 二十一点零五分" is neither`,
		"{\"user_id\":\"\xc9\xcc\xc6\xb7\"}": "not valid UTF-8 from byte 12 on; text in GBK",
		`{"user_id":"u"} {}`:                 "a record or a line has one event",
	} {
		var e Event
		if _, inv := ParseEvent([]byte(in), &e); inv == nil || !strings.Contains(inv.Detail, want) {
			t.Errorf("%s: %v, want %q", in, inv, want)
		}
	}
}

func TestSplitBatch(t *testing.T) {
	good := `{"user_id":"u"}`
	for _, tc := range []struct {
		name, media, body string
		// want has a g for every element that parses and a b for a broken one, and
		// a ~ where nothing behind it was read.
		want string
	}{
		{"object", "application/json", good, "g"},
		{"no media type", "", "\xef\xbb\xbf " + good + "\n", "g"},
		{"two objects without NDJSON", "application/json", good + "\n" + good, "b"},
		{"array", "application/json; charset=utf-8", "[" + good + " , " + good + "]\n", "gg"},
		{"empty array", "application/json", "[ ]", ""},
		{"element of another kind", "application/json", "[" + good + ",5,null," + good + "]", "gbbg"},
		{"element with a wrong field", "application/json", `[{"user_id":{}},` + good + "]", "bg"},
		{"broken element takes the rest", "application/json", "[" + good + `,{"a":tru},` + good + "]", "gb~"},
		{"missing comma", "application/json", "[" + good + " " + good + "]", "gb~"},
		{"missing comma and end", "application/json", "[" + good + " " + good, "gb~"},
		{"cut after an element", "application/json", "[" + good, "gb~"},
		{"cut after a comma", "application/json", "[" + good + ",", "gb~"},
		{"comma before the end", "application/json", "[" + good + ",]", "gb~"},
		{"text after the array", "application/json", "[" + good + "] " + good, "gb~"},
		{"text after an empty array", "application/json", "[]" + good, "b~"},
		{"lines", "application/x-ndjson", good + "\r\n\n  \n" + good, "gg"},
		{"broken line loses nothing else", "application/x-ndjson", good + "\n{\"user_id\n" + good + "\n", "gbg"},
		{"arrays are no lines", "Application/X-NDJSON; charset=utf-8", "[" + good + "]", "b"},
	} {
		var got strings.Builder
		next := 0
		whole, err := SplitBatch(tc.media, []byte(tc.body), func(index int, raw []byte) error {
			if index != next {
				t.Errorf("%s: index %d, want %d", tc.name, index, next)
			}
			next++
			var e Event
			if _, inv := ParseEvent(raw, &e); inv != nil {
				got.WriteByte('b')
			} else {
				got.WriteByte('g')
			}
			return nil
		})
		if !whole {
			got.WriteByte('~')
		}
		if err != nil || got.String() != tc.want {
			t.Errorf("%s: %q, %v; want %q", tc.name, got.String(), err, tc.want)
		}
	}
	for _, media := range []string{"application/json", "application/x-ndjson"} {
		var inv *Invalid
		if _, err := SplitBatch(media, []byte(" \n"), nil); !errors.As(err, &inv) || inv.Code != CodeInvalidJSON {
			t.Errorf("empty body as %s: %v", media, err)
		}
		stop := errors.New("stop")
		if _, err := SplitBatch(media, []byte(good), func(int, []byte) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("error of fn as %s: %v", media, err)
		}
	}
}

func TestParseAttributes(t *testing.T) {
	text := func(s string) Value { return Value{Kind: String, Str: s} }
	for _, tc := range []struct {
		in   string
		want []Attribute
	}{
		{`{}`, nil},
		{
			`{"price":9.5,"category":"c1","sale":true,"gone":null,"tags":["b","a","b"],"none":[],"old":false}`,
			[]Attribute{
				{"category", text("c1")},
				{"none", Value{Kind: Set, Set: []string{}}},
				{"old", Value{Kind: Bool}},
				{"price", Value{Kind: Number, Num: 9.5}},
				{"sale", Value{Kind: Bool, Bool: true}},
				{"tags", Value{Kind: Set, Set: []string{"a", "b"}}},
			},
		},
		{`{"a":1,"a":"x"}`, []Attribute{{"a", text("x")}}},
		{`{"a":1,"a":null}`, []Attribute{}},
		{`{"a":"two\nlines"}`, []Attribute{{"a", text("two\nlines")}}},
	} {
		got, inv := ParseAttributes([]byte(tc.in))
		if inv != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, %v; want %+v", tc.in, got, inv, tc.want)
		}
	}
	many := `{"a0":0`
	for i := 1; i <= MaxAttributes; i++ {
		many += fmt.Sprintf(`,"a%d":0`, i)
	}
	members := strings.TrimSuffix(strings.Repeat(`"x",`, MaxSet+1), ",")
	for _, tc := range []struct{ in, code string }{
		{`{"a":{}}`, CodeInvalidAttribute},
		{`{"a":{"b":}}`, CodeInvalidJSON},
		{`{"a":[1]}`, CodeInvalidAttribute},
		{`{"a":[null]}`, CodeInvalidAttribute},
		{`{"":1}`, CodeInvalidAttribute},
		{`{"1a":1}`, CodeInvalidAttribute},
		{`{"a b":1}`, CodeInvalidAttribute},
		{`{"` + strings.Repeat("a", MaxAttributeName+1) + `":1}`, CodeInvalidAttribute},
		{`{"a":"` + strings.Repeat("x", MaxAttributeText+1) + `"}`, CodeInvalidAttribute},
		{`{"a":[` + members + `]}`, CodeInvalidAttribute},
		{many + `}`, CodeInvalidAttribute},
		{`{"a":1e999}`, CodeInvalidValue},
		{`{"a":}`, CodeInvalidJSON},
		{`{"a":[}`, CodeInvalidJSON},
		{`[]`, CodeInvalidJSON},
		{`{"a":1}x`, CodeInvalidJSON},
	} {
		if list, inv := ParseAttributes([]byte(tc.in)); code(inv) != tc.code {
			t.Errorf("%.60s: %q (%v) %v, want %q", tc.in, code(inv), inv, list, tc.code)
		}
	}
}

func TestMergeAttributes(t *testing.T) {
	n := func(name string, v float64) Attribute { return Attribute{name, Value{Kind: Number, Num: v}} }
	old := []Attribute{n("a", 1), n("c", 1), n("d", 1)}
	patch := []Attribute{n("b", 2), n("c", 2), n("e", 2)}
	got := MergeAttributes(old, patch)
	want := []Attribute{n("a", 1), n("b", 2), n("c", 2), n("d", 1), n("e", 2)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if old[1].Value.Num != 1 || patch[1].Value.Num != 2 {
		t.Error("the inputs were changed")
	}
	gone := func(name string) Attribute { return Attribute{name, Value{Kind: Removed}} }
	got = MergeAttributes(old, []Attribute{gone("a"), gone("b"), n("c", 2), gone("d"), gone("e")})
	if want = []Attribute{n("c", 2)}; !reflect.DeepEqual(got, want) {
		t.Errorf("removing: got %v, want %v", got, want)
	}
}

func TestParsePatch(t *testing.T) {
	for text, want := range map[string]string{
		`{"b":null,"a":1,"c":"x"}`: `{"a":1,"b":null,"c":"x"}`,
		`{"a":1,"a":null}`:         `{"a":null}`,
		`{"a":null,"a":1}`:         `{"a":1}`,
		`{"a":null,"a":null}`:      `{"a":null}`,
		`{}`:                       `{}`,
	} {
		list, inv := ParsePatch([]byte(text))
		if inv != nil || string(AppendAttributesJSON(nil, list)) != want {
			t.Errorf("%s: %v, %v", text, list, inv)
		}
	}
	if _, inv := ParsePatch([]byte(`{"1":null}`)); code(inv) != CodeInvalidAttribute {
		t.Errorf("a bad name to remove: %v", inv)
	}
	if list, inv := ParseAttributes([]byte(`{"a":null}`)); inv != nil || len(list) != 0 {
		t.Errorf("a null outside a patch: %v, %v", list, inv)
	}
}

func TestAppendEventJSON(t *testing.T) {
	odd := fullEvent
	odd.UserID, odd.Scene, odd.Time = "a\"\\\n\x01\u00e9\u2028", "</script>", 1795341600007
	odd.Value, odd.Price = 1e-9, 1e300
	for _, e := range []Event{fullEvent, odd, {UserID: "u", ItemID: "i", Type: "view"}} {
		text := AppendEventJSON(nil, &e)
		if !json.Valid(text) {
			t.Errorf("not JSON: %s", text)
		}
		var got Event
		if unknown, inv := ParseEvent(text, &got); inv != nil || unknown != 0 || got != e {
			t.Errorf("%s reads back as %+v, %v", text, got, inv)
		}
	}
	if got := string(AppendEventJSON(nil, &fullEvent)); got != fullJSON {
		t.Errorf("got  %s\nwant %s", got, fullJSON)
	}
	if got := string(AppendValueJSON(nil, &Value{Kind: String, Str: "a\xffb"})); got != `"a\ufffdb"` {
		t.Errorf("not UTF-8: %s", got)
	}
}

// FuzzParseEvent holds the scanner against encoding/json: both must agree on
// what is a JSON object, and what is accepted must survive writing it.
func FuzzParseEvent(f *testing.F) {
	for _, s := range []string{fullJSON, `{}`, `{"user_id":1e5}`, `{"x":[{"y":"\ud83d\ude00"},-1.5E+3]}`, `[]`, `{"a":"\`, `{"ts":"2026-11-22T10:00:00.5+02:00"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e, again Event
		unknown, inv := ParseEvent(data, &e)
		sameWithShape(t, data, unknown, inv, &e)
		if inv != nil {
			if inv.Code == CodeInvalidJSON && json.Valid(data) && !strings.Contains(inv.Detail, "too deep") && !strings.Contains(inv.Detail, "expected a JSON object") {
				t.Fatalf("refused as JSON: %q: %v", data, inv)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		e.Validate(nil)
		text := AppendEventJSON(nil, &e)
		if unknown, inv := ParseEvent(text, &again); inv != nil || unknown != 0 || again != e {
			t.Fatalf("%q reads as %+v, written and read as %+v, %v", data, e, again, inv)
		}
	})
}

// sameWithShape holds a Parser against what ParseEvent said: whatever it has read
// before, and what it remembers of that, changes nothing.
func sameWithShape(t *testing.T, data []byte, unknown int, inv *Invalid, want *Event) {
	t.Helper()
	var p Parser
	for _, before := range []string{fullJSON, `{"user_id":"u", "x":1,"item_id":"i"}`, `{}`, `{"user_id":`, `{"ts":1,"ts":2,"position":1,"position":2}`, string(data)} {
		var e, ignored Event
		_, _ = p.Event([]byte(before), &ignored)
		gotUnknown, got := p.Event(data, &e)
		if gotUnknown != unknown || !reflect.DeepEqual(got, inv) || e != *want {
			t.Fatalf("%q after %q: %+v, %d unknown, %v; alone %+v, %d, %v", data, before, e, gotUnknown, got, want, unknown, inv)
		}
		if inv != nil {
			continue
		}
		for _, types := range []Types{nil, shopTypes} {
			if got, want := p.Validate(types, &e), e.Validate(types); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q: the parser finds %v, the event %v", data, got, want)
			}
		}
	}
}

// TestParser reads objects of changing shapes.
func TestParser(t *testing.T) {
	long := strings.Repeat("n", 2*64)
	many := "{"
	for i := range 3 * shape.Max {
		many += fmt.Sprintf(`"x%d":%d,`, i, i)
	}
	for _, text := range []string{
		`{"user_id":"u","item_id":"i"}`, `{"item_id":"u","user_id":"i"}`, `{ "user_id" :"u"}`, `{"user_id":"u" ,"item_id":null}`,
		`{"user_id":"u"`, `{"user_id":"u",}`, `{,"user_id":"u"}`, `{"user_id""u"}`, `{"user\u005fid":"u"}`, `{"user_id":"a\"b"}`, "{\"user_id\":\"a\tb\"}",
		`{"` + long + `":1,"user_id":"u"}`, many + `"user_id":"last"}`, `{"a":{"user_id":"inner"},"user_id":"outer"}`, `{"user_id":"u","user_id":"v"}`, ``, `[]`,
		`{"props":{"a":"12345678\u0041"},"scene":"seven77","currency":"EUR"}`,
		"{\"user_id\":\"u\",\"scene\":\"\xff\"", "{\"user_id\":\"u\",\"scene\":\"\xff\"}", "{\"\xc3\xa9\":1,\"\xc3\":2}", "{\"scene\":\"\xc3\xa9\",\"user_id\":1.5}",
		`{"user_id":"u","item_id":"a\u0007","event_type":"view"}`, "{\"user_id\":\"u\x7f\",\"item_id\":\"i\",\"event_type\":\"view\"}",
		`{"user_id":"u","user_id":null,"x":null,"ts":null,"value":null}`, `{"user_id":null,"user_id":5,"item_id":5.0}`, `{"user_id":01}`, `{"user_id":1e2}`, `{"user_id":nullx}`, `{"user_id":nul}`,
		`{"user_id":123456789012345,"item_id":1234567890123456789,"event_id":-5,"scene":0,"event_type":5}`, `{"event_type":null,"currency":null,"currency":5}`,
		`{"ts":5,"ts":"2026-11-22T10:00:00Z"}`, `{"ts":"2026-11-22T10:00:00Z","ts":5}`, `{"ts":5,"ts":6,"x":1,"x":"y"}`, `{"ts":5,"user_id":"u","ts":"6"}`,
		`{"ts":"soon","ts":2}`, `{"ts":300000000000000,"ts":2}`, `{"ts":1,"ts":"2","position":1.5,"position":2}`, `{"ts":1,"ts":"soon"}`, `{"ts":3,"ts":4,"position":5,"position":6}`,
		`{"user_id":"u","ts":300000000000000,"item_id":"i"}`, `{"user_id":"u","position":1.5,"ts":7,"item_id":"i"}`, `{"ts":"soon","user_id":"u"}`, `{"ts":7,"position":3000000000,"ts":8}`,
		`{"user_id":5,"item_id":"i","value":"1","scene":7}`, `{"position":"3","ts":7}`, "{\"user_id\":\"u\"\t\n}", `{"user_id":"u"            }`, `{"user_id":"u"            ,"ts":7}`,
		`{"user_id":"u","item_id":"i","event_type":"view","value":-1}`, `{"user_id":"u","item_id":"i","event_type":"remove","value":-1}`,
		`{"user_id":"u","item_id":"i","event_type":"nothing"}`, `{"user_id":"u","item_id":"` + strings.Repeat("i", MaxID+1) + `","event_type":"view"}`,
		`{"user_id":"u","item_id":"` + strings.Repeat("i", MaxID) + `","event_type":"view","props":{"p":"` + strings.Repeat("p", MaxProps) + `"}}`,
	} {
		var e Event
		unknown, inv := ParseEvent([]byte(text), &e)
		sameWithShape(t, []byte(text), unknown, inv, &e)
	}
}

// FuzzParseAttributes checks that what is accepted is valid and survives
// writing.
func FuzzParseAttributes(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":"x","c":[],"d":["y","x"],"e":true,"f":null}`, `{"a":{}}`, `{"a":-0}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, inv := ParseAttributes(data); inv == nil && checkAttributes(list, false) != nil {
			t.Fatalf("accepted %q: %v", data, list)
		}
		list, inv := ParsePatch(data)
		if inv != nil {
			return
		}
		if inv := checkAttributes(list, true); inv != nil {
			t.Fatalf("accepted %q: %v", data, inv)
		}
		again, inv := ParsePatch(AppendAttributesJSON(nil, list))
		if inv != nil || len(list) != len(again) || len(list) > 0 && !reflect.DeepEqual(list, again) {
			t.Fatalf("%q reads as %+v, written and read as %+v, %v", data, list, again, inv)
		}
	})
}

// FuzzSplitBatch checks that no body loses the numbering or ends in a panic,
// and that a whole array or object is told apart right.
func FuzzSplitBatch(f *testing.F) {
	for _, s := range []string{"[{},{}]", "{}\n{}", "[{} {}]", "[", "[]x", "[{}]}"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		media := "application/json"
		if lines {
			media = "application/x-ndjson"
		}
		calls, broken := 0, 0
		_, err := SplitBatch(media, body, func(index int, raw []byte) error {
			if index != calls {
				t.Fatalf("index %d at call %d", index, calls)
			}
			calls++
			var e Event
			if _, inv := ParseEvent(raw, &e); inv != nil {
				broken++
			}
			return nil
		})
		if !lines && err == nil && broken == 0 && !json.Valid(body) && !strings.HasPrefix(string(body), "\xef\xbb\xbf") {
			t.Fatalf("took %q for good", body)
		}
	})
}

func BenchmarkParseEvent(b *testing.B) {
	typical := []byte(`{"user_id":"u48213","item_id":"i1920","event_type":"view","ts":"2026-11-22T10:00:00.123Z","event_id":"0b1c7a9e4f2d4b8c","session_id":"s-991823"}`)
	for _, tc := range []struct {
		name string
		text []byte
	}{{"typical", typical}, {"full", []byte(fullJSON)}} {
		b.Run(tc.name, func(b *testing.B) {
			b.SetBytes(int64(len(tc.text)))
			b.ReportAllocs()
			var e Event
			for b.Loop() {
				if _, inv := ParseEvent(tc.text, &e); inv != nil {
					b.Fatal(inv)
				}
			}
		})
		b.Run(tc.name+"/parser", func(b *testing.B) {
			b.SetBytes(int64(len(tc.text)))
			b.ReportAllocs()
			var p Parser
			var e Event
			for b.Loop() {
				if _, inv := p.Event(tc.text, &e); inv != nil {
					b.Fatal(inv)
				}
			}
		})
	}
}

// BenchmarkParser reads and checks objects that follow each other: a shop's, whose
// numbers and blanks are of changing lengths; with types that come at random; with
// white space; with times as text; with integers for ids; with values that are read the
// long way; and with members that come and go.
func BenchmarkParser(b *testing.B) {
	types := []string{"view", "view", "view", "view", "rating", "remove", "purchase"}
	for _, tc := range []struct{ name, format string }{
		{"shop", `{"user_id":"user-%07[1]d","item_id":"item-%07[1]d","event_type":"view","ts":17600000%05[1]d,"event_id":"e-%010[1]d","session_id":"s-%07[1]d","scene":"home","position":%[2]d,"price":19.5,"currency":"EUR"%[4]s}`},
		{"types", `{"user_id":"user-%07[1]d","item_id":"item-%07[1]d","event_type":"%[3]s","ts":17600000%05[1]d,"price":%[1]d.5}`},
		{"spaced", `{"user_id": "user-%07[1]d", "item_id": "item-%07[1]d", "event_type": "view", "ts": 17600000%05[1]d, "value": %[2]d}`},
		{"time", `{"user_id":"user-%07[1]d","item_id":"item-%07[1]d","event_type":"view","ts":"2026-11-22T10:00:%02[2]dZ"}`},
		{"integers", `{"user_id":%[1]d,"item_id":%[1]d,"event_type":"view","ts":17600000%05[1]d}`},
		{"others", `{"user_id":"user-%07[1]d","price":-1,"props":{"a":%[2]d},"item_id":"item-%07[1]d","event_type":"view","request_id":null,"ts":17600000%05[1]d}`},
		{"changing", `{"user_id":"user-%07[1]d",%[5]s"item_id":"item-%07[1]d","event_type":"view","ts":17600000%05[1]d}`},
	} {
		texts := make([][]byte, 1024)
		for i := range texts {
			n := i * 7919 % 1021
			blanks, more := strings.Repeat(" ", 9-n%20/10), strings.Repeat(`"x":1,`, n%3)
			texts[i] = fmt.Appendf(nil, tc.format+"%.0[6]s", n, n%20, types[n%len(types)], blanks, more, "")
		}
		b.Run(tc.name, func(b *testing.B) {
			var p Parser
			var e Event
			var types Types = shopTypes
			for n := 0; b.Loop(); n++ {
				_, inv := p.Event(texts[n%len(texts)], &e)
				if inv == nil {
					inv = p.Validate(types, &e)
				}
				if inv != nil {
					b.Fatal(inv)
				}
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	for b.Loop() {
		if inv := fullEvent.Validate(shopTypes); inv != nil {
			b.Fatal(inv)
		}
	}
}

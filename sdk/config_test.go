package sdk

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

// values are keys of every type and what they point at.
type values struct {
	Number float64
	Text   string
	Flag   bool
	Texts  []string
}

func (v *values) keys() []key {
	return []key{
		{name: "Number", number: &v.Number},
		{name: "Text", text: &v.Text},
		{name: "Flag", flag: &v.Flag},
		{name: "Texts", texts: &v.Texts},
	}
}

func TestReadConfig(t *testing.T) {
	for text, want := range map[string]values{
		`{}`: {},
		` { "Number" : -1.5e3 , "Flag":true}` + "\n": {Number: -1500, Flag: true},
		`{"Flag":true,"Flag":false}`:                 {},
		`{"Text":"a\"\\\/\b\f\n\r\t\u00e9\u20AC"}`:   {Text: "a\"\\/\b\f\n\r\té€"},
		`{"Text":"\ud83d\ude00 \ud83d \ude00"}`:      {Text: "😀 \uFFFD \uFFFD"},
		`{"Text":"\ud83d\u0041"}`:                    {Text: "\uFFFDA"},
		`{"Texts":[],"Number":0}`:                    {Texts: []string{}},
		`{"Texts":["a", "b" ,""]}`:                   {Texts: []string{"a", "b", ""}},
	} {
		var got values
		if err := readConfig([]byte(text), got.keys()); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

func TestReadConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                       "byte 0: want an object",
		`[]`:                     "want an object",
		`{`:                      "want a string",
		`{"Number":1`:            "want , or }",
		`{"Number":1,}`:          "want a string",
		`{,"Number":1}`:          "want a string",
		`{"Number" 1}`:           "want :",
		`{"Number":"1"}`:         "key Number: configuration, byte 10: want a number",
		`{"Number":1e999}`:       "want a number",
		`{"Text":1}`:             "key Text",
		`{"Text":"\x"}`:          "unknown escape",
		`{"Text":"\u12"}`:        "unknown escape",
		`{"Text":"\u+123"}`:      "unknown escape",
		`{"Text":"abc`:           "string without end",
		`{"Text":"abc\`:          "unknown escape",
		`{"Flag":1}`:             "want true or false",
		`{"Texts":"a"}`:          "array of strings",
		`{"Texts":["a" "b"]}`:    "want , or ]",
		`{"Texts":[1]}`:          "want a string",
		`{"Texts":["a"`:          "want , or ]",
		`{"Other":1}`:            `unknown key "Other"`,
		`{"Number":1} {}`:        "bytes after the object",
		`{"Number":1}` + "\x00":  "bytes after the object",
		`{"Flag":tru}`:           "want true or false",
		`{"Number":{"a":[1,2]}}`: "want a number",
	} {
		err := readConfig([]byte(text), new(values).keys())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

// FuzzReadConfig: what encoding/json writes is read back the same, and nothing
// else makes the reader panic.
func FuzzReadConfig(f *testing.F) {
	f.Add(`{"Texts":["a"],"Text":"\ud83d\ude00","Number":1e3}`, "t", 1.5)
	f.Fuzz(func(t *testing.T, data, text string, number float64) {
		var v values
		if readConfig([]byte(data), v.keys()) == nil && !strings.Contains(data, `"`) && strings.Contains(data, ":") {
			t.Errorf("accepted %q", data)
		}
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return
		}
		text = strings.ToValidUTF8(text, "?")
		want := values{number, text, true, []string{text, ""}}
		encoded, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got values
		if err := readConfig(encoded, got.keys()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %+v, %v", encoded, got, err)
		}
	})
}

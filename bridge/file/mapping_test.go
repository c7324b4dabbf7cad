package file

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"vitrine/bridge/file/stream"
)

func TestParseMap(t *testing.T) {
	got, err := ParseMap(`user_id=CustomerID, item_id = Stock Code ,event_type==purchase,attr.name="Name, ""long""",attr.shop=="a,b"`)
	want := []Mapping{
		{Field: "user_id", Column: "CustomerID"},
		{Field: "item_id", Column: "Stock Code"},
		{Field: "event_type", Constant: true, Text: "purchase"},
		{Field: "attr.name", Column: `Name, "long"`},
		{Field: "attr.shop", Constant: true, Text: "a,b"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseMap = %+v, %v, want %+v", got, err, want)
	}
	for src, part := range map[string]string{
		"user_id":             "field=Column",
		"user_id=":            "has no column",
		"user_id==":           "has no column",
		"userid=x":            `unknown field "userid"`,
		"user_id=a,user_id=b": "mapped twice",
		"attr.=x":             "no attribute name",
		"attr.a b=x":          "no attribute name",
		`user_id="x`:          "never closed",
		`user_id="x"y`:        "never closed",
	} {
		_, err := ParseMap(src)
		var fault *InputError
		if !errors.As(err, &fault) || fault.Code != stream.CodeInvalidMap || !strings.Contains(err.Error(), part) {
			t.Errorf("ParseMap(%s) = %v, want %q in it", src, err, part)
		}
	}
	var fault *InputError
	if _, err := ParseMap("userid=x"); !errors.As(err, &fault) || !strings.Contains(fault.Hint, "user_id") {
		t.Errorf("ParseMap(userid=x) = %v, want the nearest field as hint", err)
	}
}

func TestPlainNumber(t *testing.T) {
	for text, want := range map[string]float64{
		"0": 0, "5": 5, "-5": -5, "0.5": 0.5, "2.55": 2.55, "123456789012345": 123456789012345, "-0.001": -0.001, "10.10": 10.1,
	} {
		if got, ok := plainNumber([]byte(text)); !ok || got != want {
			t.Errorf("plainNumber(%s) = %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-", "007", "00", "-01", "+5", "1e5", ".5", "5.", "1.2.3", "1-2", "x", "1234567890123456", "12345678901234567890", " 5", "inf", "NaN", "0x1"} {
		if got, ok := plainNumber([]byte(text)); ok {
			t.Errorf("plainNumber(%q) = %v, want a text", text, got)
		}
	}
}

package wire

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
)

// BadJSON turns an error of decoding into dst into a problem that shows the
// place and what belongs there.
func BadJSON(err error, dst any) *Problem {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &syntax):
		return Refuse("invalid_json", "the body is not JSON: %v at byte %d", err, syntax.Offset)
	case errors.As(err, &kind):
		return badType(kind, dst)
	case errors.Is(err, io.EOF):
		return Refuse("invalid_json", "the body is empty").With("send a JSON object with " + orNames(dst))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Refuse("invalid_json", "the body is not JSON: it ends early")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return Refuse("unknown_field", "there is no field %.100s here", name).With("known are: " + orNames(dst))
	}
	return Refuse("invalid_json", "the body is not understood: %v", err)
}

// badType says what a member must be, and gives the code of the member alone,
// wherever it is nested.
func badType(kind *json.UnmarshalTypeError, dst any) *Problem {
	if kind.Field == "" {
		return Refuse("invalid_json", "the body must be a JSON object, not %s", article(kind.Value)).With("send a JSON object with " + orNames(dst))
	}
	name := kind.Field[strings.LastIndexByte(kind.Field, '.')+1:]
	if name == "limit" {
		return BadLimit()
	}
	return Refuse("invalid_"+name, "%s must be %s, not %s (byte %d of the body)", kind.Field, expected(kind.Type), article(kind.Value), kind.Offset)
}

// expected is a Go type in the words of JSON.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// article puts "an" before array and object, nothing before a number that is
// given with its digits.
func article(value string) string {
	switch {
	case value == "array", value == "object":
		return "an " + value
	case strings.HasPrefix(value, "number "):
		return strings.TrimPrefix(value, "number ")
	}
	return "a " + value
}

// orNames lists the members that dst takes, those of nested objects behind
// them.
func orNames(dst any) string {
	names := members(nil, reflect.TypeOf(dst), 0)
	if len(names) == 0 {
		return "the fields of /openapi.json"
	}
	return strings.Join(names, ", ")
}

// maxNesting is deeper than any document of the API.
const maxNesting = 4

func members(names []string, t reflect.Type, depth int) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || depth > maxNesting {
		return names
	}
	var nested []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			names = members(names, f.Type, depth+1)
			continue
		case name == "", name == "-", slices.Contains(names, name):
			continue
		}
		names = append(names, name)
		nested = append(nested, f.Type)
	}
	for _, n := range nested {
		names = members(names, n, depth+1)
	}
	return names
}

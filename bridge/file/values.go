package file

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"vitrine/bridge/event"
)

// number reads an amount.
func number(f field, c *cell) (v float64, has bool, inv *event.Invalid) {
	text := bytes.TrimSpace(c.text)
	if len(text) == 0 {
		return 0, false, nil
	}
	if c.kind <= cellNumber {
		if v, ok := plainNumber(text); ok {
			return v, true, nil
		}
		// ParseFloat also takes hexadecimal, inf and nan: not amounts.
		if bytes.IndexFunc(text, notDecimal) < 0 {
			if v, err := strconv.ParseFloat(string(text), 64); err == nil {
				return v, true, nil
			}
		}
	}
	return 0, false, wrongKind(f, event.CodeInvalidValue, quote(c.text)+" is not a number")
}

func notDecimal(r rune) bool { return (r < '0' || r > '9') && !strings.ContainsRune("+-.eE", r) }

// plainNumber reads an optional minus, digits without leading zeros and an
// optional fraction, at most 15 digits: the numbers whose text can be had back
// from the float. Codes such as 007, +49 or 1E5 are not among them.
func plainNumber(text []byte) (float64, bool) {
	digits := bytes.TrimPrefix(text, []byte{'-'})
	if len(digits) == 0 || len(digits) > 16 || len(digits) > 1 && digits[0] == '0' && digits[1] != '.' {
		return 0, false
	}
	var mantissa uint64
	dot := -1
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9':
			mantissa = mantissa*10 + uint64(c-'0')
		case c == '.' && dot < 0 && i > 0 && i < len(digits)-1:
			dot = i
		default:
			return 0, false
		}
	}
	v, count := float64(mantissa), len(digits)
	if dot >= 0 {
		// Both are exact, so the quotient is the nearest float.
		v /= powersOfTen[len(digits)-1-dot]
		count--
	}
	if len(digits) < len(text) {
		v = -v
	}
	return v, count <= 15
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

func position(c *cell) (int32, *event.Invalid) {
	v, has, inv := number(fieldPosition, c)
	if inv != nil || !has {
		return 0, inv
	}
	if v < 0 || v > math.MaxInt32 || v != math.Trunc(v) {
		return 0, wrongKind(fieldPosition, event.CodeInvalidValue, "must be an integer from 0 to 2147483647")
	}
	return int32(v), nil
}

// props keeps an object in its shortest text, so that the identity of a row
// does not depend on its blanks.
func props(c *cell) (string, *event.Invalid) {
	text := bytes.TrimSpace(c.text)
	if len(text) == 0 {
		return "", nil
	}
	var compact bytes.Buffer
	if text[0] != '{' || !utf8.Valid(text) || json.Compact(&compact, text) != nil {
		return "", wrongKind(fieldProps, event.CodeInvalidJSON, "must be a JSON object")
	}
	if compact.Len() <= len("{}") {
		return "", nil
	}
	return compact.String(), nil
}

// attributeValue reads the value of an attribute. A cell of CSV is what it
// looks like; a value of JSON is what it is.
func attributeValue(name string, c *cell) (v event.Value, has bool, inv *event.Invalid) {
	switch c.kind {
	case cellAbsent:
		return v, false, nil
	case cellBool:
		return event.Value{Kind: event.Bool, Bool: c.text[0] == 't'}, true, nil
	case cellNumber:
		v, _, inv := number(fieldValue, c)
		if inv != nil {
			return event.Value{}, false, invalidAttribute(name, "is no finite number")
		}
		return event.Value{Kind: event.Number, Num: v}, true, nil
	case cellArray, cellObject:
		v, inv := parseAttribute(name, c.text)
		return v, inv == nil, inv
	}
	if inv := checkText(name, c.text); inv != nil {
		return v, false, inv
	}
	if c.kind == cellText {
		if v, ok := plainNumber(c.text); ok {
			return event.Value{Kind: event.Number, Num: v}, true, nil
		}
		switch string(c.text) {
		case "true", "True", "TRUE":
			return event.Value{Kind: event.Bool, Bool: true}, true, nil
		case "false", "False", "FALSE":
			return event.Value{Kind: event.Bool}, true, nil
		}
	}
	return event.Value{Kind: event.String, Str: string(c.text)}, true, nil
}

// checkText is event's rule for texts, applied before one is kept.
func checkText(name string, text []byte) *event.Invalid {
	if len(text) > event.MaxAttributeText {
		return invalidAttribute(name, "has more than "+strconv.Itoa(event.MaxAttributeText)+" bytes")
	}
	if !utf8.Valid(text) {
		return &event.Invalid{Code: event.CodeInvalidUTF8, Detail: "attribute " + name + " is not valid UTF-8"}
	}
	return nil
}

func invalidAttribute(name, what string) *event.Invalid {
	return &event.Invalid{Code: event.CodeInvalidAttribute, Detail: "attribute " + name + " " + what}
}

// parseAttribute reads one JSON value by event's rules.
func parseAttribute(name string, raw []byte) (event.Value, *event.Invalid) {
	object := make([]byte, 0, len(raw)+len(name)+8)
	object = append(strconv.AppendQuote(append(object, '{'), name), ':')
	list, inv := event.ParseAttributes(append(append(object, raw...), '}'))
	if inv != nil {
		return event.Value{}, inv
	}
	return list[0].Value, nil
}

// quote shows a hostile text in a message.
func quote(text []byte) string {
	return strconv.QuoteToASCII(clip(string(text[:min(len(text), 80)]), 40))
}

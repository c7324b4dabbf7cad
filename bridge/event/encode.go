package event

import (
	"math"
	"strconv"
	"time"

	"vitrine/bridge/event/words"
)

// AppendEventJSON appends e as the JSON object that ParseEvent reads back to
// the same event. Absent fields are left out; ts is RFC 3339 in UTC.
func AppendEventJSON(dst []byte, e *Event) []byte {
	dst = words.AppendJSON(append(dst, `{"user_id":`...), e.UserID)
	dst = words.AppendJSON(append(dst, `,"item_id":`...), e.ItemID)
	dst = words.AppendJSON(append(dst, `,"event_type":`...), e.Type)
	if e.Time != 0 {
		dst = AppendTimeJSON(append(dst, `,"ts":`...), e.Time)
	}
	if e.HasValue {
		dst = appendFloat(append(dst, `,"value":`...), e.Value)
	}
	dst = appendField(dst, `,"event_id":`, e.EventID)
	dst = appendField(dst, `,"session_id":`, e.SessionID)
	dst = appendField(dst, `,"request_id":`, e.RequestID)
	if e.Position != 0 {
		dst = strconv.AppendInt(append(dst, `,"position":`...), int64(e.Position), 10)
	}
	dst = appendField(dst, `,"scene":`, e.Scene)
	if e.HasPrice {
		dst = appendFloat(append(dst, `,"price":`...), e.Price)
	}
	dst = appendField(dst, `,"currency":`, e.Currency)
	if e.Props != "" {
		dst = append(append(dst, `,"props":`...), e.Props...)
	}
	return append(dst, '}')
}

// AppendTimeJSON appends Unix milliseconds as RFC 3339 text in UTC, in quotes.
func AppendTimeJSON(dst []byte, ms int64) []byte {
	return time.UnixMilli(ms).UTC().AppendFormat(dst, `"2006-01-02T15:04:05.999Z07:00"`)
}

// AppendAttributesJSON appends a as the JSON object that ParseAttributes
// reads back to the same attributes.
func AppendAttributesJSON(dst []byte, a []Attribute) []byte {
	dst = append(dst, '{')
	for i := range a {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(words.AppendJSON(dst, a[i].Name), ':')
		dst = AppendValueJSON(dst, &a[i].Value)
	}
	return append(dst, '}')
}

// AppendValueJSON appends one attribute value.
func AppendValueJSON(dst []byte, v *Value) []byte {
	switch v.Kind {
	case String:
		return words.AppendJSON(dst, v.Str)
	case Number:
		return appendFloat(dst, v.Num)
	case Bool:
		return strconv.AppendBool(dst, v.Bool)
	case Set:
		dst = append(dst, '[')
		for i, member := range v.Set {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = words.AppendJSON(dst, member)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

// appendField appends a member unless its text is empty.
func appendField(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	return words.AppendJSON(append(dst, name...), text)
}

// appendFloat appends the shortest text that reads back as v. JSON has no
// word for what is not finite.
func appendFloat(dst []byte, v float64) []byte {
	switch abs := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return append(dst, "null"...)
	case abs != 0 && (abs < 1e-6 || abs >= 1e21):
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

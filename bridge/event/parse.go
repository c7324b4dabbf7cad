package event

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"vitrine/bridge/event/clock"
)

// ParseEvent reads one JSON object into dst, which it empties first. Unknown
// fields are passed over and counted. It checks form only (JSON, UTF-8, the
// kind of each field); Validate checks the meaning. The strings of dst do not
// share memory with data. When inv is not nil, dst holds what was read up to
// the fault.
func ParseEvent(data []byte, dst *Event) (unknownFields int, inv *Invalid) {
	*dst = Event{}
	if inv := checkText(data); inv != nil {
		return 0, inv
	}
	s := scanner{data: data}
	if !s.open() {
		return 0, s.bad
	}
	for first := true; ; first = false {
		name, ok := s.key(first)
		if !ok {
			break
		}
		if !s.field(name, dst) {
			unknownFields++
		}
		if s.bad != nil {
			return unknownFields, s.bad
		}
	}
	s.end()
	return unknownFields, s.bad
}

// checkText refuses what is too large or not UTF-8 before it is looked at.
func checkText(data []byte) *Invalid {
	if len(data) > MaxJSON {
		return &Invalid{CodeTooLarge, "the JSON object has " + strconv.Itoa(len(data)) + " bytes, the limit is " + strconv.Itoa(MaxJSON)}
	}
	if !utf8.Valid(data) {
		return &Invalid{CodeInvalidUTF8, "the text is not valid UTF-8"}
	}
	return nil
}

// field reads the value of the member called name; false if it is unknown. A
// null is as good as an absent member.
func (s *scanner) field(name []byte, e *Event) bool {
	known := true
	switch string(name) {
	case "user_id":
		e.UserID = s.id("user_id")
	case "item_id":
		e.ItemID = s.id("item_id")
	case "event_type":
		e.Type = s.eventType()
	case "ts":
		e.Time = s.time()
	case "value":
		e.Value, e.HasValue = s.float("value")
	case "event_id":
		e.EventID = s.id("event_id")
	case "session_id":
		e.SessionID = s.id("session_id")
	case "request_id":
		e.RequestID = s.id("request_id")
	case "position":
		e.Position = s.position()
	case "scene":
		e.Scene = s.id("scene")
	case "price":
		e.Price, e.HasPrice = s.float("price")
	case "currency":
		e.Currency = currency(s.maybeText(CodeInvalidValue, "currency"))
	case "props":
		e.Props = s.props()
	default:
		known = false
		s.skip(1)
	}
	return known
}

// wrong reports a field of the wrong kind, or the JSON fault behind it.
func (s *scanner) wrong(code, detail string) {
	s.skip(1)
	if s.bad == nil {
		s.bad = &Invalid{code, detail}
	}
}

// null consumes a null and tells whether there was one.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.literal("null")
	return true
}

// id reads a string, or an integer as its decimal text.
func (s *scanner) id(name string) string {
	switch c := s.peek(); {
	case c == '"':
		return string(s.text())
	case c == '-' || c-'0' <= 9:
		text, whole := s.number()
		if s.bad == nil && !whole {
			s.bad = &Invalid{CodeInvalidID, name + " is a number that is not an integer"}
		}
		if string(text) == "-0" {
			return "0"
		}
		return string(text)
	case s.null():
		return ""
	}
	s.wrong(CodeInvalidID, name+" must be a string or an integer")
	return ""
}

// maybeText reads a string or null.
func (s *scanner) maybeText(code, name string) []byte {
	if s.peek() == '"' {
		return s.text()
	}
	if !s.null() {
		s.wrong(code, name+" must be a string")
	}
	return nil
}

// eventType reads the event type; the usual ones cost no memory.
func (s *scanner) eventType() string {
	text := s.maybeText(CodeInvalidType, "event_type")
	switch string(text) {
	case "view":
		return "view"
	case "click":
		return "click"
	case "favorite":
		return "favorite"
	case "cart":
		return "cart"
	case "purchase":
		return "purchase"
	case "impression":
		return "impression"
	case "rating":
		return "rating"
	case TypeRemove:
		return TypeRemove
	}
	return string(text)
}

// currency is eventType's trick for currency codes.
func currency(text []byte) string {
	switch string(text) {
	case "EUR":
		return "EUR"
	case "USD":
		return "USD"
	case "GBP":
		return "GBP"
	case "CNY":
		return "CNY"
	}
	return string(text)
}

// time reads a time: RFC 3339 text or Unix milliseconds as number or text.
func (s *scanner) time() int64 {
	switch c := s.peek(); {
	case c == '"':
		text := s.text()
		if s.bad != nil {
			return 0
		}
		ms, ok := apiTime(text)
		if !ok {
			s.bad = &Invalid{CodeInvalidTime, "ts " + quoteShort(text) + " is neither an RFC 3339 time nor Unix milliseconds"}
		}
		return ms
	case c == '-' || c-'0' <= 9:
		text, _ := s.number()
		if s.bad != nil {
			return 0
		}
		v := float(text)
		if !(v >= 0 && v <= maxTime) {
			s.bad = &Invalid{CodeInvalidTime, "ts must lie in the years 1970 to 9999, in Unix milliseconds"}
			return 0
		}
		return int64(v)
	case s.null():
		return 0
	}
	s.wrong(CodeInvalidTime, "ts must be an RFC 3339 time or Unix milliseconds")
	return 0
}

// apiTime reads the text of a JSON ts: digits are milliseconds, whatever
// their size, because the API says so.
func apiTime(text []byte) (ms int64, ok bool) {
	if len(text) > 0 && digits(text, 0) == len(text) {
		v := float(text)
		return int64(v), v <= maxTime
	}
	return clock.Parse(text, nil)
}

// ParseTime reads a time as files have it; see clock.Parse.
func ParseTime(s string, loc *time.Location) (ms int64, ok bool) { return clock.Parse(s, loc) }

// float reads a number or null.
func (s *scanner) float(name string) (v float64, has bool) {
	switch c := s.peek(); {
	case c == '-' || c-'0' <= 9:
		text, _ := s.number()
		if s.bad != nil {
			return 0, false
		}
		v = float(text)
		if math.IsInf(v, 0) {
			s.bad = &Invalid{CodeInvalidValue, name + " is too large a number"}
		}
		return v, true
	case s.null():
		return 0, false
	}
	s.wrong(CodeInvalidValue, name+" must be a number")
	return 0, false
}

// position reads a rank: a small integer, not negative.
func (s *scanner) position() int32 {
	if c := s.peek(); c == '-' || c-'0' <= 9 {
		text, _ := s.number()
		v := float(text)
		if s.bad == nil && (v < 0 || v > math.MaxInt32 || v != math.Trunc(v)) {
			s.bad = &Invalid{CodeInvalidValue, "position must be an integer from 0 to 2147483647"}
			return 0
		}
		return int32(v)
	}
	if !s.null() {
		s.wrong(CodeInvalidValue, "position must be an integer")
	}
	return 0
}

// props reads an object and keeps its text as it is.
func (s *scanner) props() string {
	if s.null() {
		return ""
	}
	if s.peek() != '{' {
		s.wrong(CodeInvalidValue, "props must be an object")
		return ""
	}
	start := s.pos
	s.skip(1)
	if s.bad != nil {
		return ""
	}
	raw := s.data[start:s.pos]
	if bytes.ContainsAny(raw, "\r\n") {
		// One event must stay one line when it is written as NDJSON.
		var line bytes.Buffer
		if err := json.Compact(&line, raw); err != nil {
			s.bad = &Invalid{CodeInvalidJSON, "props: " + err.Error()}
			return ""
		}
		raw = line.Bytes()
	}
	if len(raw) <= len("{}") {
		return ""
	}
	return string(raw)
}

// quoteShort quotes hostile text for a message, cut to a bearable length.
func quoteShort(text []byte) string {
	const most = 40
	if len(text) > most {
		text = text[:most]
	}
	return strconv.QuoteToASCII(string(text))
}

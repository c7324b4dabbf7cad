package event

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"vitrine/bridge/event/clock"
	"vitrine/bridge/event/shape"
	"vitrine/bridge/event/words"
)

// ParseEvent reads one JSON object into dst, which it empties first. Unknown
// fields are passed over and counted. It checks form only (JSON, UTF-8, the
// kind of each field); Validate checks the meaning. The strings of dst do not
// share memory with data. When inv is not nil, dst holds what was read up to
// the fault.
func ParseEvent(data []byte, dst *Event) (unknownFields int, inv *Invalid) {
	s := scanner{data: data}
	return s.event(nil, dst)
}

// Parser is ParseEvent for many objects of one sender: it remembers how the last
// one's members were written, so that names need not be read again, and copies no
// text. The zero value is ready to use, by one goroutine at a time.
type Parser struct {
	shape shape.Shape
	// plain says that the last object had no text that Validate must look at.
	plain bool
}

// Validate is e.Validate(types) of what Event has read last, without looking at its
// texts again.
func (p *Parser) Validate(types Types, e *Event) *Invalid {
	const most = MaxID - 1 // a number below 256 has no bit that one of 256 or more has
	ids := len(e.UserID) | len(e.ItemID) | len(e.EventID) | len(e.SessionID) | len(e.RequestID) | len(e.Scene) | len(e.Currency)
	if p.plain && e.UserID != "" && e.ItemID != "" && e.Type != "" && ids <= most && len(e.Type) <= MaxType &&
		(types == nil || types.Known(e.Type)) && e.Value >= 0 && len(e.Props) <= MaxProps {
		return nil // the other fields are as the parser takes them
	}
	return e.Validate(types)
}

// Event reads an object as ParseEvent does, but the strings of dst are parts of
// data, which must not change as long as they are used, and stays in memory with
// any of them.
func (p *Parser) Event(data []byte, dst *Event) (unknownFields int, inv *Invalid) {
	s := scanner{data: data, shared: true}
	unknownFields, inv = s.event(p, dst)
	p.plain = !s.odd
	return unknownFields, inv
}

// event reads the one object that data holds; p may be nil. That the text is UTF-8
// is looked at only where it is more than ASCII, or where reading stopped.
func (s *scanner) event(p *Parser, dst *Event) (unknownFields int, inv *Invalid) {
	*dst = Event{}
	if inv := checkSize(s.data); inv != nil {
		return 0, inv
	}
	unknownFields = s.members(p, dst)
	if s.odd || s.bad != nil {
		if inv := checkUTF8(s.data); inv != nil {
			*dst = Event{}
			return 0, inv
		}
	}
	return unknownFields, s.bad
}

// members reads the object.
func (s *scanner) members(p *Parser, dst *Event) (unknownFields int) {
	if !s.open() {
		return 0
	}
	for n := 0; s.bad == nil; n++ {
		if p != nil {
			found := p.shape.Read(s.data, s.pos, n)
			if dst.set(s.data, found) {
				s.pos, n, unknownFields = found.Next, n+found.Members, unknownFields+found.Unknown
			} else {
				p = nil // what is wrong is told by reading on member by member
			}
			if p != nil && found.End {
				break
			}
		}
		f, ok := s.member(p, n)
		if !ok {
			break
		}
		if f == unknownField {
			s.skip(1)
			unknownFields++
		} else {
			s.field(f, dst)
		}
	}
	s.end()
	return unknownFields
}

// set sets the fields that were found, or none of them where one has a value that it may
// not have.
func (e *Event) set(data []byte, found *shape.Found) (ok bool) {
	is := func(kind uint16, f field) bool { return kind>>f&1 != 0 }
	at, position := e.Time, e.Position
	if is(found.Numbers, fieldTime) {
		if at, ok = moment(found.Values[fieldTime].Number); !ok {
			return false
		}
	} else if is(found.Texts, fieldTime) {
		v := &found.Values[fieldTime]
		if at, ok = sentTime(data[v.From:v.To]); !ok {
			return false
		}
	}
	if is(found.Numbers, fieldPosition) {
		if position, ok = rank(found.Values[fieldPosition].Number); !ok {
			return false
		}
	}
	e.Time, e.Position = at, position
	if is(found.Numbers, fieldValue) {
		e.Value, e.HasValue = found.Values[fieldValue].Number, true
	}
	if is(found.Numbers, fieldPrice) {
		e.Price, e.HasPrice = found.Values[fieldPrice].Number, true
	}
	all := unsafe.String(unsafe.SliceData(data), len(data))
	text := func(to *string, f field) {
		if is(found.Texts, f) {
			v := &found.Values[f]
			*to = all[v.From:v.To]
		}
	}
	text(&e.UserID, fieldUser)
	text(&e.ItemID, fieldItem)
	text(&e.Type, fieldType)
	text(&e.EventID, fieldEventID)
	text(&e.SessionID, fieldSession)
	text(&e.RequestID, fieldRequest)
	text(&e.Scene, fieldScene)
	text(&e.Currency, fieldCurrency)
	return true
}

// kinds are the kinds of values of a field that are set as they are.
func (f field) kinds() shape.Kinds {
	switch f {
	case unknownField, fieldTime:
		return shape.Text | shape.Number
	case fieldValue, fieldPosition, fieldPrice:
		return shape.Number
	case fieldType, fieldCurrency:
		return shape.Text | shape.Null
	case fieldProps:
		return 0
	}
	return shape.Text | shape.Whole | shape.Null
}

// member reads the beginning of the n-th member of an object, and what is behind the last.
func (s *scanner) member(p *Parser, n int) (f field, ok bool) {
	start := s.pos
	name, ok := s.key(n == 0)
	f = fieldOf(name)
	switch {
	case p == nil || s.bad != nil:
	case !ok:
		p.shape.Set(n, s.data[start:s.pos], shape.End, 0)
	case f != unknownField || words.Plain(name) == len(name):
		p.shape.Set(n, s.data[start:s.pos], uint8(f), f.kinds())
	}
	return f, ok
}

// checkText refuses what is too large or not UTF-8 before it is looked at.
func checkText(data []byte) *Invalid {
	if inv := checkSize(data); inv != nil {
		return inv
	}
	return checkUTF8(data)
}

func checkSize(data []byte) *Invalid {
	if len(data) > MaxJSON {
		return &Invalid{CodeTooLarge, "the JSON object has " + strconv.Itoa(len(data)) + " bytes, the limit is " + strconv.Itoa(MaxJSON)}
	}
	return nil
}

func checkUTF8(data []byte) *Invalid {
	if utf8.Valid(data) {
		return nil
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			return &Invalid{CodeInvalidUTF8, "the text is not valid UTF-8 from byte " + strconv.Itoa(at) + " on; text in GBK or another encoding must be made UTF-8 before it is sent"}
		}
		at += n
	}
}

// field is one that an event has.
type field uint8

const (
	unknownField field = iota
	fieldUser
	fieldItem
	fieldType
	fieldTime
	fieldValue
	fieldEventID
	fieldSession
	fieldRequest
	fieldPosition
	fieldScene
	fieldPrice
	fieldCurrency
	fieldProps
)

// fieldOf is the field of a member's name.
func fieldOf(name []byte) field {
	switch string(name) {
	case "user_id":
		return fieldUser
	case "item_id":
		return fieldItem
	case "event_type":
		return fieldType
	case "ts":
		return fieldTime
	case "value":
		return fieldValue
	case "event_id":
		return fieldEventID
	case "session_id":
		return fieldSession
	case "request_id":
		return fieldRequest
	case "position":
		return fieldPosition
	case "scene":
		return fieldScene
	case "price":
		return fieldPrice
	case "currency":
		return fieldCurrency
	case "props":
		return fieldProps
	}
	return unknownField
}

// field reads the value of a field that is known. A null is as good as an absent
// member.
func (s *scanner) field(f field, e *Event) {
	switch f {
	case fieldUser:
		e.UserID = s.id("user_id")
	case fieldItem:
		e.ItemID = s.id("item_id")
	case fieldType:
		e.Type = s.eventType()
	case fieldTime:
		e.Time = s.time()
	case fieldValue:
		e.Value, e.HasValue = s.float("value")
	case fieldEventID:
		e.EventID = s.id("event_id")
	case fieldSession:
		e.SessionID = s.id("session_id")
	case fieldRequest:
		e.RequestID = s.id("request_id")
	case fieldPosition:
		e.Position = s.position()
	case fieldScene:
		e.Scene = s.id("scene")
	case fieldPrice:
		e.Price, e.HasPrice = s.float("price")
	case fieldCurrency:
		e.Currency = s.currency()
	case fieldProps:
		e.Props = s.props()
	}
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
		return s.own(s.text())
	case c == '-' || c-'0' <= 9:
		text, whole := s.number()
		if s.bad == nil && !whole {
			s.bad = &Invalid{CodeInvalidID, name + " is a number that is not an integer"}
		}
		if string(text) == "-0" {
			return "0"
		}
		return s.own(text)
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
	return s.own(text)
}

// currency is eventType's trick for currency codes.
func (s *scanner) currency() string {
	text := s.maybeText(CodeInvalidValue, "currency")
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
	return s.own(text)
}

// time reads a time: RFC 3339 text, or Unix milliseconds or seconds as number or text.
func (s *scanner) time() int64 {
	switch c := s.peek(); {
	case c == '"':
		text := s.text()
		if s.bad != nil {
			return 0
		}
		ms, ok := sentTime(text)
		if !ok {
			s.bad = &Invalid{CodeInvalidTime, "ts " + quoteShort(text) + " is neither an RFC 3339 time nor Unix milliseconds of the years 1970 to 9999"}
		}
		return ms
	case c == '-' || c-'0' <= 9:
		from := s.pos
		v := s.decimal() // which is 0 behind a fault
		ms, ok := moment(v)
		if !ok {
			s.bad = &Invalid{CodeInvalidTime, "ts " + string(short(s.data[from:s.pos])) + " is no Unix time in milliseconds of the years 1970 to 9999" + finer(v)}
			return 0
		}
		return ms
	case s.null():
		return 0
	}
	s.wrong(CodeInvalidTime, "ts must be an RFC 3339 time or Unix milliseconds")
	return 0
}

// secondsFrom is where the clock says what unit a number has, which up to 1e11 is
// seconds, of the years 2001 to 5138: as the milliseconds that the API has for its unit
// they would be days of 1970 to 1973, before there were shops that log.
const secondsFrom = 1e9

// moment is a number as a time in Unix milliseconds.
func moment(v float64) (ms int64, ok bool) {
	if v >= secondsFrom {
		return clock.FromNumber(v)
	}
	return int64(v), v >= 0
}

// sentTime reads the text of a JSON ts: digits are what the number would be.
func sentTime(text []byte) (ms int64, ok bool) {
	if len(text) > 0 && digits(text, 0) == len(text) {
		return moment(words.Float(text))
	}
	return clock.Parse(text, nil)
}

// finer asks whether a number that is too large for a time has another unit.
func finer(v float64) string {
	switch { // from 2001 to 2286
	case v >= 1e15 && v < 1e16:
		return "; is it in microseconds?"
	case v >= 1e18 && v < 1e19:
		return "; is it in nanoseconds?"
	}
	return ""
}

// ParseTime reads a time as files have it; see clock.Parse.
func ParseTime(s string, loc *time.Location) (ms int64, ok bool) { return clock.Parse(s, loc) }

// float reads a number or null.
func (s *scanner) float(name string) (v float64, has bool) {
	switch c := s.peek(); {
	case c == '-' || c-'0' <= 9:
		v = s.decimal()
		if s.bad != nil {
			return 0, false
		}
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

// rank is a number as a position.
func rank(v float64) (position int32, ok bool) {
	return int32(v), v >= 0 && v <= math.MaxInt32 && v == math.Trunc(v)
}

// position reads a rank: a small integer, not negative.
func (s *scanner) position() int32 {
	if c := s.peek(); c == '-' || c-'0' <= 9 {
		v, ok := rank(s.decimal())
		if !ok {
			s.bad = &Invalid{CodeInvalidValue, "position must be an integer from 0 to 2147483647"}
			return 0
		}
		return v
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
	return s.own(raw)
}

// quoteShort quotes hostile text for a message, cut to a bearable length.
func quoteShort(text []byte) string { return strconv.Quote(string(short(text))) }

// short cuts text to a length that a message bears, and no character in two.
func short(text []byte) []byte {
	most := 40
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

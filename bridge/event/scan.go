package event

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"vitrine/bridge/event/words"
)

// maxDepth bounds the nesting of a JSON value, and so our recursion.
const maxDepth = 64

// scanner walks over JSON text (RFC 8259, strict) without building anything.
// The first fault stays in bad; every method after it is harmless. It exists
// because a generic decoder costs more than the whole rest of ingest.
type scanner struct {
	data []byte
	pos  int
	bad  *Invalid
	// shared says that data outlives what is read, so that no text is copied.
	shared bool
	// odd says that a string held more than printable ASCII; until then all that
	// was read is ASCII.
	odd bool
}

// own is text as a string: a copy, or the same bytes.
func (s *scanner) own(text []byte) string {
	if s.shared {
		return unsafe.String(unsafe.SliceData(text), len(text))
	}
	return string(text)
}

// fail keeps the first fault, with the place it was found at.
func (s *scanner) fail(what string) {
	if s.bad == nil {
		s.bad = &Invalid{CodeInvalidJSON, fmt.Sprintf("invalid JSON at byte %d: %s", s.pos, what)}
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// end reports a fault unless only white space is left.
func (s *scanner) end() {
	if s.bad == nil && (s.peek() != 0 || s.pos < len(s.data)) {
		s.fail("text after the object; a record or a line has one event, a request several as a JSON array or as application/x-ndjson")
	}
}

// key reads `"name":` of an object's next member and leaves the scanner at
// the value. first is true for the first member. ok is false at the closing
// brace or on a fault.
func (s *scanner) key(first bool) (name []byte, ok bool) {
	c := s.peek()
	if c == '}' {
		s.pos++
		return nil, false
	}
	if !first {
		if c != ',' {
			s.fail("expected , or }")
			return nil, false
		}
		s.pos++
		c = s.peek()
	}
	if c != '"' {
		s.fail("expected a member name in quotes")
		return nil, false
	}
	name = s.text()
	if s.bad == nil && s.peek() != ':' {
		s.fail("expected : after a member name")
	}
	if s.bad != nil {
		return nil, false
	}
	s.pos++
	s.peek()
	return name, true
}

// open consumes the brace that begins an object.
func (s *scanner) open() bool {
	if s.peek() != '{' {
		if s.pos >= len(s.data) {
			s.fail("no JSON object, the text is empty or cut")
		} else {
			s.fail("expected a JSON object")
		}
		return false
	}
	s.pos++
	return true
}

// text reads a string at the opening quote and returns its meaning: a part of
// data when it has no escapes, else a fresh slice.
func (s *scanner) text() []byte {
	start := s.pos + 1
	i := start + words.Plain(s.data[start:])
	if i < len(s.data) && s.data[i] == '"' {
		s.pos = i + 1
		return s.data[start:i]
	}
	s.odd = true
	for ; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			return s.data[start:i]
		case c == '\\':
			return s.unescape(start, i)
		case c < 0x20:
			s.pos = i
			s.fail("control character in a string")
			return nil
		}
	}
	s.pos = len(s.data)
	s.fail("unclosed string")
	return nil
}

// unescape goes on with a string that began at start and has its first
// backslash at i.
func (s *scanner) unescape(start, i int) []byte {
	out := append([]byte(nil), s.data[start:i]...)
	for i < len(s.data) {
		c := s.data[i]
		switch {
		case c == '"':
			s.pos = i + 1
			return out
		case c == '\\':
			s.pos = i
			var n int
			out, n = s.escape(out, i)
			if n == 0 {
				return nil
			}
			i += n
		case c < 0x20:
			s.pos = i
			s.fail("control character in a string")
			return nil
		default:
			out = append(out, c)
			i++
		}
	}
	s.pos = len(s.data)
	s.fail("unclosed string")
	return nil
}

// escape appends the meaning of the escape at i and returns its length, 0
// after a fault. Half a surrogate pair is a fault: a replacement character
// would make one id of many.
func (s *scanner) escape(out []byte, i int) ([]byte, int) {
	if i+1 < len(s.data) {
		switch c := s.data[i+1]; c {
		case '"', '\\', '/':
			return append(out, c), 2
		case 'b':
			return append(out, '\b'), 2
		case 'f':
			return append(out, '\f'), 2
		case 'n':
			return append(out, '\n'), 2
		case 'r':
			return append(out, '\r'), 2
		case 't':
			return append(out, '\t'), 2
		case 'u':
			r, ok := hex4(s.data, i+2)
			if !ok {
				break
			}
			if !utf16.IsSurrogate(r) {
				return utf8.AppendRune(out, r), 6
			}
			if i+8 <= len(s.data) && s.data[i+6] == '\\' && s.data[i+7] == 'u' {
				if low, ok := hex4(s.data, i+8); ok {
					if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
						return utf8.AppendRune(out, r), 12
					}
				}
			}
			if s.bad == nil {
				s.bad = &Invalid{CodeInvalidUTF8, fmt.Sprintf("half a surrogate pair at byte %d", i)}
			}
			return nil, 0
		}
	}
	s.fail("bad escape in a string")
	return nil, 0
}

// hex4 reads four hexadecimal digits at i.
func hex4(data []byte, i int) (rune, bool) {
	if i+4 > len(data) {
		return 0, false
	}
	var r rune
	for _, c := range data[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number reads a number and returns its text; whole means that it has neither
// a fraction nor an exponent.
func (s *scanner) number() (text []byte, whole bool) {
	start, i := s.pos, s.pos
	if i < len(s.data) && s.data[i] == '-' {
		i++
	}
	lead := i
	i = digits(s.data, i)
	ok, whole := i > lead && (s.data[lead] != '0' || i == lead+1), true
	if i < len(s.data) && s.data[i] == '.' {
		from := i + 1
		i = digits(s.data, from)
		ok, whole = ok && i > from, false
	}
	if i < len(s.data) && s.data[i]|0x20 == 'e' {
		i++
		if i < len(s.data) && (s.data[i] == '+' || s.data[i] == '-') {
			i++
		}
		from := i
		i = digits(s.data, from)
		ok, whole = ok && i > from, false
	}
	if !ok {
		s.fail("bad value")
		return nil, false
	}
	s.pos = i
	return s.data[start:i], whole
}

// decimal reads a number, or the few kinds of them that Decimal leaves the long way.
func (s *scanner) decimal() float64 {
	if v, n := words.Decimal(s.data, s.pos); n > 0 {
		s.pos += n
		return v
	}
	text, _ := s.number()
	if s.bad != nil {
		return 0
	}
	return words.Float(text)
}

// digits returns the place after the digits at i.
func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}

// literal consumes word, or reports a fault.
func (s *scanner) literal(word string) {
	if end := s.pos + len(word); end <= len(s.data) && string(s.data[s.pos:end]) == word {
		s.pos = end
		return
	}
	s.fail("bad value")
}

// skip passes over one value of any kind, checking it on the way.
func (s *scanner) skip(depth int) {
	switch c := s.peek(); {
	case depth > maxDepth:
		s.fail("nested too deep")
	case c == '"':
		s.text()
	case c == '{':
		s.pos++
		for first := true; ; first = false {
			if _, ok := s.key(first); !ok {
				return
			}
			s.skip(depth + 1)
			if s.bad != nil {
				return
			}
		}
	case c == '[':
		s.pos++
		for first := true; s.more(first); first = false {
			s.skip(depth + 1)
		}
	case c == 't':
		s.literal("true")
	case c == 'f':
		s.literal("false")
	case c == 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// more moves to the next element of an array; false at its end or on a fault.
func (s *scanner) more(first bool) bool {
	if s.bad != nil {
		return false
	}
	switch c := s.peek(); {
	case c == ']':
		s.pos++
		return false
	case first:
		return true
	case c == ',':
		s.pos++
		return true
	}
	s.fail("expected , or ]")
	return false
}

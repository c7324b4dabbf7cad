// Package shape reads JSON objects that are written like the one before.
//
// It owns what a parser of events remembers of one object to read the next one: the
// text between the values. It knows neither fields nor what is allowed in them: what
// is written in another way it leaves to the parser. Beside the readers of words it
// imports nothing of this module.
package shape

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"vitrine/bridge/event/words"
)

// Max is how many members are remembered, and how many fields there may be.
const Max = 16

// maxMember bounds what is kept of a member, which may have a long name.
const maxMember = 64

// End is the field of the brace that closes an object.
const End = 255

// Kinds are kinds of values.
type Kinds uint8

// The kinds of values that are read.
const (
	// Text is a string of printable ASCII without escapes.
	Text Kinds = 1 << iota
	// Number is a number that words.Decimal takes.
	Number
	// Whole is such a number without a point, read as the text that it is, of a member
	// that takes no Number.
	Whole
	// Null is a null, read as an empty text, of a member that takes no Number.
	Null
)

// Shape is how an object's members begin, each from the comma to the colon and the
// white space behind it, and which is the last. What was read once as the beginning of
// the n-th member is read again in the same way, whatever it is. The zero value
// remembers nothing.
type Shape struct {
	members [Max]member
	// latest are the members that fields were set to last.
	latest [Max]uint8
	found  Found
}

// member is the beginning of one, or the end of the object. One that is not
// remembered takes no values.
type member struct {
	// first and second are the first two words of it, as far as it goes, and mask
	// what of two words it takes; rest is what is behind them.
	first, second, mask1, mask2 uint64
	rest                        []byte
	size                        int
	field                       uint8
	takes                       Kinds
}

// Found is what was read of an object.
type Found struct {
	// Texts and Numbers tell of which fields a text or a number was found, as 1<<field.
	Texts, Numbers uint16
	// End tells that the object ended, Members how many were read, Unknown how many of
	// them are of the field 0, Next where the one behind them begins, or what is behind
	// the object.
	End                    bool
	Members, Unknown, Next int
	// Values are those of the fields.
	Values [Max]Value
}

// Value is where the text of a string is, or a number.
type Value struct {
	From, To int
	Number   float64
}

// Set remembers how the n-th member begins, what field it is, which is below Max, and
// what kinds of values are to be read of it; or that the object ends there. A field but
// 0 is read of the member that was set last: of an object that has it twice the parser
// looks at each value, for one that is wrong must not be hidden by the next.
func (s *Shape) Set(n int, raw []byte, field uint8, takes Kinds) {
	if n >= Max || len(raw) > maxMember {
		return
	}
	var text, mask [16]byte
	for i := range copy(text[:], raw) {
		mask[i] = 0xff
	}
	le, m := binary.LittleEndian, &s.members[n]
	m.size, m.field, m.takes = len(raw), field, takes
	m.first, m.second = le.Uint64(text[:]), le.Uint64(text[8:])
	m.mask1, m.mask2 = le.Uint64(mask[:]), le.Uint64(mask[8:])
	m.rest = append(m.rest[:0], raw[min(len(text), len(raw)):]...)
	if field == 0 || field == End {
		return
	}
	if other := &s.members[s.latest[field]]; other != m && other.field == field {
		other.takes = 0
	}
	s.latest[field] = uint8(n)
}

// Read reads the members from the n-th on, which begins at pos, as long as they are
// written as before and their values are of the kinds that they take. What it returns
// is valid until the next call.
func (s *Shape) Read(data []byte, pos, n int) *Found {
	f, first := &s.found, n
	f.Texts, f.Numbers, f.Unknown, f.End = 0, 0, 0, false
	for ; n < Max; n++ {
		m := &s.members[n]
		if m.field == End {
			pos, f.End = end(data, pos)
			break
		}
		if (words.Word(data, pos)^m.first)&m.mask1|(words.Word(data, pos+8)^m.second)&m.mask2 != 0 {
			break
		}
		if m.size > 16 && !bytes.HasPrefix(data[min(pos+16, len(data)):], m.rest) {
			break
		}
		at := pos + m.size
		v := &f.Values[m.field%Max]
		if byte(words.Word(data, at)) == '"' {
			if m.takes&Text == 0 {
				break
			}
			to := at + 1
			odd := words.Odd(words.Word(data, to))
			for odd == 0 {
				to += 8
				odd = words.Odd(words.Word(data, to))
			}
			to += bits.TrailingZeros64(odd) / 8
			if to >= len(data) || data[to] != '"' {
				break
			}
			v.From, v.To, pos = at+1, to, to+1
			f.Texts |= 1 << (m.field % Max)
		} else if m.takes&Number != 0 {
			number, length := words.Decimal(data, at)
			if length == 0 {
				break
			}
			v.Number, pos = number, at+length
			f.Numbers |= 1 << (m.field % Max)
		} else {
			length := v.bare(m.takes, data, at)
			if length == 0 {
				break
			}
			pos = at + length
			f.Texts |= 1 << (m.field % Max)
		}
		if m.field == 0 {
			f.Unknown++
		}
	}
	f.Members, f.Next = n-first, pos
	return f
}

// bare reads a number or a null at i as text, where that is taken, and returns its
// length, else 0.
func (v *Value) bare(takes Kinds, data []byte, i int) (length int) {
	v.From, v.To = i, i
	if takes&Null != 0 && uint32(words.Word(data, i)) == null {
		return len("null")
	}
	_, length = words.Decimal(data, i)
	if length == 0 || takes&Whole == 0 || bytes.IndexByte(data[i:i+length], '.') >= 0 {
		return 0
	}
	v.To += length
	return length
}

// null is the word of a null.
const null = 'n' | 'u'<<8 | 'l'<<16 | 'l'<<24

// end passes over the brace that closes an object, and white space before it, if that
// is what comes.
func end(data []byte, pos int) (next int, ok bool) {
	if at := words.Blank(data, pos); at < len(data) && data[at] == '}' {
		return at + 1, true
	}
	return pos, false
}

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

// Max is how many members are remembered.
const Max = 16

// maxMember bounds what is kept of a member, which may have a long name.
const maxMember = 64

// End is the field of the brace that closes an object.
const End = 255

// Shape is how an object's members begin, each from the comma to the colon and the
// white space behind it, and the closing brace behind the last. What was read once
// as the beginning of the n-th member is read again in the same way, whatever it is.
// The zero value remembers nothing.
type Shape struct {
	members [Max]member
	found   [Max]Value
}

// member is the beginning of one.
type member struct {
	raw   []byte
	field uint8
	// first and second are the first two words of raw, as far as it goes, and mask
	// what of two words it takes.
	first, second, mask1, mask2 uint64
}

// Value is a member that was read: its field, where it begins, and where the text of
// its string is, or its number, of which To is 0.
type Value struct {
	Begin, From, To int
	Number          float64
	Field           uint8
}

// Set remembers how the n-th member begins, and what field it is.
func (s *Shape) Set(n int, raw []byte, field uint8) {
	if n >= Max || len(raw) > maxMember {
		return
	}
	var text, mask [16]byte
	for i := range copy(text[:], raw) {
		mask[i] = 0xff
	}
	le, m := binary.LittleEndian, &s.members[n]
	m.raw, m.field = append(m.raw[:0], raw...), field
	m.first, m.second = le.Uint64(text[:]), le.Uint64(text[8:])
	m.mask1, m.mask2 = le.Uint64(mask[:]), le.Uint64(mask[8:])
}

// begins tells whether data begins like the member.
func (m *member) begins(data []byte) bool {
	const two = 16
	if len(data) < two {
		return bytes.HasPrefix(data, m.raw)
	}
	if (binary.LittleEndian.Uint64(data)^m.first)&m.mask1|(binary.LittleEndian.Uint64(data[8:])^m.second)&m.mask2 != 0 {
		return false
	}
	return len(m.raw) <= two || bytes.HasPrefix(data[two:], m.raw[two:])
}

// Read reads the members from the n-th on, which begins at pos, as long as they are
// written as before and their values are strings of printable ASCII without escapes
// or numbers that words.Decimal takes. It returns them, valid until the next call,
// where the one behind them begins, and whether that was the end.
func (s *Shape) Read(data []byte, pos, n int) (found []Value, next int, end bool) {
	count := 0
	for ; n < Max; n++ {
		m := &s.members[n]
		if len(m.raw) == 0 || !m.begins(data[pos:]) {
			break
		}
		at := pos + len(m.raw)
		if m.field == End {
			return s.found[:count], at, true
		}
		if at >= len(data) {
			break
		}
		v := &s.found[count&(Max-1)]
		v.Field, v.Begin, v.To = m.field, pos, 0
		length := 0
		if data[at] == '"' {
			to := quote(data, at+1)
			v.From, v.To, length = at+1, to, to+1-at
		} else {
			v.Number, length = words.Decimal(data, at)
		}
		if length <= 0 {
			break
		}
		pos = at + length
		count++
	}
	return s.found[:count], pos, false
}

// quote is where the quote is that ends a string of plain text, -1 where there is
// none.
func quote(data []byte, i int) int {
	for ; i+8 <= len(data); i += 8 {
		if hit := words.Odd(binary.LittleEndian.Uint64(data[i:])); hit != 0 {
			i += bits.TrailingZeros64(hit) / 8
			if data[i] == '"' {
				return i
			}
			return -1
		}
	}
	i += words.Plain(data[i:])
	if i < len(data) && data[i] == '"' {
		return i
	}
	return -1
}

// Package words reads text eight bytes at a time: how far it is plain, and the
// value of numbers; and it writes text as JSON.
//
// It is a leaf of the codecs of events, and imports nothing of this module.
package words

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// Word is the eight bytes at i, the first in the lowest; what of them lies behind the
// end of data is 0. i must not be negative: only the end is checked, for a look at
// bounds costs as much as what is done with a word.
func Word(data []byte, i int) uint64 {
	if i > len(data)-8 {
		return end(data, i)
	}
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(data)), i))[:])
}

// end is Word where less than eight bytes are left.
//
//go:noinline
func end(data []byte, i int) (w uint64) {
	if i >= len(data) {
		return 0
	}
	if n := len(data) - 8; n >= 0 {
		return binary.LittleEndian.Uint64(data[n:]) >> (8 * (i - n) & 63)
	}
	for at, c := range data[i:] {
		w |= uint64(c) << (8 * at & 63)
	}
	return w
}

// Blank is the place behind the white space of JSON at i.
func Blank(data []byte, i int) int {
	for {
		// Most of it are spaces, whose number is no branch.
		n := bits.TrailingZeros64(Word(data, i)^' '*ones) / 8
		i += n
		if n == 8 {
			continue
		}
		if i >= len(data) || data[i] != '\n' && data[i] != '\r' && data[i] != '\t' {
			return i
		}
		i++
	}
}

// Plain is how many bytes at the beginning of data are printable ASCII that a JSON
// string may hold as it is: from the space to the tilde, without the quote and the
// backslash.
func Plain(data []byte) int {
	i := 0
	hit := Odd(Word(data, i))
	for hit == 0 {
		i += 8
		hit = Odd(Word(data, i))
	}
	return i + bits.TrailingZeros64(hit)/8
}

// Odd marks the first byte of a word, from the lowest on, that is not plain, by its
// highest bit: no lower bit is set, higher ones may be. A byte below 128, less n, has
// its highest bit where it was below n; what borrows and carries spoil lies behind the
// first. Control characters and the quote are below 33 when the bit of 2 is turned, the
// backslash is below 1 when its own are, 127 becomes 128 by one more, and what is beyond
// ASCII has the bit.
func Odd(w uint64) (mark uint64) {
	return (((w ^ 2*ones) - 33*ones) | ((w ^ '\\'*ones) - ones) | (w + ones) | w) & highs
}

// maxDigits is how many digits every one of which a float64 holds exactly.
const maxDigits = 15

// Decimal reads a number of JSON at i, without sign and exponent, that has up to 15
// digits: its value, which is the correctly rounded one as an exact integer and an
// exact power of ten divide to that, and its length. The length is 0 where there
// is another number, or none.
func Decimal(data []byte, i int) (v float64, n int) {
	w := Word(data, i) ^ '0'*ones // a digit is its value
	n = leading(w)
	whole := number(w, n)
	if n > 7 {
		whole, n = long(data, i, w)
	}
	if n == 0 || n > maxDigits || byte(w) == 0 && n > 1 {
		return 0, 0
	}
	switch behind := byte(Word(data, i+n)); {
	case behind == '.':
		return point(data, i, n, whole)
	case behind|0x20 == 'e':
		return 0, 0
	}
	return float64(whole), n
}

// point is Decimal of a number with a point behind n digits, which are the value whole.
func point(data []byte, i, n int, whole int64) (float64, int) {
	i += n + 1
	w := Word(data, i) ^ '0'*ones
	more := leading(w)
	part := number(w, more)
	if more > 7 {
		part, more = long(data, i, w)
	}
	if more == 0 || n+more > maxDigits || byte(Word(data, i+more))|0x20 == 'e' {
		return 0, 0
	}
	return (float64(whole)*pow10[more] + float64(part)) / pow10[more], n + 1 + more
}

// long reads the digits at i that begin with a word of them: how many there are, and
// their value, if they are up to 15; it looks at no more than 16.
func long(data []byte, i int, w uint64) (v int64, n int) {
	next := Word(data, i+8) ^ '0'*ones
	if n = leading(next); n > 7 {
		return 0, 16
	}
	return eightDigits(w)*tens[n] + number(next, n), 8 + n
}

// number is the value of the first n bytes of a word, each that of a digit; n is below
// 8. How many there are cannot be foreseen, so it is no branch.
func number(w uint64, n int) int64 { return eightDigits(w << 8 << ((56 - 8*n) & 63)) }

// leading is how many bytes of a word, from the lowest on, are below 10.
func leading(w uint64) int {
	return bits.TrailingZeros64(((w+(0x80-10)*ones)|w)&highs) / 8
}

// eightDigits is the value of a word of digits' values, the first in its lowest byte:
// they are added up in pairs, fours and eights.
func eightDigits(w uint64) int64 {
	w = w*10 + w>>8
	const pairs = 0x000000ff000000ff
	return int64((w&pairs*(100+1e6<<32) + w>>16&pairs*(1+1e4<<32)) >> 32)
}

// tens are the powers of ten by which some digits move what is before them.
var tens = [8]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}

// pow10 holds the powers of ten that a float64 represents exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// Float gives the value of a number's text. A number beyond float64 is infinite,
// what is no number NaN.
func Float(text []byte) float64 {
	negative := len(text) > 0 && text[0] == '-'
	rest := text
	if negative {
		rest = text[1:]
	}
	if v, n := Decimal(rest, 0); n > 0 && n == len(rest) {
		if negative {
			return -v
		}
		return v
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

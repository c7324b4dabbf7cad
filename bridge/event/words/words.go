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
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// Plain is how many bytes at the beginning of data are printable ASCII that a JSON
// string may hold as it is: from the space to the tilde, without the quote and the
// backslash.
func Plain(data []byte) int {
	i := 0
	for ; i+8 <= len(data); i += 8 {
		if hit := Odd(binary.LittleEndian.Uint64(data[i:])); hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for i < len(data) && data[i] >= ' ' && data[i] < 0x7f && data[i] != '"' && data[i] != '\\' {
		i++
	}
	return i
}

// Odd marks the first byte of a word, from the lowest on, that is not plain, by its
// highest bit: no lower bit is set, higher ones may be. A word has a byte of some value
// where the word that is 0 there has a 0 (Hacker's Delight, 6-1); what borrows and
// carries spoil lies behind the first.
func Odd(w uint64) (mark uint64) {
	quote, slash := w^('"'*ones), w^('\\'*ones)
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-' '*ones)&^w | w | (w + ones)) & highs
}

// maxDigits is how many digits every one of which a float64 holds exactly.
const maxDigits = 15

// Decimal reads a number of JSON without sign and exponent that has up to 15
// digits: its value, which is the correctly rounded one as an exact integer and an
// exact power of ten divide to that, and its length. The length is 0 where there
// is another number, or none.
func Decimal(data []byte) (v float64, n int) {
	whole, n := digits(data)
	if n == 0 || n > maxDigits || n > 1 && data[0] == '0' {
		return 0, 0
	}
	if n == len(data) {
		return float64(whole), n
	}
	switch c := data[n]; {
	case c == '.':
		part, more := digits(data[n+1:])
		if more == 0 || n+more > maxDigits {
			return 0, 0
		}
		end := n + 1 + more
		if end < len(data) && data[end]|0x20 == 'e' {
			return 0, 0
		}
		return (float64(whole)*pow10[more] + float64(part)) / pow10[more], end
	case c|0x20 == 'e':
		return 0, 0
	}
	return float64(whole), n
}

// digits reads the digits at the beginning of data: how many there are, and, if
// they are up to 19, their value.
func digits(data []byte) (v uint64, n int) {
	for len(data) >= n+8 {
		w := binary.LittleEndian.Uint64(data[n:])
		if some := leading(w); some < 8 {
			// Those that are missing before them are zeros. How many there are cannot be
			// foreseen, so it is no branch.
			w = w<<(64-8*some) | '0'*ones>>(8*some)
			return v*tens[some] + eightDigits(w), n + some
		}
		v, n = v*1e8+eightDigits(w), n+8
	}
	for ; n < len(data) && data[n]-'0' <= 9; n++ {
		v = v*10 + uint64(data[n]-'0')
	}
	return v, n
}

// leading is how many bytes of a word, from the lowest on, are digits.
func leading(w uint64) int {
	return bits.TrailingZeros64((w&(0xf0*ones)^'0'*ones)|((w+6*ones)&(0xf0*ones)^'0'*ones)) / 8
}

// eightDigits is the value of a word of digits, the first in its lowest byte: they
// are added up in pairs, fours and eights.
func eightDigits(w uint64) uint64 {
	w -= '0' * ones
	w = w*10 + w>>8
	const pairs = 0x000000ff000000ff
	return (w&pairs*(100+1e6<<32) + w>>16&pairs*(1+1e4<<32)) >> 32
}

// tens are the powers of ten by which some digits move what is before them.
var tens = [8]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}

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
	if v, n := Decimal(rest); n > 0 && n == len(rest) {
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

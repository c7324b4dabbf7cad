package expr

import (
	"bytes"
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

type nodeOp uint8

const (
	opLiteral nodeOp = iota
	opList
	opName
	opHas
	opStartsWith
	opNot
	opAnd
	opOr
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opIn
)

// node is one element of the tree. Only the fields that its op names count.
type node struct {
	op       nodeOp
	pos      int
	slot     int      // opName
	value    Value    // opLiteral
	list     []Value  // opList
	members  *members // opList, of a long one
	children []*node
}

// eval answers a condition.
func (n *node) eval(get func(slot int) Value) bool {
	switch n.op {
	case opAnd:
		for _, c := range n.children {
			if !c.eval(get) {
				return false
			}
		}
		return true
	case opOr:
		for _, c := range n.children {
			if c.eval(get) {
				return true
			}
		}
		return false
	case opNot:
		return !n.children[0].eval(get)
	case opLiteral:
		return n.value.Bool
	case opName:
		b, ok := toBool(get(n.slot))
		return ok && b
	case opHas:
		v := get(n.children[0].slot)
		return v.Kind != Missing && (v.Kind != String || v.Str != "")
	case opStartsWith:
		return n.startsWith(get)
	case opIn:
		return n.in(get)
	default:
		return n.compare(get)
	}
}

// operand is a value and whether it was written in the source, which decides
// how the other side is read.
func (n *node) operand(get func(slot int) Value) (v Value, literal bool) {
	if n.op == opName {
		return get(n.slot), false
	}
	return n.value, true
}

func (n *node) compare(get func(slot int) Value) bool {
	a, aLiteral := n.children[0].operand(get)
	b, bLiteral := n.children[1].operand(get)
	order, ok := compareValues(a, aLiteral, b, bLiteral)
	if !ok {
		return n.op == opNotEqual
	}
	switch n.op {
	case opEqual:
		return order == 0
	case opNotEqual:
		return order != 0
	case opLess:
		return order < 0
	case opLessEqual:
		return order <= 0
	case opGreater:
		return order > 0
	default:
		return order >= 0
	}
}

// compareValues orders two values by the rules in the package comment; ok is
// false when they cannot be compared.
func compareValues(a Value, aLiteral bool, b Value, bLiteral bool) (order int, ok bool) {
	if a.Kind == Missing || b.Kind == Missing || a.Kind == Set || b.Kind == Set {
		return 0, false
	}
	as := Missing // what the literals ask for; Missing: nothing
	if aLiteral {
		as = a.Kind
	}
	if bLiteral {
		if as != Missing && as != b.Kind {
			return 0, false // two literals of different types
		}
		as = b.Kind
	}
	if as == Time {
		x, okX := toTime(a)
		y, okY := toTime(b)
		return cmp.Compare(x, y), okX && okY
	}
	if as == Bool || as == Missing && (a.Kind == Bool || b.Kind == Bool) {
		x, okX := toBool(a)
		y, okY := toBool(b)
		return cmp.Compare(bit(x), bit(y)), okX && okY
	}
	if as != String {
		x, okX := toNumber(a)
		y, okY := toNumber(b)
		if okX && okY {
			return cmp.Compare(x, y), x == x && y == y
		}
		if as == Number {
			return 0, false
		}
	}
	if a.Kind == String && b.Kind == String {
		return strings.Compare(a.Str, b.Str), true
	}
	var bufA, bufB [maxNumberText]byte
	return bytes.Compare(appendText(bufA[:0], a), appendText(bufB[:0], b)), true
}

func (n *node) in(get func(slot int) Value) bool {
	member, literal := n.children[0].operand(get)
	if right := n.children[1]; right.op == opList {
		if right.members != nil && !literal {
			return right.members.has(member)
		}
		for i := range right.list {
			if order, ok := compareValues(member, literal, right.list[i], true); ok && order == 0 {
				return true
			}
		}
		return false
	}
	container := get(n.children[1].slot)
	if container.Kind != Set {
		return false
	}
	for _, s := range container.Set {
		order, ok := compareValues(member, literal, Value{Kind: String, Str: s}, false)
		if ok && order == 0 {
			return true
		}
	}
	return false
}

func (n *node) startsWith(get func(slot int) Value) bool {
	s, _ := n.children[0].operand(get)
	prefix, _ := n.children[1].operand(get)
	if s.Kind == String && prefix.Kind == String {
		return strings.HasPrefix(s.Str, prefix.Str)
	}
	if s.Kind == Missing || s.Kind == Set || prefix.Kind == Missing || prefix.Kind == Set {
		return false
	}
	var bufS, bufP [maxNumberText]byte
	return bytes.HasPrefix(appendText(bufS[:0], s), appendText(bufP[:0], prefix))
}

// maxNumberText covers the longest text of a float64 in the form appendText
// uses, and most strings; a longer string moves the buffer to the heap.
const maxNumberText = 64

// appendText appends the text of a scalar: numbers in plain decimal, as a
// person writes them, with an exponent only where that would be absurd.
func appendText(dst []byte, v Value) []byte {
	switch v.Kind {
	case String:
		return append(dst, v.Str...)
	case Bool:
		return strconv.AppendBool(dst, v.Bool)
	default:
		format := byte('f')
		if v.Num >= 1e21 || v.Num <= -1e21 || v.Num != 0 && v.Num < 1e-9 && v.Num > -1e-9 {
			format = 'e'
		}
		return strconv.AppendFloat(dst, v.Num, format, -1, 64)
	}
}

// members finds the literals of a long list by hash, with the meaning that
// comparing them one by one has.
type members struct {
	texts   map[string]struct{}
	numbers map[float64]struct{}
	bools   [2]bool
}

// longList is the length from which a list gets members.
const longList = 8

func newMembers(list []Value) *members {
	m := &members{texts: map[string]struct{}{}, numbers: map[float64]struct{}{}}
	for _, v := range list {
		switch v.Kind {
		case String:
			m.texts[v.Str] = struct{}{}
		case Number:
			m.numbers[v.Num] = struct{}{}
		case Bool:
			m.bools[bit(v.Bool)] = true
		}
	}
	return m
}

func (m *members) has(v Value) bool {
	if v.Kind == Missing || v.Kind == Set {
		return false
	}
	var found bool
	if v.Kind == String {
		_, found = m.texts[v.Str]
	} else {
		var buf [maxNumberText]byte
		_, found = m.texts[string(appendText(buf[:0], v))]
	}
	if found {
		return true
	}
	if len(m.numbers) > 0 {
		if x, ok := toNumber(v); ok {
			if _, found = m.numbers[x]; found {
				return true
			}
		}
	}
	b, ok := toBool(v)
	return ok && m.bools[bit(b)]
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func toBool(v Value) (value, ok bool) {
	switch v.Kind {
	case Bool:
		return v.Bool, true
	case String:
		switch v.Str {
		case "true", "True", "TRUE":
			return true, true
		case "false", "False", "FALSE":
			return false, true
		}
	}
	return false, false
}

func toNumber(v Value) (float64, bool) {
	switch v.Kind {
	case Number:
		return v.Num, true
	case String:
		return parseNumber(v.Str)
	default:
		return 0, false
	}
}

// secondsBelow parts Unix seconds from Unix milliseconds: as milliseconds it
// is March 1973, as seconds the year 5138.
const secondsBelow = 1e11

// toTime reads a time: RFC 3339 or a date alone (midnight UTC) as text, Unix
// seconds or milliseconds as a number.
func toTime(v Value) (float64, bool) {
	switch v.Kind {
	case Time:
		return v.Num, true
	case Number:
		if math.Abs(v.Num) < secondsBelow {
			return v.Num * 1000, true
		}
		return v.Num, v.Num == v.Num
	case String:
		return parseTime(v.Str)
	default:
		return 0, false
	}
}

func parseTime(s string) (float64, bool) {
	// Most texts are no times; Parse would allocate an error for each.
	if len(s) < len(time.DateOnly) || !isDigit(s[0]) || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	layout := time.RFC3339Nano
	if len(s) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	t, err := time.Parse(layout, s)
	return float64(t.UnixMilli()), err == nil
}

// parseNumber reads a decimal number, with blanks around it as exports have
// them. Go's other forms (hexadecimal, underscores, inf, nan) are text here.
func parseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxNumberText {
		return 0, false
	}
	negative := s[0] == '-'
	digits := strings.TrimPrefix(s, "-")
	integer, plain := uint64(0), len(digits) <= 15 // below 2^53: exact
	dot, exponent := false, false
	for i := 0; i < len(digits); i++ {
		c := digits[i]
		switch {
		case isDigit(c):
			integer = integer*10 + uint64(c-'0')
			continue
		case c == '.' && !dot && !exponent:
			dot = true
		case (c == 'e' || c == 'E') && !exponent && i > 0:
			exponent = true
		case (c == '+' || c == '-') && i > 0 && (digits[i-1] == 'e' || digits[i-1] == 'E'):
		default:
			return 0, false // dates and codes end here: ParseFloat would allocate an error
		}
		plain = false
	}
	if plain && digits != "" {
		if negative {
			return -float64(integer), true
		}
		return float64(integer), true
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

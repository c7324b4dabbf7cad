package catalog

import (
	"math"
	"time"

	"vitrine/appliance/frame"
	"vitrine/bridge/event"
	"vitrine/internal/expr"
)

// look is a filter's look at all items, some of them at a time.
type look struct {
	filter  *filter
	changes uint64 // how many there were when it began
	items   int
	words   []uint64
	done    int // words

	texts []string
	sets  [][]string
	// verdicts are those of a part on every text or set of the dictionary, made
	// for parts that ask for them as long as there is room for all.
	verdicts [][]uint8
	room     int
}

const (
	// lookTests is how many tests there are at most between two looks at the
	// clock: at 50 ns each a millisecond. A word is 64 items, and the least.
	lookTests = 1 << 14
	// verdictRoom is how many verdicts are kept.
	verdictRoom = 8 << 20
)

func newLook(f *filter, items int) *look {
	c := f.catalog
	return &look{
		filter: f, changes: c.changes.n.Load(), items: items, words: make([]uint64, (items+63)/64),
		texts: c.texts.all(), sets: c.sets.all(), verdicts: make([][]uint8, f.program.Parts()), room: verdictRoom,
	}
}

// on goes on until all items are looked at, which it tells, or a time.
func (l *look) on(by time.Time) bool {
	for l.done < len(l.words) {
		if !by.IsZero() && time.Now().After(by) {
			return false
		}
		l.step()
	}
	if rest := l.items % 64; rest != 0 {
		l.words[len(l.words)-1] &= 1<<rest - 1
	}
	return true
}

// step looks at some of the items.
func (l *look) step() {
	n := max(1, lookTests/64/l.filter.program.Terms())
	n = min(n, len(l.words)-l.done)
	copy(l.words[l.done:], l.filter.program.Bits(n, l.column))
	l.done += n
}

// column sets the bits of the next items that fulfil a part of the program. A
// part that reads one attribute is answered from its column, once for each
// different text, set or truth value; one that compares attributes, from their
// columns. Only where a column does not hold every value are the items
// themselves looked at.
func (l *look) column(dst []uint64, part *expr.Part) {
	slots := part.Slots()
	if len(slots) == 0 {
		l.each(dst, func(uint32) bool { return part.Test(expr.Value{}) })
		return
	}
	col, whole := l.filter.columnOf(slots[0])
	if len(slots) > 1 || !whole {
		l.compare(dst, part)
		return
	}
	missing := part.Test(expr.Value{})
	if col == nil {
		l.each(dst, func(uint32) bool { return missing })
		return
	}
	switch col.kind {
	case event.Number:
		l.numbers(dst, col, missing, part)
	case event.Bool:
		no, yes := part.Test(expr.Value{Kind: expr.Bool}), part.Test(expr.Value{Kind: expr.Bool, Bool: true})
		l.each(dst, func(code uint32) bool {
			switch col.at(code) {
			case frame.NoNumber:
				return missing
			case 0:
				return no
			}
			return yes
		})
	default:
		l.coded(dst, col, missing, part)
	}
}

// compare answers a part that reads several attributes, or one of which the
// column does not hold every value.
func (l *look) compare(dst []uint64, part *expr.Part) {
	f, slots := l.filter, part.Slots()
	var columns [2]*column
	var byEntry [2]bool
	for k, slot := range slots[:min(len(slots), len(columns))] {
		var whole bool
		columns[k], whole = f.columnOf(slot)
		byEntry[k] = !whole
	}
	var code uint32
	get := func(slot int) expr.Value {
		for k, s := range slots[:min(len(slots), len(columns))] {
			if s == slot && !byEntry[k] {
				return l.value(columns[k], code)
			}
		}
		return f.value(f.catalog.ofItems.get(code), code, slot)
	}
	l.each(dst, func(item uint32) bool {
		code = item
		return part.Eval(get)
	})
}

// value is what a column holds of an item.
func (l *look) value(col *column, code uint32) expr.Value {
	if col == nil {
		return expr.Value{}
	}
	switch col.kind {
	case event.Number:
		if v := col.number(code); v == v {
			return expr.Value{Kind: expr.Number, Num: v}
		}
	case event.Bool:
		if v := col.at(code); v != frame.NoNumber {
			return expr.Value{Kind: expr.Bool, Bool: v != 0}
		}
	case event.Set:
		if at := int(col.at(code)) - 1; at >= 0 && at < len(l.sets) {
			return expr.Value{Kind: expr.Set, Set: l.sets[at]}
		}
	default:
		if at := int(col.at(code)) - 1; at >= 0 && at < len(l.texts) {
			return expr.Value{Kind: expr.String, Str: l.texts[at]}
		}
	}
	return expr.Value{}
}

// numbers answers for a column of numbers. Shops have few different prices: a
// small cache spares most tests.
func (l *look) numbers(dst []uint64, col *column, missing bool, part *expr.Part) {
	var cache [256]struct{ bits, verdict uint64 }
	l.each(dst, func(code uint32) bool {
		v := col.number(code)
		if v != v {
			return missing
		}
		bits := math.Float64bits(v)
		slot := &cache[bits*0x9e3779b97f4a7c15>>56]
		if slot.bits != bits || slot.verdict == 0 {
			slot.bits, slot.verdict = bits, 1
			if part.Test(expr.Value{Kind: expr.Number, Num: v}) {
				slot.verdict = 2
			}
		}
		return slot.verdict == 2
	})
}

// coded answers for a column of dictionary codes, asking once for each code
// where there is room. Codes that came after the dictionary was looked at belong
// to items that have changed, which are looked at again.
func (l *look) coded(dst []uint64, col *column, missing bool, part *expr.Part) {
	const unknown, no, yes = 0, 1, 2
	known, test := len(l.texts), func(at int) bool { return part.Test(expr.Value{Kind: expr.String, Str: l.texts[at]}) }
	if col.kind == event.Set {
		known, test = len(l.sets), func(at int) bool { return part.Test(expr.Value{Kind: expr.Set, Set: l.sets[at]}) }
	}
	verdicts := l.verdicts[part.Number()]
	if verdicts == nil && l.room >= known {
		verdicts = make([]uint8, known)
		l.verdicts[part.Number()], l.room = verdicts, l.room-known
	}
	l.each(dst, func(code uint32) bool {
		at := int(col.at(code)) - 1
		if at < 0 || at >= known {
			return missing
		}
		if verdicts == nil {
			return test(at)
		}
		if verdicts[at] == unknown {
			verdicts[at] = no
			if test(at) {
				verdicts[at] = yes
			}
		}
		return verdicts[at] == yes
	})
}

// each sets the bits of the next items that pass.
func (l *look) each(dst []uint64, pass func(code uint32) bool) {
	for w := range dst {
		var bits uint64
		for b := range uint32(64) {
			if pass(uint32(l.done+w)*64 + b) {
				bits |= 1 << b
			}
		}
		dst[w] = bits
	}
}

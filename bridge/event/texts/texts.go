// Package texts numbers the texts of a frame.
//
// It owns the string table of the frame codec while it is written: the table's
// bytes, and which text is where in it. It imports nothing of this module.
package texts

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Table numbers texts from 1 in the order of their first use. It is a hash table
// over the texts' own bytes: a map of strings costs twice as much, and keeps the
// strings. The zero value is ready to use. It holds less than 4 GiB.
type Table struct {
	// text is the table as it stands in the frame, at where in it the length of each
	// text is.
	text []byte
	at   []uint32
	// groups have a byte of the hash of each of up to eight texts, 0 where there is
	// none, and none is before another; numbers are theirs. They are a power of two.
	// That a text is new is seen from one group nearly always, so it waits for one
	// word of what is small enough to stay in a cache, and has no branch for how many
	// others are in its way, which the processor could not predict.
	groups  []uint64
	numbers [][groupTexts]uint32
	// crowded says that a text is behind its group, which was full.
	crowded bool
	secret  secret
}

const (
	groupTexts = 8
	// groupFill is how many texts are in a group on average at most.
	groupFill = 5
	// firstGroups are those of a new table.
	firstGroups = 1 << 7
)

// Bytes are the texts as a frame has them, each with its length before it. They
// are valid until the next change.
func (t *Table) Bytes() []byte { return t.text }

// Len is how many texts there are.
func (t *Table) Len() int { return len(t.at) }

// Reset empties the table and keeps its memory. A small frame behind a large one
// does not pay for the large one's groups.
func (t *Table) Reset() {
	if len(t.at) < len(t.groups)/8 && !t.crowded {
		for n := range t.at {
			t.groups[t.home(t.secret.hash(t.get(uint32(n+1))))] = 0
		}
	} else {
		clear(t.groups)
	}
	t.text, t.at, t.crowded = t.text[:0], t.at[:0], false
}

// Ref is the number of a text, entered when it is new, and 0 of the empty one.
func (t *Table) Ref(s string) uint64 {
	if s == "" {
		return 0
	}
	if len(t.at) >= groupFill*len(t.groups) {
		t.grow()
	}
	hash := t.secret.hash(s)
	for g := t.home(hash); ; g = t.behind(g) {
		group := t.groups[g]
		for m := match(group, hash); m != 0; m &= m - 1 {
			if number := t.numbers[g][bits.TrailingZeros64(m)/8]; t.is(number, s) {
				return uint64(number)
			}
		}
		if used := used(group); used < groupTexts {
			t.at = append(t.at, uint32(len(t.text)))
			t.text = append(binary.AppendUvarint(t.text, uint64(len(s))), s...)
			t.groups[g] = group | tag(hash)<<(8*used)
			t.numbers[g][used] = uint32(len(t.at))
			return uint64(len(t.at))
		}
		t.crowded = true
	}
}

// Last is a text and its number: what a field had that often has the same again.
type Last struct {
	text   string
	number uint64
}

// Again is Ref of such a field's text.
func (t *Table) Again(last *Last, s string) uint64 {
	if s != last.text {
		last.text, last.number = s, t.Ref(s)
	}
	return last.number
}

// is tells whether s is the text of a number.
func (t *Table) is(number uint32, s string) bool {
	text := t.text[t.at[number-1]:]
	if len(s) >= 0x80 {
		return t.get(number) == s
	}
	return int(text[0]) == len(s) && string(text[1:1+len(s)]) == s
}

// get is the text of a number, valid until the next change.
func (t *Table) get(number uint32) string {
	text := t.text[t.at[number-1]:]
	length, n := binary.Uvarint(text)
	return unsafe.String(unsafe.SliceData(text), len(text))[n : n+int(length)]
}

// home is the group in which a text is looked for first.
func (t *Table) home(hash uint64) int { return int(hash>>32) & (len(t.groups) - 1) }

// behind is the next group.
func (t *Table) behind(group int) int { return (group + 1) & (len(t.groups) - 1) }

// tag is what a group has of a hash, not 0.
func tag(hash uint64) uint64 { return max(1, hash&0xff) }

// match has the highest bit of each byte of a group that is the hash's tag.
func match(group, hash uint64) uint64 {
	const ones, rest = ^uint64(0) / 0xff, ^uint64(0) / 0xff * 0x7f
	x := group ^ tag(hash)*ones
	return ^((x&rest + rest) | x | rest)
}

// used is how many texts are in a group.
func used(group uint64) int { return (64 - bits.LeadingZeros64(group) + 7) / 8 }

// grow doubles the groups.
func (t *Table) grow() {
	if t.groups == nil {
		t.secret = newSecret()
	}
	n := max(firstGroups, 2*len(t.groups))
	t.groups, t.numbers, t.crowded = make([]uint64, n), make([][groupTexts]uint32, n), false
	for n := range t.at {
		number := uint32(n + 1)
		hash := t.secret.hash(t.get(number))
		g := t.home(hash)
		for used(t.groups[g]) == groupTexts {
			g, t.crowded = t.behind(g), true
		}
		at := used(t.groups[g])
		t.groups[g] |= tag(hash) << (8 * at)
		t.numbers[g][at] = number
	}
}

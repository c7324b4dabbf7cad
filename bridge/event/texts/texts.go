// Package texts numbers the texts of a frame.
//
// It owns the string table of the frame codec while it is written: the table's
// bytes, and which text is where in it. It imports nothing of this module.
package texts

import (
	"encoding/binary"
	"hash/maphash"
)

// Table numbers texts from 1 in the order of their first use. It is open
// addressing over the table's own bytes: a map of strings costs twice as much, and
// keeps the strings. The zero value is ready to use. It holds less than 4 GiB.
type Table struct {
	// text is the table as it stands in the frame, at where each text begins and
	// ends in it, and its slot, by its number.
	text []byte
	at   []place
	// slots are a part of each text's hash and its number, 0 where free; a power
	// of two, at most half of them taken.
	slots []slot
	// seed is secret, so that nobody outside can make ids that collide.
	seed maphash.Seed
}

type (
	place struct{ from, to, slot uint32 }
	slot  struct{ hash, number uint32 }
)

// firstSlots are those of a new table.
const firstSlots = 1 << 10

// Bytes are the texts as a frame has them, each with its length before it. They
// are valid until the next change.
func (t *Table) Bytes() []byte { return t.text }

// Len is how many texts there are.
func (t *Table) Len() int { return len(t.at) }

// Reset empties the table and keeps its memory. A small frame behind a large one
// does not pay for the large one's slots.
func (t *Table) Reset() {
	if len(t.at) < len(t.slots)/16 {
		for _, at := range t.at {
			t.slots[at.slot] = slot{}
		}
	} else {
		clear(t.slots)
	}
	t.text, t.at = t.text[:0], t.at[:0]
}

// Ref is the number of a text that is not empty, entered when it is new.
func (t *Table) Ref(s string) uint64 {
	if 2*len(t.at) >= len(t.slots) {
		t.grow()
	}
	h := maphash.String(t.seed, s)
	mask := uint32(len(t.slots) - 1)
	for i := uint32(h) & mask; ; i = (i + 1) & mask {
		found := &t.slots[i]
		if found.number == 0 {
			t.text = append(binary.AppendUvarint(t.text, uint64(len(s))), s...)
			end := uint32(len(t.text))
			t.at = append(t.at, place{end - uint32(len(s)), end, i})
			*found = slot{uint32(h >> 32), uint32(len(t.at))}
			return uint64(found.number)
		}
		if found.hash == uint32(h>>32) && string(t.get(found.number)) == s {
			return uint64(found.number)
		}
	}
}

// get is the text of a number.
func (t *Table) get(number uint32) []byte {
	at := t.at[number-1]
	return t.text[at.from:at.to]
}

// grow doubles the slots.
func (t *Table) grow() {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
	}
	t.slots = make([]slot, max(firstSlots, 2*len(t.slots)))
	mask := uint32(len(t.slots) - 1)
	for n := range t.at {
		h := maphash.Bytes(t.seed, t.get(uint32(n+1)))
		i := uint32(h) & mask
		for t.slots[i].number != 0 {
			i = (i + 1) & mask
		}
		t.slots[i], t.at[n].slot = slot{uint32(h >> 32), uint32(n + 1)}, i
	}
}

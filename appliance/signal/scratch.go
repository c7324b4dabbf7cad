package signal

import "slices"

func (s *Signal) getScratch() *scratch {
	if sc, ok := s.scratch.Get().(*scratch); ok {
		return sc
	}
	return new(scratch)
}

// scratch is the working memory of one Trim or Weigh.
type scratch struct {
	set  itemSet
	sums []sum
	// keys are item<<32 | slot.
	keys, spare []uint64
}

// sortByItem fills keys in the order of items. A radix sort, because the
// order of a few hundred small integers would otherwise be the largest part
// of Weigh.
func (sc *scratch) sortByItem() {
	sc.keys = sc.keys[:0]
	var all uint32
	for slot, item := range sc.set.items {
		sc.keys = append(sc.keys, uint64(item)<<32|uint64(slot))
		all |= item
	}
	if len(sc.keys) < 64 {
		slices.Sort(sc.keys)
		return
	}
	sc.spare = slices.Grow(sc.spare[:0], len(sc.keys))[:len(sc.keys)]
	for shift := 32; shift < 64 && uint64(all)>>(shift-32) != 0; shift += 8 {
		var next [256]uint32
		for _, k := range sc.keys {
			next[uint8(k>>shift)]++
		}
		var at uint32
		for b, n := range next {
			next[b] = at
			at += n
		}
		for _, k := range sc.keys {
			b := uint8(k >> shift)
			sc.spare[next[b]] = k
			next[b]++
		}
		sc.keys, sc.spare = sc.spare, sc.keys
	}
}

// itemSet numbers distinct items in the order of their first sight: an open
// hash table whose entries are valid only for its current generation, so that
// emptying it costs nothing.
type itemSet struct {
	items []uint32 // by slot
	table []entry
	shift uint8
	gen   uint32
}

type entry struct{ gen, item, slot uint32 }

// reset empties the set and makes room for n items at a load of one half.
func (t *itemSet) reset(n int) {
	t.items = t.items[:0]
	t.gen++
	if len(t.table) < 2*n || t.gen == 0 {
		size, bits := 64, uint8(6)
		for size < 2*n || size < len(t.table) {
			size, bits = size*2, bits+1
		}
		t.table, t.shift, t.gen = make([]entry, size), 32-bits, 1
	}
}

// slot is the number of an item, and whether it is a new one.
func (t *itemSet) slot(item uint32) (slot uint32, fresh bool) {
	mask := uint32(len(t.table) - 1)
	// Fibonacci hashing: codes are often consecutive.
	for p := item * 2654435769 >> t.shift; ; p++ {
		e := &t.table[p&mask]
		if e.gen != t.gen {
			*e = entry{gen: t.gen, item: item, slot: uint32(len(t.items))}
			t.items = append(t.items, item)
			return e.slot, true
		}
		if e.item == item {
			return e.slot, false
		}
	}
}

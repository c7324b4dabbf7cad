package signal

// Places is how many of the newest places of a history candidate sources are
// asked with: what lies further back weighs next to nothing in any of them.
const Places = 128

// Sequence appends to dst the order in which items came: the newest places of
// h, at most most of them, oldest first, for sources that go by order and not by
// weight. h is sorted and trimmed as Trim says.
//
// An item that comes several times in a row has one place, with its newest
// interaction. An event that says nothing, such as a purchase of none, has no
// place, nor has an item that was taken back: all its places are gone while
// removes leave nothing of it.
func (s *Signal) Sequence(h []Interaction, most int, dst []Interaction) []Interaction {
	sc := s.getScratch()
	defer s.scratch.Put(sc)
	removes := s.sumUp(h, sc)
	begin := len(dst)
	for j := len(h) - 1; j >= 0 && len(dst)-begin < most; j-- {
		in := &h[j]
		switch {
		case in.Type == removeCode || !(s.Strength(in) > 0):
		case len(dst) > begin && dst[len(dst)-1].Item == in.Item:
		case removes && !(sc.sumOf(in.Item) > 0):
		default:
			dst = append(dst, *in)
		}
	}
	for i, j := begin, len(dst)-1; i < j; i, j = i+1, j-1 {
		dst[i], dst[j] = dst[j], dst[i]
	}
	return dst
}

// sumUp adds up the items of a history that holds removes, and reports whether
// it does: most do not, and need no sums. Ages make no difference to whether
// something is left.
func (s *Signal) sumUp(h []Interaction, sc *scratch) bool {
	for j := range h {
		if h[j].Type != removeCode {
			continue
		}
		sc.set.reset(len(h))
		sc.sums = sc.sums[:0]
		for i := range h {
			slot, fresh := sc.set.slot(h[i].Item)
			if fresh {
				sc.sums = append(sc.sums, sum{})
			}
			s.add(&sc.sums[slot], &h[i], h[i].Time)
		}
		return true
	}
	return false
}

// sumOf is the sum of an item that sumUp has met.
func (sc *scratch) sumOf(item uint32) float64 {
	slot, _ := sc.set.slot(item)
	return sc.sums[slot].weight
}

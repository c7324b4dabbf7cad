package neighbors

import (
	"slices"

	"vitrine/als/internal/keys"
	"vitrine/als/topk"
)

// Scores collects the scores of the few items that a query touches, over a
// catalogue of any size. The zero value is empty and ready.
//
// It is a sparse set (Briggs and Torczon 1993): the scores lie side by side in
// the order in which the items came, 4 bytes an item tell where, and what they
// tell of items that are not there need never be cleared.
type Scores struct {
	slot  []uint32  // by item: where in items it is, if it is there
	items []uint32  // the first n; what is behind them is left from before
	sums  []float32 // beside items, 0 behind n
	n     int
	keys  []uint64
}

// Reset forgets all scores and makes room for the given number of items.
func (s *Scores) Reset(items int) {
	if len(s.slot) < items {
		s.slot = make([]uint32, items)
	}
	clear(s.sums[:min(s.n, len(s.sums))])
	s.n = 0
}

// reserve makes room for so many items more.
func (s *Scores) reserve(more int) {
	const spare = 64
	if need := s.n + more; len(s.items) < need {
		s.items = append(s.items, make([]uint32, need+spare-len(s.items))...)
		s.items = s.items[:cap(s.items)]
	}
	if len(s.sums) < len(s.items) {
		s.sums = append(s.sums, make([]float32, len(s.items)-len(s.sums))...)
	}
}

// place returns where an item within slot is, or has been put now: at n. after
// is how many items there are then. It takes no branch, for whether an item came
// before is what nobody can foretell. items must be longer than n.
func place(slot, items []uint32, item uint32, n int) (at, after int) {
	at = int(slot[item])
	other := uint64(items[at] ^ item)
	beyond := uint64(n-1-at) >> 63
	absent := int(beyond | -other>>63)
	at ^= (at ^ n) & -absent
	slot[item], items[at] = uint32(at), item
	return at, n + absent
}

// Add adds v to an item's score. Items beyond what Reset made room for are
// passed over.
func (s *Scores) Add(item uint32, v float32) {
	if int64(item) >= int64(len(s.slot)) {
		return
	}
	s.reserve(1)
	at, n := place(s.slot, s.items, item, s.n)
	s.sums[at] += v
	s.n = n
}

// addAll adds weight * scores[n] to items[n]; scores may be longer.
func (s *Scores) addAll(items []uint32, scores []float32, weight float32) {
	s.reserve(len(items))
	slot, there, sums, n := s.slot, s.items, s.sums, s.n
	scores = scores[:len(items)]
	for j, item := range items {
		if int64(item) >= int64(len(slot)) {
			continue
		}
		at, after := place(slot, there, item, n)
		sums[at] += weight * scores[j]
		n = after
	}
	s.n = n
}

// addNear adds what sessions say, which have so many places together.
func (s *Scores) addNear(items []uint32, near []neighbor, around []float32, places int) {
	s.reserve(places)
	slot, there, sums, n := s.slot, s.items, s.sums, s.n
	for j := range near {
		v := &near[j]
		window := items[v.first:v.end]
		factors := around[v.near:][:len(window)]
		weight := v.weight
		for j, item := range window {
			if int64(item) >= int64(len(slot)) {
				continue
			}
			at, after := place(slot, there, item, n)
			sums[at] += weight * factors[j]
			n = after
		}
	}
	s.n = n
}

// Get returns an item's score, and whether it has one.
func (s *Scores) Get(item uint32) (float32, bool) {
	at, ok := s.find(item)
	if !ok {
		return 0, false
	}
	return s.sums[at], true
}

// find returns where an item is.
func (s *Scores) find(item uint32) (at int, ok bool) {
	if int64(item) >= int64(len(s.slot)) {
		return 0, false
	}
	at = int(s.slot[item])
	return at, at < s.n && s.items[at] == item
}

// Items returns the items that have a score, in the order in which they came.
// It is valid until the next Add or Reset.
func (s *Scores) Items() []uint32 { return s.items[:s.n] }

// Max returns the highest score of the items not excluded, 0 when all are
// below it or there is none.
func (s *Scores) Max(exclude []uint64) float32 { return s.max(&Query{Exclude: exclude}) }

func (s *Scores) max(q *Query) float32 {
	highest := float32(0)
	for at, v := range s.sums[:s.n] {
		if v > highest && q.shows(s.items[at]) {
			highest = v
		}
	}
	return highest
}

// Top returns the k items with the highest scores, best first, equal ones by
// rising row, without those whose bit is set in exclude (bit r%64 of word
// r/64) and without NaN. The answer reuses dst.
func (s *Scores) Top(k int, exclude []uint64, dst []topk.Hit) []topk.Hit {
	return s.top(&Query{K: k, Exclude: exclude}, dst)
}

func (s *Scores) top(q *Query, dst []topk.Hit) []topk.Hit {
	s.keys = s.keys[:0]
	for at, item := range s.items[:s.n] {
		if v := s.sums[at]; v == v && q.shows(item) {
			s.keys = append(s.keys, keys.Of(v, item))
		}
	}
	best := keys.Smallest(s.keys, q.K)
	slices.Sort(best)
	return hitsOf(best, dst)
}

// hitsOf writes keys out, in dst's memory.
func hitsOf(best []uint64, dst []topk.Hit) []topk.Hit {
	dst = slices.Grow(dst[:0], len(best))
	for _, key := range best {
		v, item := keys.Split(key)
		dst = append(dst, topk.Hit{Row: item, Score: v})
	}
	return dst
}

// shows tells whether an item may be shown.
func (q *Query) shows(item uint32) bool {
	return !excluded(q.Exclude, item) && (q.Hidden == nil || !q.Hidden.Hides(item)) && !(q.Cosine && item == q.Row)
}

func excluded(exclude []uint64, row uint32) bool {
	word := int(row >> 6)
	return word < len(exclude) && exclude[word]>>(row&63)&1 != 0
}

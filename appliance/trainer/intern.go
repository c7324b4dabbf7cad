package trainer

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
)

// interner numbers the ids of one side while several readers find them. Codes
// are given in whatever order the readers come; rows, in the order in which
// the ids first come in the archive, once all are there.
type interner struct {
	seed   maphash.Seed
	shards [shards]shard
}

// shards is how many parts the ids are spread over, so that readers seldom wait
// for each other and a table stays in the cache while one of them enters its
// ids. A code is the place in its shard times shards, plus the shard.
const (
	shards    = 64
	shardBits = 6
)

// shard is an open hash table of ids: some 30 bytes each beside their text.
type shard struct {
	mu sync.Mutex
	// slots are places plus one.
	slots []uint32
	// By place: the hash, where the id ends in text, and where it came first,
	// as the number of the part and of the row in it.
	hashes []uint64
	ends   []uint64
	first  []uint64
	text   []byte
}

func newInterner() *interner { return &interner{seed: maphash.MakeSeed()} }

// internScratch is one reader's working memory.
type internScratch struct {
	hashes []uint64
	order  []uint32
}

// codes numbers ids. Those that did not enter have a first row of 0 and get no
// code; of the others it is their first row in the part, plus one. out[i] is
// the code of id i.
func (in *interner) codes(ids []string, firstRows []uint32, part int, s *internScratch, out []uint32) []uint32 {
	out = slices.Grow(out[:0], len(ids))[:len(ids)]
	s.hashes = slices.Grow(s.hashes[:0], len(ids))[:len(ids)]
	s.order = slices.Grow(s.order[:0], len(ids))[:len(ids)]
	// Shard by shard, or every id would cost a lock.
	var next [shards + 1]uint32
	for i, id := range ids {
		if firstRows[i] > 0 {
			s.hashes[i] = maphash.String(in.seed, id)
			next[s.hashes[i]%shards+1]++
		}
	}
	for n := range shards {
		next[n+1] += next[n]
	}
	starts := next
	for i := range ids {
		if firstRows[i] > 0 {
			n := s.hashes[i] % shards
			s.order[next[n]] = uint32(i)
			next[n]++
		}
	}
	// Readers begin at different shards, not to follow each other.
	for k := range shards {
		n := (k + part*7) % shards
		of := s.order[starts[n]:starts[n+1]]
		if len(of) == 0 {
			continue
		}
		shard := &in.shards[n]
		shard.mu.Lock()
		for _, i := range of {
			place := shard.enter(ids[i], s.hashes[i], uint64(part)<<32|uint64(firstRows[i]))
			out[i] = place<<shardBits | uint32(n)
		}
		shard.mu.Unlock()
	}
	return out
}

// enter returns the place of an id that comes first where it is said, so far.
func (s *shard) enter(id string, hash, first uint64) uint32 {
	if 2*len(s.hashes) >= len(s.slots) {
		s.grow()
	}
	mask := uint64(len(s.slots) - 1)
	i := hash >> shardBits & mask
	for ; s.slots[i] != 0; i = (i + 1) & mask {
		place := s.slots[i] - 1
		if s.hashes[place] == hash && string(s.id(place)) == id {
			s.first[place] = min(s.first[place], first)
			return place
		}
	}
	place := uint32(len(s.hashes))
	s.slots[i] = place + 1
	s.hashes, s.first = append(s.hashes, hash), append(s.first, first)
	s.text = append(s.text, id...)
	s.ends = append(s.ends, uint64(len(s.text)))
	return place
}

// id is the id at a place.
func (s *shard) id(place uint32) []byte {
	if place == 0 {
		return s.text[:s.ends[0]]
	}
	return s.text[s.ends[place-1]:s.ends[place]]
}

// minSlots is a power of two.
const minSlots = 64

func (s *shard) grow() {
	s.slots = make([]uint32, max(minSlots, 2*len(s.slots)))
	mask := uint64(len(s.slots) - 1)
	for place, hash := range s.hashes {
		i := hash >> shardBits & mask
		for ; s.slots[i] != 0; i = (i + 1) & mask {
		}
		s.slots[i] = uint32(place) + 1
	}
}

// rowsOf are the rows of codes: that of code c is rows[c%shards][c/shards].
type rowsOf [shards][]uint32

func (r *rowsOf) row(code uint32) uint32 { return r[code%shards][code>>shardBits] }

// rows gives the ids their rows, and returns them in that order. The interner
// must not be used afterwards.
func (in *interner) rows() (ids []string, rows rowsOf) {
	type entry struct {
		first uint64
		code  uint32
	}
	n := 0
	for i := range in.shards {
		n += len(in.shards[i].hashes)
	}
	order := make([]entry, 0, n)
	for i := range in.shards {
		for place, first := range in.shards[i].first {
			order = append(order, entry{first, uint32(place)<<shardBits | uint32(i)})
		}
		rows[i] = make([]uint32, len(in.shards[i].hashes))
	}
	slices.SortFunc(order, func(a, b entry) int { return cmp.Compare(a.first, b.first) })
	texts := [shards]string{}
	for i := range in.shards {
		texts[i] = string(in.shards[i].text)
	}
	ids = make([]string, n)
	for row, e := range order {
		n, place := e.code%shards, e.code>>shardBits
		rows[n][place] = uint32(row)
		start := uint64(0)
		if place > 0 {
			start = in.shards[n].ends[place-1]
		}
		ids[row] = texts[n][start:in.shards[n].ends[place]]
	}
	in.shards = [shards]shard{}
	return ids, rows
}

package bridge

import "crypto/rand"

// identity stands for an event id: 128 bits of a hash with a secret key. Two different ids of a window of 8 million collide with a
// probability of about 2^-82, and nobody outside can know how to make them, so
// equal identities count as equal ids without a look at the text. The zero
// identity means "has none".
type identity struct{ hi, lo uint64 }

const (
	// blockIDs identities make a block, the unit of forgetting. 8 KiB keep
	// a quiet shop's memory small.
	blockIDs = 512
	// blockNumbers is the range of block numbers in a position of 32 bits.
	blockNumbers = 1 << 32 / blockIDs
	// windowParts bounds how long a block stays open: an identity is kept
	// for the window and at most this part of it longer.
	windowParts = 64
	// shardCount tables share the index, so that growing one of them stalls
	// the committer for about a millisecond, even at 8 million identities.
	shardCount = 256
)

// idBlock is a run of identities in order of arrival. They are apart from the
// rest, so that they fill an allocation of 8 KiB exactly.
type idBlock struct {
	ids   *[blockIDs]identity
	n     int
	first int64
	last  int64
}

// idShard is one open-addressing table: tags[i] is 0 when the slot is free,
// else a byte of the hash, and pos[i] says where the identity is kept.
type idShard struct {
	tags []uint8
	pos  []uint32
	n    int
}

// idSet remembers the identities of a window of time, at most max of them:
// exact, first in first out, about 25 bytes each. It is not safe for
// concurrent use.
type idSet struct {
	key    [16]byte
	window int64
	max    int
	blocks []idBlock
	// base is the number of blocks[0].
	base   uint32
	count  int
	shards [shardCount]idShard
}

// newIDSet makes a set that keeps an identity for window milliseconds.
func newIDSet(window int64, limit int) *idSet {
	s := &idSet{window: window, max: limit}
	rand.Read(s.key[:]) // never fails
	return s
}

// identify hashes an event id. Safe for concurrent use.
func (s *idSet) identify(eventID string) identity {
	var id identity
	id.lo, id.hi = siphash(&s.key, eventID)
	if id == (identity{}) {
		id.lo = 1
	}
	return id
}

// add remembers id and tells whether it was new. now must not run backwards
// further than the caller accepts to keep an identity longer.
func (s *idSet) add(id identity, now int64) bool {
	sh := s.room(id)
	i, found := s.find(sh, id)
	if found {
		return false
	}
	sh.tags[i] = tagOf(id)
	sh.pos[i] = s.push(id, now)
	sh.n++
	return true
}

// room is the table of id, with room for one more.
func (s *idSet) room(id identity) *idShard {
	sh := &s.shards[id.hi>>56]
	if (sh.n+1)*4 > len(sh.tags)*3 {
		s.grow(sh)
	}
	return sh
}

// undo forgets the n identities added last.
func (s *idSet) undo(n int) {
	for ; n > 0; n-- {
		b := &s.blocks[len(s.blocks)-1]
		b.n--
		s.drop(b.ids[b.n])
		if b.n == 0 {
			*b = idBlock{}
			s.blocks = s.blocks[:len(s.blocks)-1]
		}
	}
}

// expire forgets what is older than the window or beyond the limit. It is
// kept out of add, so that undo finds what add has put there.
func (s *idSet) expire(now int64) {
	for len(s.blocks) > 0 {
		b := &s.blocks[0]
		if b.last >= now-s.window && s.count <= s.max {
			return
		}
		for _, id := range b.ids[:b.n] {
			s.drop(id)
		}
		*b = idBlock{}
		s.blocks = s.blocks[1:]
		s.base = (s.base + 1) % blockNumbers
	}
}

// push appends id to the newest block and says where it is.
func (s *idSet) push(id identity, now int64) uint32 {
	var b *idBlock
	if n := len(s.blocks); n > 0 {
		b = &s.blocks[n-1]
	}
	if b == nil || b.n == blockIDs || now-b.first > s.window/windowParts {
		s.blocks = append(s.blocks, idBlock{ids: new([blockIDs]identity), first: now})
		b = &s.blocks[len(s.blocks)-1]
	}
	b.ids[b.n] = id
	b.last = max(b.last, now)
	b.n++
	s.count++
	number := (s.base + uint32(len(s.blocks)-1)) % blockNumbers
	return number*blockIDs + uint32(b.n-1)
}

// at is the identity at a position.
func (s *idSet) at(pos uint32) identity {
	block := (pos/blockIDs - s.base) % blockNumbers
	return s.blocks[block].ids[pos%blockIDs]
}

// find gives the slot of id, or the free slot where it belongs.
func (s *idSet) find(sh *idShard, id identity) (slot int, found bool) {
	mask := len(sh.tags) - 1
	tag := tagOf(id)
	for i := int(id.lo) & mask; ; i = (i + 1) & mask {
		switch sh.tags[i] {
		case 0:
			return i, false
		case tag:
			if s.at(sh.pos[i]) == id {
				return i, true
			}
		}
	}
}

// drop takes id out of the index by moving back the slots that follow it, so
// that no search ends too early. Its block still holds it meanwhile.
func (s *idSet) drop(id identity) {
	sh := &s.shards[id.hi>>56]
	free, found := s.find(sh, id)
	if !found {
		return
	}
	mask := len(sh.tags) - 1
	for i := (free + 1) & mask; sh.tags[i] != 0; i = (i + 1) & mask {
		home := int(s.at(sh.pos[i]).lo) & mask
		if (i-home)&mask >= (i-free)&mask {
			sh.tags[free], sh.pos[free] = sh.tags[i], sh.pos[i]
			free = i
		}
	}
	sh.tags[free] = 0
	sh.n--
	s.count--
}

// grow doubles a table.
func (s *idSet) grow(sh *idShard) {
	old := *sh
	size := max(16, 2*len(old.tags))
	*sh = idShard{tags: make([]uint8, size), pos: make([]uint32, size), n: old.n}
	mask := size - 1
	for i, tag := range old.tags {
		if tag == 0 {
			continue
		}
		j := int(s.at(old.pos[i]).lo) & mask
		for sh.tags[j] != 0 {
			j = (j + 1) & mask
		}
		sh.tags[j], sh.pos[j] = tag, old.pos[i]
	}
}

// tagOf is a byte of the hash that neither the shard nor the slot uses.
func tagOf(id identity) uint8 {
	return max(1, uint8(id.hi>>48))
}

package bridge

import (
	"crypto/rand"
	"math/bits"
)

// identity stands for an event id: 128 bits of a hash with a secret key. Two
// different ids of a window of 8 million collide with a probability of about
// 2^-82, and nobody outside can know how to make them, so equal identities count
// as equal ids without a look at the text. The zero identity means "has none".
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
	// the committer for a fraction of a millisecond, even at 8 million
	// identities.
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

// idSet remembers the identities of a window of time, at most max of them:
// exact, first in first out, about 28 bytes each. It is not safe for
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
	// touched is written so that touch's reads are not left out.
	touched uint64
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

// touch reads what add reads of each identity. The reads do not depend on each
// other, so the processor waits for many of them at once, and add, whose do, finds
// all of it in its cache. They should be few enough for that, some hundred.
func (s *idSet) touch(ids []identity) {
	sum := uint64(0)
	for _, id := range ids {
		if sh := s.shard(id); len(sh.buckets) > 0 {
			sum += sh.buckets[sh.home(hashOf(id))].low
		}
	}
	s.touched = sum
}

// add remembers id and tells whether it was new. now must not run backwards
// further than the caller accepts to keep an identity longer.
func (s *idSet) add(id identity, now int64) bool {
	sh := s.room(id)
	at, found := s.find(sh, id)
	if found {
		return false
	}
	sh.set(at, hashOf(id), s.push(id, now))
	sh.n++
	return true
}

func (s *idSet) shard(id identity) *idShard { return &s.shards[id.hi>>56] }

// room is the table of id, with room for one more.
func (s *idSet) room(id identity) *idShard {
	sh := s.shard(id)
	if sh.n >= sh.limit {
		sh.grow()
	}
	return sh
}

// find gives the place of id, or the free one where it belongs.
func (s *idSet) find(sh *idShard, id identity) (at idPlace, found bool) {
	hash := hashOf(id)
	for at.bucket = sh.home(hash); ; at.bucket = sh.next(at.bucket) {
		b := &sh.buckets[at.bucket]
		for m := b.match(hash); m != 0; m &= m - 1 {
			at.slot = bits.TrailingZeros64(m) / 8
			if b.hash(at.slot) == hash && s.at(b.pos[at.slot]) == id {
				return at, true
			}
		}
		if at.slot = b.used(); at.slot < bucketIDs {
			return at, false
		}
	}
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
		s.touch(b.ids[:b.n])
		for _, id := range b.ids[:b.n] {
			s.drop(id)
		}
		*b = idBlock{}
		s.blocks = s.blocks[1:]
		s.base = (s.base + 1) % blockNumbers
	}
}

// drop takes id out of the index. Its block still holds it meanwhile.
func (s *idSet) drop(id identity) {
	sh := s.shard(id)
	if sh.n == 0 {
		return
	}
	if at, found := s.find(sh, id); found {
		sh.remove(at)
		sh.n--
		s.count--
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

// reserve makes room for n identities before they come.
func (s *idSet) reserve(n int) {
	for i := range s.shards {
		s.shards[i].resize(n/shardCount*5/4/bucketFill + 1) // a quarter more than the mean
	}
}

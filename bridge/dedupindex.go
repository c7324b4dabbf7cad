package bridge

import (
	"math"
	"math/bits"
)

// idShard is a part of the index of an idSet: a hash table whose buckets are
// lines of the processor's cache, so that a new identity costs one wait for
// memory and a known one two, the other for its block. Buckets are in the order
// of the hashes, so growing copies from one end to the other and asks no block. An
// identity that finds its bucket full is in the next one that is not.
type idShard struct {
	buckets []idBucket
	n       int
	// limit is the number of identities at which it grows.
	limit int
}

const (
	// bucketIDs identities fit into a bucket.
	bucketIDs = 8
	// bucketFill is how many are in one on average at most: of a bucket of eight
	// one in six is then full. Growing by half keeps them above four.
	bucketFill = 6
)

// idBucket holds 32 bits of the hash of each identity, and its position. The lowest
// byte of a hash is not 0 and stands with the others' in a word, where it is 0 of a free
// place; no free one is before a taken one. So one word tells how many there are and
// which may be the one, without a branch, as those could not be predicted.
type idBucket struct {
	low  uint64
	mid  [bucketIDs]uint16
	high [bucketIDs]uint8
	pos  [bucketIDs]uint32
}

// idPlace is where in a shard an identity is.
type idPlace struct{ bucket, slot int }

// hashOf is what the index has of an identity beside its shard; its lowest byte is not 0.
func hashOf(id identity) uint32 {
	hash := uint32(id.lo)
	if uint8(hash) == 0 {
		hash++
	}
	return hash
}

// home is the bucket of a hash, which is in proportion to it.
func (sh *idShard) home(hash uint32) int {
	return int(uint64(hash) * uint64(len(sh.buckets)) >> 32)
}

func (sh *idShard) next(bucket int) int {
	if bucket++; bucket < len(sh.buckets) {
		return bucket
	}
	return 0
}

// used tells how many places are taken.
func (b *idBucket) used() int { return (64 - bits.LeadingZeros64(b.low) + 7) / 8 }

// match has the highest bit of each byte whose place may be that of the hash. Bytes
// that are equal become 0, and those that are 0 (Hacker's Delight, 6-1) 0x80.
func (b *idBucket) match(hash uint32) uint64 {
	const ones, rest = math.MaxUint64 / 0xff, math.MaxUint64 / 0xff * 0x7f
	x := b.low ^ uint64(uint8(hash))*ones // 0 where equal
	return ^((x&rest + rest) | x | rest)
}

func (b *idBucket) hash(slot int) uint32 {
	return uint32(b.high[slot])<<24 | uint32(b.mid[slot])<<8 | uint32(uint8(b.low>>(slot*8)))
}

// put makes a place that of an identity.
func (b *idBucket) put(slot int, hash, pos uint32) {
	b.low = b.low&^(0xff<<(slot*8)) | uint64(uint8(hash))<<(slot*8)
	b.mid[slot], b.high[slot], b.pos[slot] = uint16(hash>>8), uint8(hash>>24), pos
}

func (sh *idShard) set(at idPlace, hash, pos uint32) { sh.buckets[at.bucket].put(at.slot, hash, pos) }

// remove frees a place. If its bucket was full, what is in one behind it and
// belongs there or before comes back, so that no search ends too early.
func (sh *idShard) remove(at idPlace) {
	for {
		b := &sh.buckets[at.bucket]
		used := b.used()
		if used == bucketIDs {
			if from, ok := sh.displaced(at.bucket); ok {
				other := &sh.buckets[from.bucket]
				sh.set(at, other.hash(from.slot), other.pos[from.slot])
				at = from
				continue
			}
		}
		last := idPlace{at.bucket, used - 1}
		sh.set(at, b.hash(last.slot), b.pos[last.slot])
		sh.set(last, 0, 0)
		return
	}
}

// displaced finds an identity behind a full bucket that could be in it.
func (sh *idShard) displaced(full int) (from idPlace, ok bool) {
	size := len(sh.buckets)
	for d := 1; d < size; d++ {
		from.bucket = (full + d) % size
		b := &sh.buckets[from.bucket]
		used := b.used()
		for from.slot = 0; from.slot < used; from.slot++ {
			if home := sh.home(b.hash(from.slot)); (from.bucket-home+size)%size >= d {
				return from, true
			}
		}
		if used < bucketIDs {
			break
		}
	}
	return idPlace{}, false
}

// grow makes room for half as many again.
func (sh *idShard) grow() { sh.resize(len(sh.buckets) + max(1, len(sh.buckets)/2)) }

// resize makes a table of so many buckets. The first of the old one are copied
// first, so what is read and what is written moves from one end to the other.
func (sh *idShard) resize(size int) {
	old, used, buckets := sh.buckets, make([]uint8, size), make([]idBucket, size)
	sh.buckets, sh.limit = buckets, size*bucketFill
	for i := range old {
		from := &old[i]
		for slot := range from.used() {
			hash := from.hash(slot)
			at := sh.home(hash)
			for used[at] == bucketIDs {
				at = sh.next(at)
			}
			to, free := &buckets[at], used[at]%bucketIDs
			used[at]++
			to.low |= uint64(uint8(hash)) << (free * 8)
			to.mid[free], to.high[free], to.pos[free] = from.mid[slot], from.high[slot], from.pos[slot]
		}
	}
}

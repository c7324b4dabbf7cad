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

// idBucket holds 32 bits of the hash of each identity, two to a word, and its
// position. The hash of a free place is 0, and no free one is before a taken one.
type idBucket struct {
	hashes [bucketIDs / 2]uint64
	pos    [bucketIDs]uint32
}

// idPlace is where in a shard an identity is.
type idPlace struct{ bucket, slot int }

// hashOf is what the index has of an identity beside its shard; it is not 0.
func hashOf(id identity) uint32 { return max(1, uint32(id.lo)) }

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

// look tells how many places are taken, and whether the hash may be among them:
// a half of a word that is 0 is one whose subtraction borrows (Hacker's Delight,
// 6-1). It has no branch, as they could not be predicted.
func (b *idBucket) look(hash uint32) (used int, match bool) {
	const ones, highs = 1<<32 | 1, 1<<63 | 1<<31
	both := uint64(hash) * ones
	free, same := 0, uint64(0)
	for i := range b.hashes { // not by value: that would copy them
		w := b.hashes[i]
		free += bits.OnesCount64((w - ones) &^ w & highs)
		w ^= both
		same |= (w - ones) &^ w
	}
	return bucketIDs - free, same&highs != 0
}

func (b *idBucket) hash(slot int) uint32 { return uint32(b.hashes[slot/2] >> (slot % 2 * 32)) }

func (sh *idShard) set(at idPlace, hash, pos uint32) {
	b := &sh.buckets[at.bucket]
	word, shift := &b.hashes[at.slot/2], at.slot%2*32
	*word = *word&^(math.MaxUint32<<shift) | uint64(hash)<<shift
	b.pos[at.slot] = pos
}

// remove frees a place. If its bucket was full, what is in one behind it and
// belongs there or before comes back, so that no search ends too early.
func (sh *idShard) remove(at idPlace) {
	for {
		b := &sh.buckets[at.bucket]
		used, _ := b.look(0)
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
		used, _ := b.look(0)
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
	old, used := sh.buckets, make([]uint8, size)
	sh.buckets, sh.limit = make([]idBucket, size), size*bucketFill
	for i := range old {
		from := &old[i]
		taken, _ := from.look(0)
		for slot := range taken {
			hash := from.hash(slot)
			to := sh.home(hash)
			for used[to] == bucketIDs {
				to = sh.next(to)
			}
			b := &sh.buckets[to]
			b.hashes[used[to]/2] |= uint64(hash) << (used[to] % 2 * 32)
			b.pos[used[to]] = from.pos[slot]
			used[to]++
		}
	}
}

package texts

import (
	"crypto/rand"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"unsafe"
)

// shortText is the length up to which a text is two words.
const shortText = 16

// secret is what texts are hashed with, so that nobody outside can make some that
// collide.
type secret struct {
	keys [3]uint64
	long maphash.Seed
}

func newSecret() secret {
	var key [24]byte
	rand.Read(key[:]) // never fails
	le := binary.LittleEndian
	return secret{[3]uint64{le.Uint64(key[:]), le.Uint64(key[8:]), le.Uint64(key[16:])}, maphash.MakeSeed()}
}

// hash is that of a text that is not empty. Most are short, and two products, as of
// wyhash, take less time than the way to maphash, which has the others.
func (k *secret) hash(s string) uint64 {
	if len(s) > shortText {
		return maphash.String(k.long, s)
	}
	first, last := words(s)
	return mix(mix(first^k.keys[0], last^k.keys[1])^k.keys[2], uint64(len(s))^k.keys[1])
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// words are the first and the last eight bytes of a short text, or as many as it has:
// two texts of one length that have the same are the same.
func words(s string) (first, last uint64) {
	text := unsafe.Slice(unsafe.StringData(s), len(s))
	switch n := len(text); {
	case n >= 8:
		return binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[n-8:])
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(text)), uint64(binary.LittleEndian.Uint32(text[n-4:]))
	default:
		return uint64(text[0]), uint64(text[n/2])<<8 | uint64(text[n-1])
	}
}

package bridge

import (
	"encoding/binary"
	"math/bits"
)

// siphash is SipHash-2-4 with 128 bits of output (Aumasson and Bernstein,
// 2012): keyed, so that nobody outside can make two ids collide, and with a
// key that can be kept, unlike hash/maphash, so that a window outlives its
// process. About 60 ns for an id.
func siphash(key *[16]byte, s string) (lo, hi uint64) {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	v := sipState{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	last := uint64(len(s)) << 56
	for ; len(s) >= 8; s = s[8:] {
		v.absorb(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
	}
	for i := range len(s) {
		last |= uint64(s[i]) << (8 * i)
	}
	v.absorb(last)
	v.v2 ^= 0xee
	lo = v.squeeze()
	v.v1 ^= 0xdd
	return lo, v.squeeze()
}

type sipState struct{ v0, v1, v2, v3 uint64 }

func (v *sipState) absorb(word uint64) {
	v.v3 ^= word
	v.round()
	v.round()
	v.v0 ^= word
}

func (v *sipState) squeeze() uint64 {
	for range 4 {
		v.round()
	}
	return v.v0 ^ v.v1 ^ v.v2 ^ v.v3
}

func (v *sipState) round() {
	v.v0 += v.v1
	v.v1 = bits.RotateLeft64(v.v1, 13) ^ v.v0
	v.v0 = bits.RotateLeft64(v.v0, 32)
	v.v2 += v.v3
	v.v3 = bits.RotateLeft64(v.v3, 16) ^ v.v2
	v.v0 += v.v3
	v.v3 = bits.RotateLeft64(v.v3, 21) ^ v.v0
	v.v2 += v.v1
	v.v1 = bits.RotateLeft64(v.v1, 17) ^ v.v2
	v.v2 = bits.RotateLeft64(v.v2, 32)
}

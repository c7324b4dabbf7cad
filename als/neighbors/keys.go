package neighbors

import "math"

// encodeKey makes one number of a score that is not NaN and a row, which sorts
// ascending in the order of the answers: falling score, then rising row.
func encodeKey(score float32, row uint32) uint64 {
	bits := math.Float32bits(score + 0) // makes -0 equal to 0
	if bits>>31 != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 31
	}
	return uint64(^bits)<<32 | uint64(row)
}

func decodeKey(key uint64) (float32, uint32) {
	bits := ^uint32(key >> 32)
	if bits>>31 != 0 {
		bits &^= 1 << 31
	} else {
		bits = ^bits
	}
	return math.Float32frombits(bits), uint32(key)
}

// smallest reorders keys so that the k smallest come first, in no order, and
// returns them.
func smallest(keys []uint64, k int) []uint64 {
	k = max(k, 0)
	if k >= len(keys) {
		return keys
	}
	for lo, hi := 0, len(keys)-1; lo < hi; {
		pivot := median(keys[lo], keys[lo+(hi-lo)/2], keys[hi])
		i, j := lo, hi
		for i <= j {
			for keys[i] < pivot {
				i++
			}
			for keys[j] > pivot {
				j--
			}
			if i <= j {
				keys[i], keys[j] = keys[j], keys[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return keys[:k]
		}
	}
	return keys[:k]
}

func median(a, b, c uint64) uint64 {
	return max(min(a, b), min(max(a, b), c))
}

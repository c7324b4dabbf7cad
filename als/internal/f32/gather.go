package f32

// Gather copies rows: row r of dst (of length k) becomes factors[r] times row
// cols[r] of base. What cols holds beyond the len(factors) rows wanted is a
// hint: the rows lie anywhere in a large block, so the memory is asked for each
// some rows ahead.
func Gather(dst, base []float32, cols []uint32, factors []float32, k int) {
	GatherBlock(dst[:len(factors)*k], base, cols, factors, k)
}

// GatherBlock is Gather of the first len(dst)/len(factors) numbers of each row:
// base begins at the first column wanted and may end with the last row's.
func GatherBlock(dst, base []float32, cols []uint32, factors []float32, k int) {
	n := len(factors)
	if n == 0 {
		return
	}
	wide := len(dst) / n
	if !fits(wide) {
		gatherGeneric(dst, base, cols[:n], factors, k)
		return
	}
	cols = withHints(cols, n)
	hinted := max(0, len(cols)-prefetchRows)
	gatherVector(dst[:hinted*wide], base, cols, factors[:hinted], k)
	gatherVector(dst[hinted*wide:], base, cols[hinted:n], factors[hinted:], k)
}

// GatherHalf is Gather from rows in half precision: half the bytes to fetch.
// The length of a row must be a multiple of Lanes, and HasHalf true.
func GatherHalf(dst []float32, base []uint16, cols []uint32, factors []float32) {
	n := len(factors)
	if n == 0 {
		return
	}
	k := len(dst) / n
	cols = withHints(cols, n)
	hinted := max(0, len(cols)-prefetchRows)
	gatherHalfVector(dst[:hinted*k], base, cols, factors[:hinted])
	gatherHalfVector(dst[hinted*k:], base, cols[hinted:n], factors[hinted:])
}

// AskHalf asks the memory for rows cols of base, k numbers each, that a later
// GatherHalf will want. A core has a few dozen such questions open at a time and
// waits with more, so they belong between other work.
func AskHalf(base []uint16, cols []uint32, k int) {
	if len(cols) > 0 {
		askVector(base, cols, k)
	}
}

// withHints cuts cols behind the hints for the last of n rows.
func withHints(cols []uint32, n int) []uint32 { return cols[:min(len(cols), n+prefetchRows)] }

// FromHalf is the way back from ToHalf, of any length, times a factor. HasHalf
// must be true.
func FromHalf(dst []float32, src []uint16, factor float32) {
	dst = dst[:len(src)]
	n := len(src) / lanes * lanes
	if n > 0 {
		// A block of one row as long as all of it.
		gatherHalfVector(dst[:n], src[:n], []uint32{0}, []float32{factor})
	}
	if n < len(src) {
		var from [lanes]uint16
		var to [lanes]float32
		copy(from[:], src[n:])
		gatherHalfVector(to[:], from[:], []uint32{0}, []float32{factor})
		copy(dst[n:], to[:])
	}
}

// HasHalf reports whether the half-precision kernels are there. The generic
// code has none: without the instructions, converting costs more than fetching.
func HasHalf() bool { return vector }

// ToHalf rounds src to half precision and returns the largest magnitude: above
// 65504 a number became infinite. len(src) must be a multiple of Lanes.
func ToHalf(dst []uint16, src []float32) float32 {
	return toHalfVector(dst[:len(src)], src)
}

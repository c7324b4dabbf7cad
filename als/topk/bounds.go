package topk

import (
	"math"

	"vitrine/als/internal/f32"
)

// An item x and a query q are rounded to codes c and d with the scales s and t,
//
//	x = s*c + e,  q = t*d + f
//
// so that, by Cauchy and Schwarz,
//
//	|x.q - s*t*(c.d)| = |s*(c.f) + e.q| <= s*|c|*|f| + |e|*|q|
//
// The first factors are kept as their largest values in each block: in the
// order of the norms s*|c| hardly differs within one. Everything is divided by
// t, so that a scan compares s*(c.d) with what is wanted minus
//
//	max(s*|c|) * (|f|/t) + max(|e|) * (|q|/t)
//
// A score is not x.q but a sum in float32, and the bounds are float32 numbers
// themselves. A sum of k products is off by at most (k+1) * 2^-24 * |x|*|q| in
// whatever order it is added up, for as long as nothing overflows or underflows;
// e is widened by (k+16) * 2^-23 * |x|, which is that twice and the dozen
// roundings in a bound. Overflow is avoided by leaving items and queries with
// norms beyond range to the float32 scan, and underflow adds at most tiny.

const (
	// largest norm of an item or query that codes are made of: the product of
	// two is below the largest float32 by a factor of 128.
	largest = 0x1p60
	// smallest entry that an item's scale is made of; below it the scale would
	// lose digits. Smaller items have zero codes, and are all residual.
	smallest = 0x1p-100
	// smallestQuery is the least norm of a query that codes are made of.
	smallestQuery = 0x1p-60
	// up makes a float64 a safe upper bound when it is rounded to float32.
	up = 1 + 0x1p-20
)

// measure is what one kind of score needs beside the codes.
type measure struct {
	// scales has s for every position.
	scales []float32
	// bounds has max(s*|c|) and the widened max(|e|) of every block.
	bounds []float32
}

func newMeasure(blocks int) measure {
	return measure{scales: make([]float32, blocks*blockRows), bounds: make([]float32, 2*blocks)}
}

// widen notes a row's s*|c| and |e|.
func (m *measure) widen(block int, coded, residual float64) {
	bound := m.bounds[2*block : 2*block+2]
	bound[0] = max(bound[0], float32(coded*up))
	bound[1] = max(bound[1], float32(residual*up))
}

// encode makes the codes of all blocks.
func (ix *Index) encode() {
	blocks := len(ix.ceilings)
	for ix.large < blocks && ix.norms[ix.large*blockRows] > largest {
		ix.large++
	}
	ix.coded, ix.width = true, f32.Int8Width(ix.rank)
	ix.codes = make([]uint8, blocks*blockRows*ix.width)
	ix.product, ix.cosine = newMeasure(blocks), newMeasure(blocks)
	inParallel(blocks*blockRows, func(lo, hi int) {
		codes := make([]int8, ix.rank)
		for b := (lo + blockRows - 1) / blockRows; b*blockRows < hi; b++ {
			ix.encodeBlock(b, codes)
		}
	})
}

// encodeBlock makes the codes of a block; codes is room for those of a row.
func (ix *Index) encodeBlock(b int, codes []int8) {
	size := blockRows * ix.width
	block := ix.codes[b*size : (b+1)*size]
	f32.ClearInt8(block)
	if b < ix.large {
		return
	}
	rounding := float64(ix.rank+16) * 0x1p-23
	for r := range min(blockRows, len(ix.rows)-b*blockRows) {
		at := b*blockRows + r
		row, length := ix.rows[at], ix.norms[at]
		scale, coded, residual := quantise(codes, ix.items[int(row)*ix.rank:(int(row)+1)*ix.rank], 127, smallest)
		f32.PutInt8(block, r, codes)
		ix.product.scales[at] = scale
		ix.product.widen(b, coded, residual+rounding*length)
		switch {
		case length == 0: // no cosine
		case length < smallest:
			// Products so small underflow, and their errors are divided by the
			// length: nothing is known of this cosine.
			ix.cosine.widen(b, 0, math.Inf(1))
		default:
			ix.cosine.scales[at] = float32(float64(scale) / length)
			ix.cosine.widen(b, coded/length, residual/length+rounding)
		}
	}
}

// quantise rounds x to codes of at most limit and returns the scale, the norm
// of what the codes stand for and that of what they leave. An x whose entries
// are all below least has zero codes.
func quantise(codes []int8, x []float32, limit int, least float64) (scale float32, coded, residual float64) {
	top := 0.0
	for _, v := range x {
		top = max(top, math.Abs(float64(v)))
	}
	if top < least {
		clear(codes)
		return 0, 0, norm(x)
	}
	scale = float32(top / float64(limit))
	s, inverse := float64(scale), 1/float64(scale)
	sum, left := 0.0, 0.0
	for i, v := range x {
		// Adding and taking away 1.5 * 2^52 rounds to a whole number.
		c := max(-float64(limit), min(float64(limit), (float64(v)*inverse+0x1.8p52)-0x1.8p52))
		codes[i] = int8(c)
		e := float64(v) - s*c
		sum += c * c
		left += e * e
	}
	return scale, s * math.Sqrt(sum), math.Sqrt(left)
}

// encodeQuery makes the codes of a query and what a pass needs of it. It
// reports false for a query that needs the float32 scan. unit is t.
func (ix *Index) encodeQuery(pass *f32.Int8Pass, codes []int8, q []float32, length float64) (unit float64, ok bool) {
	if !ix.coded || !(length >= smallestQuery && length <= largest) {
		return 0, false
	}
	scale, coded, residual := quantise(codes[:ix.rank], q, ix.kernels.QueryLimit(), 0)
	clear(codes[ix.rank:])
	unit = float64(scale)
	pass.Query, pass.Sum = codes, 0
	for _, c := range codes {
		pass.Sum += int32(c)
	}
	pass.Spread = float32(residual / unit * up)
	pass.Length = float32(length / unit * up)
	pass.Reach = float32(coded / unit * up)
	return unit, true
}

// tiny is what underflow can add to a score: half the smallest number for each
// product and sum.
func (ix *Index) tiny() float64 { return float64(ix.rank+1) * math.SmallestNonzeroFloat32 }

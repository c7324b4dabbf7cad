package f32

import "fmt"

// Kernels is a set of kernels to search rows with. What else the package does
// knows two levels, see Level.
type Kernels uint8

// The sets, slowest first. The generic one is compiled everywhere and judges
// the others.
const (
	Generic Kernels = iota
	AVX2
	VNNI
)

// String names the set as reports do.
func (l Kernels) String() string {
	switch l {
	case VNNI:
		return "avx512vnni"
	case AVX2:
		return "avx2"
	default:
		return "generic"
	}
}

// QueryLimit is the largest magnitude of a query's codes. Without a dot product
// instruction pairs of products are added in 16 bits: 2 * 255 * 64 fit.
func (l Kernels) QueryLimit() int {
	if l == AVX2 {
		return 64
	}
	return 127
}

// DotsAt computes dst[r] = row idx[r] of base . q for rows of length len(q) that
// lie anywhere in a large block; all sets but the generic one add like Dot.
func (l Kernels) DotsAt(dst, base []float32, idx []uint32, q []float32) {
	k := len(q)
	idx = idx[:len(dst)]
	switch {
	case l != Generic && fits(k):
		dotsAtVector(dst, base, idx, q)
	case l != Generic:
		for r, at := range idx {
			dst[r] = Dot(q, base[int(at)*k:(int(at)+1)*k])
		}
	default:
		for r, at := range idx {
			dst[r] = dotGeneric(q, base[int(at)*k:(int(at)+1)*k])
		}
	}
}

// CountAtLeast returns how many numbers of v are at least t; NaN is not.
func CountAtLeast(v []float32, t float32) int {
	count := 0
	if n := len(v) / lanes * lanes; vector && n > 0 {
		count = countAtLeastVector(v[:n], t)
		v = v[n:]
	}
	for _, x := range v {
		if x >= t {
			count++
		}
	}
	return count
}

// Int8Rows is how many rows make a block.
const Int8Rows = 64

// Int8Batch is how many queries ScanBatch takes.
const Int8Batch = 8

// int8Group is how many columns lie together in a row of a block.
const int8Group = 4

// Int8Width is how many codes a row of rank k has in a block: whole groups, and
// an even number of them, so that kernels need no tails.
func Int8Width(k int) int { return (k + 7) &^ 7 }

// PutInt8 writes the codes of row r of a block. Blocks hold for each group of 4
// columns those of all 64 rows, as the code plus 128; what a row does not fill
// must be zero codes, see ClearInt8.
func PutInt8(block []uint8, r int, codes []int8) {
	for i, c := range codes {
		block[i/int8Group*int8Group*Int8Rows+r*int8Group+i%int8Group] = uint8(c) ^ 0x80
	}
}

// ClearInt8 sets all codes of blocks to zero.
func ClearInt8(blocks []uint8) {
	for i := range blocks {
		blocks[i] = 0x80
	}
}

// Int8Pass is what a scan reads. It looks for the rows r of blocks b whose
//
//	value = Scales[r] * codes(r) . Query
//
// is at least
//
//	Theta - Bounds[2b]*Spread - Bounds[2b+1]*Length
//
// A block in which that is more than Bounds[2b]*Reach is passed over.
type Int8Pass struct {
	// Codes are whole blocks; Scales has one number a row, Bounds two a block.
	Codes  []uint8
	Scales []float32
	Bounds []float32
	// Shown has a bit for each row that may be found, a word a block.
	Shown []uint64
	// Query are as many codes as a row has, at most QueryLimit, and Sum their sum.
	Query                        []int8
	Sum                          int32
	Theta, Spread, Length, Reach float32
	// Base is the number of the first row.
	Base uint32
}

// Int8Hits are the rows found, with their values.
type Int8Hits struct {
	At     []uint32
	Values []float32
}

// Int8Room is how many hits a pass over so many blocks needs room for: the
// kernels write whole vectors.
func Int8Room(blocks int) int { return blocks*Int8Rows + 16 }

// Scan writes the rows that p finds to hits, in order, and returns their number.
func (l Kernels) Scan(p *Int8Pass, hits *Int8Hits) int {
	blocks, width := len(p.Shown), len(p.Query)
	if blocks == 0 {
		return 0
	}
	if width%8 != 0 || width == 0 || len(p.Codes) != blocks*Int8Rows*width || len(p.Scales) != blocks*Int8Rows ||
		len(p.Bounds) != 2*blocks || len(hits.At) < Int8Room(blocks) || len(hits.Values) < Int8Room(blocks) {
		panic(fmt.Sprintf("f32: int8 scan of %d blocks: %d codes, %d scales, %d bounds, room for %d and %d", blocks,
			len(p.Codes), len(p.Scales), len(p.Bounds), len(hits.At), len(hits.Values)))
	}
	if l == Generic {
		return scanInt8Generic(p, hits)
	}
	return scanInt8Vector(l, p, hits)
}

// scanInt8Generic is Scan.
func scanInt8Generic(p *Int8Pass, hits *Int8Hits) int {
	count := 0
	for b, shown := range p.Shown {
		norm, residual := p.Bounds[2*b], p.Bounds[2*b+1]
		need := p.Theta - norm*p.Spread - residual*p.Length
		if shown == 0 || need > norm*p.Reach {
			continue
		}
		block := p.Codes[b*Int8Rows*len(p.Query) : (b+1)*Int8Rows*len(p.Query)]
		sums := dotsInt8(block, p.Query)
		for r, sum := range sums {
			if value := p.Scales[b*Int8Rows+r] * float32(sum); value >= need && shown>>r&1 != 0 {
				hits.At[count], hits.Values[count] = p.Base+uint32(b*Int8Rows+r), value
				count++
			}
		}
	}
	return count
}

// dotsInt8 are the products of a block's rows with the query.
func dotsInt8(block []uint8, query []int8) (sums [Int8Rows]int32) {
	for ; len(query) >= int8Group; query = query[int8Group:] {
		q0, q1, q2, q3 := int32(query[0]), int32(query[1]), int32(query[2]), int32(query[3])
		start := 128 * (q0 + q1 + q2 + q3)
		group := block[:int8Group*Int8Rows]
		block = block[int8Group*Int8Rows:]
		for r := range sums {
			x := group[int8Group*r : int8Group*r+int8Group]
			sums[r] += int32(x[0])*q0 + int32(x[1])*q1 + int32(x[2])*q2 + int32(x[3])*q3 - start
		}
	}
	return sums
}

// Int8BatchPass is a pass for Int8Batch queries over the same rows: the fields
// of Int8Pass, for each query.
type Int8BatchPass struct {
	Codes  []uint8
	Scales []float32
	Bounds []float32
	// Shown has a word a block and query: those of the first block first.
	Shown []uint64
	// Query has for each group of 4 columns the codes of all queries.
	Query                        []int8
	Sums                         [Int8Batch]int32 // of each query's codes
	Theta, Spread, Length, Reach [Int8Batch]float32
	Base                         uint32
}

// PutQuery writes the codes of query u into the pass.
func (p *Int8BatchPass) PutQuery(u int, codes []int8) {
	p.Sums[u] = 0
	for i, c := range codes {
		p.Query[i/int8Group*int8Group*Int8Batch+u*int8Group+i%int8Group] = c
		p.Sums[u] += int32(c)
	}
}

// HasBatch reports whether there is a kernel that takes many queries.
func (l Kernels) HasBatch() bool { return l == VNNI }

// ScanBatch is Scan for many queries, where HasBatch is true. The hits of query
// u begin at u*Int8Room(blocks); it returns how many there are of each.
func (l Kernels) ScanBatch(p *Int8BatchPass, hits *Int8Hits) [Int8Batch]int {
	blocks, width := len(p.Shown)/Int8Batch, len(p.Query)/Int8Batch
	if blocks == 0 {
		return [Int8Batch]int{}
	}
	if room := Int8Batch * Int8Room(blocks); len(p.Shown) != blocks*Int8Batch || width%8 != 0 || width == 0 ||
		len(p.Codes) != blocks*Int8Rows*width || len(p.Scales) != blocks*Int8Rows || len(p.Bounds) != 2*blocks ||
		len(hits.At) < room || len(hits.Values) < room {
		panic(fmt.Sprintf("f32: int8 scan of %d blocks: %d codes, %d scales, %d bounds, room for %d and %d", blocks,
			len(p.Codes), len(p.Scales), len(p.Bounds), len(hits.At), len(hits.Values)))
	}
	return scanBatchVector(p, hits)
}

// Package topk finds the items with the highest inner product with a query
// vector, exactly.
//
// It owns the scan order of the item factors and the bound that lets a scan
// stop early; an answer is always the one that a scan of every item would
// give, score by score. It may import als/internal/f32, als/internal/solve,
// als/dataset and als/model; it knows dense rows, never ids.
//
//	ix := topk.New(m.Items, m.NumItems, m.Rank)
//	seen.Reset(ix)
//	seen.Hide(row)
//	hits := ix.Search(userVector, 20, &seen, nil, &scratch)
package topk

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"vitrine/als/internal/f32"
)

// blockRows is how many items are scanned between two looks at the bound, and
// the bits of a mask's word: 64 rows of rank 64 are 16 KiB, half of a first-level cache, and what is scanned
// too much is at most 1.5 us.
const blockRows = 64

// Index holds the item factors in scan order. It is never changed after New
// and safe for concurrent use.
type Index struct {
	rank int
	// factors are the rows in scan order: falling norm. Rows with a NaN are
	// left out, they have no score.
	factors []float32
	// rows and norms belong to the factors, position by position.
	rows  []uint32
	norms []float64
	// position of every row in scan order; -1 for one that was left out.
	position []int32
}

// Hit is one item found.
type Hit struct {
	// Row is the item's row in the factors given to New.
	Row uint32
	// Score is the inner product, or the cosine for Similar.
	Score float32
}

// Scratch is the working memory of one search at a time; its zero value is
// ready, and reusing it saves all allocation.
type Scratch struct {
	keys  []uint64
	query []float32
}

// New builds the index of n rows of the given rank. It copies the factors.
func New(items []float32, n, rank int) *Index {
	if len(items) != n*rank {
		panic("topk: items are not n x rank")
	}
	ix := &Index{rank: rank, position: make([]int32, n)}
	all := make([]float64, n)
	ix.rows = make([]uint32, 0, n)
	for r := range n {
		all[r] = norm(items[r*rank : (r+1)*rank])
		if all[r] == all[r] {
			ix.rows = append(ix.rows, uint32(r))
		}
		ix.position[r] = -1
	}
	slices.SortFunc(ix.rows, func(a, b uint32) int {
		if c := cmp.Compare(all[b], all[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	ix.factors = make([]float32, 0, len(ix.rows)*rank)
	ix.norms = make([]float64, len(ix.rows))
	for at, r := range ix.rows {
		ix.factors = append(ix.factors, items[int(r)*rank:(int(r)+1)*rank]...)
		ix.norms[at] = all[r]
		ix.position[r] = int32(at)
	}
	return ix
}

// norm is the Euclidean length in float64: no float32 row overflows it.
func norm(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// Len is the number of rows given to New.
func (ix *Index) Len() int { return len(ix.position) }

// Rank is the length of a row and of a query.
func (ix *Index) Rank() int { return ix.rank }

// Search returns the k items with the highest inner product with q, best
// first, equal scores by rising row. The rows that hidden names are left out,
// and so is every row whose score is NaN. The answer reuses dst; hidden and s
// may be nil.
func (ix *Index) Search(q []float32, k int, hidden *Mask, dst []Hit, s *Scratch) []Hit {
	if len(q) != ix.rank {
		panic("topk: query has another rank than the index")
	}
	ix.checkMask(hidden)
	length := norm(q)
	if length != length {
		return dst[:0]
	}
	if s == nil {
		s = new(Scratch)
	}
	top := newSelection(s.keys, min(k, len(ix.rows)))
	ix.scan(q, length, hidden, &top)
	dst = top.hits(dst)
	s.keys = top.keys
	return dst
}

// More appends to dst the k best rows that hidden does not name, and then hides
// them: the next call goes on where this one ended. A caller that drops some of
// what it got asks for no more than it still needs; the answer of many calls is
// that of one for as many. Each call is a search of its own, so twice as many
// as before cost less than one at a time.
func (ix *Index) More(q []float32, k int, hidden *Mask, dst []Hit, s *Scratch) []Hit {
	found := ix.Search(q, k, hidden, dst[len(dst):], s)
	for _, hit := range found {
		hidden.Hide(hit.Row)
	}
	return append(dst, found...)
}

// scan offers all rows that may be among the best to top.
//
// No row from position i on has an exact score above |q| * norms[i], for the
// norms fall. What is compared are float32 sums, so the bound is widened by
// what rounding can add: each of a product's at most rank+3 roundings by
// 2^-24, doubled to be safe, and half the smallest number for every underflow.
// A row that only equals the worst one kept could still win by its lower row
// number, so only a smaller bound ends the scan; and a bound beyond float32
// ends nothing, because such a score may overflow to infinity.
func (ix *Index) scan(q []float32, length float64, hidden *Mask, top *selection) {
	if top.k == 0 {
		return
	}
	widen := length * (1 + float64(ix.rank+8)*0x1p-23)
	tiny := float64(ix.rank+1) * math.SmallestNonzeroFloat32
	for lo := 0; lo < len(ix.rows); lo += blockRows {
		bound := widen*ix.norms[lo] + tiny
		if bound < float64(top.least) && bound <= math.MaxFloat32 {
			return
		}
		ix.scanBlock(q, lo, hidden, top)
	}
}

// scanBlock offers the rows of the block from position lo on.
func (ix *Index) scanBlock(q []float32, lo int, hidden *Mask, top *selection) {
	k := ix.rank
	for shown := ix.shown(lo/blockRows, hidden); shown != 0; shown &= shown - 1 {
		at := lo + bits.TrailingZeros64(shown)
		// NaN compares false.
		if score := f32.Dot(q, ix.factors[at*k:(at+1)*k]); score >= top.least {
			top.offer(score, ix.rows[at])
		}
	}
}

// shown has a bit for each row of a block that is there and not hidden.
func (ix *Index) shown(block int, hidden *Mask) uint64 {
	left := len(ix.rows) - block*blockRows
	if left <= 0 {
		return 0
	}
	return math.MaxUint64 >> (blockRows - min(left, blockRows)) &^ hidden.word(block)
}

// Similar returns the k rows whose factors point in the direction of the given
// row's, by cosine, best first, equal ones by rising row. The row itself and
// rows without a direction (zero, infinite or NaN factors) are left out, like
// those in hidden; a row without a direction has no similar ones. It scans
// every row: the norm bounds no cosine. The answer reuses dst; hidden and s may
// be nil.
func (ix *Index) Similar(row uint32, k int, hidden *Mask, dst []Hit, s *Scratch) []Hit {
	ix.checkMask(hidden)
	position, ok := ix.Position(row)
	if !ok {
		return dst[:0]
	}
	at := int(position)
	if n := ix.norms[at]; n == 0 || math.IsInf(n, 1) {
		return dst[:0]
	}
	if s == nil {
		s = new(Scratch)
	}
	// The query is scaled to length 1, so that no product can overflow.
	s.query = s.query[:0]
	for _, v := range ix.factors[at*ix.rank : (at+1)*ix.rank] {
		s.query = append(s.query, float32(float64(v)/ix.norms[at]))
	}
	top := newSelection(s.keys, min(k, len(ix.rows)))
	for lo := 0; lo < len(ix.rows); lo += blockRows {
		for shown := ix.shown(lo/blockRows, hidden); shown != 0; shown &= shown - 1 {
			other := lo + bits.TrailingZeros64(shown)
			n := ix.norms[other]
			if n == 0 || other == at {
				continue
			}
			dot := f32.Dot(s.query, ix.factors[other*ix.rank:(other+1)*ix.rank])
			if score := float32(float64(dot) / n); score >= top.least {
				top.offer(score, ix.rows[other])
			}
		}
	}
	dst = top.hits(dst)
	s.keys = top.keys
	return dst
}

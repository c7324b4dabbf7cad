// Package topk finds the items with the highest inner product with a query
// vector, exactly.
//
// It owns the scan order of the item factors and the bounds that let a search
// look at few of them; an answer is always the one that a scan of every item
// would give, score by score. It may import als/internal/f32,
// als/internal/keys, als/internal/solve, als/dataset and als/model; it knows
// dense rows, never ids.
//
//	ix := topk.New(m.Items, m.NumItems, m.Rank)
//	seen.Reset(ix)
//	seen.Hide(row)
//	hits := ix.Search(userVector, 20, &seen, nil, &scratch)
//
// # Method
//
// Items lie in blocks in the order of falling norm, as int8 codes with a scale
// each. A search multiplies codes with the query's codes and adds what rounding
// to codes can have cost, a bound by norms (bounds.go). What cannot be among the
// best by it is dropped, and the few that are left are scored in float32. It
// ends at the block whose norm is too small for any score that is still wanted.
// Teflioudi and Gemulla, "LEMP" (TODS 2016), order by norm; Li et al.,
// "FEXIPRO" (SIGMOD 2017), scan in integers with such a bound.
package topk

import (
	"math"
	"math/bits"

	"vitrine/als/internal/f32"
)

// blockRows is how many rows share one bound, and one word of a mask.
const blockRows = f32.Int8Rows

// Index holds the item factors in scan order. It is never changed after New
// and safe for concurrent use.
type Index struct {
	rank    int
	kernels f32.Kernels
	// items are the rows as given to New; ordered, where there are no codes,
	// the same in scan order, because then they are what is scanned.
	items, ordered []float32
	// rows are the rows in scan order: falling norm, equal ones by rising row.
	// Those with a NaN are left out, they have no score. norms belong to them.
	rows  []uint32
	norms []float64
	// position of every row in scan order; -1 for one that was left out.
	position []int32
	// ceilings are the largest norms from each block on.
	ceilings []float64
	// infinite and zero part the positions: before infinite the norms are
	// infinite, from zero on they are zero.
	infinite, zero int
	// steep says that the norms fall fast: those of half of all rows are less
	// than a sixth of the largest.
	steep bool
	// coded says that the codes below are there; without them a search scores
	// in float32 whatever the norms do not rule out.
	coded bool
	// large is how many leading blocks have norms too large for codes.
	large int
	width int
	codes []uint8
	// product and cosine are what the codes are multiplied by, and the bounds,
	// for the two kinds of score.
	product, cosine measure
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
	keys   []uint64
	vector []float32
	codes  []int8
	dots   []float32
	plain  []float32
	rows   []uint32
	at     []uint32
	shown  []uint64
	pass   f32.Int8Pass
	hits   f32.Int8Hits
	kept   candidates
	tally  tally
	// scanned counts rows, see Scanned.
	scanned int
	// from is where the next search begins, bar what the last one learnt.
	from, bar Bar
}

// From has the next Search begin at a bar.
func (s *Scratch) From(bar Bar) { s.from = bar }

// Bar is that of the last search; it knows nothing where that was made without
// codes.
func (s *Scratch) Bar() Bar { return s.bar }

// Scanned is how many rows the last search looked at, in whole blocks; the
// norms ruled out the rest. A sample's rows count twice.
func (s *Scratch) Scanned() int { return s.scanned }

// Len is the number of rows given to New.
func (ix *Index) Len() int { return len(ix.position) }

// Rank is the length of a row and of a query.
func (ix *Index) Rank() int { return ix.rank }

// Search returns the k items with the highest inner product with q, best
// first, equal scores by rising row. The rows that hidden names are left out,
// and so is every row whose score is NaN. The answer reuses dst; hidden and s
// may be nil.
func (ix *Index) Search(q []float32, k int, hidden *Mask, dst []Hit, s *Scratch) []Hit {
	if s == nil {
		s = new(Scratch)
	}
	r, ok := ix.search(q, hidden, s)
	if !ok {
		return dst[:0]
	}
	r.bar, s.from = s.from, Bar{}
	return r.run(k, dst)
}

// search begins a search. It reports false for a query without any score.
func (ix *Index) search(q []float32, hidden *Mask, s *Scratch) (r search, ok bool) {
	if len(q) != ix.rank {
		panic("topk: query has another rank than the index")
	}
	ix.checkMask(hidden)
	s.scanned, s.bar = 0, Bar{}
	r = search{ix: ix, s: s, vector: q, hidden: hidden, measure: &ix.product, end: ix.zero, length: norm(q), ceilings: ix.ceilings, tiny: ix.tiny()}
	if math.IsInf(r.length, 1) {
		r.end = len(ix.rows) // zeros make NaN, not zero
	}
	return r, r.length == r.length
}

// Similar returns the k rows whose factors point in the direction of the given
// row's, by cosine, best first, equal ones by rising row. The row itself and
// rows without a direction (zero, infinite or NaN factors) are left out, like
// those in hidden; a row without a direction has no similar ones. Every row is
// scanned: the norm bounds no cosine. The answer reuses dst; hidden and s may
// be nil.
func (ix *Index) Similar(row uint32, k int, hidden *Mask, dst []Hit, s *Scratch) []Hit {
	ix.checkMask(hidden)
	at, ok := ix.Position(row)
	if !ok || int(at) < ix.infinite || int(at) >= ix.zero {
		return dst[:0]
	}
	r := search{hidden: hidden, s: s, self: int(at)}
	ix.toward(&r, ix.items[int(row)*ix.rank:(int(row)+1)*ix.rank], ix.norms[at])
	return r.run(k, dst)
}

// SimilarTo is Similar for factors of the index's rank that are no row's.
func (ix *Index) SimilarTo(factors []float32, k int, hidden *Mask, dst []Hit, s *Scratch) []Hit {
	if len(factors) != ix.rank {
		panic("topk: query has another rank than the index")
	}
	ix.checkMask(hidden)
	length := norm(factors)
	if !(length > 0) || math.IsInf(length, 1) {
		return dst[:0]
	}
	r := search{hidden: hidden, s: s, self: nobody}
	ix.toward(&r, factors, length)
	return r.run(k, dst)
}

// nobody is a position that no row has.
const nobody = -blockRows

// toward readies a search by cosine for factors of a length.
func (ix *Index) toward(r *search, factors []float32, length float64) {
	if r.s == nil {
		r.s = new(Scratch)
	}
	r.s.scanned = 0
	// The query is scaled to length 1, so that no product can overflow.
	r.s.vector = r.s.vector[:0]
	for _, v := range factors {
		r.s.vector = append(r.s.vector, float32(float64(v)/length))
	}
	r.ix, r.vector, r.length, r.measure = ix, r.s.vector, norm(r.s.vector), &ix.cosine
	r.begin, r.end, r.cosine = ix.infinite, ix.zero, true
	r.ceilings, r.tiny = ix.ceilings, ix.tiny()
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

// shown has a bit for each row of a block that is within positions begin to
// end and not hidden.
func shown(block, begin, end int, hidden *Mask) uint64 {
	lo, hi := block*blockRows, (block+1)*blockRows
	if begin >= hi || end <= lo {
		return 0
	}
	word := uint64(math.MaxUint64)
	if begin > lo {
		word &= math.MaxUint64 << (begin - lo)
	}
	if end < hi {
		word &= math.MaxUint64 >> (hi - end)
	}
	return word &^ hidden.word(block)
}

// Kernels lists the names of the sets of kernels that can run on this machine,
// fastest first.
func Kernels() []string {
	var names []string
	for l := int(f32.BestKernels()); l >= 0; l-- {
		names = append(names, f32.Kernels(l).String())
	}
	return names
}

// Kernels names the set of kernels that the index uses.
func (ix *Index) Kernels() string { return ix.kernels.String() }

// WithKernels returns an index over the same memory that uses the named set of
// kernels, one of Kernels; for measurements. The generic set has no use for
// codes and copies the factors in scan order. It reports false for a set that
// cannot run here.
func (ix *Index) WithKernels(name string) (*Index, bool) {
	for l := f32.Generic; l <= f32.BestKernels(); l++ {
		if l.String() == name {
			other := *ix
			other.kernels = l
			if l == f32.Generic && ix.coded {
				other.coded = false
				other.arrange()
			}
			return &other, true
		}
	}
	return nil, false
}

// Memory is how many bytes the index holds beside the factors given to New,
// and of them those of the codes with their scales and bounds.
func (ix *Index) Memory() (all, coded int) {
	coded = len(ix.codes) + 4*(len(ix.product.scales)+len(ix.product.bounds)+len(ix.cosine.scales)+len(ix.cosine.bounds))
	return coded + 4*len(ix.ordered) + 4*len(ix.rows) + 8*len(ix.norms) + 4*len(ix.position) + 8*len(ix.ceilings), coded
}

// positionsOf lists the positions of the bits of a block's word, first being
// the block's first position.
func positionsOf(dst []uint32, first int, word uint64) []uint32 {
	for ; word != 0; word &= word - 1 {
		dst = append(dst, uint32(first+bits.TrailingZeros64(word)))
	}
	return dst
}

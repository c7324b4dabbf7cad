package topk

import (
	"math"
	"slices"

	"vitrine/als/internal/f32"
)

const (
	// firstBlocks is how many blocks a search takes before it learns its first
	// threshold, and passBlocks how many it takes at most between two: 4096
	// rows of rank 64 are 256 KiB of codes.
	firstBlocks = 4
	passBlocks  = 64
	// steepBlocks is passBlocks where the norms fall so fast, and so few rows are
	// wanted (steepMost), that a threshold learnt soon saves more rows than
	// learning it costs.
	steepBlocks = 32
	steepMost   = 128
	// sampleStride is how many blocks there are to one of the sample, where it
	// has sampleBlocks or more.
	sampleStride = 32
	sampleBlocks = 8
)

// search is one search under way.
type search struct {
	ix     *Index
	s      *Scratch
	vector []float32
	length float64 // of vector
	hidden *Mask
	// Positions begin to end are wanted, without self when cosine is true.
	begin, end int
	cosine     bool
	self       int
	measure    *measure
	// ceilings and tiny are the index's, or those of lift, which is nil for plain
	// scores.
	ceilings []float64
	tiny     float64
	lift     *Lift
	// unit is what a pass's values are multiples of.
	unit float64
	top  selection
	// bar is where to begin; the zero one knows nothing.
	bar Bar
}

// Bar is how high the best of a search stood, in a measure of its own: the same
// search, begun there, drops the rest at once and learns nothing anew. One that
// is too high, because rows were hidden or it is another search's, costs a sweep
// more and no row. The zero Bar knows nothing.
type Bar struct {
	at    float32
	known bool
}

// Lower is the lower of two bars that are known, or the one that is.
func (b Bar) Lower(o Bar) Bar {
	if !b.known || o.known && o.at < b.at {
		return o
	}
	return b
}

// run finds the k best.
func (r *search) run(k int, dst []Hit) []Hit {
	if r.begins(k) {
		r.find()
	}
	return r.ends(dst)
}

// begins prepares for the k best and tells whether there is anything to find.
func (r *search) begins(k int) bool {
	r.top = newSelection(r.s.keys, min(k, r.end-r.begin+r.zeros()))
	return r.top.k > 0
}

// ends returns what was found.
func (r *search) ends(dst []Hit) []Hit {
	dst = r.top.hits(dst)
	r.s.keys = r.top.keys
	return dst
}

// zeros is how many rows of norm zero are wanted.
func (r *search) zeros() int {
	if r.cosine || r.lift != nil {
		return 0
	}
	return len(r.ix.rows) - r.end
}

func (r *search) find() {
	from, end := r.blocks()
	if r.encode() {
		r.scan(from, end)
	} else {
		r.score(from, end)
	}
	if r.zeros() > 0 {
		r.offerZeros()
	}
}

// blocks are those of the positions wanted.
func (r *search) blocks() (from, end int) {
	return r.begin / blockRows, (r.end + blockRows - 1) / blockRows
}

// encode makes the query's codes. It reports false where the search is better
// or only possible in float32.
func (r *search) encode() (ok bool) {
	// To find half of all, bounds are of little help.
	if r.top.k >= (r.end-r.begin)/2 || r.lift != nil && r.lift.most > mostCoded {
		return false
	}
	r.s.codes = sized(r.s.codes, r.ix.width)
	r.unit, ok = r.ix.encodeQuery(&r.s.pass, r.s.codes, r.vector, r.length)
	return ok
}

// score offers the rows of blocks from to end by their scores in float32, until
// none can be among the best.
func (r *search) score(from, end int) {
	for b := from; b < end && !r.done(b); b++ {
		r.s.scanned += blockRows
		if word := r.shown(b); word != 0 {
			r.s.at = positionsOf(r.s.at[:0], b*blockRows, word)
			r.offer(r.s.at)
		}
	}
}

// done tells whether no row from block b on can be among the best. What is
// compared are float32 sums, so the bound of the norms is widened by what
// rounding can add. A row that only equals the worst one kept could still win
// by its lower row number, so only a smaller bound ends the scan; and a bound
// beyond float32 ends nothing, because such a score may overflow to infinity.
func (r *search) done(b int) bool {
	if r.cosine {
		return false
	}
	bound := r.length*r.ceilings[b]*(1+float64(r.ix.rank+8)*0x1p-23) + r.tiny
	return bound < float64(r.top.least) && bound <= math.MaxFloat32
}

func (r *search) shown(b int) uint64 {
	word := shown(b, r.begin, r.end, r.hidden)
	if r.cosine && r.self/blockRows == b {
		word &^= 1 << (r.self % blockRows)
	}
	return word
}

// showAll is shown for as many blocks as dst has from one on.
func (r *search) showAll(dst []uint64, from int) {
	whole := r.begin <= from*blockRows && (from+len(dst))*blockRows <= r.end && !r.cosine
	if !whole || r.hidden == nil || from+len(dst) > len(r.hidden.words) {
		for i := range dst {
			dst[i] = r.shown(from + i)
		}
		return
	}
	for i, hidden := range r.hidden.words[from : from+len(dst)] {
		dst[i] = ^hidden
	}
}

// offer scores the rows at positions and offers them to the selection.
func (r *search) offer(positions []uint32) {
	r.dots(positions)
	if r.lift != nil {
		r.lifted(positions)
	}
	r.top.offer(r.s.dots, r.s.rows)
}

// dots scores the rows at positions.
func (r *search) dots(positions []uint32) {
	ix, s := r.ix, r.s
	s.rows, s.dots = sized(s.rows, len(positions)), sized(s.dots, len(positions))
	for i, at := range positions {
		s.rows[i] = ix.rows[at]
	}
	if ix.ordered != nil {
		ix.kernels.DotsAt(s.dots, ix.ordered, positions, r.vector)
	} else {
		ix.kernels.DotsAt(s.dots, ix.items, s.rows, r.vector)
	}
	if r.cosine {
		for i, at := range positions {
			s.dots[i] = float32(float64(s.dots[i]) / ix.norms[at])
		}
	}
}

// offerZeros offers the rows of norm zero, which all score 0 and lie by rising
// row: the first ones are the best.
func (r *search) offerZeros() {
	wanted := r.top.k
	for b := r.end / blockRows; b < len(r.ix.ceilings) && wanted > 0 && r.top.least <= 0; b++ {
		r.s.at = positionsOf(r.s.at[:0], b*blockRows, shown(b, r.end, len(r.ix.rows), r.hidden))
		for _, at := range r.s.at[:min(len(r.s.at), wanted)] {
			r.top.offerOne(0, r.ix.rows[at])
		}
		wanted -= min(len(r.s.at), wanted)
	}
}

// scan looks for the best among the codes of blocks from to end.
func (r *search) scan(from, end int) {
	coded := r.coded(from, end)
	guess := r.bar.at
	if !r.bar.known {
		guess = r.guess(coded, end)
	}
	r.head(from, coded)
	r.sweep(coded, end, guess)
	r.finish(from, end, guess)
}

// coded is the first of blocks from to end that has codes.
func (r *search) coded(from, end int) int { return max(from, min(r.ix.large, end)) }

// head offers the rows of the blocks before coded.
func (r *search) head(from, coded int) {
	r.score(from, coded)
	r.s.kept.reset(r.top.k)
}

// finish looks at what a sweep from a guessed threshold found.
func (r *search) finish(from, end int, guess float32) {
	sure := r.sure()
	if sure < guess && r.s.kept.reach(guess+r.underflow()) {
		sure = guess // what the last cut found is as low as its way to the k-th
	}
	if sure < guess {
		// Fewer than k rows reach what was guessed. The best of those found
		// still tell a threshold that is sure.
		r.top.reset()
		coded := r.coded(from, end)
		r.head(from, coded)
		r.sweep(coded, end, sure)
		sure = r.sure()
	}
	r.s.bar = Bar{sure, sure == sure}
	r.settle()
}

// sure is what at least k rows reach.
func (r *search) sure() float32 { return max(r.s.kept.theta, r.threshold()) }

// sweep gathers the rows that can reach theta. It reports false when there are
// too many, which only a goal can have.
func (r *search) sweep(from, end int, theta float32) bool {
	most := passBlocks
	if r.steep() {
		most = steepBlocks
	}
	n := firstBlocks
	if r.bar.known {
		n, most = passBlocks, passBlocks // there is little to learn
	}
	for ; from < end; n = min(2*n, most) {
		theta = max(theta, r.s.kept.theta, r.threshold())
		if r.passed(from, theta) {
			break
		}
		n = r.within(from, min(n, end-from), theta)
		r.pass(from, n, theta)
		if !r.trim() {
			return false
		}
		from += n
	}
	r.s.kept.cut(r.underflow())
	return true
}

// steep tells whether the first blocks tell more than a sample.
func (r *search) steep() bool { return r.ix.steep && !r.cosine && r.top.k <= steepMost }

// trim drops candidates when there are many. It reports false when there are too
// many towards a goal.
func (r *search) trim() bool {
	if r.s.kept.tally != nil {
		return r.s.kept.tidy(r.underflow())
	}
	if r.steep() && r.s.kept.many() {
		r.s.kept.cut(r.underflow())
	}
	if r.s.kept.full() {
		r.s.kept.cut(r.underflow())
		if r.s.kept.full() {
			r.settle()
		}
	}
	return true
}

// passed is done for a threshold in the values of a pass.
func (r *search) passed(b int, theta float32) bool {
	return !r.cosine && float32(r.ceilings[b]*(1+float64(r.ix.rank+8)*0x1p-23)*up)*r.s.pass.Length < theta
}

// within is how many of n blocks are not passed.
func (r *search) within(from, n int, theta float32) int {
	for n > 1 && r.passed(from+n-1, theta) {
		n--
	}
	return n
}

// underflow is by how much it may move two scores against each other.
func (r *search) underflow() float32 { return float32(2 * r.tiny / r.unit * up) }

// guess samples every stride-th block for a threshold that about three times
// as many rows as wanted can reach: in m of a sample's places of a list of k,
// three deviations above m = k/stride. Where the norms fall fast the first
// blocks tell more than a sample, and are scanned anyway.
func (r *search) guess(from, end int) float32 {
	stride := min(sampleStride, (end-from)/sampleBlocks)
	if stride < 2 || r.steep() {
		return float32(math.Inf(-1))
	}
	s := r.s
	m := float64(r.top.k) / float64(stride)
	s.kept.reset(int(m+3*math.Sqrt(m)) + 2)
	for b := from + stride/2; b < end && !r.passed(b, s.kept.theta); b += stride {
		r.pass(b, 1, max(s.kept.theta, r.threshold()))
		if s.kept.full() {
			s.kept.cut(0)
		}
	}
	s.kept.cut(0)
	return s.kept.theta
}

// pass adds the rows of n blocks that can reach theta to the candidates.
func (r *search) pass(from, n int, theta float32) {
	s, m, size := r.s, r.measure, blockRows*r.ix.width
	s.shown = sized(s.shown, n)
	r.showAll(s.shown, from)
	s.scanned += n * blockRows
	p := &s.pass
	p.Codes = r.ix.codes[from*size : (from+n)*size]
	p.Scales = m.scales[from*blockRows : (from+n)*blockRows]
	p.Bounds = m.bounds[2*from : 2*(from+n)]
	p.Shown = s.shown
	p.Theta, p.Base = theta, uint32(from*blockRows)
	s.hits = s.kept.space(f32.Int8Room(n))
	s.kept.added(r.ix.kernels.Scan(p, &s.hits), m, p)
}

// threshold is the least score that is still wanted, as a value of a pass.
func (r *search) threshold() float32 {
	least := float64(r.top.least)
	if math.IsInf(least, -1) {
		return r.top.least
	}
	least = (least - r.tiny) / r.unit
	return float32(least - math.Abs(least)*0x1p-22)
}

// settle scores the candidates in float32 and forgets them.
func (r *search) settle() {
	r.offer(r.s.kept.at)
	r.s.kept.clear()
}

// sized returns n elements in the memory of v if it fits; what they hold is
// not defined.
func sized[T any](v []T, n int) []T { return slices.Grow(v[:0], n)[:n] }

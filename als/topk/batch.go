package topk

import (
	"math"

	"vitrine/als/internal/f32"
)

const (
	// groupQueries share one pass over the rows, and batchGroups groups take
	// turns at a stretch of them that stays in the second-level cache.
	groupQueries = f32.Int8Batch
	batchGroups  = 4
	// fewest queries that are worth a pass for a group: it takes the time of
	// about four.
	fewest = 4
)

// BatchScratch is the working memory of one SearchBatch at a time; its zero
// value is ready. It takes about 100 KiB a query of a batch of 32.
type BatchScratch struct {
	each   [batchGroups * groupQueries]Scratch
	groups [batchGroups]group
	hits   f32.Int8Hits
}

// group are queries that share their passes.
type group struct {
	searches [groupQueries]search
	guesses  [groupQueries]float32
	n        int
	// rest is from where on its queries go on alone: see sweepTogether.
	rest  int
	split bool
	pass  f32.Int8BatchPass
	shown []uint64
}

// SearchBatch is Search for many queries at a time, which reads rows from memory
// once for several of them. hidden has a mask for each query, or none at all;
// its masks may be nil. The answer has the hits of query i in dst[i], whose
// memory it reuses; s may be nil.
//
// It pays where a search reads more of the catalogue than the second-level
// cache holds (flat norms, or a million items), and costs nothing elsewhere.
func (ix *Index) SearchBatch(queries [][]float32, k int, hidden []*Mask, dst [][]Hit, s *BatchScratch) [][]Hit {
	if hidden != nil && len(hidden) != len(queries) {
		panic("topk: not as many masks as queries")
	}
	if s == nil {
		s = new(BatchScratch)
	}
	for len(dst) < len(queries) {
		dst = append(dst, nil)
	}
	dst = dst[:len(queries)]
	maskOf := func(i int) *Mask {
		if hidden == nil {
			return nil
		}
		return hidden[i]
	}
	if !ix.coded || !ix.kernels.HasBatch() {
		for i, q := range queries {
			dst[i] = ix.Search(q, k, maskOf(i), dst[i], &s.each[0])
		}
		return dst
	}
	for lo := 0; lo < len(queries); lo += len(s.each) {
		hi := min(lo+len(s.each), len(queries))
		b := batch{ix: ix, s: s}
		for i := lo; i < hi; i++ {
			b.add(i, queries[i], k, maskOf(i), dst)
		}
		b.run(dst)
	}
	return dst
}

// batch is one batch under way.
type batch struct {
	ix *Index
	s  *BatchScratch
	// of are the numbers of the queries in the order of the groups.
	of [batchGroups * groupQueries]int
	n  int
}

// add takes a query into a group, or answers it at once when it has no codes.
func (b *batch) add(i int, q []float32, k int, hidden *Mask, dst [][]Hit) {
	s := &b.s.each[b.n]
	r, ok := b.ix.search(q, hidden, s)
	if !ok || !r.begins(k) {
		dst[i] = dst[i][:0]
		return
	}
	if !r.encode() {
		r.find()
		dst[i] = r.ends(dst[i])
		return
	}
	g := &b.s.groups[b.n/groupQueries]
	if b.n%groupQueries == 0 {
		g.n, g.split = 0, false
	}
	g.searches[g.n] = r
	g.n++
	b.of[b.n] = i
	b.n++
}

// run answers the queries of all groups.
func (b *batch) run(dst [][]Hit) {
	groups := b.s.groups[:(b.n+groupQueries-1)/groupQueries]
	if len(groups) == 0 {
		return
	}
	// All queries want the same blocks.
	from, end := groups[0].searches[0].blocks()
	coded := groups[0].searches[0].coded(from, end)
	for i := range groups {
		groups[i].begin(from, coded, end)
	}
	b.sweep(groups, coded, end)
	for n := range b.n {
		g := &b.s.groups[n/groupQueries]
		r := &g.searches[n%groupQueries]
		if g.split {
			r.sweep(g.rest, end, g.guesses[n%groupQueries])
		} else {
			r.s.kept.cut(r.underflow())
		}
		r.finish(from, end, g.guesses[n%groupQueries])
		r.offerZeros()
		dst[b.of[n]] = r.ends(dst[b.of[n]])
	}
}

// sweep lets the groups take turns at stretches of blocks until each has
// passed them all or goes on query by query.
func (b *batch) sweep(groups []group, from, end int) {
	room := groupQueries * f32.Int8Room(passBlocks)
	b.s.hits = f32.Int8Hits{At: sized(b.s.hits.At, room), Values: sized(b.s.hits.Values, room)}
	for n := firstBlocks; from < end; n = min(2*n, passBlocks) {
		n = min(n, end-from)
		together := 0
		for i := range groups {
			g := &groups[i]
			if g.split {
				continue
			}
			if g.thresholds(from) < fewest {
				g.rest, g.split = from, true
				continue
			}
			g.take(from, n, &b.s.hits)
			together++
		}
		if together == 0 {
			return
		}
		from += n
	}
}

// begin readies a group for its first pass.
func (g *group) begin(from, coded, end int) {
	width := len(g.searches[0].s.pass.Query)
	p := &g.pass
	p.Query = sized(p.Query, groupQueries*width)
	clear(p.Query)
	p.Sums = [groupQueries]int32{}
	for u := range g.searches[:g.n] {
		r := &g.searches[u]
		g.guesses[u] = r.guess(coded, end)
		r.head(from, coded)
		one := &r.s.pass
		p.PutQuery(u, one.Query)
		p.Spread[u], p.Length[u], p.Reach[u] = one.Spread, one.Length, one.Reach
	}
	// Places that no query takes find nothing.
	for u := g.n; u < groupQueries; u++ {
		p.Theta[u], p.Spread[u], p.Length[u], p.Reach[u] = float32(math.Inf(1)), 0, 0, 0
	}
}

// thresholds sets those of a pass from block b on and returns how many queries
// still look for something there.
func (g *group) thresholds(b int) (live int) {
	for u := range g.searches[:g.n] {
		r := &g.searches[u]
		theta := max(g.guesses[u], r.s.kept.theta, r.threshold())
		if r.passed(b, theta) {
			theta = float32(math.Inf(1))
		} else {
			live++
		}
		g.pass.Theta[u] = theta
	}
	return live
}

// take is pass for a group.
func (g *group) take(from, n int, hits *f32.Int8Hits) {
	ix, m := g.searches[0].ix, g.searches[0].measure
	size := blockRows * ix.width
	g.shown = sized(g.shown, n*groupQueries)
	clear(g.shown)
	for u := range g.searches[:g.n] {
		for i := range n {
			g.shown[i*groupQueries+u] = g.searches[u].shown(from + i)
		}
	}
	p := &g.pass
	p.Codes = ix.codes[from*size : (from+n)*size]
	p.Scales = m.scales[from*blockRows : (from+n)*blockRows]
	p.Bounds = m.bounds[2*from : 2*(from+n)]
	p.Shown, p.Base = g.shown, uint32(from*blockRows)
	counts, room := ix.kernels.ScanBatch(p, hits), f32.Int8Room(n)
	for u := range g.searches[:g.n] {
		s := g.searches[u].s
		space := s.kept.space(counts[u])
		copy(space.At, hits.At[u*room:])
		copy(space.Values, hits.Values[u*room:])
		s.kept.added(counts[u], m, &s.pass)
		g.searches[u].trim()
	}
}

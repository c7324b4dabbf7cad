package solve

import "vitrine/als/internal/f32"

const (
	// gradientFloats bounds the panel of a conjugate gradient solve (4 MiB),
	// which is read again in every step: from the second-level cache mostly,
	// from the third at last. A longer row is gathered anew in every step,
	// which costs no more than reading from further away a panel, or a copy in
	// half precision, of all of it.
	gradientFloats = 1 << 20
	// gatherFloats is how much of the panel is gathered before it is used
	// (8 KiB), so that the memory answers while the arithmetic goes on.
	gatherFloats = 2048
	// minChunk is the least number of rows gathered together.
	minChunk = 8
)

// converged is the squared residual below which another step only adds noise.
const converged = 1e-20

// Gradient improves dst, the row's present vector, by the given number of
// conjugate gradient steps towards what Exact would compute. A row without
// observations becomes zero. With Config.Free it must have passed Enter.
func (f *Fixed) Gradient(dst []float32, row Row, steps int, s *Scratch) error {
	dst = dst[:f.Rank]
	if row.observed() == 0 {
		f.empty(dst)
		return nil
	}
	g := gradient{Fixed: f, row: row, s: s}
	g.fit(steps)
	f.load(s.x, dst)
	g.lambda, g.more = f.penalties(row)
	g.residual()
	copy(s.p, s.r)
	rr := f32.Dot(s.r, s.r)
	for step := range steps {
		// The negated form also stops on NaN, which then stays visible in dst.
		if !(rr > converged) {
			break
		}
		if step == steps-1 {
			f32.Axpy(rr/g.curvature(), s.p, s.x)
			break
		}
		g.apply()
		alpha := rr / f32.Dot(s.p, s.q)
		f32.Axpy(alpha, s.p, s.x)
		f32.Axpy(-alpha, s.q, s.r)
		next := f32.Dot(s.r, s.r)
		f32.Xpby(next/rr, s.r, s.p)
		rr = next
	}
	if g.stopped {
		return ErrStopped
	}
	f.store(dst, s.x)
	return nil
}

// gradient is one row's solve.
type gradient struct {
	*Fixed
	row          Row
	s            *Scratch
	lambda, more float32
	chunk        int
	// all is the whole row's panel when it fits, gathered by residual.
	all cells
	// ahead are the fixed rows that the next row wants, pace how many of them
	// are asked for with each piece of the panel.
	ahead []uint32
	pace  int
	// stopped tells that a longer row was given up between two chunks.
	stopped bool
}

func (g *gradient) fit(steps int) {
	n := g.row.observed()
	rows := max(minChunk, gradientFloats/g.width)
	g.chunk = max(minChunk, gatherFloats/g.width)
	if n > rows {
		g.s.fit(g.width, g.chunk)
		g.s.roomFor(g.chunk * g.width)
		return
	}
	g.s.fit(g.width, n)
	g.s.roomFor(n * g.width)
	g.all = g.room(g.s, 0, n)
	if g.half != nil {
		pieces := steps * ((n + g.chunk - 1) / g.chunk)
		g.ahead = g.row.Cols[n:]
		g.pace = (len(g.ahead) + pieces - 1) / pieces
	}
}

// pieces shows fn the whole row's panel piece by piece. Before each it asks the
// memory for some of what the next row wants: all at once would be more than
// the memory takes in, and the gather of the next row had to wait for it.
func (g *gradient) pieces(fn func(panel []float32)) {
	for panel := g.all.panel; len(panel) > 0; {
		now := min(g.pace, len(g.ahead))
		f32.AskHalf(g.half, g.ahead[:now], g.width)
		g.ahead = g.ahead[now:]
		n := min(g.chunk*g.width, len(panel))
		fn(panel[:n])
		panel = panel[n:]
	}
}

// each gathers the row chunk by chunk and shows it to fn. A row whose panel
// fits has its chunks one behind the other there afterwards.
func (g *gradient) each(fn func(c cells)) {
	n := g.row.observed()
	for lo := 0; lo < n; lo += g.chunk {
		at := lo
		if g.all.panel == nil {
			at = 0
			if g.stopped = g.stopped || g.s.stopped(); g.stopped {
				return
			}
		}
		c := g.room(g.s, at, min(g.chunk, n-lo))
		g.gather(c, g.row, lo, true)
		fn(c)
	}
}

// residual computes r = b - A.x.
func (g *gradient) residual() {
	s := g.s
	clear(s.r)
	clear(s.q)
	g.everywhere(s.q, s.aroundX)
	g.each(func(c cells) { f32.ResidualRows(s.r, s.x, c.panel, c.targets) })
	g.penalize(s.q, s.x)
	f32.Axpy(-1, s.q, s.r)
}

// apply computes q = A.p.
func (g *gradient) apply() {
	s := g.s
	clear(s.q)
	g.everywhere(s.q, s.aroundP)
	g.penalize(s.q, s.p)
	if g.all.panel != nil {
		g.pieces(func(panel []float32) { f32.ApplyRows(s.q, s.p, panel) })
		return
	}
	g.each(func(c cells) { f32.ApplyRows(s.q, s.p, c.panel) })
}

// curvature is p.A.p, all that the last step needs of A.
func (g *gradient) curvature() float32 {
	s := g.s
	clear(s.q)
	g.everywhere(s.q, s.aroundP)
	g.penalize(s.q, s.p)
	sum := f32.Dot(s.p, s.q)
	if g.all.panel != nil {
		g.pieces(func(panel []float32) { sum += f32.QuadraticRows(s.p, panel) })
		return sum
	}
	g.each(func(c cells) { sum += f32.QuadraticRows(s.p, c.panel) })
	return sum
}

// everywhere adds the share of all cells in A.p to q, p with a number more at
// each end.
func (g *gradient) everywhere(q, around []float32) {
	if g.turn != nil {
		f32.Band(q, g.turn.below, g.turn.diag, g.turn.above, around)
		return
	}
	g.applyGram(q, around[1:1+g.width])
}

// penalize adds the regularization's share of A.p to q.
func (g *gradient) penalize(q, p []float32) {
	f32.Axpy(g.lambda, p, q)
	if g.more != 0 {
		at := g.biasUnknown()
		q[at] += g.more * p[at]
	}
}

package solve

import "vitrine/als/internal/f32"

// gradientChunk bounds the panel of a conjugate gradient solve (4 MiB at rank
// 64). A longer row gathers its panel anew in every step: its rows stream from
// memory either way, and a worker's memory stays bounded.
const gradientChunk = 16384

// converged is the squared residual below which another step only adds noise.
const converged = 1e-20

// Gradient improves dst, the row's present vector, by the given number of
// conjugate gradient steps towards what Exact would compute. A row without
// observations becomes zero.
func (f *Fixed) Gradient(dst []float32, cols []uint32, weights []float32, steps int, s *Scratch) {
	k := f.rank
	dst = dst[:k]
	if len(cols) == 0 {
		clear(dst)
		return
	}
	s.fit(k)
	lambda, single := f.residual(dst, cols, weights, s)
	copy(s.p, s.r)
	rr := f32.Dot(s.r, s.r)
	for range steps {
		// The negated form also stops on NaN, which then stays visible in dst.
		if !(rr > converged) {
			return
		}
		clear(s.q)
		f.applyGram(s.q, s.p)
		f32.Axpy(lambda, s.p, s.q)
		f.applyObserved(s, single, cols, weights)
		alpha := rr / f32.Dot(s.p, s.q)
		f32.Axpy(alpha, s.p, dst)
		f32.Axpy(-alpha, s.q, s.r)
		next := f32.Dot(s.r, s.r)
		beta := next / rr
		for i, v := range s.r {
			s.p[i] = v + beta*s.p[i]
		}
		rr = next
	}
}

// residual computes r = b - A.dst into s.r, returns the row's regularization
// and, when the row fits into one panel, the weights that lie beside the panel
// for the steps to reuse.
func (f *Fixed) residual(dst []float32, cols []uint32, weights []float32, s *Scratch) (float32, []float32) {
	k := f.rank
	clear(s.r)
	clear(s.q)
	f.applyGram(s.q, dst)
	var observed float64
	var w []float32
	for lo := 0; lo < len(cols); lo += gradientChunk {
		hi := min(lo+gradientChunk, len(cols))
		w = f.gather(s, cols[lo:hi], weights[lo:hi])
		for _, v := range w {
			observed += float64(v)
		}
		f32.ResidualRows(s.r, dst, s.panel, w)
	}
	lambda := f.Regularization(observed)
	f32.Axpy(lambda, dst, s.q)
	f32.Axpy(-1, s.q[:k], s.r)
	if len(cols) > gradientChunk {
		return lambda, nil
	}
	return lambda, w
}

// applyObserved adds the observed cells' share of A.p to s.q.
func (f *Fixed) applyObserved(s *Scratch, single []float32, cols []uint32, weights []float32) {
	if single != nil {
		f32.ApplyRows(s.q, s.p, s.panel, single)
		return
	}
	for lo := 0; lo < len(cols); lo += gradientChunk {
		hi := min(lo+gradientChunk, len(cols))
		f32.ApplyRows(s.q, s.p, s.panel, f.gather(s, cols[lo:hi], weights[lo:hi]))
	}
}

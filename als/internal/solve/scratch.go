package solve

import "vitrine/als/internal/f32"

// Scratch is the working memory of one goroutine. Its zero value is ready; it
// grows to what the largest row needs and is then reused without allocation.
type Scratch struct {
	// Done, when closed, makes a solve return ErrStopped between two chunks of
	// its row, however long that is.
	Done <-chan struct{}

	matrix         []float32 // width x width
	panel          []float32 // gathered rows
	roots, targets []float32 // the roots of their weights, and their targets
	ones           []float32 // the roots of the weights of ratings
	x, r, p, q     []float32 // the unknowns and the conjugate gradients
	aroundX        []float32 // x and p with a zero at each end
	aroundP        []float32
	dots           [exactFloats / blockWidth]float32
	blocks         blocks
}

// stopped reports whether Done is closed.
func (s *Scratch) stopped() bool { return Workers{Done: s.Done}.stopped() }

// fit makes room for the unknowns of a row, k of them, and for the roots and
// targets of n cells.
func (s *Scratch) fit(k, n int) {
	if len(s.x) != k {
		buf := make([]float32, 4*(k+f32.Lanes)+f32.Lanes)
		for i, v := range []*[]float32{&s.x, &s.r, &s.p, &s.q} {
			at := f32.Lanes + i*(k+f32.Lanes)
			*v = buf[at : at+k : at+k]
		}
		s.aroundX = buf[f32.Lanes-1 : f32.Lanes+k+1]
		at := f32.Lanes + 2*(k+f32.Lanes)
		s.aroundP = buf[at-1 : at+k+1]
	}
	if len(s.roots) < n {
		size := max(n, 2*len(s.roots), 64)
		s.roots, s.targets, s.ones = make([]float32, size), make([]float32, size), make([]float32, size)
		for i := range s.ones {
			s.ones[i] = 1
		}
	}
}

// roomFor makes room for n numbers of gathered rows.
func (s *Scratch) roomFor(n int) {
	if len(s.panel) < n {
		s.panel = make([]float32, max(n, 2*len(s.panel)))
	}
}

// square returns room for a k x k matrix.
func (s *Scratch) square(k int) []float32 {
	if len(s.matrix) < k*k {
		s.matrix = make([]float32, k*k)
	}
	return s.matrix[:k*k]
}

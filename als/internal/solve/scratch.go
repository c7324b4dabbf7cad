package solve

// exactChunk bounds the panel of an exact solve: 128 rows of rank 64 are
// 32 KiB, so the panel stays in the first-level cache between the gather and
// its two readers.
const exactChunk = 128

// Scratch is the working memory of one goroutine. Its zero value is ready; it
// grows to what the largest row needs and is then reused without allocation.
type Scratch struct {
	matrix  []float32 // rank x rank
	panel   []float32 // gathered rows
	weight  []float32 // their weights c_j f_j
	r, p, q []float32 // conjugate gradients
}

// fit makes the parts that depend on the rank alone.
func (s *Scratch) fit(k int) {
	if len(s.r) == k {
		return
	}
	s.matrix = make([]float32, k*k)
	buf := make([]float32, 3*k)
	s.r, s.p, s.q = buf[:k:k], buf[k:2*k:2*k], buf[2*k:]
}

// grow makes room for n gathered rows.
func (s *Scratch) grow(n, k int) {
	if len(s.weight) < n {
		s.weight = make([]float32, max(n, 2*len(s.weight), exactChunk))
	}
	if len(s.panel) < n*k {
		s.panel = make([]float32, len(s.weight)*k)
	}
}

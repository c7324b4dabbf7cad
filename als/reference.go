package als

import "vitrine/als/internal/f32"

// ReferenceDot is the inner product as training and retrieval compute it, for
// benchmarks that print what they measure as a multiple of it: the work of both
// is inner products, so the multiple says how much of their time is not. b must
// be at least as long as a.
func ReferenceDot(a, b []float32) float32 { return f32.Dot(a, b) }

package topk

import (
	"math"
	"math/rand/v2"
	"testing"

	"vitrine/als/internal/f32"
)

// TestBoundsHold looks at what a search never shows: for every row that has
// codes, the score lies within the slack of the value.
func TestBoundsHold(t *testing.T) {
	if f32.BestKernels() == f32.Generic {
		t.Skip("no codes without vector kernels")
	}
	rng := rand.New(rand.NewPCG(51, 52))
	for range 60 {
		n, rank := 1+rng.IntN(400), 1+rng.IntN(70)
		items := catalogue(rng, n, rank)
		q := question(rng, items, rank)
		if rng.IntN(3) == 0 {
			items, q = worstRounding(rng, n, rank)
		}
		for name, v := range variants(New(items, n, rank)) {
			if v.coded {
				compareWithBounds(t, name, v, q)
			}
		}
	}
}

// worstRounding makes items whose residual has the direction of the query, and a
// query without any: the bound is then reached.
func worstRounding(rng *rand.Rand, n, rank int) (items, q []float32) {
	q = make([]float32, rank)
	for i := 1; i < rank; i++ {
		q[i] = float32(2*rng.IntN(2) - 1)
	}
	items = make([]float32, n*rank)
	for r := range n {
		x := items[r*rank : (r+1)*rank]
		x[0] = 127
		side := float32(2*rng.IntN(2) - 1)
		for i := 1; i < rank; i++ {
			x[i] = float32(rng.IntN(200)-100) + 0.49*side*q[i]
		}
	}
	return items, q
}

func compareWithBounds(t *testing.T, name string, ix *Index, q []float32) {
	t.Helper()
	blocks := len(ix.ceilings)
	for kind, m := range map[string]*measure{"product": &ix.product, "cosine": &ix.cosine} {
		pass := f32.Int8Pass{
			Codes: ix.codes, Scales: m.scales, Bounds: m.bounds,
			Shown: make([]uint64, blocks), Theta: float32(math.Inf(-1)),
		}
		begin, end := ix.large*blockRows, len(ix.rows)
		if kind == "cosine" {
			begin, end = max(begin, ix.infinite), ix.zero
		}
		for b := range blocks {
			pass.Shown[b] = shown(b, begin, end, nil)
		}
		unit, ok := ix.encodeQuery(&pass, make([]int8, ix.width), q, norm(q))
		if !ok {
			return
		}
		hits := f32.Int8Hits{At: make([]uint32, f32.Int8Room(blocks)), Values: make([]float32, f32.Int8Room(blocks))}
		found := ix.kernels.Scan(&pass, &hits)
		if found != max(0, end-begin) {
			t.Fatalf("%s: %d of %d rows found", name, found, end-begin)
		}
		dot := make([]float32, 1)
		for i, at := range hits.At[:found] {
			ix.kernels.DotsAt(dot, ix.items, ix.rows[at:at+1], q)
			score := float64(dot[0])
			if kind == "cosine" {
				score = float64(float32(score / ix.norms[at]))
			}
			bound := m.bounds[at/blockRows*2:]
			slack := bound[0]*pass.Spread + bound[1]*pass.Length
			low, high := float64(hits.Values[i]-slack)*unit-ix.tiny(), float64(hits.Values[i]+slack)*unit+ix.tiny()
			if !(low <= score && score <= high) {
				t.Fatalf("%s, %s, rank %d: score %v is not within %v and %v", name, kind, ix.rank, score, low, high)
			}
		}
	}
}

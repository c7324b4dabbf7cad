package f32

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// kernelSets are the sets that may run here, and the judge.
func kernelSets() (levels []Kernels) {
	for l := Generic; l <= BestKernels(); l++ {
		levels = append(levels, l)
	}
	return levels
}

// randomPass makes a pass of whole numbers and powers of two, which every set
// of kernels computes without rounding.
func randomPass(r *rand.Rand, blocks, k, limit int) *Int8Pass {
	width := Int8Width(k)
	p := &Int8Pass{
		Codes:  make([]uint8, blocks*Int8Rows*width),
		Scales: make([]float32, blocks*Int8Rows),
		Bounds: make([]float32, 2*blocks),
		Shown:  make([]uint64, blocks),
		Query:  make([]int8, width),
		Spread: float32(r.IntN(8)), Length: float32(r.IntN(8)),
		Base: uint32(r.IntN(1000)),
	}
	ClearInt8(p.Codes)
	extreme := r.IntN(4) == 0
	code := func(limit int) int8 {
		if extreme {
			return int8(limit * (2*r.IntN(2) - 1))
		}
		return int8(r.IntN(2*limit+1) - limit)
	}
	codes := make([]int8, k)
	for b := range blocks {
		block := p.Codes[b*Int8Rows*width : (b+1)*Int8Rows*width]
		for row := range Int8Rows {
			for i := range codes {
				codes[i] = code(127)
			}
			PutInt8(block, row, codes)
			p.Scales[b*Int8Rows+row] = float32(math.Ldexp(1, -r.IntN(6)))
		}
		p.Bounds[2*b], p.Bounds[2*b+1] = float32(r.IntN(100)), float32(r.IntN(100))
		p.Shown[b] = r.Uint64()
		if r.IntN(4) == 0 {
			p.Shown[b] = []uint64{0, math.MaxUint64}[r.IntN(2)]
		}
	}
	for i := range k {
		p.Query[i] = code(limit)
		p.Sum += int32(p.Query[i])
	}
	p.Theta = []float32{float32(math.Inf(-1)), float32(math.Inf(1)), 0, 100, float32(int(float64(limit) * 50 * math.Sqrt(float64(k))))}[r.IntN(5)]
	p.Reach = []float32{0, 10, 1e9}[r.IntN(3)]
	return p
}

// naiveInt8 is the judge of the judge: row by row, from the definition.
func naiveInt8(p *Int8Pass) (at []uint32, values []float32) {
	width := len(p.Query)
	for row := range len(p.Shown) * Int8Rows {
		b, sum := row/Int8Rows, 0
		for i, q := range p.Query {
			code := int(p.Codes[b*Int8Rows*width+i/4*4*Int8Rows+row%Int8Rows*4+i%4]) - 128
			sum += code * int(q)
		}
		value := p.Scales[row] * float32(sum)
		need := p.Theta - p.Bounds[2*b]*p.Spread - p.Bounds[2*b+1]*p.Length
		if p.Shown[b]>>(row%Int8Rows)&1 != 0 && value >= need && !(need > p.Bounds[2*b]*p.Reach) {
			at, values = append(at, p.Base+uint32(row)), append(values, value)
		}
	}
	return at, values
}

func comparePass(t *testing.T, r *rand.Rand, blocks, k int) {
	t.Helper()
	for _, l := range kernelSets() {
		p := randomPass(r, blocks, k, l.QueryLimit())
		at, values := naiveInt8(p)
		const canary = 0xabcdef
		hits := Int8Hits{At: make([]uint32, Int8Room(blocks)+1), Values: make([]float32, Int8Room(blocks)+1)}
		hits.At[Int8Room(blocks)], hits.Values[Int8Room(blocks)] = canary, canary
		n := l.Scan(p, &hits)
		if !slices.Equal(hits.At[:n], at) || !slices.Equal(hits.Values[:n], values) {
			t.Fatalf("%v, %d blocks of rank %d: rows %v with %v, want %v with %v", l, blocks, k, hits.At[:n], hits.Values[:n], at, values)
		}
		if hits.At[Int8Room(blocks)] != canary || hits.Values[Int8Room(blocks)] != canary {
			t.Fatalf("%v wrote beyond its room", l)
		}
		if l.HasBatch() {
			compareBatch(t, r, l, p, k)
		}
	}
}

// compareBatch holds a pass for many queries against one for each.
func compareBatch(t *testing.T, r *rand.Rand, l Kernels, p *Int8Pass, k int) {
	t.Helper()
	blocks, width := len(p.Shown), len(p.Query)
	all := &Int8BatchPass{
		Codes: p.Codes, Scales: p.Scales, Bounds: p.Bounds, Base: p.Base,
		Shown: make([]uint64, Int8Batch*blocks), Query: make([]int8, Int8Batch*width),
	}
	single := make([]*Int8Pass, Int8Batch)
	for u := range single {
		one := randomPass(r, blocks, k, l.QueryLimit())
		one.Codes, one.Scales, one.Bounds, one.Base = p.Codes, p.Scales, p.Bounds, p.Base
		for b, shown := range one.Shown {
			all.Shown[b*Int8Batch+u] = shown
		}
		all.PutQuery(u, one.Query)
		all.Theta[u], all.Spread[u], all.Length[u], all.Reach[u] = one.Theta, one.Spread, one.Length, one.Reach
		single[u] = one
	}
	room := Int8Room(blocks)
	hits := Int8Hits{At: make([]uint32, Int8Batch*room), Values: make([]float32, Int8Batch*room)}
	counts := l.ScanBatch(all, &hits)
	for u, one := range single {
		at, values := naiveInt8(one)
		// A batch passes over a block only when no query of it can find a row there.
		gotAt, gotValues := hits.At[u*room:u*room+counts[u]], hits.Values[u*room:u*room+counts[u]]
		one.Reach = float32(math.Inf(1))
		most, _ := naiveInt8(one)
		if !isSubset(at, gotAt) || !isSubset(gotAt, most) {
			t.Fatalf("%v, query %d of %d blocks of rank %d: rows %v, want %v", l, u, blocks, k, gotAt, at)
		}
		for i, row := range at {
			if n := slices.Index(gotAt, row); gotValues[n] != values[i] {
				t.Fatalf("%v, query %d: row %d has %v, want %v", l, u, row, gotValues[n], values[i])
			}
		}
	}
}

// isSubset tells whether every one of a, ascending, is in b, ascending.
func isSubset(a, b []uint32) bool {
	for _, v := range a {
		i, ok := slices.BinarySearch(b, v)
		if !ok {
			return false
		}
		b = b[i+1:]
	}
	return true
}

func TestInt8ScansAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for k := 1; k <= 130; k++ {
		comparePass(t, r, 1+r.IntN(5), k)
	}
	for range 200 {
		comparePass(t, r, 1+r.IntN(9), 64)
	}
}

func FuzzInt8ScansAgree(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(64))
	f.Fuzz(func(t *testing.T, seed uint64, blocks, k uint8) {
		comparePass(t, rand.New(rand.NewPCG(seed, 1)), 1+int(blocks%9), 1+int(k))
	})
}

func TestInt8ScanOfShapesThatDoNotFitPanics(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 9))
	for name, spoil := range map[string]func(p *Int8Pass, h *Int8Hits){
		"codes":  func(p *Int8Pass, _ *Int8Hits) { p.Codes = p.Codes[:len(p.Codes)-1] },
		"scales": func(p *Int8Pass, _ *Int8Hits) { p.Scales = p.Scales[:len(p.Scales)-1] },
		"bounds": func(p *Int8Pass, _ *Int8Hits) { p.Bounds = p.Bounds[:len(p.Bounds)-1] },
		"query":  func(p *Int8Pass, _ *Int8Hits) { p.Query = p.Query[:len(p.Query)-1] },
		"room":   func(_ *Int8Pass, h *Int8Hits) { h.At = h.At[:len(h.At)-1] },
	} {
		for _, l := range kernelSets() {
			func() {
				p := randomPass(r, 3, 20, 64)
				hits := Int8Hits{At: make([]uint32, Int8Room(3)), Values: make([]float32, Int8Room(3))}
				spoil(p, &hits)
				defer func() {
					if recover() == nil {
						t.Errorf("%v, %s: no panic", l, name)
					}
				}()
				l.Scan(p, &hits)
			}()
		}
	}
}

func TestDotsAtEqualsDot(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 8))
	for k := 1; k <= 130; k++ {
		rows := 1 + r.IntN(40)
		base, _ := guarded(t, random(r, rows*k))
		q := random(r, k)
		idx := make([]uint32, r.IntN(60))
		for i := range idx {
			idx[i] = uint32(r.IntN(rows))
		}
		got, check := guarded(t, make([]float32, len(idx)))
		BestKernels().DotsAt(got, base, idx, q)
		check("DotsAt")
		plain := make([]float32, len(idx))
		Generic.DotsAt(plain, base, idx, q)
		for i, row := range idx {
			if want := dotGeneric(q, base[int(row)*k:(int(row)+1)*k]); plain[i] != want {
				t.Fatalf("rank %d: generic product with row %d is %v, want %v", k, row, plain[i], want)
			}
			if want := Dot(q, base[int(row)*k:(int(row)+1)*k]); got[i] != want {
				t.Fatalf("rank %d: product with row %d is %v, want %v", k, row, got[i], want)
			}
		}
	}
}

func TestCountAtLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 7))
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for n := range 131 {
		v := random(r, n)
		for i := range v {
			if r.IntN(5) == 0 {
				v[i] = []float32{nan, inf, -inf, 0}[r.IntN(4)]
			}
		}
		for _, limit := range []float32{-inf, inf, 0, nan, 0.3, -1} {
			want := 0
			for _, x := range v {
				if x >= limit {
					want++
				}
			}
			if got := CountAtLeast(v, limit); got != want {
				t.Fatalf("%d of %v are at least %v, want %d", got, v, limit, want)
			}
		}
	}
}

package topk

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"vitrine/als/internal/f32"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// naive scores every row and sorts all of it: the judge.
func naive(n, k int, exclude []uint64, score func(r int) float32) []Hit {
	var all []Hit
	for r := range n {
		if word := r / 64; word < len(exclude) && exclude[word]&(1<<(r%64)) != 0 {
			continue
		}
		if s := score(r); s == s {
			all = append(all, Hit{uint32(r), s})
		}
	}
	slices.SortFunc(all, func(a, b Hit) int {
		if c := cmp.Compare(b.Score+0, a.Score+0); c != 0 {
			return c
		}
		return cmp.Compare(a.Row, b.Row)
	})
	return all[:min(max(k, 0), len(all))]
}

func naiveSearch(items []float32, n, rank int, q []float32, k int, exclude []uint64) []Hit {
	return naive(n, k, exclude, func(r int) float32 { return f32.Dot(q, items[r*rank:(r+1)*rank]) })
}

func same(a, b []Hit) bool {
	return slices.EqualFunc(a, b, func(x, y Hit) bool { return x.Row == y.Row && x.Score == y.Score })
}

// shop makes factors with skewed norms, like implicit ALS gives; flat > 0
// makes all norms alike, which leaves the bound nothing to prune.
func shop(rng *rand.Rand, n, rank int, skew float64) []float32 {
	items := make([]float32, n*rank)
	for r := range n {
		size := math.Pow(float64(1+rng.IntN(n)), -skew)
		for i := range rank {
			items[r*rank+i] = float32(rng.NormFloat64() * size)
		}
	}
	return items
}

func gaussian(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func mask(rng *rand.Rand, n int, share float64) []uint64 {
	m := make([]uint64, (n+63)/64)
	for r := range n {
		if rng.Float64() < share {
			m[r/64] |= 1 << (r % 64)
		}
	}
	return m
}

// hide makes a Mask of bits by row; no bits make none.
func hide(ix *Index, rows []uint64) *Mask {
	if rows == nil {
		return nil
	}
	m := new(Mask)
	m.Reset(ix)
	m.HideRows(rows)
	return m
}

func TestSearchEqualsANaiveScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var s Scratch
	var dst []Hit
	for _, n := range []int{0, 1, 2, 63, 64, 65, 100, 1000, 1003, 5000} {
		for _, rank := range []int{1, 3, 8, 64} {
			for _, skew := range []float64{0, 0.7} {
				items := shop(rng, n, rank, skew)
				ix := New(items, n, rank)
				for _, k := range []int{-1, 0, 1, 10, 100, n, n + 7} {
					for _, exclude := range [][]uint64{nil, mask(rng, n, 0.3), mask(rng, n, 0.99), mask(rng, n, 1), mask(rng, n/2, 0.5)} {
						q := gaussian(rng, rank)
						want := naiveSearch(items, n, rank, q, k, exclude)
						dst = ix.Search(q, k, hide(ix, exclude), dst, &s)
						if !same(dst, want) {
							t.Fatalf("n %d rank %d skew %g k %d: got %v, want %v", n, rank, skew, k, dst, want)
						}
					}
				}
			}
		}
	}
}

// Small whole numbers make many equal scores: the row decides, also across the
// bound and across cuts.
func TestSearchOfEqualScores(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		n, rank, k := 1+rng.IntN(700), 1+rng.IntN(4), 1+rng.IntN(300)
		items := make([]float32, n*rank)
		for i := range items {
			items[i] = float32(rng.IntN(3) - 1)
		}
		q := make([]float32, rank)
		for i := range q {
			q[i] = float32(rng.IntN(3) - 1)
		}
		got := New(items, n, rank).Search(q, k, nil, nil, nil)
		if want := naiveSearch(items, n, rank, q, k, nil); !same(got, want) {
			t.Fatalf("n %d rank %d k %d: got %v, want %v", n, rank, k, got, want)
		}
	}
}

func TestSearchOfOddNumbers(t *testing.T) {
	tiny := float32(math.SmallestNonzeroFloat32)
	huge := float32(math.MaxFloat32)
	odd := []float32{0, float32(math.Copysign(0, -1)), nan, inf, -inf, tiny, -tiny, huge, -huge, 1, -1, 1e-30, 1e30}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		n, rank, k := 1+rng.IntN(300), 1+rng.IntN(3), 1+rng.IntN(40)
		items, q := make([]float32, n*rank), make([]float32, rank)
		share := rng.IntN(20)
		for i := range items {
			if items[i] = float32(rng.NormFloat64()); rng.IntN(20) < share {
				items[i] = odd[rng.IntN(len(odd))]
			}
		}
		for i := range q {
			if q[i] = float32(rng.NormFloat64()); rng.IntN(20) < share {
				q[i] = odd[rng.IntN(len(odd))]
			}
		}
		got := New(items, n, rank).Search(q, k, nil, nil, nil)
		if want := naiveSearch(items, n, rank, q, k, nil); !same(got, want) {
			t.Fatalf("items %v query %v k %d: got %v, want %v", items, q, k, got, want)
		}
	}
}

// Rows that all but equal the query come so close to the bound that rounding
// decides, and a bound without room for it would end the scan too early.
func TestSearchAtTheBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 300 {
		n, rank, k := 70+rng.IntN(300), 1+rng.IntN(70), 1+rng.IntN(60)
		q := gaussian(rng, rank)
		items := make([]float32, 0, n*rank)
		for range n {
			size := 1 + 1e-7*rng.NormFloat64()
			for _, v := range q {
				items = append(items, float32(size*float64(v)))
			}
		}
		got := New(items, n, rank).Search(q, k, nil, nil, nil)
		if want := naiveSearch(items, n, rank, q, k, nil); !same(got, want) {
			t.Fatalf("n %d rank %d k %d: got %v, want %v", n, rank, k, got, want)
		}
	}
}

func TestSearchWithoutAnAnswer(t *testing.T) {
	items := []float32{1, 2, nan, 4, 5, 6}
	ix := New(items, 3, 2)
	if got := ix.Search([]float32{nan, 1}, 3, nil, make([]Hit, 2), nil); len(got) != 0 {
		t.Errorf("NaN query: %v", got)
	}
	if got := ix.Search([]float32{1, 1}, 3, nil, nil, nil); len(got) != 2 || got[0].Row != 2 || got[1].Row != 0 {
		t.Errorf("NaN row: %v", got)
	}
	if got := ix.Search([]float32{0, 0}, 3, nil, nil, nil); len(got) != 2 || got[0].Row != 0 || got[1].Row != 2 {
		t.Errorf("zero query: %v", got)
	}
}

func TestShapesThatDoNotFitPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"items": func() { New(make([]float32, 5), 2, 3) },
		"query": func() { New(make([]float32, 6), 2, 3).Search(make([]float32, 2), 1, nil, nil, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestSimilarEqualsANaiveScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var s Scratch
	for _, n := range []int{1, 2, 65, 1003} {
		const rank = 16
		items := shop(rng, n, rank, 0.7)
		items[rng.IntN(len(items))] = nan
		if n > 10 {
			clear(items[rank*5 : rank*6])
			items[rank*6] = inf
			copy(items[rank*7:rank*8], items[rank*8:rank*9]) // two equal ones
		}
		ix := New(items, n, rank)
		for range 50 {
			row, k := rng.IntN(n), 1+rng.IntN(200)
			exclude := mask(rng, n, 0.2)
			self := slices.Grow(slices.Clone(exclude), 0)
			self[row/64] |= 1 << (row % 64)
			length := norm(items[row*rank : (row+1)*rank])
			query := make([]float32, rank)
			for i := range query {
				query[i] = float32(float64(items[row*rank+i]) / length)
			}
			want := naive(n, k, self, func(r int) float32 {
				x := items[r*rank : (r+1)*rank]
				if l := norm(x); l != 0 && !math.IsInf(l, 0) {
					return float32(float64(f32.Dot(query, x)) / l)
				}
				return nan
			})
			if length == 0 || math.IsInf(length, 0) || length != length {
				want = nil
			}
			got := ix.Similar(uint32(row), k, hide(ix, exclude), nil, &s)
			if !same(got, want) {
				t.Fatalf("n %d row %d k %d: got %v, want %v", n, row, k, got, want)
			}
			// As factors of nobody's: the row itself is only another row then.
			if to := ix.SimilarTo(items[row*rank:(row+1)*rank], k, hide(ix, self), nil, &s); !same(to, want) {
				t.Fatalf("n %d factors of row %d k %d: got %v, want %v", n, row, k, to, want)
			}
			for _, h := range got {
				if math.Abs(float64(h.Score)) > 1+1e-5 {
					t.Fatalf("cosine %g", h.Score)
				}
			}
		}
		if got := ix.Similar(uint32(n), 3, nil, nil, nil); len(got) != 0 {
			t.Errorf("row outside: %v", got)
		}
	}
}

func TestSearchAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	items := shop(rng, 5000, 16, 0.7)
	ix, q := New(items, 5000, 16), gaussian(rng, 16)
	var s Scratch
	var dst []Hit
	if n := testing.AllocsPerRun(20, func() {
		dst = ix.Search(q, 100, nil, dst, &s)
		dst = ix.Similar(7, 100, nil, dst, &s)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSearchConcurrently(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	items := shop(rng, 3000, 16, 0.7)
	ix := New(items, 3000, 16)
	q := gaussian(rng, 16)
	want := naiveSearch(items, 3000, 16, q, 50, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var s Scratch
			for range 50 {
				if got := ix.Search(q, 50, nil, nil, &s); !same(got, want) {
					t.Error("got another answer")
				}
			}
		})
	}
	wg.Wait()
}

// FuzzSearch compares with the naive scan on factors made of the fuzzer's
// bytes, so that it can look for scores that straddle the bound.
func FuzzSearch(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, uint8(2), uint8(3))
	f.Add([]byte{0x7f, 0x80, 0xc0, 0, 1, 0xff, 0x3f, 0x80, 0, 0}, uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, rank8, k8 uint8) {
		rank, k := 1+int(rank8%4), int(k8)
		var v []float32
		for ; len(data) >= 2; data = data[2:] {
			v = append(v, math.Float32frombits(uint32(data[0])<<24|uint32(data[1])<<16))
		}
		if len(v) < rank {
			return
		}
		q, items := v[:rank], v[rank:]
		n := len(items) / rank
		items = items[:n*rank]
		got := New(items, n, rank).Search(q, k, nil, nil, nil)
		if want := naiveSearch(items, n, rank, q, k, nil); !same(got, want) {
			t.Fatalf("items %v query %v k %d: got %v, want %v", items, q, k, got, want)
		}
	})
}

package topk

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"vitrine/als/internal/f32"
)

// variants are the index with every set of kernels that can run here: with
// codes scanned by each, and the plain float32 search.
func variants(ix *Index) map[string]*Index {
	all := map[string]*Index{"best": ix}
	for _, name := range Kernels() {
		all[name], _ = ix.WithKernels(name)
	}
	if ix.coded {
		judge := *ix
		judge.kernels = f32.Generic
		all["codes in plain Go"] = &judge
	}
	return all
}

// catalogue makes factors of many kinds, with ties, zeros and, now and then,
// numbers that no training gives.
func catalogue(rng *rand.Rand, n, rank int) []float32 {
	skew := []float64{0, 0, 0.3, 0.7, 1.5}[rng.IntN(5)]
	items := shop(rng, n, rank, skew)
	switch rng.IntN(6) {
	case 0: // whole numbers: many ties
		for i := range items {
			items[i] = float32(math.Round(float64(items[i])))
		}
	case 1: // a few rows many times, some of them hardly changed
		for r := 1 + n/20; r < n; r++ {
			copy(items[r*rank:(r+1)*rank], items[rng.IntN(1+n/20)*rank:][:rank])
			if rng.IntN(2) == 0 {
				items[r*rank+rng.IntN(rank)] *= 1 + 0x1p-20
			}
		}
	case 2: // one entry stands out, and spoils the scale
		for r := range n {
			items[r*rank+rng.IntN(rank)] *= 100
		}
	}
	for range rng.IntN(1 + n/10) {
		clear(items[rng.IntN(n)*rank:][:rank])
	}
	if rng.IntN(4) == 0 {
		scale := math.Ldexp(1, rng.IntN(200)-100)
		for i := range items {
			items[i] = float32(float64(items[i]) * scale)
		}
	}
	if rng.IntN(3) == 0 {
		for range 1 + rng.IntN(20) {
			items[rng.IntN(len(items))] = oddNumbers()[rng.IntN(len(oddNumbers()))]
		}
	}
	return items
}

func oddNumbers() []float32 {
	const tiny, huge = math.SmallestNonzeroFloat32, math.MaxFloat32
	return []float32{0, float32(math.Copysign(0, -1)), nan, inf, -inf, tiny, -tiny, huge, -huge, 1e-30, 1e30, 1e19, -1e19, 1e-19}
}

// question makes a query for a catalogue: any direction, or that of an item, or
// an odd one.
func question(rng *rand.Rand, items []float32, rank int) []float32 {
	q := gaussian(rng, rank)
	switch rng.IntN(8) {
	case 0, 1:
		copy(q, items[rng.IntN(len(items)/rank)*rank:][:rank])
	case 2:
		for i := range q {
			q[i] = float32(rng.IntN(3) - 1)
		}
	case 3:
		q[rng.IntN(rank)] = oddNumbers()[rng.IntN(len(oddNumbers()))]
	case 4:
		scale := math.Ldexp(1, rng.IntN(160)-80)
		for i := range q {
			q[i] = float32(float64(q[i]) * scale)
		}
	}
	return q
}

// compareWithNaive asks a catalogue so many questions, of every variant.
func compareWithNaive(t *testing.T, rng *rand.Rand, n, rank, questions int) {
	t.Helper()
	items := catalogue(rng, n, rank)
	ix := New(items, n, rank)
	all := make([]uint32, n)
	for r := range all {
		all[r] = uint32(r)
	}
	var s Scratch
	var dst []Hit
	scores := make([]float32, n)
	for range questions {
		q := question(rng, items, rank)
		k := []int{1, 10, 20, 100, 1 + rng.IntN(n), n + 5}[rng.IntN(6)]
		var exclude []uint64
		if share := rng.Float64() * 2; share < 1 {
			exclude = mask(rng, n, share)
		}
		row := uint32(rng.IntN(n))
		for name, v := range variants(ix) {
			v.kernels.DotsAt(scores, items, all, q)
			want := naive(n, k, exclude, func(r int) float32 { return scores[r] })
			hidden := hide(v, exclude)
			dst = v.Search(q, k, hidden, dst, &s)
			if !same(dst, want) {
				t.Fatalf("%s, %d rows of rank %d, k %d: got %v, want %v", name, n, rank, k, dst, want)
			}
			dst = v.Similar(row, k, hidden, dst, &s)
			if want := naiveSimilar(v, row, k, exclude); !same(dst, want) {
				t.Fatalf("%s, %d rows of rank %d like %d, k %d: got %v, want %v", name, n, rank, row, k, dst, want)
			}
		}
	}
}

func naiveSimilar(ix *Index, row uint32, k int, exclude []uint64) []Hit {
	x := func(r uint32) []float32 { return ix.items[int(r)*ix.rank : int(r+1)*ix.rank] }
	length := norm(x(row))
	if !(length > 0) || math.IsInf(length, 1) {
		return nil
	}
	query := make([]float32, ix.rank)
	for i, v := range x(row) {
		query[i] = float32(float64(v) / length)
	}
	dot := make([]float32, 1)
	return naive(ix.Len(), k, exclude, func(r int) float32 {
		l := norm(x(uint32(r)))
		if uint32(r) == row || !(l > 0) || math.IsInf(l, 1) {
			return nan
		}
		ix.kernels.DotsAt(dot, ix.items, []uint32{uint32(r)}, query)
		return float32(float64(dot[0]) / l)
	})
}

// TestHundredThousandQueriesEqualANaiveScan asks that many with
// VITRINE_ALL_QUERIES set (about two minutes), some hundreds otherwise. Each is
// asked of every set of kernels that runs here, as a search and as a search for
// similar rows.
func TestHundredThousandQueriesEqualANaiveScan(t *testing.T) {
	queries := 240
	if testing.Short() {
		queries = 40
	}
	if os.Getenv("VITRINE_ALL_QUERIES") != "" {
		queries = 100_000
	}
	rng := rand.New(rand.NewPCG(21, 22))
	sizes := []int{1, 63, 64, 65, 130, 500, 1100, 1500, 3000}
	ranks := []int{1, 3, 7, 8, 10, 16, 32, 64, 65}
	const perCatalogue = 20
	for done := 0; done < queries; done += perCatalogue {
		compareWithNaive(t, rng, sizes[rng.IntN(len(sizes))], ranks[rng.IntN(len(ranks))], perCatalogue)
	}
}

func FuzzQueriesEqualANaiveScan(f *testing.F) {
	f.Add(uint64(1), uint16(1500), uint8(16))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, rank uint8) {
		compareWithNaive(t, rand.New(rand.NewPCG(seed, 2)), 1+int(n%3000), 1+int(rank%70), 3)
	})
}

// Rows that a guessed threshold would lose: the sample's blocks hold all of the
// best, so the guess is too high and the sweep is done again.
func TestSearchAfterAGuessTooHigh(t *testing.T) {
	const n, rank, k = 4000, 8, 150
	rng := rand.New(rand.NewPCG(31, 32))
	items := make([]float32, n*rank)
	for r := range n {
		x := unitVector(rng, rank)
		// In scan order the norms of equal size keep the order of rows. Blocks of
		// the sample point where the query does.
		if r/blockRows%7 == 3 {
			x[0] = 1 + float32(rng.Float64())/100
		}
		copy(items[r*rank:], unit32(x))
	}
	q := make([]float32, rank)
	q[0] = 1
	ix := New(items, n, rank)
	for name, v := range variants(ix) {
		got := v.Search(q, k, nil, nil, nil)
		all, scores := make([]uint32, n), make([]float32, n)
		for r := range all {
			all[r] = uint32(r)
		}
		v.kernels.DotsAt(scores, items, all, q)
		if want := naive(n, k, nil, func(r int) float32 { return scores[r] }); !same(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func unitVector(rng *rand.Rand, rank int) []float32 { return unit32(gaussian(rng, rank)) }

func unit32(v []float32) []float32 {
	length := norm(v)
	out := slices.Clone(v)
	for i := range out {
		out[i] = float32(float64(out[i]) / length)
	}
	return out
}

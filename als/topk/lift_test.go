package topk

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLiftedSearchEqualsANaiveScan: of rows with factors, hidden ones, ties and
// numbers that no training gives, those found are the best above zero.
func TestLiftedSearchEqualsANaiveScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(61, 62))
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	sure := 0
	for range rounds {
		n, rank := []int{1, 64, 65, 500, 1500, 3000}[rng.IntN(6)], []int{1, 7, 8, 16, 64, 65}[rng.IntN(6)]
		sure += compareLifted(t, rng, n, rank)
	}
	if sure == 0 {
		t.Error("no search found as many as were wanted")
	}
}

func FuzzLiftedSearch(f *testing.F) {
	f.Add(uint64(1), uint16(1500), uint8(16))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, rank uint8) {
		compareLifted(t, rand.New(rand.NewPCG(seed, 3)), 1+int(n%3000), 1+int(rank%70))
	})
}

// compareLifted asks a few questions and returns how many found all that they
// wanted.
func compareLifted(t *testing.T, rng *rand.Rand, n, rank int) (sure int) {
	t.Helper()
	items := catalogue(rng, n, rank)
	ix := New(items, n, rank)
	sets, factors := someSets(rng, ix)
	var s Scratch
	var dst []Hit
	all, scores := make([]uint32, n), make([]float32, n)
	for r := range all {
		all[r] = uint32(r)
	}
	for range 4 {
		q := question(rng, items, rank)
		k := []int{1, 10, 40, 1 + rng.IntN(n)}[rng.IntN(4)]
		var exclude []uint64
		if share := rng.Float64() * 2; share < 1 {
			exclude = mask(rng, n, share)
		}
		for name, v := range variants(ix) {
			v.kernels.DotsAt(scores, items, all, q)
			want := naive(n, k, exclude, func(r int) float32 {
				if !(scores[r] > 0) {
					return nan
				}
				return float32(float64(scores[r]) * float64(factors[r]))
			})
			floor := inf
			if len(want) == k {
				floor = want[k-1].Score
				sure++
			}
			for i := range want {
				want[i].Score = scores[want[i].Row]
			}
			slices.SortFunc(want, func(a, b Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Row, b.Row)) })
			var low float32
			dst, low = v.NewLift(sets).Search(q, k, hide(v, exclude), dst, &s)
			if !same(dst, want) || low != floor {
				t.Fatalf("%s, %d rows of rank %d, k %d: got %v above %v, want %v above %v", name, n, rank, k, dst, low, want, floor)
			}
		}
	}
	return sure
}

// someSets are up to three sets of rows, with the factor that each row has.
func someSets(rng *rand.Rand, ix *Index) (sets []Lifted, factors []float32) {
	product := make([]float64, ix.Len())
	for r := range product {
		product[r] = 1
	}
	for range rng.IntN(4) {
		set := Lifted{Factor: []float64{1, 1.2, 2, 7.5, 1000}[rng.IntN(5)], Positions: make([]uint64, (len(ix.Rows())+63)/64)}
		for at, row := range ix.Rows() {
			if rng.IntN(4) == 0 {
				set.Positions[at/64] |= 1 << (at % 64)
				product[row] *= set.Factor
			}
		}
		sets = append(sets, set)
	}
	factors = make([]float32, ix.Len())
	for r, f := range product {
		factors[r] = float32(f)
	}
	return sets, factors
}

// TestLiftTooHigh: with factors that codes cannot hold nothing overflows.
func TestLiftTooHigh(t *testing.T) {
	items := make([]float32, 300)
	for r := range items {
		items[r] = 0x1p59
	}
	ix := New(items, len(items), 1)
	words := make([]uint64, 5)
	words[2] = 1 << 3
	hits, floor := ix.NewLift([]Lifted{{words, 1e6}}).Search([]float32{0x1p60}, 2, nil, nil, nil)
	if len(hits) != 2 || hits[0].Row != 0 || hits[1].Row != 131 || hits[0].Score != 0x1p119 || floor != 0x1p119 {
		t.Errorf("%v above %v", hits, floor)
	}
}

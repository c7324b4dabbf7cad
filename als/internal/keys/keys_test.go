package keys_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als/internal/keys"
)

type ranked struct {
	score float32
	row   uint32
}

// byRank is the order of answers by its definition.
func byRank(a, b ranked) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.row, b.row))
}

func TestKeysSortLikeAnswers(t *testing.T) {
	inf := float32(math.Inf(1))
	scores := []float32{0, float32(math.Copysign(0, -1)), 1, -1, inf, -inf, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, math.MaxFloat32, -math.MaxFloat32}
	var all []ranked
	for _, score := range scores {
		for _, row := range []uint32{0, 7, math.MaxUint32} {
			all = append(all, ranked{score, row})
			if v, r := keys.Split(keys.Of(score, row)); v != score || r != row {
				t.Errorf("%v of row %d comes back as %v of row %d", score, row, v, r)
			}
		}
	}
	for _, a := range all {
		for _, b := range all {
			if got, want := cmp.Compare(keys.Of(a.score, a.row), keys.Of(b.score, b.row)), byRank(a, b); got != want {
				t.Errorf("%v and %v compare as %d, want %d", a, b, got, want)
			}
		}
	}
}

// Numbers that come again and again, which keys do not.
func TestSmallest(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 2000 {
		all := make([]uint64, 2+rng.IntN(300))
		for i := range all {
			all[i] = rng.Uint64N(uint64(1 + rng.IntN(500)))
		}
		want := slices.Sorted(slices.Values(all))
		k := rng.IntN(len(all))
		keys.Smallest(all, k)
		if got := slices.Sorted(slices.Values(all[:k])); !slices.Equal(got, want[:k]) {
			t.Fatalf("k %d: got %v, want %v", k, got, want[:k])
		}
	}
}

// FuzzBest takes the best of keys that have many equal scores.
func FuzzBest(f *testing.F) {
	f.Add(uint64(1), 100, 7, 3)
	f.Add(uint64(2), 1, 0, 1)
	f.Add(uint64(3), 500, 499, 2)
	f.Add(uint64(4), 0, 5, 9)
	f.Add(uint64(5), 300, -1, 90)
	f.Fuzz(func(t *testing.T, seed uint64, n, k, different int) {
		n, different = min(max(n, 0), 2000), max(different, 1)
		random := rand.New(rand.NewPCG(seed, 0))
		all := make([]uint64, n)
		for row := range all {
			all[row] = keys.Of(float32(random.IntN(different))-3, uint32(row))
		}
		want := slices.Sorted(slices.Values(all))[:min(max(k, 0), n)]
		got, limit := keys.Best(all, k)
		got = slices.Sorted(slices.Values(got))
		if !slices.Equal(got, want) {
			t.Fatalf("%d of %d: %v, want %v", k, n, got, want)
		}
		switch {
		case len(want) < k && limit != math.MaxUint64:
			t.Errorf("%d of %d keys are bounded by %d", n, k, limit)
		case len(want) == k && k > 0 && limit != want[k-1]:
			t.Errorf("the worst of %v is %d", want, limit)
		}
	})
}

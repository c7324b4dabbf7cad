package topk

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestReachEqualsANaiveScan: of rows with factors, groups, hidden ones, ties and
// numbers that no training gives, those found are the best as far down as the goal
// asks for, and no others.
func TestReachEqualsANaiveScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(71, 72))
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	reached := 0
	for range rounds {
		n, rank := []int{1, 64, 65, 500, 1500, 3000}[rng.IntN(6)], []int{1, 7, 8, 16, 64, 65}[rng.IntN(6)]
		reached += compareReach(t, rng, n, rank)
	}
	if reached < rounds {
		t.Errorf("%d goals reached in %d catalogues", reached, rounds)
	}
}

func FuzzReach(f *testing.F) {
	f.Add(uint64(1), uint16(1500), uint8(16))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, rank uint8) {
		compareReach(t, rand.New(rand.NewPCG(seed, 3)), 1+int(n%3000), 1+int(rank%70))
	})
}

// someGoal asks for few or many rows of a catalogue, under caps or not.
func someGoal(rng *rand.Rand, ix *Index) Goal {
	n := ix.Len()
	g := Goal{K: []int{0, 1, 20, 1 + rng.IntN(n)}[rng.IntN(4)], Plain: []int{0, 1, 20, 1 + rng.IntN(n)}[rng.IntN(4)]}
	if rng.IntN(3) > 0 {
		g.Capped, g.Most = []int{1, 20, 1 + rng.IntN(n)}[rng.IntN(3)], 1+rng.IntN(6)
		g.Groups = make([]uint16, len(ix.Rows()))
		of := 2 + rng.IntN(40)
		for at := range g.Groups {
			g.Groups[at] = uint16(rng.IntN(of) * rng.IntN(2))
		}
	}
	return g
}

// compareReach asks a few questions and returns how many goals were reached.
func compareReach(t *testing.T, rng *rand.Rand, n, rank int) (found int) {
	t.Helper()
	items := catalogue(rng, n, rank)
	ix := New(items, n, rank)
	sets, factors := someSets(rng, ix)
	var s Scratch
	var dst []Hit
	all, plain := make([]uint32, n), make([]float32, n)
	for r := range all {
		all[r] = uint32(r)
	}
	for range 4 {
		q, goal := question(rng, items, rank), someGoal(rng, ix)
		var exclude []uint64
		if share := rng.Float64() * 2; share < 1 {
			exclude = mask(rng, n, share)
		}
		for name, v := range variants(ix) {
			v.kernels.DotsAt(plain, items, all, q)
			want, least, reaches := naiveReach(v, goal, plain, factors, exclude)
			var reached bool
			lift := v.NewLift(sets)
			dst, reached = lift.Reach(q, goal, hide(v, exclude), dst, &s)
			if reached {
				found++
			}
			// What a search learnt, or another one did, changes no list.
			for _, bar := range []Bar{s.Bar(), {at: float32(rng.NormFloat64()), known: true}} {
				s.From(bar)
				again, same := lift.Reach(q, goal, hide(v, exclude), nil, &s)
				if same != reached || !holds(again, want, least, plain, factors) {
					t.Fatalf("%s, from %v: got %d, %v, want %d, %v", name, bar, len(again), same, len(want), reached)
				}
			}
			if reached != reaches || !holds(dst, want, least, plain, factors) {
				goal.Groups = nil
				t.Fatalf("%s, %d rows of rank %d, %+v: got %v %d %v, want %v %d %v", name, n, rank, goal, reached, len(dst), dst, reaches, len(want), want)
			}
		}
	}
	return found
}

// naiveReach are the rows that a goal asks for, best first by plain scores, and
// the lifted score that they reach.
func naiveReach(ix *Index, goal Goal, plain, factors []float32, exclude []uint64) (want []Hit, least float32, reached bool) {
	lifted := naive(len(plain), len(plain), exclude, func(r int) float32 {
		if _, ok := ix.Position(uint32(r)); !ok || !(plain[r] > 0) {
			return nan
		}
		return float32(float64(plain[r]) * float64(factors[r]))
	})
	if goal.least() == 0 {
		return nil, 0, true
	}
	if goal.least() > len(lifted) {
		return nil, 0, false
	}
	least = lifted[0].Score
	if goal.K > 0 {
		least = min(least, lifted[goal.K-1].Score)
	}
	if goal.Plain > 0 {
		byPlain := make([]float32, 0, len(lifted))
		for _, hit := range lifted {
			byPlain = append(byPlain, plain[hit.Row])
		}
		slices.Sort(byPlain)
		least = min(least, byPlain[len(byPlain)-goal.Plain])
	}
	if goal.Capped > 0 {
		counted, counts := 0, map[uint16]int{}
		for _, hit := range lifted {
			at, _ := ix.Position(hit.Row)
			group := goal.Groups[at]
			if group != 0 && counts[group] == goal.Most {
				continue
			}
			counts[group]++
			if counted++; counted == goal.Capped {
				least = min(least, hit.Score)
				break
			}
		}
		if counted < goal.Capped {
			return nil, 0, false
		}
	}
	for _, hit := range lifted {
		if hit.Score >= least {
			want = append(want, Hit{hit.Row, plain[hit.Row]})
		}
	}
	slices.SortFunc(want, byScore)
	return want, least, true
}

func byScore(a, b Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Row, b.Row)) }

// holds tells whether hits are the wanted ones, in order, and besides only those
// that hardly miss what they reach.
func holds(hits, want []Hit, least float32, plain, factors []float32) bool {
	if !slices.IsSortedFunc(hits, byScore) {
		return false
	}
	lifted := func(row uint32) float32 { return float32(float64(plain[row]) * float64(factors[row])) }
	rest := hits
	for _, hit := range want {
		at := slices.Index(rest, hit)
		if at < 0 {
			return false
		}
		rest = rest[at+1:]
	}
	for _, hit := range hits {
		if hit.Score != plain[hit.Row] || lifted(hit.Row) < least*(1-0x1p-19) {
			return false
		}
	}
	return true
}

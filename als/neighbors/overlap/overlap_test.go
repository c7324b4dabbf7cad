package overlap_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"vitrine/als/neighbors/overlap"
)

// plain is a session by the definition.
type plain struct {
	session uint32
	share   overlap.Share // of the item with which it was met
	shared  float32
}

// heaviest chooses by the definition.
func heaviest(met []*plain, k int) []overlap.Share {
	weight := func(p *plain) float32 { return p.shared * p.share.Weight }
	order := slices.Clone(met)
	slices.SortFunc(order, func(a, b *plain) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(b.session, a.session))
	})
	order = order[:min(k, len(order))]
	var out []overlap.Share
	for _, p := range met {
		if slices.Contains(order, p) {
			out = append(out, overlap.Share{At: p.share.At, Weight: weight(p)})
		}
	}
	return out
}

// check makes lists of sessions from a seed, few different weights among them, and
// compares with the definition; one Set serves all.
func check(t *testing.T, set *overlap.Set, seed uint64, sessions, lists, k int) {
	random := rand.New(rand.NewPCG(seed, 1))
	var met []*plain
	type list struct {
		sessions []uint32
		shares   []overlap.Share
		weight   float32
	}
	var all []list
	total := 0
	for range lists {
		l := list{weight: float32(random.IntN(3)) / 2}
		for session := range uint32(sessions) {
			if random.IntN(3) > 0 {
				continue
			}
			share := overlap.Share{At: random.Uint32N(100), Weight: float32(1+session%3) / 4}
			l.sessions, l.shares = append(l.sessions, session*7), append(l.shares, share)
			at := slices.IndexFunc(met, func(p *plain) bool { return p.session == session*7 })
			if at < 0 {
				at = len(met)
				met = append(met, &plain{session: session * 7, share: share})
			}
			met[at].shared += l.weight
		}
		all, total = append(all, l), total+len(l.sessions)
	}
	set.Reset(total)
	for _, l := range all {
		set.Add(l.sessions, l.shares, l.weight)
	}
	if set.Len() != len(met) {
		t.Fatalf("seed %d: %d sessions, want %d", seed, set.Len(), len(met))
	}
	if got, want := set.Heaviest(k, nil), heaviest(met, k); !slices.Equal(got, want) {
		t.Fatalf("seed %d, %d sessions in %d lists: the %d heaviest are %v, want %v", seed, sessions, lists, k, got, want)
	}
}

func TestHeaviest(t *testing.T) {
	var set overlap.Set
	for seed := range uint64(300) {
		check(t, &set, seed, int(seed%90), int(seed%5), 1+int(seed%41))
	}
	check(t, &set, 1, 2000, 3, 500)
}

func FuzzHeaviest(f *testing.F) {
	f.Add(uint64(1), 20, 3, 5)
	f.Add(uint64(2), 0, 1, 1)
	f.Add(uint64(3), 300, 1, 299)
	var set overlap.Set
	f.Fuzz(func(t *testing.T, seed uint64, sessions, lists, k int) {
		check(t, &set, seed, min(max(sessions, 0), 300), min(max(lists, 0), 6), min(max(k, 1), 400))
	})
}

// A query of a shop of 50,000 sessions reads 1,400 postings of 14 items. Its limit
// is reading 12 bytes each from end to end and one access to a table that stays in
// the nearest cache, 2 ns together, and three passes over the 900 that were met.
func BenchmarkHeaviest(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var sessions [14][]uint32
	var shares [14][]overlap.Share
	total := 0
	for n := range sessions {
		for session := random.Uint32N(500); session < 50_000; session += 1 + random.Uint32N(1000) {
			sessions[n] = append(sessions[n], session)
			shares[n] = append(shares[n], overlap.Share{At: session, Weight: 1 / float32(2+session%9)})
		}
		total += len(sessions[n])
	}
	var set overlap.Set
	var chosen []overlap.Share
	b.ReportAllocs()
	for b.Loop() {
		set.Reset(total)
		for n := range sessions {
			set.Add(sessions[n], shares[n], 1/float32(1+n))
		}
		chosen = set.Heaviest(500, chosen)
	}
	b.ReportMetric(float64(total), "postings")
}

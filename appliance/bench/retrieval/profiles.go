package retrieval

import (
	"math"
	"math/rand/v2"
	"slices"

	"vitrine/als/model"
	"vitrine/appliance/bench/report"
)

// Rank of all factors that are measured.
const Rank = 64

// queries of each profile are timed.
const queries = 200

// Profile is a catalogue's factors and queries that visitors would make.
type Profile struct {
	// Name is the case in figure names.
	Name    string
	N       int
	Items   []float32
	Queries [][]float32
	// Bar is the most microseconds for a top 100 with AVX-512 VNNI, 0 for none.
	Bar float64
	// PerItem, when not 0, is a bar that counts instead where it is higher:
	// nanoseconds for each item looked at, and 5 us.
	PerItem float64
}

// Trained is the profile of a trained model, asked for users at random.
func Trained(name string, m *model.Model) *Profile {
	rng := rand.New(rand.NewPCG(1, 5))
	p := &Profile{Name: name, N: m.NumItems, Items: m.Items}
	for range queries {
		u := rng.IntN(m.NumUsers)
		p.Queries = append(p.Queries, m.Users[u*m.Rank:(u+1)*m.Rank])
	}
	return p
}

// Flat is the worst case: directions and norms are those of noise, and no item
// can be left out.
func Flat(n int) *Profile {
	rng := rand.New(rand.NewPCG(uint64(n), 2))
	p := &Profile{Name: "flat_" + report.Short(n), N: n, Items: gaussian(rng, n*Rank)}
	for range queries {
		p.Queries = append(p.Queries, gaussian(rng, Rank))
	}
	return p
}

// Gowalla is as large as the check-in data set of that name and has norms like
// the factors trained on it: median .78, 99th percentile 2.06, log-normal.
func Gowalla() *Profile {
	const n, median, sigma = 40_981, 0.78, 0.417
	return clustered("gowalla_like", n, func(_ int, rng *rand.Rand) float64 {
		return median * math.Exp(sigma*rng.NormFloat64())
	})
}

// Skewed has norms that fall with the popularity rank, like an implicit model
// whose popular items are long.
func Skewed(n int) *Profile {
	return clustered("skewed_"+report.Short(n), n, func(at int, rng *rand.Rand) float64 {
		return math.Pow(float64(at+1), -0.35) * math.Exp(0.3*rng.NormFloat64())
	})
}

// clustered makes items that cluster by taste, of the lengths that length gives
// the popularity ranks, and customers who like two departments.
func clustered(name string, n int, length func(at int, rng *rand.Rand) float64) *Profile {
	const (
		clusters = 100
		taste    = 0.8 // how much of an item is its cluster's direction
	)
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	centres := make([][]float32, clusters)
	for c := range centres {
		centres[c] = unit(gaussian(rng, Rank))
	}
	near := func(c int) []float32 {
		v := unit(gaussian(rng, Rank))
		for j := range v {
			v[j] = taste*centres[c][j] + (1-taste)*v[j]
		}
		return unit(v)
	}
	p := &Profile{Name: name, N: n, Items: make([]float32, n*Rank)}
	for at, row := range rng.Perm(n) {
		v, size := near(rng.IntN(clusters)), length(at, rng)
		for j := range v {
			p.Items[row*Rank+j] = float32(size) * v[j]
		}
	}
	for range queries {
		a, b := near(rng.IntN(clusters)), near(rng.IntN(clusters))
		for j := range a {
			a[j] += b[j] / 2
		}
		p.Queries = append(p.Queries, a)
	}
	return p
}

// norms are quantiles of the items' lengths over the median: what they are
// times is the cost of a search.
func (p *Profile) norms(quantiles ...float64) []float64 {
	all := make([]float64, p.N)
	for r := range all {
		all[r] = length(p.Items[r*Rank : (r+1)*Rank])
	}
	slices.Sort(all)
	out := make([]float64, len(quantiles))
	for i, q := range quantiles {
		out[i] = all[int(q*float64(p.N-1))]
	}
	return out
}

func length(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

func unit(v []float32) []float32 {
	size := float32(length(v))
	for j := range v {
		v[j] /= size
	}
	return v
}

func gaussian(rng *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(rng.NormFloat64())
	}
	return out
}

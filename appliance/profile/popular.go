package profile

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// popularity sums the decayed strength of events by item with forward decay:
// an event at t adds strength * 2^((t-landmark)/halfLife), so that time moves
// on without touching the sums; only when the exponents get large are all
// sums scaled down and the landmark moved.
type popularity struct {
	halfLife float64 // milliseconds

	mu       sync.Mutex
	scores   []float64 // by item code
	landmark float64   // milliseconds; meaningful once scores has an entry
	newest   float64   // newest event, in half-lives after the landmark
	version  atomic.Uint64

	cache rankings
}

// rankings remembers the ranking that was made last.
type rankings struct {
	refresh sync.Mutex // one ranking is made at a time
	ranking atomic.Pointer[ranking]
}

const (
	// maxLeap is how many half-lives one event may move time on. One that lies
	// further ahead of all others (a click years after an old log) must not make
	// them weigh nothing: it moves time by leapStep only, so that time goes on as
	// more such events come.
	maxLeap  = 4
	leapStep = 0.02
)

// maxExponent keeps sums far from overflow: 2^256 times any weight.
const maxExponent = 256

func (p *popularity) add(item uint32, t int64, strength float64) {
	if strength <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.scores) == 0 {
		p.landmark = float64(t)
	}
	if n := int(item) + 1; n > len(p.scores) {
		p.scores = slices.Grow(p.scores, n-len(p.scores))[:n]
	}
	x := (float64(t) - p.landmark) / p.halfLife
	if x > p.newest+maxLeap {
		x = p.newest + leapStep
	}
	if x > maxExponent {
		// An exact power of two, so that scaling rounds nothing.
		shift := math.Floor(x)
		scale := math.Exp2(-shift)
		for j := range p.scores {
			p.scores[j] *= scale
		}
		p.landmark += shift * p.halfLife
		p.newest -= shift
		x -= shift
	}
	p.newest = max(p.newest, x)
	p.scores[item] += strength * math.Exp2(x)
	p.version.Add(1)
}

// ranking is the items with the highest sums, best first.
type ranking struct {
	items  []uint32
	scores []float32
	// complete says that there are no further items with a positive sum.
	complete bool
	version  uint64
	made     time.Time
	cost     time.Duration
}

const (
	// minRanked is how many items a ranking holds at least.
	minRanked = 1024
	// costShare bounds what rankings take of one core: a twentieth.
	costShare = 20
	// believedCost is what a ranking is believed to have cost at once. More is
	// believed step by step: where the machine stood still for a minute while one
	// was made, it must not stay for twenty.
	believedCost = 50 * time.Millisecond
)

// top is a ranking of at least n items, if there are so many.
func (p *popularity) top(n int) *ranking { return p.cache.top(n, p.version.Load(), p.rank) }

// top makes a ranking of at least n items by rank, or remembers one that is of
// this version or recent enough.
func (c *rankings) top(n int, version uint64, rank func(n int) *ranking) *ranking {
	r := c.ranking.Load()
	enough := r != nil && (r.complete || len(r.items) >= n)
	if enough {
		if r.version == version || time.Since(r.made) < costShare*r.cost {
			return r
		}
		if !c.refresh.TryLock() {
			return r
		}
	} else {
		c.refresh.Lock()
	}
	defer c.refresh.Unlock()
	believed := believedCost
	if r := c.ranking.Load(); r != nil {
		believed = max(believed, 2*r.cost)
	}
	start := time.Now()
	r = rank(max(n, minRanked))
	r.made, r.cost = start, min(time.Since(start), believed)
	c.ranking.Store(r)
	return r
}

// rank selects the most popular items.
func (p *popularity) rank(n int) *ranking {
	scores, version := p.snapshot()
	r := best(scores, n)
	r.version = version
	return r
}

// snapshot copies the sums as of the newest event.
func (p *popularity) snapshot() (scores []float64, version uint64) {
	p.mu.Lock()
	scores, version = slices.Clone(p.scores), p.version.Load()
	scale := math.Exp2(-p.newest)
	p.mu.Unlock()
	for j := range scores {
		scores[j] *= scale
	}
	return scores, version
}

// strengths writes the sums of items as of the newest event.
func (p *popularity) strengths(items []uint32, dst []float32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	scale := math.Exp2(-p.newest)
	for j, item := range items {
		dst[j] = 0
		if int(item) < len(p.scores) {
			dst[j] = float32(p.scores[item] * scale)
		}
	}
}

// best selects the n items with the highest scores above 0: it collects those
// above a threshold and halves the collection whenever it is full.
func best(scores []float64, n int) *ranking {
	n = 1 << bits.Len(uint(n-1)) // so that growing demands make few rankings
	type candidate struct {
		score float64
		item  uint32
	}
	better := func(a, b candidate) int {
		if c := cmp.Compare(b.score, a.score); c != 0 {
			return c
		}
		return cmp.Compare(a.item, b.item)
	}
	var best []candidate
	complete, threshold := true, 0.0
	for item, score := range scores {
		// Equal scores lose: the earlier item is in already.
		if score <= threshold {
			complete = complete && score <= 0
			continue
		}
		best = append(best, candidate{score, uint32(item)})
		if len(best) == 2*n {
			slices.SortFunc(best, better)
			best, complete, threshold = best[:n], false, best[n-1].score
		}
	}
	slices.SortFunc(best, better)
	if len(best) > n {
		best, complete = best[:n], false
	}
	r := &ranking{complete: complete}
	for _, c := range best {
		r.items, r.scores = append(r.items, c.item), append(r.scores, float32(c.score))
	}
	return r
}

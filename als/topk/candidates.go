package topk

import (
	"math"
	"slices"

	"vitrine/als/internal/f32"
)

// candidates are rows that may be among the k best, by the bounds of their
// values: at least k rows score theta or more.
type candidates struct {
	k     int
	theta float32
	// at are the positions, values what the scan made of their codes, and low
	// those less the slack of their block.
	at          []uint32
	values, low []float32
	// tally, which is nil for the k best, decides what is wanted instead; room is
	// how many candidates there may be until the next cut for it.
	tally *tally
	room  int
}

// full tells whether it is time to drop some candidates.
func (c *candidates) full() bool { return len(c.at) >= 2*c.k+64 }

// many tells whether there are so many that a cut raises theta.
func (c *candidates) many() bool { return len(c.at) >= c.k+c.k/2+8 }

func (c *candidates) reset(k int) {
	c.k, c.theta, c.room = k, float32(math.Inf(-1)), 0
	c.clear()
}

func (c *candidates) clear() { c.at, c.values, c.low = c.at[:0], c.values[:0], c.low[:0] }

// space is room behind the candidates for n more; added takes the first of
// what a pass wrote there.
func (c *candidates) space(n int) f32.Int8Hits {
	have := len(c.at)
	c.at, c.values = slices.Grow(c.at, n), slices.Grow(c.values, n)
	return f32.Int8Hits{At: c.at[have : have+n], Values: c.values[have : have+n]}
}

func (c *candidates) added(n int, m *measure, p *f32.Int8Pass) {
	have := len(c.at)
	c.at, c.values, c.low = c.at[:have+n], c.values[:have+n], slices.Grow(c.low, n)[:have+n]
	low, values := c.low[have:], c.values[have:]
	for i, at := range c.at[have:] {
		bound := m.bounds[at/blockRows*2:]
		low[i] = values[i] - (bound[0]*p.Spread + bound[1]*p.Length)
	}
	if c.tally != nil {
		c.count(c.at[have:], low)
	}
}

// count tells the tally of candidates by their lower bounds.
func (c *candidates) count(at []uint32, low []float32) {
	for i, lifted := range low {
		if lifted > max(0, c.theta) {
			// A division may have rounded up.
			c.tally.add(at[i], lifted, lifted/c.tally.lift.factors[at[i]]*(1-0x1p-22))
		}
	}
}

// addScored adds a candidate whose scores are known.
func (c *candidates) addScored(at uint32, lifted, plain float32) {
	c.at, c.values, c.low = append(c.at, at), append(c.values, lifted), append(c.low, lifted)
	c.tally.add(at, lifted, plain)
}

// tidy drops candidates of a tally when it is time for it. It reports false when
// there are too many.
func (c *candidates) tidy(underflow float32) bool {
	if len(c.at) >= c.room {
		c.cut(underflow)
		c.room = len(c.at) + len(c.at)/4 + 8
	}
	return len(c.at) <= mostReached
}

// cut raises theta to the k-th highest lower bound and drops what cannot reach
// it. Underflow may move two scores against each other by so much.
func (c *candidates) cut(underflow float32) {
	if len(c.at) < c.k {
		return
	}
	if c.tally != nil {
		c.theta = max(c.theta, nearly(c.tally.reach(c.low, c.theta, f32.KthLargest)-underflow))
	} else {
		c.theta = max(c.theta, f32.KthLargest(c.low, c.k, c.theta)-underflow)
	}
	kept := 0
	for i, v := range c.values {
		low := c.low[i]
		c.at[kept], c.values[kept], c.low[kept] = c.at[i], v, low
		// The upper bound: as far above the value as the lower is below. Infinite
		// scores have none, and are kept.
		if !(v+(v-low) < c.theta) {
			kept++
		}
	}
	c.at, c.values, c.low = c.at[:kept], c.values[:kept], c.low[:kept]
}

// reach tells whether at least k candidates are sure to score theta or more.
func (c *candidates) reach(theta float32) bool { return f32.CountAtLeast(c.low, theta) >= c.k }

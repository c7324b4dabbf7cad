package peers

import (
	"fmt"

	"vitrine/appliance/bench/gen"
)

// Case is a peer at a rank, and how many times our processor time it is to take
// at least.
type Case struct {
	Peer             string
	Rank, Iterations int
	// Fits is how often it is measured.
	Fits int
	Want float64
	// Large is measured at the article's size. Memory is the most that our share
	// of its memory may be then.
	Large  bool
	Memory float64
}

// Name is that of the case in figures and on the command line.
func (c *Case) Name() string {
	name := fmt.Sprintf("%s_%d", c.Peer, c.Rank)
	if c.Large {
		name += "_100M"
	}
	return name
}

// repetitions of what takes seconds.
const repetitions = 3

// Cases are ordered so that what is quick comes first.
func Cases() []Case {
	return []Case{
		{Peer: Implicit, Rank: 64, Iterations: 4, Fits: repetitions, Want: 4.4},
		{Peer: Implicit, Rank: 128, Iterations: 4, Fits: repetitions, Want: 3.1},
		{Peer: Gorse, Rank: 64, Iterations: 2, Fits: 1, Want: 24},
		{Peer: Spark, Rank: 64, Iterations: 3, Fits: 1, Want: 35},
		{Peer: Implicit, Rank: 64, Iterations: 3, Fits: 1, Want: 4.8, Large: true, Memory: 0.65},
	}
}

// Shape is the data of all cases that are not large.
func Shape() gen.Shape {
	return gen.Shape{Users: 200_000, Items: 50_000, Cells: 10_000_000, Seed: 1}
}

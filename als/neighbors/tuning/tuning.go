// Package tuning chooses what the parts of a blend weigh, on queries whose outcome
// is known.
//
// It owns the search and the figure that it goes by, NDCG; what a part says of a
// candidate it asks package neighbors. It knows dense rows, never ids, events or
// models' versions. It may import als/neighbors and als/internal/cores.
//
// The blend's own weights play no part. The outcome has the same bits for any
// number of workers; cancelled work returns ctx.Err().
package tuning

import (
	"math"
	"slices"

	"vitrine/als/neighbors"
)

// Trials are those of a validation slice: part of the data that the sources were
// not built from and no test will use.
type Trials struct {
	N int
	// At returns trial n, 0 to N-1. It is called from several goroutines, and what
	// it returns may be reused when the same one calls it again (worker tells them
	// apart, 0 to Workers-1).
	At func(worker, n int) Trial
}

// Trial is one query of a validation slice with the items it should find.
type Trial struct {
	neighbors.Query
	// Targets are distinct and not excluded.
	Targets []uint32
}

// Tuned is one choice of weights and what it reached.
type Tuned struct {
	// Weights are in the order of neighbors.Parts.
	Weights []float32
	// NDCG is the mean over the trials.
	NDCG float64
}

// defaultCut is the cut of NDCG where none is given.
const defaultCut = 10

// judge is one goroutine's working memory.
type judge struct {
	worker int
	parts  neighbors.Parts
	// places are where among the candidates the targets stand.
	places []int
	total  []float32
}

// judgesOf has a judge for each of some workers.
func judgesOf(workers int) chan *judge {
	pool := make(chan *judge, workers)
	for w := range workers {
		pool <- &judge{worker: w}
	}
	return pool
}

// ask asks the parts of a blend, and finds the targets among the candidates, if
// there are any.
func (j *judge) ask(b *neighbors.Blend, t *Trial) (found bool) {
	j.parts.Ask(b, &t.Query)
	j.places = j.places[:0]
	for n, item := range j.parts.Items {
		if slices.Contains(t.Targets, item) {
			j.places = append(j.places, n)
		}
	}
	return len(j.places) > 0
}

// ideal is the highest gain that k places can have.
func ideal(targets, k int) float64 {
	sum := 0.0
	for place := range min(targets, k) {
		sum += discount(place)
	}
	return sum
}

func discount(place int) float64 { return 1 / math.Log2(float64(place)+2) }

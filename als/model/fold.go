package model

import (
	"errors"
	"fmt"
	"math"
	"runtime"

	"vitrine/als/internal/solve"
)

// Errors of a fold-in whose input cannot belong to the model.
var (
	// ErrRow reports an item row the model does not have.
	ErrRow = errors.New("item row outside the model")
	// ErrWeight reports a weight that is not a positive finite number.
	ErrWeight = errors.New("weight is not positive and finite")
	// ErrLength reports a destination of another length than the rank, or
	// different numbers of items and weights.
	ErrLength = errors.New("lengths do not fit")
)

// Folder computes the vectors of users from what they did, known to the
// training or not. It solves the very normal equations that the last half of a
// training sweep solves, with the same code, so an unchanged user gets the
// vector one more half-step would give him. It is safe for concurrent use.
type Folder struct {
	items *solve.Fixed
}

// Scratch is the working memory of one fold-in at a time; its zero value is
// ready, and reusing it saves all allocation.
type Scratch struct {
	solve solve.Scratch
}

// NewFolder prepares a model for fold-in. It reads all item factors once, on
// all cores, for the Gram matrix that every fold-in begins with.
func NewFolder(m *Model) *Folder {
	p := m.Params
	return &Folder{solve.NewFixed(solve.Config{
		Rank: m.Rank, Factors: m.Items, Scale: m.ItemScale, Items: true,
		Loss: solve.Loss{
			Explicit: p.Explicit, Biased: p.Biases, Mean: p.Mean,
			Alpha0: p.Alpha0, Lambda: p.Lambda, Nu: p.Nu, BiasLambda: p.BiasLambda,
		},
	}, solve.Workers{N: runtime.GOMAXPROCS(0)})}
}

// FoldIn writes into dst, of the model's rank, the exact vector of a user who
// has weights[j] > 0, in an explicit model the rating weights[j], on item row
// items[j]. The order of the items does not matter beyond rounding; no items
// give the zero vector, with biases that of a user without bias.
func (f *Folder) FoldIn(dst []float32, items []uint32, weights []float32, s *Scratch) error {
	if len(dst) != f.items.Rank || len(items) != len(weights) {
		return fmt.Errorf("fold in %d items with %d weights into %d numbers: %w", len(items), len(weights), len(dst), ErrLength)
	}
	if err := f.check(items, weights); err != nil {
		return fmt.Errorf("fold in: %w", err)
	}
	if err := f.items.Exact(dst, solve.Row{Cols: items, Weights: weights}, &s.solve); err != nil {
		return fmt.Errorf("fold in %d items: %w", len(items), err)
	}
	return nil
}

// check refuses items and weights that cannot belong to the model.
func (f *Folder) check(items []uint32, weights []float32) error {
	n := uint32(f.items.Len())
	for j, item := range items {
		if item >= n {
			return fmt.Errorf("item row %d of %d: %w", item, n, ErrRow)
		}
		if w := weights[j]; !(w > 0) || w > math.MaxFloat32 {
			return fmt.Errorf("item row %d with weight %g: %w", item, w, ErrWeight)
		}
	}
	return nil
}

package model

import (
	"fmt"

	"vitrine/als/internal/f32"
	"vitrine/als/internal/solve"
)

// Split explains a score: it writes into dst, which is as long as items, what
// each item that the user has adds to his folded-in vector's inner product with
// item row target. It is exact: the shares, and with biases the target's own,
// sum up to that product but for rounding. Input is checked as by FoldIn.
func (f *Folder) Split(dst []float32, items []uint32, weights []float32, target uint32, s *Scratch) error {
	if len(dst) != len(items) || len(items) != len(weights) {
		return fmt.Errorf("split a score over %d items with %d weights into %d numbers: %w", len(items), len(weights), len(dst), ErrLength)
	}
	if err := f.check(items, weights); err != nil {
		return fmt.Errorf("split a score: %w", err)
	}
	if int(target) >= f.items.Len() {
		return fmt.Errorf("split the score of item row %d of %d: %w", target, f.items.Len(), ErrRow)
	}
	if err := f.items.Shares(dst, solve.Row{Cols: items, Weights: weights}, target, &s.solve); err != nil {
		return fmt.Errorf("split a score over %d items: %w", len(items), err)
	}
	return nil
}

// Scores writes into dst the inner product of a vector and each of the given
// item rows, which the model must have.
func (m *Model) Scores(dst, vector []float32, rows []uint32) {
	f32.BestKernels().DotsAt(dst[:len(rows)], m.Items, rows, vector[:m.Rank])
}

package neighbors

import (
	"context"
	"errors"
	"fmt"
	"math"

	"vitrine/als/dataset"
	"vitrine/als/internal/cores"
	"vitrine/als/neighbors/tiles"
)

// Defaults of EASE.
const (
	DefaultEASELambda = 200.0
	DefaultEASEItems  = 10_000
)

// EASEOptions say how EASE is trained. The zero value means the documented
// defaults.
type EASEOptions struct {
	// Lambda is the regularization; 0 is DefaultEASELambda.
	Lambda float64
	// MaxItems refuses larger catalogues, for the work grows with the cube and
	// the memory with the square of the items (MemoryOfEASE); 0 is
	// DefaultEASEItems.
	MaxItems int
	// Top is how many entries per item are kept, those farthest from 0; 0 is
	// DefaultTop.
	Top int
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
}

// ErrTooManyItems reports a catalogue above EASEOptions.MaxItems.
var ErrTooManyItems = errors.New("too many items")

// MemoryOfEASE is how many bytes training needs for a catalogue.
func MemoryOfEASE(items int) int64 {
	side := int64(items+tiles.Side-1) / tiles.Side
	return 4 * tiles.Side * tiles.Side * (side*(side+1)/2 + 2*side)
}

// EASE trains the linear autoencoder of Steck (2019) on the users x items
// matrix X: with P = (X'X + Lambda I)^-1 the score of j for a history is the
// sum over its items i of
//
//	B_ij = -P_ij / P_jj
//
// which row i of the table lists. Scores may be negative. Answer it with a
// Lookup of decay 1 for the model of the paper, below 1 for ordered histories.
func EASE(ctx context.Context, data *dataset.CSR, opt EASEOptions) (*Table, error) {
	setDefault(&opt.Lambda, DefaultEASELambda)
	setDefault(&opt.MaxItems, DefaultEASEItems)
	if !(opt.Lambda > 0) || math.IsInf(opt.Lambda, 0) || opt.Top < 0 || opt.Workers < 0 {
		return nil, fmt.Errorf("train ease: number out of range in %+v", opt)
	}
	if data == nil {
		return nil, errors.New("train ease: no data")
	}
	if data.Cols > opt.MaxItems {
		return nil, fmt.Errorf("train ease: %w: %d, the limit is %d; this many need %.1f GiB", ErrTooManyItems,
			data.Cols, opt.MaxItems, float64(MemoryOfEASE(data.Cols))/(1<<30))
	}
	if err := checkData(ctx, data, opt.Workers); err != nil {
		return nil, stopped(ctx, fmt.Errorf("train ease: %w", err))
	}
	p, err := gramTiles(ctx, data, opt)
	if err == nil {
		err = p.NegateInverse(func(n int, fn func(int)) error { return cores.Each(ctx, opt.Workers, n, fn) })
	}
	if err != nil {
		return nil, stopped(ctx, fmt.Errorf("train ease: %w", err))
	}
	diagonal := make([]float32, data.Cols)
	for i := range diagonal {
		diagonal[i] = -p.At(i, i)
	}
	row := func(item uint32, out *Scores) {
		for j := range diagonal {
			if v := p.At(int(item), j) / diagonal[j]; v != 0 {
				out.Add(uint32(j), v)
			}
		}
	}
	return rowsOf{
		items: data.Cols, top: opt.Top, workers: opt.Workers, absolute: true,
		row: row,
	}.build(ctx)
}

// gramTiles computes X'X + Lambda I.
func gramTiles(ctx context.Context, users *dataset.CSR, opt EASEOptions) (*tiles.Matrix, error) {
	items, err := users.TransposeWith(ctx, opt.Workers)
	if err != nil {
		return nil, err
	}
	g := tiles.New(users.Cols)
	row := func(i int) {
		cols, weights := items.Row(i)
		for n, u := range cols {
			others, values := users.Row(int(u))
			for m, j := range others {
				if int(j)/tiles.Side >= i/tiles.Side { // both halves of a tile on the diagonal
					*g.Cell(i, int(j)) += weights[n] * values[m]
				}
			}
		}
		*g.Cell(i, i) += float32(opt.Lambda)
	}
	return g, cores.Each(ctx, opt.Workers, (users.Cols+unitRows-1)/unitRows, func(n int) {
		for i := n * unitRows; i < min((n+1)*unitRows, users.Cols); i++ {
			row(i)
		}
	})
}

// Package live is the version that serves, as a training can use it: a start for
// the next fit, and what the gate holds the next model against.
//
// It owns the way of a bundle's evaluated factors into the rows of another
// window, and how they would answer there. It may import als/model,
// als/dataset, signal and registry; it must not know the archive or how a model
// is trained.
package live

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
)

// Version holds the factors that have not seen what either model is judged on,
// never the published ones.
type Version struct {
	// Name is the version.
	Name string
	// Measure is what the weights say that it was trained on.
	Measure signal.Measure
	// Model has the window's rows; those that it does not know are zero.
	Model *model.Model
}

// Load reads a bundle and maps it by id onto the rows of a window. The reason
// says why there is nothing to use, for the report: a bundle that is damaged
// must not keep a new model from taking its place.
func Load(path string, userIDs, itemIDs []string) (v *Version, reason string) {
	if path == "" {
		return nil, "no live version"
	}
	b, err := registry.Load(path)
	if err != nil {
		return nil, fmt.Sprintf("the live version cannot be read: %v", err)
	}
	if b.Evaluated == nil {
		return nil, fmt.Sprintf("%s holds no evaluated factors", b.Version)
	}
	measure := signal.Measure(b.Measure)
	if measure == "" {
		measure = signal.Confidence
	}
	e := b.Evaluated
	m := &model.Model{Rank: e.Rank, NumUsers: len(userIDs), NumItems: len(itemIDs), Params: e.Params}
	m.Users = mapRows(userIDs, b.UserIDs[:e.NumUsers], e.Users, e.Rank)
	m.Items = mapRows(itemIDs, b.ItemIDs[:e.NumItems], e.Items, e.Rank)
	m.ItemScale = mapRows(itemIDs, b.ItemIDs[:e.NumItems], e.ItemScale, 1)
	return &Version{Name: b.Version, Measure: measure, Model: m}, ""
}

// mapRows brings rows of one order of ids into another's; rows of ids that it
// does not know are zero.
func mapRows(to, from []string, rows []float32, columns int) []float32 {
	at := make(map[string]int, len(from))
	for row, id := range from {
		at[id] = row
	}
	out := make([]float32, len(to)*columns)
	for row, id := range to {
		if n, ok := at[id]; ok {
			copy(out[row*columns:(row+1)*columns], rows[n*columns:(n+1)*columns])
		}
	}
	return out
}

// OtherThan says what of a new model makes this one no start for it; "" is
// nothing.
func (v *Version) OtherThan(measure signal.Measure, columns int, biases bool) string {
	p := v.Model.Params
	switch {
	case v.Measure != measure:
		return fmt.Sprintf("%s was trained on %s", v.Name, v.Measure)
	case p.Explicit != (measure != signal.Confidence) || p.Biases != biases:
		return v.Name + " is of another loss"
	case v.Model.Rank != columns:
		return fmt.Sprintf("%s has rows of %d numbers, not %d", v.Name, v.Model.Rank, columns)
	}
	return ""
}

// Served is the model with the users' vectors as the appliance would answer
// them if it stayed live: folded in from what they did in the older part. Only
// the rows of users that are judged are filled.
func (v *Version) Served(ctx context.Context, train, targets *dataset.CSR) (*model.Model, error) {
	out := *v.Model
	out.Users = make([]float32, out.NumUsers*out.Rank)
	folder := model.NewFolder(&out)
	var next atomic.Int64
	var wg sync.WaitGroup
	faults := make([]error, runtime.GOMAXPROCS(0))
	for n := range faults {
		wg.Go(func() {
			f := folding{folder: folder, model: &out, train: train}
			for faults[n] == nil && ctx.Err() == nil {
				hi := int(next.Add(foldRows))
				if hi-foldRows >= targets.Rows {
					return
				}
				for u := hi - foldRows; u < min(hi, targets.Rows) && faults[n] == nil; u++ {
					if cols, _ := targets.Row(u); len(cols) > 0 {
						faults[n] = f.fold(u)
					}
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("fold in to %s: %w", v.Name, err)
	}
	return &out, nil
}

// foldRows is how many rows a goroutine takes at a time.
const foldRows = 256

// folding is one goroutine's memory.
type folding struct {
	folder  *model.Folder
	model   *model.Model
	train   *dataset.CSR
	scratch model.Scratch
	items   []uint32
	weights []float32
}

// fold fills a user's row from the items that the model knows. One who has none
// of them keeps a zero row: popular items answer him.
func (f *folding) fold(user int) error {
	f.items, f.weights = f.items[:0], f.weights[:0]
	cols, values := f.train.Row(user)
	for n, item := range cols {
		if f.model.ItemScale[item] > 0 {
			f.items, f.weights = append(f.items, item), append(f.weights, values[n])
		}
	}
	if len(f.items) == 0 {
		return nil
	}
	rank := f.model.Rank
	if err := f.folder.FoldIn(f.model.Users[user*rank:(user+1)*rank], f.items, f.weights, &f.scratch); err != nil {
		return fmt.Errorf("user row %d: %w", user, err)
	}
	return nil
}

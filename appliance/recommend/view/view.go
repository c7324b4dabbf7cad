// Package view makes a model ready to answer requests: its items in scan order,
// fold-in with the vectors that were solved for last, the sources beside it, which
// rows pass a filter or are expired, and new items that it does not know.
//
// It owns what is remembered of a live model between requests, and knows nothing
// of a request: that is vitrine/appliance/recommend, which holds one View at a
// time and swaps it for the next.
//
//	v, err := view.New(view.Spec{Version: "v1", Model: m, Codes: codes})
//	err = v.FoldIn(vector, rows, weights, &scratch)
//	hits = v.Index.Search(vector, 20, v.Expired(shelf, now, false), hits, &search)
package view

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
	"vitrine/als/topk"
)

// Shelf says what may be shown.
type Shelf interface {
	// Expired says whether an item must not be shown at now (Unix ms).
	Expired(item uint32, now int64) bool
}

// Spec is what a View is made of.
type Spec struct {
	Version string
	Created time.Time
	// Reference is the time of the newest training event in Unix milliseconds:
	// histories are weighed as of then, as they were in training.
	Reference int64
	Model     *model.Model
	// Codes is the catalogue's code of every item row.
	Codes []uint32
	// Sources stand beside Model; nil where it answers alone.
	Sources *tables.Set
	// Weights take the place of those that come with Sources; nil keeps them.
	Weights tables.Weights
	// New is what the new item that suits a visitor best weighs beside them; nil
	// gives new items their share of the places.
	New *float32
}

// View is a model made ready to answer. Its exported fields never change; what
// it remembers beside them does, and it is safe for concurrent use.
type View struct {
	// Version, Created and Reference are those of the Spec.
	Version   string
	Created   time.Time
	Reference int64
	// Model has the factors, and Index its items in the order of scans.
	Model *model.Model
	Index *topk.Index
	// Blends are the mixes with the sources beside the factors.
	Blends Blends
	// Codes is the code of every row.
	Codes []uint32
	// New is what the best of the new items weighs; nil gives them their share of
	// the places.
	New *float32

	rows      []uint32  // row+1 by code, 0 for an item the model does not know
	lengths   []float32 // of the items' factors, by row
	folder    *model.Folder
	folds     folds
	passing   passing
	groupings recent[Groups]
	lifts     recent[lift]
	tail      tail

	scan   sync.Mutex // one look at all expiries at a time
	hidden atomic.Pointer[hidden]
}

// hidden are the rows that had expired at a time.
type hidden struct {
	at   int64 // Unix milliseconds
	rows topk.Mask
}

// hiddenFor is how long, in milliseconds, a look at the expiry of every row is
// good for. It takes about half a millisecond for 100k items. What expires
// meanwhile is still dropped, for each candidate is asked for; only an item
// whose expiry is moved into the future may be missing for so long.
const hiddenFor = 1000

// New prepares a model. It takes a moment, so it is done before the view goes live.
func New(spec Spec) (*View, error) {
	m := spec.Model
	if len(spec.Codes) != m.NumItems {
		return nil, fmt.Errorf("view model %s: %d codes for %d items", spec.Version, len(spec.Codes), m.NumItems)
	}
	top := 0
	for _, code := range spec.Codes {
		top = max(top, int(code)+1)
	}
	v := &View{
		Version: spec.Version, Created: spec.Created, Reference: spec.Reference,
		Model: m, Codes: spec.Codes, New: spec.New, rows: make([]uint32, top),
	}
	for row, code := range spec.Codes {
		if v.rows[code] != 0 {
			return nil, fmt.Errorf("view model %s: rows %d and %d are the same item", spec.Version, v.rows[code]-1, row)
		}
		v.rows[code] = uint32(row) + 1
	}
	v.lengths = neighbors.Norms(m)
	v.folder = model.NewFolder(m)
	v.Index = topk.New(m.Items, m.NumItems, m.Rank)
	var err error
	if v.Blends, err = v.blends(spec.Sources, spec.Weights); err != nil {
		return nil, fmt.Errorf("view model %s: %w", spec.Version, err)
	}
	return v, nil
}

// Row is the row of an item, if the model knows it.
func (v *View) Row(code uint32) (uint32, bool) {
	if int(code) >= len(v.rows) || v.rows[code] == 0 {
		return 0, false
	}
	return v.rows[code] - 1, true
}

// Expired returns a mask of the rows that are expired at now: one that is at
// most hiddenFor old, or as of now when fresh is true. It must not be
// changed.
func (v *View) Expired(shelf Shelf, now int64, fresh bool) *topk.Mask {
	good := func(h *hidden) bool {
		if h == nil || fresh {
			return h != nil && h.at >= now
		}
		age := now - h.at
		return -hiddenFor < age && age < hiddenFor
	}
	old := v.hidden.Load()
	if !fresh && good(old) {
		return &old.rows
	}
	if old == nil || fresh {
		v.scan.Lock()
	} else if !v.scan.TryLock() {
		return &old.rows // somebody is at it
	}
	defer v.scan.Unlock()
	// Made while we waited? When fresh, old itself was not good enough.
	if h := v.hidden.Load(); h != old && good(h) {
		return &h.rows
	}
	h := &hidden{at: now}
	h.rows.Reset(v.Index)
	for row, code := range v.Codes {
		if shelf.Expired(code, now) {
			h.rows.Hide(uint32(row))
		}
	}
	v.hidden.Store(h)
	return &h.rows
}

// Cosines implements rules.Likeness by the directions of the items' factors.
func (v *View) Cosines(item uint32, others []uint32, dst []float32) {
	clear(dst[:len(others)])
	row, ok := v.Row(item)
	if !ok || v.lengths[row] == 0 {
		return
	}
	rank := v.Model.Rank
	vector := v.Model.Items[int(row)*rank : int(row+1)*rank]
	// A few at a time, so that their rows need no memory of their own.
	var rows, places [64]uint32
	var dots [64]float32
	n := 0
	flush := func() {
		v.Model.Scores(dots[:n], vector, rows[:n])
		for k, place := range places[:n] {
			dst[place] = dots[k] / (v.lengths[row] * v.lengths[rows[k]])
		}
		n = 0
	}
	for j, other := range others {
		if r, ok := v.Row(other); ok && v.lengths[r] > 0 {
			rows[n], places[n] = r, uint32(j)
			if n++; n == len(rows) {
				flush()
			}
		}
	}
	flush()
}

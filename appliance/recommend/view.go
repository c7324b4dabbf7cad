package recommend

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/als/model"
	"vitrine/als/neighbors/tables"
	"vitrine/als/topk"
)

// ModelSpec is what a View is made of.
type ModelSpec struct {
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

// View is a model made ready to answer: its fold-in, its search order and the
// way between rows and codes. It never changes but for what it remembers of
// expiry, and is safe for concurrent use.
type View struct {
	version   string
	created   time.Time
	reference int64
	rank      int
	model     *model.Model
	lengths   []float32 // of the items' factors, by row
	folder    *model.Folder
	folds     folds
	index     *topk.Index
	blends    blends
	codes     []uint32 // by row
	rows      []uint32 // row+1 by code, 0 for an item the model does not know

	scan   sync.Mutex // one look at all expiries at a time
	hidden atomic.Pointer[hidden]

	passing passing
	tail    tail
	fresh   *float32 // ModelSpec.New
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

// NewView prepares a model. It takes a moment, so it is done before Swap.
func NewView(spec ModelSpec) (*View, error) {
	m := spec.Model
	if len(spec.Codes) != m.NumItems {
		return nil, fmt.Errorf("view model %s: %d codes for %d items", spec.Version, len(spec.Codes), m.NumItems)
	}
	top := 0
	for _, code := range spec.Codes {
		top = max(top, int(code)+1)
	}
	v := &View{
		version: spec.Version, created: spec.Created, reference: spec.Reference,
		rank: m.Rank, codes: spec.Codes, rows: make([]uint32, top),
	}
	for row, code := range spec.Codes {
		if v.rows[code] != 0 {
			return nil, fmt.Errorf("view model %s: rows %d and %d are the same item", spec.Version, v.rows[code]-1, row)
		}
		v.rows[code] = uint32(row) + 1
	}
	v.model, v.lengths, v.fresh = m, lengths(m), spec.New
	v.folder = model.NewFolder(m)
	v.index = topk.New(m.Items, m.NumItems, m.Rank)
	var err error
	if v.blends, err = newBlends(spec.Sources, spec.Weights, v.index, m); err != nil {
		return nil, fmt.Errorf("view model %s: %w", spec.Version, err)
	}
	return v, nil
}

// lengths are the norms of the items' factors.
func lengths(m *model.Model) []float32 {
	out := make([]float32, m.NumItems)
	for row := range out {
		factors := m.Items[row*m.Rank : (row+1)*m.Rank]
		m.Scores(out[row:row+1], factors, []uint32{uint32(row)})
		out[row] = float32(math.Sqrt(float64(out[row])))
	}
	return out
}

// row is the row of an item, if the model knows it.
func (v *View) row(code uint32) (uint32, bool) {
	if int(code) >= len(v.rows) || v.rows[code] == 0 {
		return 0, false
	}
	return v.rows[code] - 1, true
}

// expired returns a mask of the rows that are expired at now: one that is at
// most hiddenFor old, or as of now when fresh is true. It must not be
// changed.
func (v *View) expired(shelf Shelf, now int64, fresh bool) *topk.Mask {
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
	h.rows.Reset(v.index)
	for row, code := range v.codes {
		if shelf.Expired(code, now) {
			h.rows.Hide(uint32(row))
		}
	}
	v.hidden.Store(h)
	return &h.rows
}

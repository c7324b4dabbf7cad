package catalog

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/frame"
	"vitrine/bridge/event"
	"vitrine/internal/expr"
)

// maxFilters bounds the filters that are remembered with the items that pass
// them: 32 MB for a million items. The one not used for longest is forgotten.
const maxFilters = 256

// ItemID is the name by which filters know an item's id, unless an attribute
// has that name.
const ItemID = "item_id"

// filters are those that were asked for lately, by text.
type filters struct {
	mu     sync.RWMutex
	byText map[string]*filter
	given  uint64 // identities
	clock  atomic.Uint64
}

// filter is a compiled filter and which items passed it last.
type filter struct {
	catalog *Catalog
	id      uint64
	program *expr.Program
	used    atomic.Uint64 // the clock when it was asked for
	last    atomic.Pointer[selected]

	busy    chan struct{} // has room for the one who brings it up to date
	changed []uint32
	look    *look // at all items, under way; nil for none
}

func newFilter(c *Catalog, program *expr.Program) *filter {
	return &filter{catalog: c, program: program, busy: make(chan struct{}, 1)}
}

// selected is a selection and what it holds for.
type selected struct {
	changes uint64
	items   int
	frame.Selection
}

// Filter compiles a filter over item attributes, or remembers it. A fault in
// the text is an *expr.SyntaxError.
func (c *Catalog) Filter(text string) (frame.Filter, error) {
	f, err := c.filters.get(c, text)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (fs *filters) get(c *Catalog, text string) (*filter, error) {
	fs.mu.RLock()
	f := fs.byText[text]
	fs.mu.RUnlock()
	if f == nil {
		program, err := expr.Compile(text)
		if err != nil {
			return nil, err
		}
		f = fs.add(text, newFilter(c, program))
	}
	f.used.Store(fs.clock.Add(1))
	return f, nil
}

func (fs *filters) add(text string, f *filter) *filter {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if known := fs.byText[text]; known != nil {
		return known
	}
	if fs.byText == nil {
		fs.byText = map[string]*filter{}
	}
	if len(fs.byText) >= maxFilters {
		oldest, at := "", uint64(math.MaxUint64)
		for text, f := range fs.byText {
			if used := f.used.Load(); used < at {
				oldest, at = text, used
			}
		}
		delete(fs.byText, oldest)
	}
	fs.given++
	f.id = fs.given
	fs.byText[text] = f
	return f
}

// Selection implements frame.Filter. When items have changed since the last
// call it looks at these alone; the first call looks at all.
func (f *filter) Selection() *frame.Selection {
	if !f.current() {
		f.busy <- struct{}{}
		f.refresh(time.Time{})
		<-f.busy
	}
	return &f.last.Load().Selection
}

// Ready implements frame.Filter.
func (f *filter) Ready(by time.Time) bool {
	if f.current() {
		return true
	}
	if by.IsZero() {
		f.Selection()
		return true
	}
	select {
	case f.busy <- struct{}{}:
	default:
		timer := time.NewTimer(time.Until(by))
		defer timer.Stop()
		select {
		case f.busy <- struct{}{}:
		case <-timer.C:
			return false
		}
	}
	defer func() { <-f.busy }()
	return f.refresh(by)
}

// current tells whether nothing has changed since the last selection.
func (f *filter) current() bool {
	s := f.last.Load()
	return s != nil && s.changes == f.catalog.changes.n.Load() && s.items == f.catalog.NumItems()
}

// refresh brings the selection up to date, as far as it gets by a time.
func (f *filter) refresh(by time.Time) bool {
	c, old, items := f.catalog, f.last.Load(), f.catalog.NumItems()
	if old != nil && f.look == nil {
		changed, n, known := c.changes.since(old.changes, f.changed[:0])
		f.changed = changed
		if known && len(changed)+items-old.items <= items/8+64 {
			f.last.Store(&selected{changes: n, items: items, Selection: f.amend(old, changed, items)})
			return true
		}
	}
	if f.look == nil {
		f.look = newLook(f, items)
	}
	if !f.look.on(by) {
		return false
	}
	f.last.Store(&selected{changes: f.look.changes, items: f.look.items, Selection: frame.Selection{Filter: f.id, Words: f.look.words}})
	f.look = nil
	return true
}

// Unknown are the names in the filter that no item has as an attribute now: most
// likely they are misspelt.
func (f *filter) Unknown() (names []string) {
	for slot, name := range f.program.Names() {
		if col, whole := f.columnOf(slot); col == nil && whole {
			names = append(names, name)
		}
	}
	return names
}

// columnOf is the column of a slot, nil where no item has the attribute, and
// whether it holds every value.
func (f *filter) columnOf(slot int) (col *column, whole bool) {
	columns, name := &f.catalog.ofItems.columns, f.program.Names()[slot]
	col = columns.find(name)
	if col == nil {
		return nil, name != ItemID && columns.crowded.Load() == 0
	}
	return col, name != ItemID && !col.partial.Load()
}

// amend is the old selection with the changed and the new items looked at
// again: the same words where nothing came of it.
func (f *filter) amend(old *selected, changed []uint32, items int) frame.Selection {
	words, own := old.Words, false
	if size := (items + 63) / 64; size > len(words) {
		words, own = append(slices.Clone(words), make([]uint64, size-len(words))...), true
	}
	look := func(code uint32) {
		bit := uint64(1) << (code % 64)
		if pass := f.passes(code); pass == (words[code/64]&bit != 0) {
			return
		}
		if !own {
			words, own = slices.Clone(words), true
		}
		words[code/64] ^= bit
	}
	for _, code := range changed {
		if int(code) < items {
			look(code)
		}
	}
	for code := old.items; code < items; code++ {
		look(uint32(code))
	}
	return frame.Selection{Filter: f.id, Words: words}
}

// passes looks at one item's attributes.
func (f *filter) passes(code uint32) bool {
	it := f.catalog.ofItems.get(code)
	return f.program.Eval(func(slot int) expr.Value { return f.value(it, code, slot) })
}

// value is an item's value of a slot.
func (f *filter) value(it *entry, code uint32, slot int) expr.Value {
	name := f.program.Names()[slot]
	if it != nil {
		if v, ok := it.attributes.find(name); ok {
			return valueOf(&v)
		}
	}
	if name == ItemID {
		return expr.Value{Kind: expr.String, Str: f.catalog.ItemID(code)}
	}
	return expr.Value{}
}

func valueOf(v *event.Value) expr.Value {
	switch v.Kind {
	case event.String:
		return expr.Value{Kind: expr.String, Str: v.Str}
	case event.Number:
		return expr.Value{Kind: expr.Number, Num: v.Num}
	case event.Bool:
		return expr.Value{Kind: expr.Bool, Bool: v.Bool}
	case event.Set:
		return expr.Value{Kind: expr.Set, Set: v.Set}
	}
	return expr.Value{}
}

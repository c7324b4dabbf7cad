package catalog

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

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
	mu      sync.Mutex    // one brings it up to date at a time
	last    atomic.Pointer[selected]
	changed []uint32
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
		f = fs.add(text, &filter{catalog: c, program: program})
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
	c := f.catalog
	if s := f.last.Load(); s != nil && s.changes == c.changes.n.Load() && s.items == c.NumItems() {
		return &s.Selection
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.last.Load()
	items := c.NumItems()
	if old != nil {
		changed, n, known := c.changes.since(old.changes, f.changed[:0])
		f.changed = changed
		if known && len(changed)+items-old.items <= items/8+64 {
			return f.keep(&selected{changes: n, items: items, Selection: f.amend(old, changed, items)})
		}
	}
	next := &selected{changes: c.changes.n.Load(), items: items}
	next.Filter = f.id
	next.Words = f.program.Bits((items+63)/64, f.column)
	if rest := items % 64; rest != 0 {
		next.Words[len(next.Words)-1] &= 1<<rest - 1
	}
	return f.keep(next)
}

// Unknown are the names in the filter that no item has as an attribute now: most
// likely they are misspelt.
func (f *filter) Unknown() (names []string) {
	columns := &f.catalog.ofItems.columns
	for _, name := range f.program.Names() {
		if name != ItemID && columns.find(name) == nil && columns.crowded.Load() == 0 {
			names = append(names, name)
		}
	}
	return names
}

func (f *filter) keep(s *selected) *frame.Selection {
	f.last.Store(s)
	return &s.Selection
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

// column sets the bits of the items that fulfil a part of the program. A part
// that reads one attribute is answered from its column, once for each
// different text, set or truth value; only where the column does not hold every
// value, or several attributes are compared, are the items looked at one by one.
func (f *filter) column(dst []uint64, part *expr.Part) {
	c, slots := f.catalog, part.Slots()
	if len(slots) == 0 {
		f.each(dst, func(uint32) bool { return part.Test(expr.Value{}) })
		return
	}
	name := f.program.Names()[slots[0]]
	col := c.ofItems.columns.find(name)
	if len(slots) > 1 || name == ItemID || col != nil && col.partial.Load() || col == nil && c.ofItems.columns.crowded.Load() > 0 {
		f.each(dst, func(code uint32) bool {
			it := c.ofItems.get(code)
			return part.Eval(func(slot int) expr.Value { return f.value(it, code, slot) })
		})
		return
	}
	missing := part.Test(expr.Value{})
	if col == nil {
		f.each(dst, func(uint32) bool { return missing })
		return
	}
	switch col.kind {
	case event.Number:
		// Shops have few different prices: a small cache spares most tests.
		var cache [256]struct{ bits, verdict uint64 }
		f.each(dst, func(code uint32) bool {
			v := col.number(code)
			if v != v {
				return missing
			}
			bits := math.Float64bits(v)
			slot := &cache[bits*0x9e3779b97f4a7c15>>56]
			if slot.bits != bits || slot.verdict == 0 {
				slot.bits, slot.verdict = bits, 1
				if part.Test(expr.Value{Kind: expr.Number, Num: v}) {
					slot.verdict = 2
				}
			}
			return slot.verdict == 2
		})
	case event.Bool:
		no, yes := part.Test(expr.Value{Kind: expr.Bool}), part.Test(expr.Value{Kind: expr.Bool, Bool: true})
		f.each(dst, func(code uint32) bool {
			switch col.at(code) {
			case absentNumber:
				return missing
			case 0:
				return no
			}
			return yes
		})
	case event.Set:
		sets := c.sets.all()
		f.coded(dst, col, missing, len(sets), func(at int) bool { return part.Test(expr.Value{Kind: expr.Set, Set: sets[at]}) })
	default:
		texts := c.texts.all()
		f.coded(dst, col, missing, len(texts), func(at int) bool { return part.Test(expr.Value{Kind: expr.String, Str: texts[at]}) })
	}
}

// coded answers for a column of dictionary codes, asking once for each code.
// Codes that came after the dictionary was looked at belong to items that have
// changed, which are looked at again.
func (f *filter) coded(dst []uint64, col *column, missing bool, known int, test func(at int) bool) {
	const unknown, no, yes = 0, 1, 2
	verdicts := make([]uint8, known)
	f.each(dst, func(code uint32) bool {
		at := int(col.at(code)) - 1
		if at < 0 || at >= known {
			return missing
		}
		if verdicts[at] == unknown {
			verdicts[at] = no
			if test(at) {
				verdicts[at] = yes
			}
		}
		return verdicts[at] == yes
	})
}

// each sets the bits of the items that pass.
func (*filter) each(dst []uint64, pass func(code uint32) bool) {
	for w := range dst {
		var bits uint64
		for b := range uint32(64) {
			if pass(uint32(w)*64 + b) {
				bits |= 1 << b
			}
		}
		dst[w] = bits
	}
}

package catalog

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"vitrine/appliance/frame"
	"vitrine/bridge/event"
)

// Bounds of the columns of one scope. What lies beyond them is absent for
// those who read columns, and counted in ColumnStats; the attributes
// themselves stay whole.
const (
	maxColumns = 256
	// maxTexts is the most different texts that one column brings into the
	// dictionary. Codes are never taken back: a text that no item has any more
	// keeps its own.
	maxTexts = 1 << 20
	// maxTextBytes keeps descriptions out of the dictionaries, which would
	// hold every wording that there ever was.
	maxTextBytes = 256
)

// ColumnStats counts the columns of one scope, and the attribute values that
// came by and could not be put into one.
type ColumnStats struct {
	Columns int
	// Crowded values have a name for which there was no column left.
	Crowded uint64
	// Mistyped values are of another type than the first of their name.
	Mistyped uint64
	// Unlisted texts are too long, or came when the dictionary was full.
	Unlisted uint64
}

// Column implements frame.Columns. The type of an attribute's first value,
// in the order of the log, is the column's for good: values of another type
// are absent in it. Columns of sets are for filters alone: Column has none.
func (c *Catalog) Column(scope frame.Scope, name string) frame.Column {
	if col := c.scope(scope).columns.find(name); col != nil && col.kind != event.Set {
		return col
	}
	return nil
}

// Code implements frame.Columns. Codes hold until the process ends; the next
// one may give others.
func (c *Catalog) Code(scope frame.Scope, name, text string) uint32 {
	if col := c.scope(scope).columns.find(name); col != nil && col.kind == event.String {
		return c.texts.code(text)
	}
	return 0
}

// ColumnStats tells how the columns of a scope fill up.
func (c *Catalog) ColumnStats(scope frame.Scope) ColumnStats {
	cs := &c.scope(scope).columns
	return ColumnStats{
		Columns: len(cs.load()), Crowded: cs.crowded.Load(),
		Mistyped: cs.mistyped.Load(), Unlisted: cs.unlisted.Load(),
	}
}

// scope is what is known of items or of users.
func (c *Catalog) scope(scope frame.Scope) *attributes {
	if scope == frame.UserScope {
		return &c.ofUsers
	}
	return &c.ofItems
}

// columns are the typed columns of one scope. There is one writer, readers
// take no lock: the map is replaced whole when a column is added.
type columns struct {
	byName                      atomic.Pointer[map[string]*column]
	texts                       *dictionary
	sets                        *setDictionary
	most, mostTexts             int
	crowded, mistyped, unlisted atomic.Uint64
}

func (cs *columns) load() map[string]*column {
	if m := cs.byName.Load(); m != nil {
		return *m
	}
	return nil
}

func (cs *columns) find(name string) *column { return cs.load()[name] }

// update turns the values of a code from those of before to those of after;
// both are sorted by name. Of their texts it keeps copies.
func (cs *columns) update(code uint32, before, after []event.Attribute) {
	for len(before) > 0 || len(after) > 0 {
		if len(after) == 0 || len(before) > 0 && before[0].Name < after[0].Name {
			if col := cs.find(before[0].Name); col != nil {
				col.store(code, col.absent)
				col.storeWide(code, absentWide)
			}
			before = before[1:]
			continue
		}
		same := false
		if len(before) > 0 && before[0].Name == after[0].Name {
			same = sameScalar(&before[0].Value, &after[0].Value)
			before = before[1:]
		}
		if !same {
			cs.set(code, &after[0])
		}
		after = after[1:]
	}
}

// sameScalar tells whether a column need not hear of a change from a to b.
func sameScalar(a, b *event.Value) bool {
	return a.Kind == b.Kind && a.Str == b.Str && a.Num == b.Num && a.Bool == b.Bool && slices.Equal(a.Set, b.Set)
}

func (cs *columns) set(code uint32, at *event.Attribute) {
	col := cs.find(at.Name)
	if col == nil {
		if col = cs.add(at.Name, at.Value.Kind); col == nil {
			return
		}
	}
	bits, wide := col.absent, absentWide
	switch v := &at.Value; {
	case v.Kind != col.kind:
		col.partial.Store(true)
		cs.mistyped.Add(1)
	case v.Kind == event.Number:
		bits, wide = floatBits(v.Num), math.Float64bits(v.Num)
	case v.Kind == event.Set:
		if bits = cs.setCode(col, v.Set); bits == 0 {
			col.partial.Store(true)
			cs.unlisted.Add(1)
		}
	case v.Kind == event.Bool:
		if bits = floatBits(0); v.Bool {
			bits = floatBits(1)
		}
	default:
		if bits = cs.text(col, v.Str); bits == 0 {
			col.partial.Store(true)
			cs.unlisted.Add(1)
		}
	}
	col.store(code, bits)
	col.storeWide(code, wide)
}

// setCode is text for a set.
func (cs *columns) setCode(col *column, set []string) uint32 {
	if code := cs.sets.code(set); code != 0 {
		return code
	}
	if col.brought >= cs.mostTexts {
		return 0
	}
	col.brought++
	own := make([]string, len(set))
	for i, member := range set {
		own[i] = strings.Clone(member)
	}
	return cs.sets.add(own)
}

// text is the code of a text in a column, 0 when it gets none: it is too long,
// or new and the column has brought its share of texts.
func (cs *columns) text(col *column, text string) uint32 {
	if code := cs.texts.code(text); code != 0 {
		return code
	}
	if len(text) > maxTextBytes || col.brought >= cs.mostTexts {
		return 0
	}
	col.brought++
	return cs.texts.add(strings.Clone(text))
}

// add makes a column, unless there are too many or the kind has none.
func (cs *columns) add(name string, kind event.ValueKind) *column {
	col := &column{kind: kind}
	switch kind {
	case event.Number, event.Bool:
		col.absent = frame.NoNumber
	case event.String, event.Set:
	default:
		return nil
	}
	old := cs.load()
	if len(old) >= cs.most {
		cs.crowded.Add(1)
		return nil
	}
	byName := make(map[string]*column, len(old)+1)
	for n, c := range old {
		byName[n] = c
	}
	byName[strings.Clone(name)] = col
	cs.byName.Store(&byName)
	return col
}

// floatBits are those of the nearest float32; what is too large becomes the
// largest one, because a plugin can do nothing with an infinity.
func floatBits(v float64) uint32 {
	return math.Float32bits(float32(max(-math.MaxFloat32, min(v, math.MaxFloat32))))
}

// absentWide is frame.NoNumber as a float64.
const absentWide = uint64(0x7ff8000000000000)

const (
	// columnBits makes chunks of 4 KiB: few items have a rare attribute, and a
	// chunk in which no item has it is not made.
	columnBits = 10
	columnSize = 1 << columnBits
)

// column is one attribute by code. Values are read without a lock while the
// one writer changes them and adds chunks.
type column struct {
	kind event.ValueKind
	// absent are the bits of no value. Chunks hold the value's bits XOR these,
	// so that a fresh one is absent all over.
	absent uint32
	chunks atomic.Pointer[[]atomic.Pointer[columnChunk]]
	// wide are the numbers as float64, which filters compare; as XOR with
	// absentWide.
	wide chunked[atomic.Uint64]
	// partial is set for good once a value could not be put into the column.
	partial atomic.Bool
	// brought counts the texts that this column was the first to have; it
	// belongs to the writer.
	brought int
}

type columnChunk [columnSize]atomic.Uint32

// Kind implements frame.Column.
func (c *column) Kind() frame.Kind {
	if c.kind == event.String {
		return frame.Text
	}
	return frame.Number
}

// Gather implements frame.Column. A code beyond all, such as frame.NoUser,
// has no value.
func (c *column) Gather(dst, codes []uint32) {
	dst = dst[:len(codes)]
	absent, chunks := c.absent, c.load()
	for j, code := range codes {
		v := absent
		if at := code >> columnBits; uint64(at) < uint64(len(chunks)) {
			if chunk := chunks[at].Load(); chunk != nil {
				v ^= chunk[code%columnSize].Load()
			}
		}
		dst[j] = v
	}
}

func (c *column) load() []atomic.Pointer[columnChunk] {
	if p := c.chunks.Load(); p != nil {
		return *p
	}
	return nil
}

// store sets the value of a code. One writer at a time.
func (c *column) store(code, bits uint32) {
	at, chunks := int(code>>columnBits), c.load()
	if at >= len(chunks) || chunks[at].Load() == nil {
		if bits == c.absent {
			return
		}
		chunks = c.grow(at)
	}
	chunks[at].Load()[code%columnSize].Store(bits ^ c.absent)
}

// storeWide sets the float64 of a code in a column of numbers.
func (c *column) storeWide(code uint32, bits uint64) {
	if c.kind != event.Number {
		return
	}
	if c.wide.at(code) == nil && bits == absentWide {
		return
	}
	c.wide.grow(code).Store(bits ^ absentWide)
}

// number is the float64 of a code, NaN where there is none.
func (c *column) number(code uint32) float64 {
	if v := c.wide.at(code); v != nil {
		return math.Float64frombits(v.Load() ^ absentWide)
	}
	return math.NaN()
}

// at are the raw bits of a code.
func (c *column) at(code uint32) uint32 {
	chunks := c.load()
	if at := code >> columnBits; uint64(at) < uint64(len(chunks)) {
		if chunk := chunks[at].Load(); chunk != nil {
			return chunk[code%columnSize].Load() ^ c.absent
		}
	}
	return c.absent
}

// grow makes the chunk at a place. The list of chunks doubles, so that adding
// them one by one copies little.
func (c *column) grow(at int) []atomic.Pointer[columnChunk] {
	chunks := c.load()
	if at >= len(chunks) {
		wider := make([]atomic.Pointer[columnChunk], max(at+1, 2*len(chunks)))
		for j := range chunks {
			wider[j].Store(chunks[j].Load())
		}
		c.chunks.Store(&wider)
		chunks = wider
	}
	chunks[at].Store(new(columnChunk))
	return chunks
}

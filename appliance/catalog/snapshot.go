package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/internal/fields"
)

// Frozen is a catalog as it was at one moment, to be written while the catalog
// goes on: what is known of an item is replaced whole and never changed, so
// copying pointers is enough.
type Frozen struct {
	catalog          *Catalog
	items, users     uint32
	ofItems, ofUsers frozenAttributes
	erased           map[uint32]int64
	// nameless are users of whom a copy must not hold the id.
	nameless map[uint32]bool
	latest   []uint32
	listed   []int64
}

type frozenAttributes struct {
	entries []*entry // by code
	columns map[string]*column
}

// Freeze takes the state of now, in the time of copying a pointer for every item
// and user of whom something was put (2 ms for a million). It belongs to the
// goroutine that applies changes. Of a user who was erased, and of whom nothing
// was put since, the id is left out where forget says so of his code, id and the
// time; his code stays taken.
func (c *Catalog) Freeze(forget func(user uint32, id string, at int64) bool) *Frozen {
	f := &Frozen{
		catalog: c, items: c.items.n.Load(), users: c.users.n.Load(),
		ofItems: c.ofItems.freeze(), ofUsers: c.ofUsers.freeze(),
	}
	c.erased.mu.Lock()
	f.erased, f.nameless = map[uint32]int64{}, map[uint32]bool{}
	for code, at := range c.erased.times {
		if it := c.ofUsers.get(code); it != nil && it.gone && forget(code, c.users.id(code), at) {
			f.nameless[code] = true
		} else {
			f.erased[code] = at
		}
	}
	c.erased.mu.Unlock()
	for code := range f.nameless {
		if int(code) < len(f.ofUsers.entries) {
			f.ofUsers.entries[code] = nil
		}
	}
	c.latest.mu.RLock()
	f.latest, f.listed = slices.Clone(c.latest.items), slices.Clone(c.latest.times)
	c.latest.mu.RUnlock()
	return f
}

// Items is how many codes of items there were.
func (f *Frozen) Items() int { return int(f.items) }

// Users is how many codes of users there were.
func (f *Frozen) Users() int { return int(f.users) }

func (a *attributes) freeze() frozenAttributes {
	f := frozenAttributes{columns: a.columns.load()}
	dir := a.known.dir.Load()
	if dir == nil {
		return f
	}
	f.entries = make([]*entry, 0, len(*dir)*chunkSize)
	for _, chunk := range *dir {
		for i := range chunk {
			f.entries = append(f.entries, chunk[i].Load())
		}
	}
	return f
}

// The kinds of blocks, their first byte. What is known of items and users comes
// behind their ids and columns.
const (
	blockItemIDs     = 1
	blockUserIDs     = 2
	blockItemColumns = 3
	blockUserColumns = 4
	blockItems       = 5
	blockUsers       = 6
	blockErased      = 7
	blockLatest      = 8
)

// blockSize is about how long a block is.
const blockSize = 256 << 10

// Write hands the state out as blocks for Restore, each valid until emit
// returns.
func (f *Frozen) Write(emit func(block []byte) error) error {
	for _, step := range []func(func([]byte) error) error{
		func(emit func([]byte) error) error { return f.catalog.items.write(blockItemIDs, f.items, nil, emit) },
		func(emit func([]byte) error) error {
			return f.catalog.users.write(blockUserIDs, f.users, f.nameless, emit)
		},
		func(emit func([]byte) error) error { return f.ofItems.writeColumns(blockItemColumns, emit) },
		func(emit func([]byte) error) error { return f.ofUsers.writeColumns(blockUserColumns, emit) },
		func(emit func([]byte) error) error { return f.ofItems.write(blockItems, &f.catalog.items, emit) },
		func(emit func([]byte) error) error { return f.ofUsers.write(blockUsers, &f.catalog.users, emit) },
		f.writeTimes,
	} {
		if err := step(emit); err != nil {
			return err
		}
	}
	return nil
}

// write hands out the ids of the codes below end, but for the nameless.
func (c *codes) write(kind byte, end uint32, nameless map[uint32]bool, emit func([]byte) error) error {
	var out []byte
	for code := range end {
		if len(out) == 0 {
			out = binary.AppendUvarint(append(out, kind), uint64(code))
		}
		if nameless[code] {
			out = appendText(out, "")
		} else {
			out = appendText(out, *c.ids.at(code))
		}
		if len(out) < blockSize && code != end-1 {
			continue
		}
		if err := emit(out); err != nil {
			return err
		}
		out = out[:0]
	}
	return nil
}

func appendText(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// writeColumns hands out the kinds of the columns: those of their first values,
// which may be gone.
func (f *frozenAttributes) writeColumns(kind byte, emit func([]byte) error) error {
	out := []byte{kind}
	for _, name := range slices.Sorted(maps.Keys(f.columns)) {
		out = append(appendText(out, name), byte(f.columns[name].kind))
	}
	return emit(out)
}

// write hands out what is known: a count, the times of the first puts, and a
// frame of as many records.
func (f *frozenAttributes) write(kind byte, ids *codes, emit func([]byte) error) error {
	var builder frames.Builder
	var listed, out []byte
	flush := func() error {
		if builder.Len() == 0 {
			return nil
		}
		out = binary.AppendUvarint(append(out[:0], kind), uint64(builder.Len()))
		out = append(append(out, listed...), builder.Seal()...)
		builder.Reset()
		listed = listed[:0]
		return emit(out)
	}
	var list []event.Attribute
	for code, e := range f.entries {
		if e == nil {
			continue
		}
		list = e.attributes.list(list[:0])
		builder.Add(e.record(kind, ids.id(uint32(code)), list))
		if listed = binary.AppendVarint(listed, e.listed); builder.Size() >= blockSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// record is an entry, of an id and with a list of attributes, as a change that
// makes it.
func (e *entry) record(kind byte, id string, list []event.Attribute) *event.Record {
	switch {
	case kind == blockItems && e.gone:
		return &event.Record{Kind: event.KindItemDelete, Item: event.Item{ID: id, Time: e.time}}
	case kind == blockItems:
		return &event.Record{Kind: event.KindItemPut, Item: event.Item{ID: id, Time: e.time, Attributes: list, ExpiresAt: e.expires}}
	case e.gone:
		return &event.Record{Kind: event.KindUserErase, User: event.User{ID: id, Time: e.time}}
	}
	return &event.Record{Kind: event.KindUserPut, User: event.User{ID: id, Time: e.time, Attributes: list}}
}

func (f *Frozen) writeTimes(emit func([]byte) error) error {
	out := []byte{blockErased}
	for _, code := range slices.Sorted(maps.Keys(f.erased)) {
		out = binary.AppendVarint(binary.AppendUvarint(out, uint64(code)), f.erased[code])
		if len(out) >= blockSize {
			if err := emit(out); err != nil {
				return err
			}
			out = out[:1]
		}
	}
	if err := emit(out); err != nil {
		return err
	}
	out = append(out[:0], blockLatest)
	for j, code := range f.latest {
		out = binary.AppendVarint(binary.AppendUvarint(out, uint64(code)), f.listed[j])
	}
	return emit(out)
}

// Reserve makes room for so many items and users before they come.
func (c *Catalog) Reserve(items, users int) {
	c.items.reserve(items)
	c.users.reserve(users)
}

// errBlock says that a block is none of a catalog.
var errBlock = errors.New("this is no catalog")

// Restore takes a block of Frozen.Write back, in their order, into a catalog
// that nothing was added to yet.
func (c *Catalog) Restore(block []byte) error {
	if err := c.restore(block); err != nil {
		return fmt.Errorf("restore the catalog: %w", err)
	}
	return nil
}

func (c *Catalog) restore(block []byte) error {
	if len(block) == 0 {
		return errBlock
	}
	d := fields.Reader{Rest: block[1:]}
	switch block[0] {
	case blockItemIDs:
		c.items.restore(&d)
	case blockUserIDs:
		c.users.restore(&d)
	case blockItemColumns:
		c.ofItems.columns.restore(&d)
	case blockUserColumns:
		c.ofUsers.columns.restore(&d)
	case blockItems:
		return c.restoreEntries(&d, c.restoreItem)
	case blockUsers:
		return c.restoreEntries(&d, c.restoreUser)
	case blockErased:
		if c.erased.times == nil {
			c.erased.times = map[uint32]int64{}
		}
		restoreTimes(&d, c.NumUsers(), func(code uint32, t int64) { c.erased.times[code] = t })
	case blockLatest:
		restoreTimes(&d, c.NumItems(), c.latest.add)
	default:
		d.Bad = true
	}
	if d.Bad {
		return errBlock
	}
	return nil
}

func (c *codes) restore(d *fields.Reader) {
	if d.Uvarint() != uint64(c.n.Load()) {
		d.Bad = true
		return
	}
	// One copy of the block is the memory of all its ids.
	own := string(d.Rest)
	for len(d.Rest) > 0 && !d.Bad {
		n := len(d.Text())
		if d.Bad {
			return
		}
		end := len(own) - len(d.Rest)
		id := own[end-n : end]
		if id == "" {
			c.skip()
			continue
		}
		if _, twice := c.code(id); twice {
			d.Bad = true
			return
		}
		c.add(id)
	}
}

func (cs *columns) restore(d *fields.Reader) {
	for len(d.Rest) > 0 && !d.Bad {
		name := string(d.Text())
		kind := event.ValueKind(d.Byte())
		if d.Bad || cs.find(name) != nil || cs.add(name, kind) == nil {
			d.Bad = true
		}
	}
}

// restoreEntries reads what write has written; one makes the entry of a record.
func (c *Catalog) restoreEntries(d *fields.Reader, one func(r *event.Record, listed int64) bool) error {
	n := d.Uvarint()
	if n > uint64(len(d.Rest)) {
		return errBlock
	}
	listed := make([]int64, n)
	for i := range listed {
		listed[i] = d.Varint()
	}
	if d.Bad {
		return errBlock
	}
	at := 0
	err := frames.Decode(d.Rest, func(r *event.Record) error {
		if at == len(listed) || !one(r, listed[at]) {
			return errBlock
		}
		at++
		return nil
	})
	if err == nil && at < len(listed) {
		err = errBlock
	}
	return err
}

func (c *Catalog) restoreItem(r *event.Record, listed int64) bool {
	code, known := c.items.code(r.Item.ID)
	if !known || r.Kind != event.KindItemPut && r.Kind != event.KindItemDelete {
		return false
	}
	return c.ofItems.restore(code, &r.Item, kept{listed, r.Kind == event.KindItemDelete})
}

func (c *Catalog) restoreUser(r *event.Record, listed int64) bool {
	code, known := c.users.code(r.User.ID)
	if !known || r.Kind != event.KindUserPut && r.Kind != event.KindUserErase {
		return false
	}
	it := event.Item{Time: r.User.Time, Attributes: r.User.Attributes}
	return c.ofUsers.restore(code, &it, kept{listed, r.Kind == event.KindUserErase})
}

// kept is what a snapshot holds of an entry beside its record.
type kept struct {
	listed int64
	gone   bool
}

// restore makes the entry of a code; false where there is one.
func (a *attributes) restore(code uint32, it *event.Item, k kept) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	slot := a.known.grow(code)
	if slot.Load() != nil {
		return false
	}
	next := &entry{time: it.Time, listed: k.listed, gone: k.gone}
	if k.gone {
		a.store(slot, code, next)
		return true
	}
	next.expires = it.ExpiresAt
	a.put(slot, code, next, nil, it.Attributes)
	return true
}

// restoreTimes reads codes below most with their times.
func restoreTimes(d *fields.Reader, most int, each func(code uint32, t int64)) {
	for len(d.Rest) > 0 && !d.Bad {
		code, t := d.Uvarint(), d.Varint()
		if d.Bad || code >= uint64(most) {
			d.Bad = true
			return
		}
		each(uint32(code), t)
	}
}

// Package catalog holds what the daemon knows of items and users: one uint32
// code for each of them, and their attributes, both as they were put and as
// typed columns by code for those who rank.
//
// It owns the codes: they are given in order of first sight and never change or
// vanish, so that other state in RAM may be keyed by them. All of it is rebuilt
// at start, from a snapshot (snapshot.go) or from the log.
//
// There is one writer at a time (a lock sees to it) and any number of readers,
// which never wait for it: codes, ids and columns are read without a lock, ids
// are looked up in sharded maps, and an item's attributes are replaced whole.
//
// It must not import recommend, profile or anything of als: who ranks by
// attributes asks here, not the other way round.
package catalog

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/bridge/event"
)

// Catalog is the catalog. All methods are safe for concurrent use.
type Catalog struct {
	items, users     codes
	ofItems, ofUsers attributes
	erased           erasures
	texts            dictionary
	latest           latest
	sets             setDictionary
	changes          changes
	filters          filters
}

// New returns an empty catalog.
func New() *Catalog {
	c := &Catalog{texts: dictionary{codes: make(map[string]uint32)}}
	for _, ids := range []*codes{&c.items, &c.users} {
		ids.seed = maphash.MakeSeed()
	}
	for _, a := range []*attributes{&c.ofItems, &c.ofUsers} {
		a.columns.most, a.columns.mostTexts, a.columns.texts, a.columns.sets = maxColumns, maxTexts, &c.texts, &c.sets
	}
	c.ofItems.changes = &c.changes
	return c
}

// InternItem is the code of an item, a new one at its first sight.
func (c *Catalog) InternItem(id string) uint32 { return c.items.intern(id) }

// ItemCode is the code of an item, if it has one.
func (c *Catalog) ItemCode(id string) (uint32, bool) { return c.items.code(id) }

// ItemID is the id of an item, empty for a code that was never given.
func (c *Catalog) ItemID(code uint32) string { return c.items.id(code) }

// NumItems is the number of item codes; they are 0..NumItems-1.
func (c *Catalog) NumItems() int { return int(c.items.n.Load()) }

// InternUser is the code of a user, a new one at the first sight.
func (c *Catalog) InternUser(id string) uint32 { return c.users.intern(id) }

// UserCode is the code of a user, if there is one.
func (c *Catalog) UserCode(id string) (uint32, bool) { return c.users.code(id) }

// UserID is the id of a user, empty for a code that was never given.
func (c *Catalog) UserID(code uint32) string { return c.users.id(code) }

// NumUsers is the number of user codes; they are 0..NumUsers-1.
func (c *Catalog) NumUsers() int { return int(c.users.n.Load()) }

// ApplyItem takes a change of an item's attributes: a put replaces what was
// known, a patch merges into it name by name and keeps the expiry unless it
// brings one. The strings are copied, so it may be reused.
func (c *Catalog) ApplyItem(it *event.Item, patch bool) {
	code := c.items.intern(it.ID)
	first := c.ofItems.get(code) == nil
	c.ofItems.apply(code, it, patch)
	if first {
		c.latest.add(code, it.Time)
	}
}

// Item is what is known of an item; false means that nothing was ever put, or
// that it was deleted.
func (c *Catalog) Item(code uint32) (event.Item, bool) {
	if it := c.ofItems.get(code); it != nil && !it.gone {
		return event.Item{ID: c.items.id(code), Time: it.time, ExpiresAt: it.expires, Attributes: it.attributes.list(nil)}, true
	}
	return event.Item{}, false
}

// Attributes appends those of an item to dst, sorted by name.
func (c *Catalog) Attributes(code uint32, dst []event.Attribute) []event.Attribute {
	if it := c.ofItems.get(code); it != nil {
		return it.attributes.list(dst)
	}
	return dst
}

// Listed is when something was first put of an item, in Unix milliseconds; 0
// means never.
func (c *Catalog) Listed(code uint32) int64 {
	if it := c.ofItems.get(code); it != nil {
		return it.listed
	}
	return 0
}

// ApplyUser is ApplyItem for the attributes of a user.
func (c *Catalog) ApplyUser(u *event.User, patch bool) {
	code := c.users.intern(u.ID)
	c.ofUsers.apply(code, &event.Item{Time: u.Time, Attributes: u.Attributes}, patch)
}

// User is what is known of a user; false means that nothing was ever put,
// whatever events there are.
func (c *Catalog) User(code uint32) (event.User, bool) {
	if it := c.ofUsers.get(code); it != nil && !it.gone {
		return event.User{ID: c.users.id(code), Time: it.time, Attributes: it.attributes.list(nil)}, true
	}
	return event.User{}, false
}

// Surplus counts the attributes that patches brought and that were left out
// because the item or user had event.MaxAttributes without them.
func (c *Catalog) Surplus() uint64 { return c.ofItems.surplus.Load() + c.ofUsers.surplus.Load() }

// Expired says whether an item must not be shown at now (Unix milliseconds):
// not any more, or not yet. A deleted item never may.
func (c *Catalog) Expired(code uint32, now int64) bool {
	if !c.ofItems.bounded.has(code) {
		return false
	}
	it := c.ofItems.get(code)
	return it != nil && (it.expires != 0 && it.expires <= now || it.from > now || it.gone)
}

// Apply takes the item and user records of a frame; events are not for it. The
// position in the log does not matter, only the order.
func (c *Catalog) Apply(_ uint64, records []event.Record) {
	for j := range records {
		switch r := &records[j]; r.Kind {
		case event.KindItemPut:
			c.ApplyItem(&r.Item, false)
		case event.KindItemPatch:
			c.ApplyItem(&r.Item, true)
		case event.KindUserPut:
			c.ApplyUser(&r.User, false)
		case event.KindUserPatch:
			c.ApplyUser(&r.User, true)
		case event.KindItemDelete:
			c.DeleteItem(r.Item.ID, r.Item.Time)
		case event.KindUserErase:
			c.EraseUser(r.User.ID, r.User.Time)
		case event.KindUserMerge:
			c.MergeUser(r.User.ID, r.User.Into, r.User.Time)
		}
	}
}

// entry is what is known of an item. It never changes: what is put replaces it.
type entry struct {
	attributes packed
	// time and expires are those of event.Item.
	time, expires int64
	// listed is the time of the first put, from the time of event.AvailableFrom.
	listed, from int64
	// gone says that it was deleted since.
	gone bool
}

// attributes are those of all items, or of all users, by code. What is known
// of a user is kept as an Item that never expires.
type attributes struct {
	known chunked[atomic.Pointer[entry]]
	// bounded are those that may not always be shown. Most may, and asking that
	// of a bit saves a request two walks to memory for each of its items.
	bounded flags
	columns columns
	mu      sync.Mutex
	// changes is told of every change; nil where nobody asks.
	changes *changes
	// buf and before are the writer's scratch.
	buf    []byte
	before []event.Attribute
	// surplus counts what cut has left out.
	surplus atomic.Uint64
}

func (a *attributes) get(code uint32) *entry {
	if slot := a.known.at(code); slot != nil {
		return slot.Load()
	}
	return nil
}

// store makes next what is known. Its flag is never down while it is needed: up
// before, down after.
func (a *attributes) store(slot *atomic.Pointer[entry], code uint32, next *entry) {
	bounded := next.expires != 0 || next.from != 0 || next.gone
	if bounded {
		a.bounded.set(code, true)
	}
	slot.Store(next)
	if !bounded {
		a.bounded.set(code, false)
	}
}

func (a *attributes) apply(code uint32, it *event.Item, patch bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	slot := a.known.grow(code)
	next := &entry{time: it.Time, expires: it.ExpiresAt, listed: it.Time}
	old, after := slot.Load(), it.Attributes
	a.before = a.before[:0]
	if old != nil {
		a.before = old.attributes.list(a.before)
		next.listed = min(old.listed, it.Time)
	}
	if patch {
		after = a.cut(a.before, event.MergeAttributes(a.before, after))
		if old != nil && next.expires == 0 {
			next.expires = old.expires
		}
	}
	a.put(slot, code, next, a.before, after)
	clear(a.before)
	if a.changes != nil {
		a.changes.add(code)
	}
}

// put makes next, with the attributes of after, what is known instead of those
// of before. They are copied, for their texts may be cut from a frame or the body
// of a request, which would stay in RAM with them.
func (a *attributes) put(slot *atomic.Pointer[entry], code uint32, next *entry, before, after []event.Attribute) {
	a.buf, next.attributes = pack(a.buf, after)
	if from, ok := next.attributes.find(event.AvailableFrom); ok {
		next.from, _ = from.Moment()
	}
	a.columns.update(code, before, after)
	a.store(slot, code, next)
}

// cut keeps patches, one on top of the other, from growing an item beyond
// event.MaxAttributes: of the names that it did not have the last are left out.
func (a *attributes) cut(before, merged []event.Attribute) []event.Attribute {
	surplus := len(merged) - event.MaxAttributes
	for j := len(merged) - 1; surplus > 0 && j >= 0; j-- {
		if name := merged[j].Name; !slices.ContainsFunc(before, func(at event.Attribute) bool { return at.Name == name }) {
			merged = slices.Delete(merged, j, j+1)
			surplus--
			a.surplus.Add(1)
		}
	}
	return merged
}

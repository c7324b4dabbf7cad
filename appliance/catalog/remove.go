package catalog

import (
	"sync"

	"vitrine/bridge/event"
)

// erasures are when users were erased, by code.
type erasures struct {
	mu    sync.Mutex
	times map[uint32]int64
}

// DeleteItem forgets an item's attributes; until it is put again it must not
// be shown. Its code stays, for histories hold it.
func (c *Catalog) DeleteItem(id string, at int64) {
	code := c.items.intern(id)
	c.ofItems.remove(code, at)
}

// Deleted says whether an item was deleted and not put again.
func (c *Catalog) Deleted(code uint32) bool {
	it := c.ofItems.get(code)
	return it != nil && it.gone
}

// EraseUser forgets a user's attributes and remembers when. His code stays,
// and says nothing but that there once was somebody of that name.
func (c *Catalog) EraseUser(id string, at int64) {
	code := c.users.intern(id)
	c.ofUsers.remove(code, at)
	c.erased.mu.Lock()
	defer c.erased.mu.Unlock()
	if c.erased.times == nil {
		c.erased.times = map[uint32]int64{}
	}
	c.erased.times[code] = at
}

// MergeUser gives a user's attributes to another, where that one has none of
// the name.
func (c *Catalog) MergeUser(from, into string, at int64) {
	code := c.users.intern(from)
	if known, ok := c.User(code); ok {
		own, _ := c.User(c.users.intern(into))
		c.ApplyUser(&event.User{ID: into, Time: at, Attributes: event.MergeAttributes(known.Attributes, own.Attributes)}, true)
	}
	c.ofUsers.remove(code, at)
}

// Erased is when a user was last erased, in Unix milliseconds.
func (c *Catalog) Erased(id string) (at int64, ok bool) {
	code, known := c.users.code(id)
	if !known {
		return 0, false
	}
	c.erased.mu.Lock()
	defer c.erased.mu.Unlock()
	at, ok = c.erased.times[code]
	return at, ok
}

// remove takes everything away but the code.
func (a *attributes) remove(code uint32, at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	slot := a.known.grow(code)
	next := &entry{time: at, listed: at, gone: true}
	if old := slot.Load(); old != nil {
		next.listed = min(old.listed, at)
		a.columns.update(code, old.attributes.list(nil), nil)
	}
	a.store(slot, code, next)
	if a.changes != nil {
		a.changes.add(code)
	}
}

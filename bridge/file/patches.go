package file

import (
	"vitrine/bridge/event"
)

// patches gathers the attributes that the rows of an event file give of their
// items. A shop's log repeats the name and price of an item in every row; the
// log of records gets each item once, with its last values.
type patches struct {
	attrs []attrSource
	index map[string]int
	items []pendingItem
	bytes int
}

type pendingItem struct {
	id    string
	line  int64
	cells []pendingCell // by attribute
}

type pendingCell struct {
	kind cellKind
	text string
}

// The bounds on what waits: items as many as a large catalogue, and texts no
// larger than the rest of the importer.
const (
	maxPendingItems = 100_000
	maxPendingBytes = 64 << 20
)

func newPatches(attrs []attrSource) patches {
	return patches{attrs: attrs, index: map[string]int{}}
}

func (p *patches) full() bool {
	return len(p.items) >= maxPendingItems || p.bytes >= maxPendingBytes
}

func (p *patches) reset() {
	clear(p.index)
	clear(p.items)
	p.items, p.bytes = p.items[:0], 0
}

// check refuses a row whose attributes an item cannot have.
func (p *patches) check(r *row) *event.Invalid {
	for i := range p.attrs {
		a := &p.attrs[i]
		c := cellOf(r, &a.source)
		var inv *event.Invalid
		if c.kind <= cellString {
			inv = checkText(a.name, c.text)
		} else {
			_, _, inv = attributeValue(a.name, c)
		}
		if inv != nil {
			return inv
		}
	}
	return nil
}

// put lays the attributes of a checked row over those of its item. An empty
// cell changes nothing.
func (p *patches) put(id string, r *row) {
	at, known := p.index[id]
	for i := range p.attrs {
		c := cellOf(r, &p.attrs[i].source)
		if len(c.text) == 0 {
			continue
		}
		if !known {
			at, known = len(p.items), true
			p.index[id] = at
			p.items = append(p.items, pendingItem{id: id, cells: make([]pendingCell, len(p.attrs))})
			p.bytes += len(id) + 128
		}
		item := &p.items[at]
		item.line = r.line
		if old := &item.cells[i]; old.kind != c.kind || old.text != string(c.text) {
			p.bytes += len(c.text) - len(old.text)
			*old = pendingCell{c.kind, string(c.text)}
		}
	}
}

// attributes converts what was gathered of one item.
func (p *patches) attributes(item *pendingItem) []event.Attribute {
	list := make([]event.Attribute, 0, len(p.attrs))
	for i := range p.attrs {
		c := cell{item.cells[i].kind, []byte(item.cells[i].text)}
		v, has, inv := attributeValue(p.attrs[i].name, &c)
		if has && inv == nil { // always valid: the row was checked
			list = append(list, event.Attribute{Name: p.attrs[i].name, Value: v})
		}
	}
	event.SortAttributes(list)
	return list
}

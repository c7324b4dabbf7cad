package file

import (
	"bytes"
	"math"

	"vitrine/bridge/event"
	"vitrine/bridge/file/rowid"
)

// builder makes records of rows and fills batches with them.
type builder struct {
	plan     *plan
	spec     *Spec
	out      *conveyor
	batch    *batch
	rows     int64
	rawBytes int // of the rejected rows in the batch
	now      int64
	clock    *clock
	ids      rowid.IDs
	strings  interner
	patches  patches
}

func newBuilder(p *plan, spec *Spec, out *conveyor) (*builder, error) {
	clock, err := newClock(spec)
	if err != nil {
		return nil, err
	}
	return &builder{
		plan:    p,
		spec:    spec,
		out:     out,
		batch:   out.empty(),
		now:     spec.Now.UnixMilli(),
		clock:   clock,
		ids:     rowid.New(),
		strings: newInterner(),
		patches: newPatches(p.attrs),
	}, nil
}

// add takes one row. An error is the end of the reading, not a fault of the
// row.
func (b *builder) add(r *row) error {
	b.rows++
	b.batch.counts.Read++
	switch {
	case r.fault != nil:
		b.reject(r, r.fault)
	case b.plan.where != nil && !b.plan.where.holds(r):
		b.batch.counts.Skipped++
	default:
		record := b.grow(r.line)
		var inv *event.Invalid
		if b.spec.Kind == Events {
			inv = b.event(r, record)
		} else {
			inv = b.change(r, record)
		}
		if inv != nil {
			b.batch.records = b.batch.records[:len(b.batch.records)-1]
			b.reject(r, inv)
		} else {
			b.batch.counts.Emitted++
		}
	}
	if b.patches.full() {
		if err := b.flushPatches(); err != nil {
			return err
		}
	}
	return b.sendFull()
}

// grow appends an empty record to the batch.
func (b *builder) grow(line int64) *event.Record {
	b.batch.records = append(b.batch.records, event.Record{
		Kind:   event.KindEvent,
		Source: event.Source{Name: b.spec.Name, Offset: line},
	})
	return &b.batch.records[len(b.batch.records)-1]
}

func (b *builder) reject(r *row, inv *event.Invalid) {
	raw := r.raw[:min(len(r.raw), MaxRaw)]
	b.batch.counts.Rejected++
	b.batch.rejected = append(b.batch.rejected, Rejected{
		Line: r.line, Code: inv.Code, Detail: inv.Detail,
		Raw: bytes.Clone(raw), Truncated: len(r.raw) > MaxRaw, Head: b.plan.cols.head,
	})
	b.rawBytes += len(raw)
}

// sendFull hands the batch on when it is full. Skipped rows alone fill none,
// so a batch also goes when its rows are many.
func (b *builder) sendFull() error {
	n := b.batch
	if len(n.records) < batchRecords && len(n.rejected) < batchRecords && b.rawBytes < batchRejectedBytes && n.counts.Read < 16*batchRecords {
		return nil
	}
	return b.send()
}

func (b *builder) send() error {
	if err := b.out.send(b.batch); err != nil {
		return err
	}
	b.batch, b.rawBytes = b.out.empty(), 0
	return nil
}

// finish hands on all that is left.
func (b *builder) finish() error {
	if err := b.flushPatches(); err != nil {
		return err
	}
	return b.send()
}

// flushPatches turns the buffered attributes into records.
func (b *builder) flushPatches() error {
	for i := range b.patches.items {
		if err := b.sendFull(); err != nil {
			return err
		}
		p := &b.patches.items[i]
		record := b.grow(p.line)
		record.Kind = event.KindItemPatch
		record.Item = event.Item{ID: p.id, Time: b.now, Attributes: b.patches.attributes(p)}
		b.batch.counts.Patches++
	}
	b.patches.reset()
	return nil
}

// cellOf returns what a source gives in this row.
func cellOf(r *row, s *source) *cell {
	if s.col < 0 {
		return &s.text
	}
	if s.col >= len(r.cells) {
		return &cell{}
	}
	return &r.cells[s.col]
}

// event makes the event of a row.
func (b *builder) event(r *row, record *event.Record) *event.Invalid {
	e := &record.Event
	for i := range b.plan.fields {
		f := &b.plan.fields[i]
		c := cellOf(r, &f.source)
		if len(c.text) == 0 {
			continue
		}
		if inv := b.field(e, f.field, c); inv != nil {
			return inv
		}
	}
	if e.Type == "" {
		e.Type = b.spec.Type
	}
	if b.plan.removeWhere != nil && b.plan.removeWhere.holds(r) {
		e.Type = event.TypeRemove
	}
	if e.Type == event.TypeRemove {
		e.Value = math.Abs(e.Value)
	}
	if inv := e.Validate(b.spec.Types); inv != nil {
		return inv
	}
	if len(b.plan.attrs) > 0 {
		if inv := b.patches.check(r); inv != nil {
			return inv
		}
		b.patches.put(e.ItemID, r)
	}
	// Before Normalize: a row without a time keeps its identity when it is
	// imported again later.
	if e.EventID == "" && !b.spec.NoIDs {
		e.EventID = b.ids.Next(e)
	}
	e.Normalize(b.spec.Now)
	return nil
}

// field puts the text of a cell, which is not empty, into a field.
func (b *builder) field(e *event.Event, f field, c *cell) *event.Invalid {
	var inv *event.Invalid
	switch f {
	case fieldUser:
		e.UserID, inv = b.id(f, c)
	case fieldItem:
		e.ItemID, inv = b.id(f, c)
	case fieldType:
		if c.kind > cellString {
			return wrongKind(f, event.CodeInvalidType, "must be a string")
		}
		e.Type = b.strings.get(c.text)
	case fieldTime:
		e.Time, inv = b.clock.parse(f, c)
	case fieldValue:
		e.Value, e.HasValue, inv = number(f, c)
	case fieldEventID:
		if c.kind > cellNumber {
			return wrongKind(f, event.CodeInvalidID, "must be a string or an integer")
		}
		e.EventID = string(c.text) // one of its kind: nothing to intern
	case fieldSession:
		e.SessionID, inv = b.id(f, c)
	case fieldRequest:
		e.RequestID, inv = b.id(f, c)
	case fieldPosition:
		e.Position, inv = position(c)
	case fieldScene:
		e.Scene, inv = b.id(f, c)
	case fieldPrice:
		e.Price, e.HasPrice, inv = number(f, c)
	case fieldCurrency:
		e.Currency, inv = b.id(f, c)
	case fieldProps:
		e.Props, inv = props(c)
	}
	return inv
}

func wrongKind(f field, code, what string) *event.Invalid {
	return &event.Invalid{Code: code, Detail: fieldNames[f] + " " + what}
}

// id reads an id: any text of a CSV cell, a string or an integer of JSON.
func (b *builder) id(f field, c *cell) (string, *event.Invalid) {
	if c.kind > cellNumber {
		return "", wrongKind(f, event.CodeInvalidID, "must be a string or an integer")
	}
	if c.kind == cellNumber && bytes.ContainsAny(c.text, ".eE") {
		return "", wrongKind(f, event.CodeInvalidID, "is a number that is not an integer")
	}
	return b.strings.get(c.text), nil
}

// change makes the attribute change of a row. It is a patch: a file that has
// only the stock must not take the names away.
func (b *builder) change(r *row, record *event.Record) *event.Invalid {
	var id string
	var expires int64
	var inv *event.Invalid
	for i := range b.plan.fields {
		f := &b.plan.fields[i]
		c := cellOf(r, &f.source)
		if len(c.text) == 0 {
			continue
		}
		if f.field == fieldExpires {
			expires, inv = b.clock.parse(f.field, c)
		} else {
			id, inv = b.id(f.field, c)
		}
		if inv != nil {
			return inv
		}
	}
	list, inv := b.attributes(r)
	if inv != nil && id != "" {
		return inv
	}
	if b.spec.Kind == Users {
		record.Kind = event.KindUserPatch
		record.User = event.User{ID: id, Time: b.now, Attributes: list}
		return record.User.Validate()
	}
	record.Kind = event.KindItemPatch
	record.Item = event.Item{ID: id, Time: b.now, ExpiresAt: expires, Attributes: list}
	return record.Item.Validate()
}

// attributes reads the mapped attributes, or every column that is no field.
// The object "attributes" of the HTTP API is laid over them.
func (b *builder) attributes(r *row) ([]event.Attribute, *event.Invalid) {
	var list []event.Attribute
	add := func(name string, c *cell) *event.Invalid {
		v, has, inv := attributeValue(name, c)
		if has && inv == nil {
			list = append(list, event.Attribute{Name: name, Value: v})
		}
		return inv
	}
	var object []byte
	if b.plan.rest {
		for col := range r.cells {
			c := &r.cells[col]
			if b.plan.taken[col] || len(c.text) == 0 {
				continue
			}
			name := b.plan.cols.names[col]
			if c.kind == cellObject && name == "attributes" {
				object = c.text
				continue
			}
			if inv := add(name, c); inv != nil {
				return nil, inv
			}
		}
	}
	for i := range b.plan.attrs {
		a := &b.plan.attrs[i]
		if c := cellOf(r, &a.source); len(c.text) > 0 {
			if inv := add(a.name, c); inv != nil {
				return nil, inv
			}
		}
	}
	event.SortAttributes(list)
	if object == nil {
		return list, nil
	}
	inner, inv := event.ParseAttributes(object)
	if inv != nil {
		return nil, inv
	}
	return event.MergeAttributes(list, inner), nil
}

// interner gives equal texts one string: the users, items and types of a file
// repeat, and an allocation costs more than the look-up.
type interner struct{ known map[string]string }

// maxInterned bounds the table; a file with more goes on with an empty one.
const maxInterned = 64 << 10

func newInterner() interner { return interner{known: make(map[string]string, 1024)} }

func (in *interner) get(text []byte) string {
	if s, ok := in.known[string(text)]; ok {
		return s
	}
	if len(in.known) >= maxInterned {
		clear(in.known)
	}
	s := string(text)
	if len(s) <= event.MaxID {
		in.known[s] = s
	}
	return s
}

package parquet

import (
	"vitrine/bridge/event"
)

// EventTable collects the events of one file in compact form: about 100 bytes
// a row and the bytes of its event id, where an event.Record takes 300 beside
// its strings.
type EventTable struct {
	strings        *Strings
	blocks         []eventBlock
	count          int
	oldest, newest int64
}

// eventBlock is a run of at most chunkRows rows. A table that is one block after
// the other grows without copying what it has, which for a million rows took
// twice the memory.
type eventBlock struct {
	rows []eventCells
	// arena holds the event ids and properties, which hardly ever repeat.
	arena []byte
}

// eventCells is a row: strings are codes, the arena's by their end.
type eventCells struct {
	ts, offset   int64
	seq          uint64
	value, price float64

	user, item, kind, session, request, scene, currency, source uint32

	position, partition int32
	idEnd, propsEnd     uint32
	hasValue, hasPrice  bool
}

// NewEventTable makes an empty table whose strings are kept in s.
func NewEventTable(s *Strings) *EventTable { return &EventTable{strings: s} }

// Append adds the event of r, which came in bus message seq. It keeps nothing
// of r.
func (t *EventTable) Append(seq uint64, r *event.Record) {
	e := &r.Event
	s := t.strings
	if t.count == 0 {
		t.oldest, t.newest = e.Time, e.Time
	}
	t.oldest, t.newest = min(t.oldest, e.Time), max(t.newest, e.Time)
	t.count++
	b := t.block()
	b.arena = append(b.arena, e.EventID...)
	idEnd := uint32(len(b.arena))
	b.arena = append(b.arena, e.Props...)
	b.rows = append(b.rows, eventCells{
		ts: e.Time, offset: r.Source.Offset, seq: seq,
		value: e.Value, price: e.Price,
		user: s.code(e.UserID), item: s.code(e.ItemID), kind: s.code(e.Type),
		session: s.code(e.SessionID), request: s.code(e.RequestID),
		scene: s.code(e.Scene), currency: s.code(e.Currency), source: s.code(r.Source.Name),
		position: e.Position, partition: r.Source.Partition,
		idEnd: idEnd, propsEnd: uint32(len(b.arena)),
		hasValue: e.HasValue, hasPrice: e.HasPrice,
	})
}

// block is the one that takes the next row. The first grows as it fills, for
// most tables of an import of many dates are short.
func (t *EventTable) block() *eventBlock {
	n := len(t.blocks)
	switch {
	case n == 0:
		t.blocks = make([]eventBlock, 1)
	case len(t.blocks[n-1].rows) == chunkRows:
		t.blocks = append(t.blocks, eventBlock{
			rows: make([]eventCells, 0, chunkRows), arena: make([]byte, 0, len(t.blocks[n-1].arena)),
		})
	}
	return &t.blocks[len(t.blocks)-1]
}

// Len is the number of rows.
func (t *EventTable) Len() int { return t.count }

// Span is the oldest and newest event time in Unix milliseconds; zeros for an
// empty table.
func (t *EventTable) Span() (oldest, newest int64) { return t.oldest, t.newest }

// eventRow is a row as the Parquet library takes it. Strings that are empty
// and positions that are zero become null in optional columns; amounts tell
// null from zero by their pointer.
//
// Integers are plain, not delta encoded, and pages are of version 1: those are
// the oldest encodings, so that old readers manage too. Delta would save 10 %
// of a year of daily files (42.7 instead of 47.3 bytes a row) and no time.
type eventRow struct {
	UserID    string   `parquet:"user_id,dict"`
	ItemID    string   `parquet:"item_id,dict"`
	EventType string   `parquet:"event_type,dict"`
	Time      int64    `parquet:"ts,timestamp(millisecond:utc)"`
	Value     *float64 `parquet:"value,optional"`
	EventID   string   `parquet:"event_id,optional"`
	SessionID string   `parquet:"session_id,optional,dict"`
	RequestID string   `parquet:"request_id,optional,dict"`
	Position  int32    `parquet:"position,optional"`
	Scene     string   `parquet:"scene,optional,dict"`
	Price     *float64 `parquet:"price,optional"`
	Currency  string   `parquet:"currency,optional,dict"`
	Props     string   `parquet:"props,optional"`
	Source    string   `parquet:"source,dict"`
	Partition int32    `parquet:"source_partition"`
	Offset    int64    `parquet:"source_offset"`
	BusSeq    int64    `parquet:"bus_seq"`
}

// fill writes the rows of the block into dst; list has the texts of the codes.
func (b *eventBlock) fill(dst []eventRow, list []string) {
	arena := string(b.arena)
	start := uint32(0)
	for i := range b.rows {
		c := &b.rows[i]
		dst[i] = eventRow{
			UserID: list[c.user], ItemID: list[c.item], EventType: list[c.kind], Time: c.ts,
			EventID:   arena[start:c.idEnd],
			SessionID: list[c.session], RequestID: list[c.request], Position: c.position,
			Scene: list[c.scene], Currency: list[c.currency], Props: arena[c.idEnd:c.propsEnd],
			Source: list[c.source], Partition: c.partition, Offset: c.offset, BusSeq: int64(c.seq),
		}
		if c.hasValue {
			dst[i].Value = &c.value
		}
		if c.hasPrice {
			dst[i].Price = &c.price
		}
		start = c.propsEnd
	}
}

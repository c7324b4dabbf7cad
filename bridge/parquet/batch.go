package parquet

import (
	"math"

	"vitrine/bridge/event"
)

// Columns is a set of event columns to read.
type Columns uint16

// The columns that a scan can give.
const (
	UserID Columns = 1 << iota
	ItemID
	EventType
	Time
	Value
	EventID
	BusSeq
	SessionID
	RequestID
	Position
	Scene
	Price
	Currency
	Props
)

// BatchRows is the most rows that one EventBatch holds.
const BatchRows = 8192

// Codes is a column of strings as numbers: row i is Names[Code[i]]. Numbers
// are given in the order of first sight and stay the same for the whole scan,
// and Names only grows: a consumer translates each name once.
type Codes struct {
	Code  []uint32
	Names []string
}

// At is the string of row i.
func (c Codes) At(i int) string { return c.Names[c.Code[i]] }

// EventBatch is some rows of a scan, column by column. Columns that were not
// asked for are empty. The slices are overwritten by the next batch; strings
// are safe to keep, but one that is not of Codes holds its column's of the whole
// batch in memory.
type EventBatch struct {
	Len                       int
	UserID, ItemID, EventType Codes
	Time                      []int64
	// Value and Price are NaN where the event had none.
	Value, Price []float64
	// EventID is empty where the event had none.
	EventID []string
	BusSeq  []uint64
	// These are empty where the event had none.
	SessionID, RequestID, Scene, Currency, Props []string
	// Position is 0 where the event had none.
	Position []int32
	// Committed is when the rows were committed to the archive, in Unix
	// milliseconds; they arrived shortly before.
	Committed int64
}

// AllOfEvent are the columns that an event has.
const AllOfEvent = UserID | ItemID | EventType | Time | Value | EventID | SessionID | RequestID | Position | Scene | Price | Currency | Props

// Event makes row i an event; AllOfEvent must have been asked for.
func (b *EventBatch) Event(i int, e *event.Event) {
	*e = event.Event{
		UserID: b.UserID.At(i), ItemID: b.ItemID.At(i), Type: b.EventType.At(i), Time: b.Time[i], EventID: b.EventID[i],
		SessionID: b.SessionID[i], RequestID: b.RequestID[i], Position: b.Position[i], Scene: b.Scene[i], Currency: b.Currency[i], Props: b.Props[i],
	}
	if v := b.Value[i]; !math.IsNaN(v) {
		e.Value, e.HasValue = v, true
	}
	if v := b.Price[i]; !math.IsNaN(v) {
		e.Price, e.HasPrice = v, true
	}
}

// Keep drops the rows that are not listed; rows must ascend.
func (b *EventBatch) Keep(rows []int) {
	b.UserID.Code = keep(b.UserID.Code, rows)
	b.ItemID.Code = keep(b.ItemID.Code, rows)
	b.EventType.Code = keep(b.EventType.Code, rows)
	b.Time = keep(b.Time, rows)
	b.Value = keep(b.Value, rows)
	b.EventID = keep(b.EventID, rows)
	b.BusSeq = keep(b.BusSeq, rows)
	b.SessionID = keep(b.SessionID, rows)
	b.RequestID = keep(b.RequestID, rows)
	b.Position = keep(b.Position, rows)
	b.Scene = keep(b.Scene, rows)
	b.Price = keep(b.Price, rows)
	b.Currency = keep(b.Currency, rows)
	b.Props = keep(b.Props, rows)
	b.Len = len(rows)
}

func keep[T any](column []T, rows []int) []T {
	if len(column) == 0 {
		return column
	}
	for to, from := range rows {
		column[to] = column[from]
	}
	return column[:len(rows)]
}

// dictionary numbers the strings of one column over a whole scan, or a
// row group.
type dictionary struct {
	codes map[string]uint32
	names []string
	// takeOver lets the next dictionary of a file be taken over whole; taken
	// is how many of the names came that way and are not in codes.
	takeOver bool
	taken    int
}

func newDictionary() *dictionary { return &dictionary{codes: make(map[string]uint32)} }

func (d *dictionary) code(name []byte) uint32 {
	if d.taken > 0 {
		d.index()
	}
	if c, ok := d.codes[string(name)]; ok {
		return c
	}
	d.takeOver = false
	c := uint32(len(d.names))
	text := string(name)
	d.codes[text] = c
	d.names = append(d.names, text)
	return c
}

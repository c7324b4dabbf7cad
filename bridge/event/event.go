// Package event holds the canonical records of the one log: interaction
// events and attribute changes, with their validation and their JSON form. Their
// binary form is bridge/event/frames.
//
// It is a leaf: every stage from ingest to training speaks these types, so it
// must not import any other package of this module than its own readers of
// times, texts and numbers, nor any foreign library.
package event

import "vitrine/bridge/event/clock"

// Kind tells what a Record carries. The numbers are written to disk: never
// reuse one.
type Kind uint8

const (
	// KindEvent is an interaction of a user with an item.
	KindEvent Kind = 1
	// KindItemPut replaces all attributes of an item.
	KindItemPut Kind = 2
	// KindItemPatch merges attributes into an item, name by name.
	KindItemPatch Kind = 3
	// KindUserPut replaces all attributes of a user.
	KindUserPut Kind = 4
	// KindUserPatch merges attributes into a user, name by name.
	KindUserPatch Kind = 5
	// KindItemDelete takes an item out: it is not shown until it is put again.
	KindItemDelete Kind = 6
	// KindUserErase forgets all of a user that came before it.
	KindUserErase Kind = 7
	// KindUserMerge makes all of a user that came before it another's.
	KindUserMerge Kind = 8
	// KindServed is a list that was answered.
	KindServed Kind = 9
)

// Event is one interaction. Times are Unix milliseconds, UTC. The fields and
// their JSON names are those of the HTTP API.
type Event struct {
	UserID string
	ItemID string
	// Type is the event type, such as "view" or "purchase".
	Type string
	// Time is when it happened, in Unix milliseconds.
	Time int64
	// Value is the amount (a quantity, a rating); it counts only when HasValue.
	Value float64
	// HasValue and HasPrice tell that there is one; they and Position share a word.
	HasValue, HasPrice bool
	// Position is the rank in the list that led to the event, from 1; 0 means not
	// given.
	Position int32
	// EventID makes resending harmless; empty means that the sender gave none.
	EventID   string
	SessionID string
	// RequestID names the served list that led to the event.
	RequestID string
	Scene     string
	// Price counts only when HasPrice.
	Price    float64
	Currency string
	// Props is the raw JSON object of free properties; empty means none.
	Props string
}

// Item is an attribute change of one item.
type Item struct {
	ID string
	// Time is when the change was accepted, in Unix milliseconds.
	Time int64
	// Attributes are sorted by name, each name once.
	Attributes []Attribute
	// ExpiresAt is the Unix millisecond after which the item is not shown;
	// 0 means never.
	ExpiresAt int64
}

// User is an attribute change of one user.
type User struct {
	ID string
	// Time is when the change was accepted, in Unix milliseconds.
	Time int64
	// Attributes are sorted by name, each name once.
	Attributes []Attribute
	// Into is the user who takes over; it counts for KindUserMerge.
	Into string
}

// Source is where a record came from: a file, a topic (see TopicSource) or
// "http", and the place in it: a line from 1, 0 where none is known, or the
// offset in a partition, from 0.
type Source struct {
	Name      string
	Partition int32
	Offset    int64
}

// Record is one entry of the log. What all kinds have is at its beginning beside
// the event, so that one of an event takes four cache lines.
type Record struct {
	Kind   Kind
	Source Source
	// Event counts when Kind is KindEvent.
	Event Event
	// Item counts for the item kinds.
	Item Item
	// User counts for the user kinds.
	User User
	// Served counts for KindServed, and is nil for all others.
	Served *Served
}

// ValueKind is the type of an attribute value. The numbers are written to
// disk: never reuse one.
type ValueKind uint8

const (
	// String is a text value.
	String ValueKind = 1
	// Number is a float64 value.
	Number ValueKind = 2
	// Bool is a truth value.
	Bool ValueKind = 3
	// Set is a set of strings, sorted, each once.
	Set ValueKind = 4
	// Removed stands in a patch only: the attribute is taken away.
	Removed ValueKind = 5
)

// Value is one typed attribute value.
type Value struct {
	Kind ValueKind
	Str  string
	Num  float64
	Bool bool
	Set  []string
}

// Moment reads the value as a time in Unix milliseconds: a text as ParseTime
// does, a number as the text of it.
func (v *Value) Moment() (ms int64, ok bool) {
	switch v.Kind {
	case String:
		return clock.Parse(v.Str, nil)
	case Number:
		return clock.FromNumber(v.Num)
	}
	return 0, false
}

// Attribute is a named value.
type Attribute struct {
	Name  string
	Value Value
}

// AvailableFrom is the attribute that says from when on an item may be shown.
const AvailableFrom = "available_from"

package frame

import "time"

// Scope says whose attributes a column holds.
type Scope uint8

const (
	// ItemScope is a column with a value per item code.
	ItemScope Scope = 1
	// UserScope is a column with a value per user code.
	UserScope Scope = 2
)

// Kind is what the 32 bits of a column's value are.
type Kind uint8

const (
	// Number is a float32; NoNumber where the attribute is absent. A truth value
	// is 0 or 1.
	Number Kind = 1
	// Text is a dictionary code; 0 where the attribute is absent.
	Text Kind = 2
)

// NoNumber are the bits of the NaN that stands for no number.
const NoNumber = 0x7fc00000

// Absent are the bits of no value.
func (k Kind) Absent() uint32 {
	if k == Number {
		return NoNumber
	}
	return 0
}

// Column gives the values of one attribute.
type Column interface {
	// Kind is what Gather writes.
	Kind() Kind
	// Gather writes the raw 32 bits of the value of each code into dst, which
	// is at least as long. It may be called concurrently with changes.
	Gather(dst []uint32, codes []uint32)
}

// Columns finds attribute columns and dictionary codes.
type Columns interface {
	// Column is the column of an attribute, nil where no item (or user) ever
	// had one of that name.
	Column(scope Scope, name string) Column
	// Code is the dictionary code of a text in a column; 0 where it never
	// occurred.
	Code(scope Scope, name, text string) uint32
}

// Call is what became of one plugin in one request.
type Call struct {
	Name, Version string
	// Stage is "feature", "scorer" or "filter".
	Stage string
	// Status is "ok", "skipped", "failed" or "denied".
	Status string
	// Micros is the time spent in it.
	Micros int64
}

// Trace lists the plugin calls of one request, in order.
type Trace struct {
	Calls []Call
	// Watch, when set, is shown the frame after each call.
	Watch func(c *Call, f *Frame)
}

// Reset empties the trace and keeps its memory, and the watcher.
func (t *Trace) Reset() { t.Calls = t.Calls[:0] }

// Selection is which items pass a filter, as of one state of the catalogue. It
// is immutable: where items have changed there is another one.
type Selection struct {
	// Filter is the same for all selections of one filter.
	Filter uint64
	// Words hold bit code%64 of word code/64, set for an item that passes;
	// codes beyond do not.
	Words []uint64
}

// Has tells whether an item passes.
func (s *Selection) Has(item uint32) bool {
	w := int(item / 64)
	return w < len(s.Words) && s.Words[w]>>(item%64)&1 != 0
}

// Filter is a compiled condition on items.
type Filter interface {
	// Selection is which items pass now. It is called once in a request, and
	// takes as long as it takes where Ready was not called before.
	Selection() *Selection
	// Ready finds out which items pass, and tells whether it could by a time; the
	// next call goes on from there. The zero time is never over.
	Ready(by time.Time) bool
}

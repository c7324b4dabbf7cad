package frame

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
	// Number is a float32; NaN where the attribute is absent. A truth value
	// is 0 or 1.
	Number Kind = 1
	// Text is a dictionary code; 0 where the attribute is absent.
	Text Kind = 2
)

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
type Trace struct{ Calls []Call }

// Reset empties the trace and keeps its memory.
func (t *Trace) Reset() { t.Calls = t.Calls[:0] }

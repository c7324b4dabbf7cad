// Package fault holds the errors of the source of topics as operators are told them:
// what is wrong, and what to do about it. Who knows a cluster makes them, and who
// knows a registry; what they hold is the text alone.
//
// It is a leaf: it must not import any other package of this module.
package fault

// Error is what is wrong and what to do about it, for people.
type Error struct{ what, hint string }

// New makes one; an empty hint is one that is not known.
func New(what, hint string) *Error { return &Error{what, hint} }

// Error is what is wrong.
func (e *Error) Error() string { return e.what }

// Hint is what to do about it.
func (e *Error) Hint() string { return e.hint }

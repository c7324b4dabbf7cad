package datadir

// Fault is a failure that an operator can mend: what could not be done, why,
// and what to type next.
type Fault struct {
	// Op is what was tried, such as "open data folder".
	Op  string
	Err error
	// Hint is the next thing to do.
	Hint string
}

// Error is what was tried and why it failed.
func (f *Fault) Error() string { return f.Op + ": " + f.Err.Error() }

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

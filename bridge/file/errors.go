package file

import (
	"fmt"
	"strings"
)

// Codes of InputError.
const (
	CodeEmptyFile      = "empty_file"
	CodeTruncated      = "truncated"
	CodeCorrupt        = "corrupt_file"
	CodeUnknownFormat  = "unknown_format"
	CodeUnknownColumn  = "unknown_column"
	CodeInvalidMap     = "invalid_map"
	CodeInvalidExpr    = "invalid_expression"
	CodeInvalidTZ      = "invalid_tz"
	CodeInvalidTSForm  = "invalid_ts_format"
	CodeTooManyColumns = "too_many_columns"
)

const hintEmpty = "look at how the file was written; nothing was taken in"

// InputError is a fault of a whole file or of what was asked of it, in
// contrast to the fault of one row.
type InputError struct {
	// Name is the file; empty when the fault is in the request alone.
	Name string
	// Code is stable, for machines.
	Code string
	// Detail says what is wrong, for people.
	Detail string
	// Hint says what to do; it may be empty.
	Hint string
	// Pos is the 0-based byte of the fault in an expression, else -1.
	Pos int
}

// Error names the file and the fault.
func (e *InputError) Error() string {
	if e.Name == "" {
		return e.Detail
	}
	return e.Name + ": " + e.Detail
}

func inputErrorf(name, code, format string, args ...any) *InputError {
	return &InputError{Name: name, Code: code, Detail: fmt.Sprintf(format, args...), Pos: -1}
}

// withHint adds what to do about the fault.
func (e *InputError) withHint(format string, args ...any) *InputError {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// maxListed bounds the names that a fault lists.
const maxListed = 40

// listNames joins names for a fault.
func listNames(names []string) string {
	more := ""
	if len(names) > maxListed {
		more = fmt.Sprintf(" and %d more", len(names)-maxListed)
		names = names[:maxListed]
	}
	shown := make([]string, len(names))
	for i, n := range names {
		shown[i] = clip(n, 64)
	}
	return strings.Join(shown, ", ") + more
}

// clip cuts a hostile text to a length that fits a line of a report.
func clip(s string, max int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= max {
		return s
	}
	return strings.ToValidUTF8(s[:max], "") + "..."
}

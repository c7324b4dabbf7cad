package stream

import "fmt"

// Codes of an Error.
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

// HintEmpty is the hint of CodeEmptyFile.
const HintEmpty = "look at how the file was written; nothing was taken in"

// Error is a fault of a whole file or of what was asked of it, in
// contrast to the fault of one row.
type Error struct {
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
func (e *Error) Error() string {
	if e.Name == "" {
		return e.Detail
	}
	return e.Name + ": " + e.Detail
}

// Errorf makes the fault of a file, or, with an empty name, of the request.
func Errorf(name, code, format string, args ...any) *Error {
	return &Error{Name: name, Code: code, Detail: fmt.Sprintf(format, args...), Pos: -1}
}

// WithHint adds what to do about the fault.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

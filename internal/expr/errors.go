package expr

import (
	"fmt"
	"strconv"
)

// SyntaxError is a fault in the source of an expression.
type SyntaxError struct {
	// Pos is the 0-based byte offset of the fault.
	Pos int
	// Msg says what is wrong there.
	Msg string
}

// Error shows the fault with its position, counted from 1 as editors do.
func (e *SyntaxError) Error() string {
	return "at character " + strconv.Itoa(e.Pos+1) + ": " + e.Msg
}

func syntaxErrorf(pos int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Pos: pos, Msg: fmt.Sprintf(format, args...)}
}

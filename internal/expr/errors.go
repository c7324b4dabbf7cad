package expr

import (
	"fmt"
	"strconv"
)

// SyntaxError is a fault in the source of an expression.
type SyntaxError struct {
	// Pos is the 0-based byte offset of the fault.
	Pos int
	// Character is the place of the fault in characters, counted from 1.
	Character int
	// Msg says what is wrong there.
	Msg string
}

// Error shows the fault with its place, counted from 1 as editors do.
func (e *SyntaxError) Error() string {
	return "at character " + strconv.Itoa(e.Character) + ": " + e.Msg
}

func syntaxErrorf(pos int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Pos: pos, Character: pos + 1, Msg: fmt.Sprintf(format, args...)}
}

package file

import (
	"fmt"
	"strings"

	"vitrine/bridge/file/stream"
)

// InputError is a fault of a whole file or of what was asked of it, in
// contrast to the fault of one row. Its codes are those of package stream.
type InputError = stream.Error

func inputErrorf(name, code, format string, args ...any) *InputError {
	return stream.Errorf(name, code, format, args...)
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

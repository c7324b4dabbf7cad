package words

import "unicode/utf8"

// Fault is what is wrong with a text.
type Fault uint8

// The faults of a text.
const (
	Good Fault = iota
	BadUTF8
	Control
)

// Check looks whether s is UTF-8 without control characters (C0, DEL, C1).
func Check(s string) Fault {
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c == 0x7f {
			return Control
		}
		if c >= utf8.RuneSelf {
			return checkRunes(s)
		}
	}
	return Good
}

// checkRunes is the slow path of Check for text beyond ASCII.
func checkRunes(s string) Fault {
	if !utf8.ValidString(s) {
		return BadUTF8
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r <= 0x9f {
			return Control
		}
	}
	return Good
}

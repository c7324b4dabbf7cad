package parquet

import "strings"

// Strings numbers the distinct strings of one batch, so that a row keeps four
// bytes instead of a header and a copy. Tables of one batch share it: the same
// users and items come back on every day. Zero is the empty string.
type Strings struct {
	codes map[string]uint32
	list  []string
	bytes int
}

// NewStrings makes an empty set.
func NewStrings() *Strings {
	return &Strings{codes: map[string]uint32{"": 0}, list: []string{""}}
}

// code returns the number of s. It copies a new s: the caller's may be a slice
// of a whole frame, which would stay in memory with it.
func (s *Strings) code(text string) uint32 {
	if text == "" {
		return 0
	}
	if c, ok := s.codes[text]; ok {
		return c
	}
	c := uint32(len(s.list))
	text = strings.Clone(text)
	s.codes[text] = c
	s.list = append(s.list, text)
	s.bytes += len(text) + stringOverhead
	return c
}

// stringOverhead is what a distinct string costs beside its bytes: two headers,
// the code and the map's slack.
const stringOverhead = 64

// Bytes estimates the memory held.
func (s *Strings) Bytes() int { return s.bytes }

package event

import (
	"bytes"
	"strings"
)

// SplitBatch calls fn with the raw bytes of every event of a request body: of
// the one object, of each element of an array, or of each line when
// contentType says NDJSON. index counts from 0, blank lines not. raw is a part
// of body and not yet known to be an event: a broken element reaches fn too,
// and ParseEvent refuses it. What follows a syntax error in an array cannot
// be told apart, so it is one last broken element, and whole is false. An error
// of fn ends the walk and is returned; an empty body is an *Invalid.
func SplitBatch(contentType string, body []byte, fn func(index int, raw []byte) error) (whole bool, err error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if isLines(contentType) {
		return true, splitLines(body, fn)
	}
	body = bytes.Trim(body, " \t\r\n")
	switch {
	case len(body) == 0:
		return true, &Invalid{CodeInvalidJSON, "the body is empty"}
	case body[0] == '[':
		return splitArray(body, fn)
	}
	return true, fn(0, body)
}

// isLines tells whether a media type means one JSON value a line.
func isLines(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "application/x-ndjson", "application/ndjson", "application/jsonl",
		"application/x-jsonl", "application/jsonlines", "application/x-jsonlines", "application/json-lines":
		return true
	}
	return false
}

// splitLines walks over the lines that are not blank.
func splitLines(body []byte, fn func(index int, raw []byte) error) error {
	index := 0
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, []byte{'\n'})
		body = rest
		if line = bytes.Trim(line, " \t\r"); len(line) == 0 {
			continue
		}
		if err := fn(index, line); err != nil {
			return err
		}
		index++
	}
	if index == 0 {
		return &Invalid{CodeInvalidJSON, "the body is empty"}
	}
	return nil
}

// splitArray walks over the elements of a JSON array. Where it breaks, the
// last raw begins at a byte that no event can begin with, or holds the fault,
// so that ParseEvent cannot take it for good.
func splitArray(body []byte, fn func(index int, raw []byte) error) (whole bool, err error) {
	s := scanner{data: body, pos: 1}
	for index := 0; ; index++ {
		last := s.pos - 1
		if !s.more(index == 0) {
			s.end()
			if s.bad != nil {
				return false, fn(index, brokenTail(body, last))
			}
			return true, nil
		}
		s.peek()
		start := s.pos
		s.skip(1)
		if s.bad != nil {
			return false, fn(index, body[start:])
		}
		if err := fn(index, body[start:s.pos]); err != nil {
			return true, err
		}
	}
}

// brokenTail is the rest of an array after its last whole element, which ends
// at last; when nothing is left it is empty, which is no event either.
func brokenTail(body []byte, last int) []byte {
	if len(bytes.TrimSpace(body[last+1:])) == 0 {
		return nil
	}
	return body[last:]
}

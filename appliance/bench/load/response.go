package load

import (
	"bytes"
	"errors"
	"strconv"
)

// maxAnswer bounds an answer, head included.
const maxAnswer = 4 << 20

// answer is one HTTP answer; body aliases what it was parsed from.
type answer struct {
	status int
	body   []byte
	// close says that the server will take no further request.
	close bool
}

var errMalformed = errors.New("what came is no HTTP/1.1 answer")

// parse reads the answer at the start of b and returns its length, 0 while it
// is not complete. It knows what servers send to plain GET and POST requests:
// a body with a length, in chunks, or none. A body in chunks is put together
// in place, so b must not be parsed again once a length was returned.
func parse(b []byte) (a answer, n int, err error) {
	head := bytes.Index(b, []byte("\r\n\r\n"))
	if head < 0 {
		if len(b) > 0 && !bytes.HasPrefix(b, []byte("HTTP/1.1 ")[:min(len(b), 9)]) {
			return a, 0, errMalformed
		}
		return a, 0, nil
	}
	length, chunked := -1, false
	if a.status, err = parseStatus(b[:head]); err != nil {
		return a, 0, err
	}
	lines := b[:head]
	for {
		at := bytes.Index(lines, []byte("\r\n"))
		if at < 0 {
			break
		}
		lines = lines[at+2:]
		name, value := headerLine(lines)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = parseLength(value); err != nil {
				return a, 0, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			a.close = bytes.EqualFold(value, []byte("close"))
		}
	}
	start := head + 4
	switch {
	case a.status < 200:
		return a, 0, errMalformed // nothing was asked that has interim answers
	case chunked:
		body, used, err := dechunk(b[start:])
		if err != nil || used == 0 {
			return a, 0, err
		}
		a.body = body
		return a, start + used, nil
	case a.status == 204 || a.status == 304:
		return a, start, nil
	case length < 0:
		return a, 0, errMalformed // the end of the connection would end the body
	case len(b)-start < length:
		return a, 0, nil
	}
	a.body = b[start : start+length]
	return a, start + length, nil
}

func parseStatus(head []byte) (int, error) {
	if len(head) < 12 || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) || (len(head) > 12 && head[12] != ' ' && head[12] != '\r') {
		return 0, errMalformed
	}
	status := 0
	for _, c := range head[9:12] {
		if c < '0' || c > '9' {
			return 0, errMalformed
		}
		status = 10*status + int(c-'0')
	}
	return status, nil
}

// headerLine splits the first of lines into name and value.
func headerLine(lines []byte) (name, value []byte) {
	if end := bytes.Index(lines, []byte("\r\n")); end >= 0 {
		lines = lines[:end]
	}
	name, value, _ = bytes.Cut(lines, []byte(":"))
	return name, bytes.Trim(value, " \t")
}

func parseLength(value []byte) (int, error) {
	n, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil || n > maxAnswer || value[0] == '+' {
		return 0, errMalformed
	}
	return int(n), nil
}

// dechunk returns the body that b holds in chunks, moved together at b's
// start, and how much of b it took; 0 while the last chunk is not there. It
// first looks whether all is there: b is moved at most once.
func dechunk(b []byte) (body []byte, used int, err error) {
	for used = 0; ; {
		size, data, err := chunk(b[used:])
		if err != nil || data == 0 {
			return nil, 0, err
		}
		end := used + data + size
		if size == 0 {
			// Trailers are not asked for, so the end is the empty line.
			if len(b) < end+2 {
				return nil, 0, nil
			}
			if b[end] != '\r' || b[end+1] != '\n' {
				return nil, 0, errMalformed
			}
			used = end + 2
			break
		}
		if len(b) < end+2 {
			return nil, 0, nil
		}
		if b[end] != '\r' || b[end+1] != '\n' {
			return nil, 0, errMalformed
		}
		used = end + 2
	}
	body = b[:0]
	for at := 0; ; {
		size, data, _ := chunk(b[at:])
		if size == 0 {
			return body, used, nil
		}
		rest := b[at+data : at+data+size]
		at += data + size + 2
		body = append(body, rest...) // moves left, never over what is still to come
	}
}

// chunk reads a chunk's size line: its size and where its data begins, 0
// while the line is not complete.
func chunk(b []byte) (size, data int, err error) {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 {
		if len(b) > 64 {
			return 0, 0, errMalformed
		}
		return 0, 0, nil
	}
	digits, _, _ := bytes.Cut(b[:end], []byte(";"))
	n, err := strconv.ParseUint(string(bytes.Trim(digits, " \t")), 16, 31)
	if err != nil || n > maxAnswer {
		return 0, 0, errMalformed
	}
	return int(n), end + 2, nil
}

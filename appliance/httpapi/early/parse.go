package early

import (
	"bytes"
	"strconv"
)

// request is what has to be known of one.
type request struct {
	// head is how long its head is, body how long its body.
	head int
	body int64
	// plain says that it may be answered by what is known: it is a GET without
	// body whose connection goes on.
	plain bool
	// id and trace are what names it, empty for nothing.
	id, trace []byte
	// target is what it asks for, and fields are the lines of its head.
	target []byte
	fields []field
}

// field is a line of a head: all of it, the length of its name, and its value.
type field struct {
	line  []byte
	name  int
	value []byte
}

var (
	crlf      = []byte("\r\n")
	keepAlive = []byte("keep-alive")
	version   = []byte(" HTTP/1.1")
)

// maxBody is more than any body may have.
const maxBody = 1 << 40

// parse reads the head of a request at the front of b; its fields are put into
// the given memory. ok is false where it is not all there or where the server
// might see its end elsewhere.
func parse(b []byte, fields []field) (r request, ok bool) {
	r.fields = fields[:0]
	line, rest, ok := cutLine(b)
	if !ok || !bytes.HasSuffix(line, version) {
		return r, false
	}
	method, target, _ := bytes.Cut(line[:len(line)-len(version)], []byte(" "))
	r.target = target
	switch string(method) {
	case "GET":
		r.plain = true
	case "HEAD", "POST", "PUT", "PATCH", "DELETE":
	default:
		return r, false
	}
	length := false
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return r, false
		}
		if len(line) == 0 {
			r.head = len(b) - len(rest)
			r.plain = r.plain && r.body == 0 && len(rest) == 0
			return r, true
		}
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || len(name) == 0 || bytes.IndexByte(name, ' ') >= 0 || bytes.IndexByte(name, '\t') >= 0 {
			return r, false
		}
		value = trim(value)
		r.fields = append(r.fields, field{line, len(name), value})
		switch len(name) { // few need to be looked at
		case len("Content-Length"):
			if bytes.EqualFold(name, []byte("Content-Length")) {
				n, err := strconv.ParseUint(string(value), 10, 63)
				if err != nil || length || n > maxBody {
					return r, false
				}
				length, r.body = true, int64(n)
			}
		case len("Transfer-Encoding"):
			if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
				return r, false
			}
		case len("Upgrade"):
			if bytes.EqualFold(name, []byte("Upgrade")) {
				return r, false
			}
		case len("Expect"):
			r.plain = r.plain && !bytes.EqualFold(name, []byte("Expect"))
		case len("Connection"):
			if bytes.EqualFold(name, []byte("Connection")) && !bytes.EqualFold(value, keepAlive) {
				r.plain = false
			}
		case len("X-Request-ID"):
			if bytes.EqualFold(name, []byte("X-Request-ID")) {
				r.plain = r.plain && r.id == nil
				r.id = value
			}
		case len("Traceparent"):
			if bytes.EqualFold(name, []byte("Traceparent")) {
				r.plain = r.plain && r.trace == nil
				r.trace = value
			}
		}
	}
}

// trim takes blanks off both ends.
func trim(value []byte) []byte {
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	return value
}

// cutLine cuts a line off the front; its end has to be CR LF, and a CR stands
// nowhere else.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	at := bytes.IndexByte(b, '\n')
	if at < 1 || b[at-1] != '\r' {
		return nil, nil, false
	}
	line = b[:at-1]
	return line, b[at+1:], bytes.IndexByte(line, '\r') < 0
}

// appendLength appends a length and the end of the head.
func appendLength(b []byte, n int) []byte {
	return append(append(strconv.AppendInt(b, int64(n), 10), crlf...), crlf...)
}

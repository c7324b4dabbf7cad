package early

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// exchange is the memory of the requests of one connection that are answered at
// the door, one at a time.
type exchange struct {
	request http.Request
	// lines are those of the last head. Heads of a connection resemble each other:
	// a line that is as it was keeps its texts.
	lines []line
}

// line is one of a head as it came, its name in canonical form and its value.
type line struct {
	raw   []byte
	name  string
	value []string
}

// begin readies an exchange for a connection's first request.
func (x *exchange) begin(ctx context.Context, remote string) {
	x.request = *(&http.Request{
		Method: http.MethodGet, URL: new(url.URL), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, RemoteAddr: remote,
	}).WithContext(ctx)
}

// take makes the request for a path the present one; false where the server
// might refuse it, or see it otherwise.
func (x *exchange) take(r *request, path string) bool {
	if !x.head(r.fields) {
		return false
	}
	for _, c := range r.target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	// The texts of a query outlive the request: ids are kept.
	target := string(r.target)
	q := &x.request
	q.RequestURI = target
	*q.URL = url.URL{Path: path, RawQuery: target[len(path)+1:], ForceQuery: len(target) == len(path)+1}
	q.Form, q.PostForm = nil, nil
	return true
}

// head makes the fields of a head the present header.
func (x *exchange) head(fields []field) bool {
	same := len(fields) == len(x.lines) && len(fields) > 0
	for i := range fields {
		f := &fields[i]
		if i < len(x.lines) && bytes.Equal(x.lines[i].raw, f.line) {
			continue
		}
		same = false
		if !sound(f) {
			x.lines = x.lines[:0]
			return false
		}
		if i == len(x.lines) {
			x.lines = append(x.lines, line{})
		}
		x.lines[i] = line{
			raw:   append(x.lines[i].raw[:0], f.line...),
			name:  textproto.CanonicalMIMEHeaderKey(string(f.line[:f.name])),
			value: []string{string(f.value)},
		}
	}
	if same {
		return true
	}
	x.lines = x.lines[:len(fields)]
	h, hosts := x.request.Header, 0
	clear(h)
	for i := range x.lines {
		l := &x.lines[i]
		if l.name == "Host" {
			x.request.Host = l.value[0]
			hosts++
			continue
		}
		if before, ok := h[l.name]; ok {
			h[l.name] = append(slices.Clone(before), l.value...)
		} else {
			h[l.name] = l.value
		}
	}
	if hosts != 1 {
		x.lines = x.lines[:0]
		return false
	}
	return true
}

// sound tells whether nothing in a line could make the server refuse it.
func sound(f *field) bool {
	name := f.line[:f.name]
	for _, c := range name {
		if !letter(c) && !digit(c) && c != '-' && c != '_' {
			return false
		}
	}
	host := bytes.EqualFold(name, []byte("Host"))
	for _, c := range f.value {
		switch {
		case c < ' ' && c != '\t', c == 0x7f:
			return false
		case host && !letter(c) && !digit(c) && strings.IndexByte("-._:[]", c) < 0:
			return false
		}
	}
	return true
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

// reply takes down an answer whose handler says what type it is of.
type reply struct {
	header http.Header
	status int
	body   []byte
	out    []byte
}

func (r *reply) reset() {
	clear(r.header)
	r.status, r.body = 0, r.body[:0]
}

// Header is to be filled before the first Write.
func (r *reply) Header() http.Header { return r.header }

// WriteHeader settles the status; what comes after the first one is ignored.
func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write appends to the body.
func (r *reply) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.body = append(r.body, b...)
	return len(b), nil
}

// whole is the answer as the server would write it, valid until the next one.
func (r *reply) whole(date string) []byte {
	r.WriteHeader(http.StatusOK)
	b := r.out[:0]
	if r.status == http.StatusOK {
		b = append(b, "HTTP/1.1 200 OK\r\n"...)
	} else {
		b = fmt.Appendf(b, "HTTP/1.1 %03d %s\r\n", r.status, http.StatusText(r.status))
	}
	var room [8]string
	names := room[:0]
	for name := range r.header {
		if name != "Content-Length" && name != "Date" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range r.header[name] {
			b = append(append(b, name...), ": "...)
			b = append(appendLine(b, value), crlf...)
		}
	}
	b = append(append(append(b, "Date: "...), date...), "\r\nContent-Length: "...)
	r.out = append(appendLength(b, len(r.body)), r.body...)
	return r.out
}

// appendLine appends a value of a header. A line in it ends with a blank, as
// the server has it: what a handler took from a request begins no line of its
// own.
func appendLine(b []byte, value string) []byte {
	start := len(b)
	b = append(b, value...)
	for i := start; i < len(b); i++ {
		if b[i] == '\r' || b[i] == '\n' {
			b[i] = ' '
		}
	}
	return b
}

// date is the time as answers have it, written once a second.
type date struct{ last atomic.Pointer[written] }

type written struct {
	second int64
	text   string
}

func (d *date) text() string {
	now := time.Now()
	last := d.last.Load()
	if last == nil || last.second != now.Unix() {
		last = &written{now.Unix(), now.UTC().Format(http.TimeFormat)}
		d.last.Store(last)
	}
	return last.text
}

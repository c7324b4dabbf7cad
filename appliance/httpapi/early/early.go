// Package early answers requests for lists with 503 as they come, before they
// are parsed, where there are far more than can be answered: by a handler a
// refusal costs more than twice as much, and at three times of what can be done
// there are two refusals for each answer.
//
// It owns the connections of a listener up to the HTTP server, and knows of
// requests only what it needs to be sure where one ends: what is unusual in any
// way goes to the server, and so does all that comes after it on that
// connection. Who is turned away is the caller's to say. It imports wire for the
// form of the answer, and admit.
package early

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi/wire"
)

// Options of a Door; all are needed.
type Options struct {
	// Away says whether to turn a request away. It is asked of each that may be.
	Away func() bool
	// Paths are those of which GET requests may be.
	Paths []string
	// Problem is what they are told, and Told is called with the path of each.
	Problem *wire.Problem
	Told    func(path string)
	// Idle is how long a connection may be without a request, Head how long the
	// head of its first one may take.
	Idle, Head time.Duration
}

// Door looks at the connections of a listener.
type Door struct {
	opt Options
	// starts are the beginnings of requests, by path.
	starts [][]byte
	// The answer: head, the request's id, middle, the length of the body, and that,
	// body and end around the id.
	head, middle, body, end []byte
}

// mark stands for the request's id in the answer that is taken apart.
const mark = "REQUEST-ID"

// New makes a door.
func New(opt Options) (*Door, error) {
	d := &Door{opt: opt}
	for _, path := range opt.Paths {
		d.starts = append(d.starts, []byte("GET "+path+"?"))
	}
	sheet := &sheet{header: http.Header{}}
	if err := opt.Problem.Write(sheet, mark); err != nil {
		return nil, err
	}
	head := bytes.NewBufferString("HTTP/1.1 503 Service Unavailable\r\n")
	_ = sheet.header.Write(head) // a buffer takes everything
	head.WriteString(wire.HeaderRequestID + ": ")
	d.head, d.middle = head.Bytes(), []byte("\r\nContent-Length: ")
	d.body, d.end, _ = bytes.Cut(sheet.body, []byte(mark))
	return d, nil
}

// sheet takes down an answer.
type sheet struct {
	header http.Header
	body   []byte
}

func (s *sheet) Header() http.Header { return s.header }
func (s *sheet) WriteHeader(int)     {}
func (s *sheet) Write(b []byte) (int, error) {
	s.body = append(s.body, b...)
	return len(b), nil
}

// Listen looks at the connections of l. The server must tell State of them, and
// take its contexts from Context.
func (d *Door) Listen(l net.Listener) net.Listener { return &listener{l, d} }

type listener struct {
	net.Listener
	door *Door
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, door: l.door}, nil
}

// State is the server's ConnState.
func (d *Door) State(c net.Conn, state http.ConnState) {
	if c, ours := c.(*conn); ours && (state == http.StateNew || state == http.StateIdle) {
		c.first = state == http.StateNew
		c.begin()
	}
}

// Context is the server's ConnContext: the gate learns that a request was asked
// about here already.
func (d *Door) Context(ctx context.Context, c net.Conn) context.Context {
	if c, ours := c.(*conn); ours {
		return admit.Behind(ctx, c)
	}
	return ctx
}

// conn is a connection. The server reads from one goroutine at a time, and tells
// State between two reads.
type conn struct {
	net.Conn
	door *Door
	// fresh says that the next byte is the first of a request, of which the
	// server has nothing yet; left is how much of the present one is to come, and
	// lost that where it ends is not known, which holds for good.
	fresh, lost bool
	left        int64
	// ahead says that the server has the first byte of the next request already,
	// which it looks for while a handler runs, to learn whether the client has
	// gone: held. Such a request can only be followed.
	ahead bool
	held  [1]byte
	// asked says that Away was asked about the present request.
	asked bool
	// first says that no request went through yet; until then the server counts
	// the time for its head from the connection's beginning.
	first    bool
	extended time.Time
	out      []byte
}

// begin is called where the server waits for a request and holds nothing of one.
func (c *conn) begin() {
	c.fresh, c.asked = !c.lost && c.left == 0, false
}

// Asked says whether it was asked about the present request if it is to be
// turned away.
func (c *conn) Asked() bool { return c.asked }

// Read gives the server what comes, but for requests that are turned away.
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if n <= 0 {
			return n, err
		}
		if !c.fresh {
			c.follow(b[:n])
			return n, err
		}
		r, path := c.open(b[:n])
		if path < 0 {
			return n, c.deadline(err)
		}
		if c.asked = true; !c.door.opt.Away() {
			return n, c.deadline(err)
		}
		if err := c.refuse(&r, path); err != nil {
			return 0, err
		}
		c.begin()
	}
}

// follow takes note of a part of a request whose beginning the server has, or of
// the first byte of the next one.
func (c *conn) follow(b []byte) {
	if c.left == 0 && len(b) == len(c.held) && !c.ahead {
		c.ahead = true
		copy(c.held[:], b)
		return
	}
	c.lost = c.lost || int64(len(b)) > c.left
	c.left = max(0, c.left-int64(len(b)))
}

// open looks at the beginning of a request. path is that of one which may be
// turned away, else -1.
func (c *conn) open(b []byte) (r request, path int) {
	turns := !c.ahead
	if c.ahead {
		c.out = append(append(c.out[:0], c.held[:]...), b...)
		b = c.out
	}
	c.fresh, c.ahead = false, false
	r, ok := parse(b)
	rest := int64(len(b) - r.head)
	if c.lost, c.left = !ok || rest > r.body, max(0, r.body-rest); c.lost || !r.plain || !turns {
		return r, -1
	}
	return r, c.door.path(b)
}

// path is which of the paths a request is for, -1 for none.
func (d *Door) path(r []byte) int {
	for i, start := range d.starts {
		if bytes.HasPrefix(r, start) {
			return i
		}
	}
	return -1
}

// refuse answers a request.
func (c *conn) refuse(r *request, path int) error {
	d := c.door
	// The server's deadlines are for one request: a client that is turned away
	// again and again must not run into them, and one that does not read what it
	// is told must.
	if now := time.Now(); now.Sub(c.extended) > time.Second {
		c.extended = now
		if err := c.SetDeadline(now.Add(d.opt.Idle)); err != nil {
			return err
		}
	}
	given := http.Header{}
	if len(r.id) > 0 {
		given[wire.HeaderRequestID] = []string{string(r.id)}
	}
	if len(r.trace) > 0 {
		given["Traceparent"] = []string{string(r.trace)}
	}
	id := wire.RequestID(given)[0] // nothing in it needs an escape
	out := append(append(append(c.out[:0], d.head...), id...), d.middle...)
	out = appendLength(out, len(d.body)+len(id)+len(d.end))
	out = append(append(append(out, d.body...), id...), d.end...)
	c.out = out
	d.opt.Told(d.opt.Paths[path])
	_, err := c.Write(out)
	return err
}

// deadline gives the first request that goes through the time for its head that
// refusals have taken away, or given.
func (c *conn) deadline(err error) error {
	if !c.first || c.extended.IsZero() {
		return err
	}
	c.extended = time.Time{}
	if e := c.SetReadDeadline(time.Now().Add(c.door.opt.Head)); e != nil && err == nil {
		return e
	}
	return err
}

// Package early answers requests for lists as they come, before the HTTP server
// has them: by a handler, or with 503 where there are far more than can be
// answered. The server makes for each request what a list has no use for, and at
// three times of what can be done there are two refusals for each answer.
//
// It owns the connections of a listener up to the HTTP server, and knows of
// requests only what it needs to be sure what one asks for and where it ends:
// what is unusual in any way goes to the server, and so does all that comes after
// it on that connection. Who is turned away is the caller's to say, and what is
// answered the handler's. It imports wire for the form of a refusal, and admit.
package early

import (
	"bytes"
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi/wire"
)

// Options of a Door; all are needed.
type Options struct {
	// Client is called for each connection. It is asked about each request that may
	// be turned away.
	Client func() Client
	// Paths are those of which GET requests may be.
	Paths []string
	// Handler answers such requests as it does behind the server; it says what type
	// an answer is of, and is done with the request when it returns.
	Handler http.Handler
	// Problem is what they are told, and Told is called with the path of each.
	Problem *wire.Problem
	Told    func(path string)
	// Idle is how long a connection may be without a request, Head how long the
	// head of its first one may take.
	Idle, Head time.Duration
}

// Client says which requests of a connection to turn away.
type Client interface {
	TurnsAway() bool
	// Gone is called when the connection is closed, as often as it is.
	Gone()
}

// Door looks at the connections of a listener.
type Door struct {
	opt Options
	// starts are the beginnings of requests, by path.
	starts [][]byte
	// A refusal: head, the request's id, middle, the length of the body, and that,
	// body and end around the id.
	head, middle, body, end []byte
	date                    date
	replies                 sync.Pool // of *reply
	// leaving are the connections that were closed while they were answered on.
	leaving atomic.Int64
}

// mark stands for the request's id in the answer that is taken apart.
const mark = "REQUEST-ID"

// New makes a door.
func New(opt Options) (*Door, error) {
	d := &Door{opt: opt, replies: sync.Pool{New: func() any { return &reply{header: http.Header{}} }}}
	for _, path := range opt.Paths {
		d.starts = append(d.starts, []byte("GET "+path+"?"))
	}
	refusal := &reply{header: http.Header{}}
	if err := opt.Problem.Write(refusal, mark); err != nil {
		return nil, err
	}
	head := bytes.NewBufferString("HTTP/1.1 503 Service Unavailable\r\n")
	_ = refusal.header.Write(head) // a buffer takes everything
	head.WriteString(wire.HeaderRequestID + ": ")
	d.head, d.middle = head.Bytes(), []byte("\r\nContent-Length: ")
	d.body, d.end, _ = bytes.Cut(refusal.body, []byte(mark))
	return d, nil
}

// Watch looks at the connections of l before the server does, which tells of
// them.
func (d *Door) Watch(server *http.Server, l net.Listener) net.Listener {
	server.ConnState, server.ConnContext = d.state, d.context
	return &listener{l, d}
}

// Wait waits for the answers that were under way when the server shut down, or
// until ctx ends.
func (d *Door) Wait(ctx context.Context) {
	look := time.NewTicker(waitEvery)
	defer look.Stop()
	for d.leaving.Load() > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// waitEvery is how often Wait looks.
const waitEvery = 2 * time.Millisecond

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
	ours := &conn{Conn: c, door: l.door, client: l.door.opt.Client()}
	ours.socket.open(c, ours.step)
	return ours, nil
}

// state is the server's ConnState.
func (d *Door) state(c net.Conn, state http.ConnState) {
	if c, ours := c.(*conn); ours && (state == http.StateNew || state == http.StateIdle) {
		c.first = state == http.StateNew
		c.begin()
	}
}

// context is the server's ConnContext: the gate learns that a request was asked
// about here already.
func (d *Door) context(ctx context.Context, c net.Conn) context.Context {
	ours, ok := c.(*conn)
	if !ok {
		return ctx
	}
	ours.ctx = admit.Behind(ctx, ours)
	return ours.ctx
}

// conn is a connection. The server reads from one goroutine at a time, and tells
// State between two reads.
type conn struct {
	net.Conn
	door   *Door
	client Client
	socket socket
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
	// asked says that the client was asked about the present request.
	asked bool
	// first says that no request went through yet; until then the server counts
	// the time for its head from the connection's beginning.
	first    bool
	extended time.Time
	out      []byte
	fields   []field

	// ctx is that of all requests; exchange is nil before the first one that is
	// answered here.
	ctx      context.Context
	exchange *exchange
	// stage tells Close whether an answer is under way.
	stage atomic.Int32
}

// The stages of a connection.
const (
	waits int32 = iota
	answers
	closed
)

// begin is called where the server waits for a request and holds nothing of one.
func (c *conn) begin() {
	c.fresh, c.asked = !c.lost && c.left == 0, false
}

// Asked says whether it was asked about the present request if it is to be
// turned away.
func (c *conn) Asked() bool { return c.asked }

// Read gives the server what comes, but for requests that are answered here.
func (c *conn) Read(b []byte) (int, error) {
	if c.fresh && c.socket.raw != nil {
		return c.socket.read(b)
	}
	for {
		n, err := c.Conn.Read(b)
		if n <= 0 {
			return n, err
		}
		if ours, e := c.came(b[:n]); !ours {
			return n, cmp.Or(e, err)
		} else if e != nil {
			return 0, e
		}
	}
}

// step is Read of a socket that may have something. It reports false to be
// called again when more has come.
func (c *conn) step(fd uintptr) (done bool) {
	s := &c.socket
	s.fd = fd
	for {
		n, some, err := s.take()
		if !some {
			return false
		}
		if err != nil {
			s.err = err
			return true
		}
		ours, err := c.came(s.into[:n])
		if !ours {
			s.n, s.err = n, err
			return true
		}
		if err != nil {
			s.err = err
			return true
		}
		if n < len(s.into) {
			return false // it is empty: the next byte wakes the poller
		}
	}
}

// came looks at what has come, and reports whether it was a request that is
// answered here.
func (c *conn) came(b []byte) (ours bool, err error) {
	if !c.fresh {
		c.follow(b)
		return false, nil
	}
	r, path := c.open(b)
	if path < 0 {
		return false, c.deadline()
	}
	if c.asked = true; c.client.TurnsAway() {
		err = c.refuse(&r, path)
	} else if c.first || !c.take(&r, path) {
		return false, c.deadline()
	} else {
		err = c.answer()
	}
	if err == nil {
		c.begin()
	}
	return true, err
}

// send writes an answer, within a Read.
func (c *conn) send(b []byte) error {
	if c.socket.raw != nil {
		if b = b[c.socket.give(b):]; len(b) == 0 {
			return nil
		}
	}
	_, err := c.Write(b)
	return err
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
	r, ok := parse(b, c.fields)
	c.fields = r.fields
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

// take makes a request the one that answer answers, where there is no doubt of
// it. The first one of a connection is never taken: from it on the server knows
// that the connection is in use, and closes it when it stops.
func (c *conn) take(r *request, path int) bool {
	if c.exchange == nil {
		c.exchange = new(exchange)
		c.exchange.begin(c.ctx, c.RemoteAddr().String())
	}
	return c.exchange.take(r, c.door.opt.Paths[path])
}

// answer has the handler answer the request that was taken.
func (c *conn) answer() error {
	if !c.stage.CompareAndSwap(waits, answers) {
		return net.ErrClosed
	}
	defer c.answered()
	if err := c.extend(); err != nil {
		return err
	}
	d := c.door
	w := d.replies.Get().(*reply)
	defer d.replies.Put(w)
	w.reset()
	d.opt.Handler.ServeHTTP(w, &c.exchange.request)
	return c.send(w.whole(d.date.text()))
}

// answered ends an answer, and the connection where it was closed meanwhile.
func (c *conn) answered() {
	if !c.stage.CompareAndSwap(answers, waits) {
		c.Conn.Close() //nolint:errcheck // nobody is there to be told
		c.door.leaving.Add(-1)
	}
}

// Close closes the connection once an answer that is under way is sent. The
// server that stops thinks that nothing is: it has not seen the request.
func (c *conn) Close() error {
	c.client.Gone()
	c.door.leaving.Add(1)
	if c.stage.CompareAndSwap(answers, closed) {
		return nil
	}
	c.door.leaving.Add(-1)
	return c.Conn.Close()
}

// extend moves the deadlines of the connection. The server's are for one request:
// a client that is answered here again and again must not run into them, and one
// that does not read what it is told must.
func (c *conn) extend() error {
	now := time.Now()
	if now.Sub(c.extended) <= time.Second {
		return nil
	}
	c.extended = now
	return c.SetDeadline(now.Add(c.door.opt.Idle))
}

// refuse answers a request.
func (c *conn) refuse(r *request, path int) error {
	d := c.door
	if err := c.extend(); err != nil {
		return err
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
	return c.send(out)
}

// deadline gives the first request that goes through the time for its head that
// refusals have taken away.
func (c *conn) deadline() error {
	if !c.first || c.extended.IsZero() {
		return nil
	}
	c.extended = time.Time{}
	return c.SetReadDeadline(time.Now().Add(c.door.opt.Head))
}

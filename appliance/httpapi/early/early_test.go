package early

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vitrine/appliance/httpapi/wire"
)

// served is a server behind a door that turns away what away says; it answers
// with the path, the body's length and whether the door asked.
type served struct {
	pipes *pipes
	away  atomic.Bool
	asked atomic.Int64
	told  atomic.Int64
	// here counts what the door answers by its handler.
	here atomic.Int64
	// clients are the connections that the door has told of and that are not gone.
	clients atomic.Int64
	door    *Door
	server  *http.Server
}

// guest is one of these connections.
type guest struct {
	*served
	gone atomic.Bool
}

// TurnsAway is what is asked about each request of any connection.
func (g *guest) TurnsAway() bool { g.asked.Add(1); return g.away.Load() }

// Gone takes note of a connection that is closed.
func (g *guest) Gone() {
	if g.gone.CompareAndSwap(false, true) {
		g.clients.Add(-1)
	}
}

// answer is the same for all requests.
type answer bool

func (a answer) TurnsAway() bool { return bool(a) }
func (a answer) Gone()           {}

func serve(t *testing.T) *served {
	t.Helper()
	return serveBy(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, n) //nolint:errcheck // a test's server
	})
}

func serveBy(t *testing.T, handler http.HandlerFunc) *served {
	t.Helper()
	p := &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})}
	s := serveOn(t, p, handler)
	s.pipes = p
	return s
}

// serveOn is serveBy for the connections of l.
func serveOn(t *testing.T, l net.Listener, handler http.HandlerFunc) *served {
	t.Helper()
	s := new(served)
	d, err := New(Options{
		Client: func() Client { s.clients.Add(1); return &guest{served: s} }, Paths: []string{"/v1/recommend", "/recommend"},
		Problem: wire.Overloaded(), Told: func(string) { s.told.Add(1) }, Idle: time.Minute, Head: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.here.Add(1); handler(w, r) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.door = d
	server := &http.Server{Handler: handler}
	s.server = server
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(d.Watch(server, l)) }() //nolint:errcheck // ends with Close
	t.Cleanup(func() {
		server.Close()
		<-done
		for deadline := time.Now().Add(10 * time.Second); s.clients.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%d connections are not gone", s.clients.Load())
				return
			}
		}
	})
	return s
}

// pipes are connections in memory: what is written at once is read at once, if
// the reader has room.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// dialog is one connection.
type dialog struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (s *served) dial(t *testing.T) *dialog {
	t.Helper()
	c, theirs := net.Pipe()
	s.pipes.dialled <- theirs
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // a read tells
	return &dialog{t, c, bufio.NewReader(c)}
}

// say sends each part by itself; it returns when all is read.
func (d *dialog) say(parts ...string) {
	d.t.Helper()
	for _, part := range parts {
		if _, err := io.WriteString(d, part); err != nil {
			d.t.Fatal(err)
		}
	}
}

// hear reads one answer.
func (d *dialog) hear() (status int, header http.Header, body string) {
	d.t.Helper()
	r, err := http.ReadResponse(d.r, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return r.StatusCode, r.Header, string(b)
}

// turned asks several times, until one request is turned away: of those the server
// may have the first byte before it says that it waits for them, and then they
// are let through.
func (d *dialog) turned(request string) (status int, header http.Header) {
	d.t.Helper()
	for range 20 {
		d.say(request)
		if status, header, _ = d.hear(); status == 503 {
			break
		}
	}
	return status, header
}

const list = "GET /v1/recommend?user_id=u1 HTTP/1.1\r\nHost: shop\r\nX-Request-ID: r-1\r\n\r\n"

// TestRefusal: the answer is the problem that a handler would give, and the
// connection goes on.
func TestRefusal(t *testing.T) {
	s := serve(t)
	s.away.Store(true)
	d := s.dial(t)
	for range 3 {
		d.say(list)
		status, header, body := d.hear()
		var problem struct {
			Type, Code, Hint string
			Status           int
			RequestID        string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(body), &problem); err != nil {
			t.Fatal(err, body)
		}
		if status != 503 || problem.Status != 503 || problem.Code != "overloaded" || problem.Hint == "" || header.Get("Retry-After") != "1" ||
			header.Get("Content-Type") != "application/problem+json" || header.Get("X-Request-ID") != problem.RequestID || problem.RequestID != "r-1" {
			t.Errorf("%d %v %s", status, header, body)
		}
	}
	if s.told.Load() != 3 {
		t.Errorf("told of %d", s.told.Load())
	}
	s.away.Store(false)
	for range 3 {
		d.say(list)
		if status, _, body := d.hear(); status != 200 || body != "GET /v1/recommend 0" {
			t.Errorf("let in again: %d %s", status, body)
		}
	}
	s.away.Store(true)
	if status, header := d.turned(strings.Replace(list, "X-Request-ID: r-1", "A: b", 1)); status != 503 || len(header.Get("X-Request-ID")) < 20 {
		t.Errorf("without a name of its own: %d %v", status, header)
	}
}

// TestLetsThrough: what is not just the request for a list is the server's, and
// its answer is what it would be without a door.
func TestLetsThrough(t *testing.T) {
	get := func(headers string) string { return "GET /v1/recommend?a HTTP/1.1\r\nHost: s\r\n" + headers + "\r\n" }
	post := "POST /v1/events HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n%s"
	for name, c := range map[string]struct {
		parts []string
		want  []string
		// then is the status of a request for a list that comes behind.
		then int
	}{
		"another path":       {[]string{"GET /v1/recommendations?a HTTP/1.1\r\nHost: s\r\n\r\n"}, []string{"GET /v1/recommendations 0"}, 503},
		"no query":           {[]string{"GET /v1/recommend HTTP/1.1\r\nHost: s\r\n\r\n"}, []string{"GET /v1/recommend 0"}, 503},
		"a list by POST":     {[]string{"POST /v1/recommend?a HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n"}, []string{"POST /v1/recommend 0"}, 503},
		"events":             {[]string{fmt.Sprintf(post, 5, "hello")}, []string{"POST /v1/events 5"}, 503},
		"events in parts":    {[]string{fmt.Sprintf(post, 5, "he"), "llo"}, []string{"POST /v1/events 5"}, 503},
		"a list as a body":   {[]string{fmt.Sprintf(post, len(list), ""), list}, []string{fmt.Sprintf("POST /v1/events %d", len(list))}, 503},
		"a head in parts":    {[]string{"GET /v1/recommend?a HTTP", "/1.1\r\nHost: s\r\n\r\n"}, []string{"GET /v1/recommend 0"}, 200},
		"two at once":        {[]string{get("") + get("")}, []string{"GET /v1/recommend 0", "GET /v1/recommend 0"}, 200},
		"behind events":      {[]string{fmt.Sprintf(post, 2, "he") + get("")}, []string{"POST /v1/events 2", "GET /v1/recommend 0"}, 200},
		"a body":             {[]string{get("Content-Length: 3\r\n") + "abc"}, []string{"GET /v1/recommend 3"}, 503},
		"chunks":             {[]string{get("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n"}, []string{"GET /v1/recommend 3"}, 200},
		"bare line feeds":    {[]string{"GET /v1/recommend?a HTTP/1.1\nHost: s\n\n"}, []string{"GET /v1/recommend 0"}, 200},
		"one hidden by such": {[]string{"GET /v1/recommend?a HTTP/1.1\r\nHost: s\n\n" + get("")}, []string{"GET /v1/recommend 0", "GET /v1/recommend 0"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			s.away.Store(true)
			d := s.dial(t)
			d.say(c.parts...)
			for _, want := range c.want {
				if status, _, body := d.hear(); status != 200 || body != want {
					t.Errorf("%d %q, want %q", status, body, want)
				}
			}
			if status, _ := d.turned(list); status != c.then {
				t.Errorf("then lists: %d, want %d", status, c.then)
			}
		})
	}
}

// TestManyAtOnce: connections do not get in each other's way.
func TestManyAtOnce(t *testing.T) {
	s := serve(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			d := s.dial(t)
			for i := range 50 {
				s.away.Store((n+i)%3 == 0)
				d.say(list)
				if status, _, body := d.hear(); status != 503 && (status != 200 || body != "GET /v1/recommend 0") {
					t.Errorf("%d %s", status, body)
				}
			}
		})
	}
	wg.Wait()
	// Of some the server has the first byte early: those behind them are asked
	// about again.
	if s.asked.Load() < 100 {
		t.Errorf("asked %d times of 400 requests", s.asked.Load())
	}
}

// FuzzParse holds parse against the server's own reader: where parse is sure,
// that one sees the same end, and the same body.
func FuzzParse(f *testing.F) {
	f.Add(list)
	f.Add("POST /v1/events HTTP/1.1\r\nHost: s\r\ncontent-length: 5\r\n\r\nhello")
	f.Add("GET /recommend?a HTTP/1.1\r\nHost: s\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n")
	f.Add("GET / HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f.Add("GET / HTTP/1.1\r\nHost: s\r\n Content-Length: 4\r\n\r\n")
	f.Add("GET / HTTP/1.1\nHost: s\n\nGET / HTTP/1.1\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parse([]byte(text), nil)
		if !ok {
			return
		}
		if r.head <= 0 || r.head > len(text) || r.body < 0 {
			t.Fatalf("%+v of %q", r, text)
		}
		source := bufio.NewReaderSize(strings.NewReader(text), len(text)+16)
		theirs, err := http.ReadRequest(source)
		if err != nil {
			return // the server answers 400 and closes
		}
		if head := len(text) - source.Buffered(); head != r.head && theirs.Body == http.NoBody || theirs.ContentLength != r.body {
			t.Errorf("%q: head %d and body %d, the server sees %d and %d", text, r.head, r.body, head, theirs.ContentLength)
		}
		if r.plain && (theirs.Method != http.MethodGet || theirs.Close || theirs.Header.Get("Expect") != "") {
			t.Errorf("%q is plain", text)
		}
	})
}

// BenchmarkParse: the limit is reading some 150 bytes, 50 ns.
func BenchmarkParse(b *testing.B) {
	r := []byte("GET /v1/recommend?limit=20&user_id=u1234 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: shop/1.0\r\nAccept: */*\r\nX-Request-ID: 0123456789abcdef\r\n\r\n")
	var fields []field
	b.ReportAllocs()
	for b.Loop() {
		r, ok := parse(r, fields)
		if fields = r.fields; !ok {
			b.Fatal("it does not parse")
		}
	}
}

// BenchmarkRefusal asks over one connection and is turned away, at the door and,
// for comparison, by a handler that says as much. The limit is a read, a write
// and waking the other side up twice, some 8 us; half of it is the client's.
func BenchmarkRefusal(b *testing.B) {
	for _, where := range []string{"door", "handler"} {
		b.Run(where, func(b *testing.B) {
			dialogue(b, Options{
				Client: func() Client { return answer(where == "door") },
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					wire.Overloaded().Write(w, wire.RequestID(r.Header)[0]) //nolint:errcheck // a benchmark's server
				}),
			}, list)
		})
	}
}

// dialogue has a client say the same again and again.
func dialogue(b *testing.B, opt Options, request string) {
	opt.Paths, opt.Problem, opt.Told, opt.Idle, opt.Head = []string{"/v1/recommend"}, wire.Overloaded(), func(string) {}, time.Minute, time.Minute
	d, err := New(opt)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: opt.Handler}
	go server.Serve(d.Watch(server, l)) //nolint:errcheck // ends with Close
	defer server.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 1<<12)
	b.ReportAllocs()
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before) //nolint:errcheck // of ourselves
	for b.Loop() {
		if _, err := io.WriteString(c, request); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &after) //nolint:errcheck // of ourselves
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
}

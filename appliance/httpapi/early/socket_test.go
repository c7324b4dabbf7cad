package early

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// sockets are connections of the system's, as pipes in memory are read in another
// way. It tells whose has been closed.
type sockets struct {
	*net.TCPListener
	closed chan string
}

func (l *sockets) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return &socketConn{c, l.closed}, nil
}

type socketConn struct {
	*net.TCPConn
	closed chan string
}

func (c *socketConn) Close() error {
	select {
	case c.closed <- c.RemoteAddr().String():
	default: // nobody wants to know
	}
	return c.TCPConn.Close()
}

// onSockets has a door serve sockets.
func onSockets(t *testing.T, handler http.HandlerFunc) (s *served, dial func() *dialog, closed <-chan string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ours := &sockets{l.(*net.TCPListener), make(chan string, 16)}
	return serveOn(t, ours, handler), func() *dialog {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // a read tells
		return &dialog{t, c, bufio.NewReader(c)}
	}, ours.closed
}

// echo answers with what was asked for.
func echo(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.RequestURI(), n) //nolint:errcheck // a test's server
}

// TestSockets: on many connections at once each request has its own answer, be it
// from the door, from the server, or none.
func TestSockets(t *testing.T) {
	s, dial, _ := onSockets(t, echo)
	var wg sync.WaitGroup
	for n := range 8 {
		d := dial()
		wg.Go(func() {
			for i := range 100 {
				s.away.Store((n+i)%3 == 0)
				target := fmt.Sprintf("/v1/recommend?user_id=u%d-%d", n, i)
				want := "GET " + target + " 0"
				if i%10 == 9 { // the server's
					target = fmt.Sprintf("/v1/events?n=%d-%d", n, i)
					want = "POST " + target + " 2"
					d.say("POST " + target + " HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\n{}")
				} else {
					d.say("GET " + target + " HTTP/1.1\r\nHost: s\r\n\r\n")
				}
				if status, _, body := d.hear(); status != 503 && (status != 200 || body != want) {
					t.Errorf("%d %q, want %q", status, body, want)
				}
			}
		})
	}
	wg.Wait()
	if s.told.Load() == 0 || s.here.Load() == 0 {
		t.Errorf("the door refused %d and answered %d", s.told.Load(), s.here.Load())
	}
}

// TestLongAnswer: one that the socket has no room for comes whole, and the
// connection goes on.
func TestLongAnswer(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	_, dial, _ := onSockets(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("long") {
			w.Write(long) //nolint:errcheck // a test's server
			return
		}
		echo(w, r)
	})
	d := dial()
	for _, query := range []string{"a", "long", "b", "long"} {
		d.say("GET /recommend?" + query + " HTTP/1.1\r\nHost: s\r\n\r\n")
		want := string(long)
		if query != "long" {
			want = "GET /recommend?" + query + " 0"
		}
		if status, _, body := d.hear(); status != 200 || body != want {
			t.Fatalf("%s: %d and %d bytes, want %d", query, status, len(body), len(want))
		}
	}
}

// TestFullBuffer: a request that is as long as what is read at a time is answered,
// and so is the one behind it, which came with it.
func TestFullBuffer(t *testing.T) {
	const buffer = 4096 // of net/http
	s, dial, _ := onSockets(t, echo)
	s.away.Store(true)
	for _, more := range []int{0, 1, buffer} {
		d := dial()
		d.say(list)
		if status, _, _ := d.hear(); status != 503 {
			t.Fatal(status)
		}
		head := "GET /v1/recommend?user_id=u1 HTTP/1.1\r\nHost: shop\r\nA: \r\n\r\n"
		d.say(strings.Replace(head, "A: ", "A: "+strings.Repeat("a", buffer-len(head)+more), 1) + list)
		for n := range 2 {
			if status, _, _ := d.hear(); status != 503 && status != 200 {
				t.Errorf("%d bytes more, answer %d: %d", more, n, status)
			}
		}
	}
}

// TestEnds: a client that goes ends his connection, and no other one.
func TestEnds(t *testing.T) {
	s, dial, closed := onSockets(t, echo)
	other := dial()
	s.at(other, list)
	s.away.Store(true)
	for name, leave := range map[string]func(*net.TCPConn){
		"closes": func(c *net.TCPConn) { c.Close() },                 //nolint:errcheck // that is what is tested
		"resets": func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, //nolint:errcheck // likewise
	} {
		d := dial()
		s.refused(d)
		address := d.LocalAddr().String()
		leave(d.Conn.(*net.TCPConn))
		select {
		case got := <-closed:
			if got != address {
				t.Errorf("a client that %s: the connection of %s has ended, not that of %s", name, got, address)
			}
		case <-time.After(time.Minute):
			t.Fatalf("a client that %s: its connection has not ended after a minute", name)
		}
	}
	s.refused(other)
}

// TestSaysNothing: a connection on which nothing comes for too long is closed,
// however often it was turned away before.
func TestSaysNothing(t *testing.T) {
	s, dial, _ := onSockets(t, echo)
	s.door.opt.Idle = 20 * time.Millisecond
	s.away.Store(true)
	d := dial()
	s.refused(d)
	if b, err := d.r.ReadByte(); err != io.EOF {
		t.Errorf("%q %v", b, err)
	}
}

// refused has a client turned away.
func (s *served) refused(d *dialog) {
	d.t.Helper()
	if status, _ := d.turned(list); status != 503 {
		d.t.Fatalf("%d, want 503", status)
	}
}

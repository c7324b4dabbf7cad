package early

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// mirror answers with all that it sees of a request.
func mirror(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["X-Two"] = []string{"b", "a"}
	h["X-Lines"] = []string{"one\r\nX-Three: c", "\n"}
	if status := r.URL.Query().Get("status"); status != "" {
		var code int
		fmt.Sscan(status, &code) //nolint:errcheck // a test's server
		w.WriteHeader(code)
		w.WriteHeader(http.StatusTeapot) // has no effect
	}
	fmt.Fprintf(w, "%s %s %q %q %v %s %s %d", r.Method, r.RequestURI, r.URL.String(), r.Host, r.Close, r.Proto, r.RemoteAddr, r.ContentLength) //nolint:errcheck // a test's server
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "\n%s: %q", name, r.Header[name]) //nolint:errcheck // a test's server
	}
	fmt.Fprint(w, strings.Repeat("x", len(r.URL.Query().Get("long")))) //nolint:errcheck // a test's server
}

// at asks until a request is answered at the door, for those of which the server
// has the first byte before it says that it waits for them are its own.
func (s *served) at(d *dialog, request string) (status int, header http.Header, body string) {
	d.t.Helper()
	for range 20 {
		before := s.here.Load()
		d.say(request)
		if status, header, body = d.hear(); s.here.Load() > before {
			return status, header, body
		}
	}
	d.t.Fatalf("%q is never answered at the door", request)
	return 0, nil, ""
}

// TestSame: what is answered at the door is what the server would answer.
func TestSame(t *testing.T) {
	s := serveBy(t, mirror)
	plain := &http.Server{Handler: http.HandlerFunc(mirror)}
	l := &pipes{dialled: make(chan net.Conn), closed: make(chan struct{})}
	go plain.Serve(l) //nolint:errcheck // ends with Close
	defer plain.Close()
	ours := s.dial(t)
	theirs := (&served{pipes: l}).dial(t)
	for _, request := range []string{
		list,
		list, // all lines as before
		"GET /recommend?user_id=%C3%A9&a=b+c HTTP/1.1\r\nHost: shop:80\r\n\r\n",
		"GET /recommend? HTTP/1.1\r\nHost: [::1]\r\nX-Request-ID: r-1\r\n\r\n",
		"GET /recommend?a=/%zz;?&&= HTTP/1.1\r\nhost: s\r\nACCEPT: a\r\naccept:\tb \r\nEmpty:\r\nUser-Agent: \xff\r\n\r\n",
		"GET /recommend?a HTTP/1.1\r\nAccept: c\r\nHost: s\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
		"GET /v1/recommend?status=404 HTTP/1.1\r\nHost: s\r\n\r\n",
		"GET /v1/recommend?status=503&long=" + strings.Repeat("y", 3000) + " HTTP/1.1\r\nHost: s\r\n\r\n",
	} {
		status, header, body := s.at(ours, request)
		theirs.say(request)
		wantStatus, wantHeader, wantBody := theirs.hear()
		if header.Get("Date") == "" || header.Get("Content-Length") == "" {
			t.Errorf("%q: %v", request, header)
		}
		delete(header, "Date")
		delete(wantHeader, "Date")
		delete(header, "Content-Length") // the server leaves it out of long answers
		delete(wantHeader, "Content-Length")
		if status != wantStatus || !reflect.DeepEqual(header, wantHeader) || body != wantBody {
			t.Errorf("%q:\n%d %v %s\nthe server answers:\n%d %v %s", request, status, header, body, wantStatus, wantHeader, wantBody)
		}
	}
}

// TestLeftToTheServer: of what could be refused, or meant otherwise, the server
// is asked, and what it says counts.
func TestLeftToTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"no host":           {"GET /recommend?a HTTP/1.1\r\n\r\n", 400},
		"two hosts":         {"GET /recommend?a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"a host of blanks":  {"GET /recommend?a HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		"a strange name":    {"GET /recommend?a HTTP/1.1\r\nHost: a\r\nA(b): c\r\n\r\n", 400},
		"a control":         {"GET /recommend?a HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n", 400},
		"control in target": {"GET /recommend?\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"blanks in target":  {"GET /recommend?a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"umlauts":           {"GET /recommend?\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		"a fragment":        {"GET /recommend?a#b HTTP/1.1\r\nHost: a\r\n\r\n", 200},
		"goes":              {"GET /recommend?a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200},
		"expects":           {"GET /recommend?a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveBy(t, mirror)
			d := s.dial(t)
			s.at(d, list)
			before := s.here.Load()
			d.say(c.request)
			if status, _, body := d.hear(); status != c.status || s.here.Load() != before {
				t.Errorf("%d %s, want %d, answered by the door: %v", status, body, c.status, s.here.Load() != before)
			}
		})
	}
}

// TestStopSendsWhatIsUnderWay: a stop of the server closes connections that wait
// at once, and one that is answered on once it has its answer.
func TestStopSendsWhatIsUnderWay(t *testing.T) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	s := serveBy(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("slow") {
			inside <- struct{}{}
			<-goOn
		}
		mirror(w, r)
	})
	busy, idle := s.dial(t), s.dial(t)
	s.at(busy, list)
	s.at(idle, list)
	busy.say("GET /recommend?slow HTTP/1.1\r\nHost: s\r\n\r\n")
	<-inside
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.r.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	s.door.Wait(short)
	if cancel(); short.Err() == nil {
		t.Error("it does not wait for an answer that is under way")
	}
	close(goOn)
	if status, _, body := busy.hear(); status != 200 || !strings.HasPrefix(body, "GET /recommend?slow") {
		t.Errorf("%d %s", status, body)
	}
	if _, err := busy.r.ReadByte(); err != io.EOF {
		t.Errorf("behind the answer: %v", err)
	}
	s.door.Wait(t.Context())
}

// TestGivesUp: a handler that gives an answer up ends the connection, and no
// other one.
func TestGivesUp(t *testing.T) {
	s := serveBy(t, func(w http.ResponseWriter, r *http.Request) {
		mirror(w, r)
		if r.URL.Query().Has("fail") {
			panic(http.ErrAbortHandler)
		}
	})
	d, other := s.dial(t), s.dial(t)
	s.at(d, list)
	d.say("GET /recommend?fail HTTP/1.1\r\nHost: s\r\n\r\n")
	if b, err := d.r.ReadByte(); err != io.EOF {
		t.Errorf("%q %v", b, err)
	}
	s.at(other, list)
	if s.door.Wait(t.Context()); s.door.leaving.Load() != 0 {
		t.Errorf("%d answers are under way", s.door.leaving.Load())
	}
}

// FuzzTake holds the requests of one connection against the server's own reader:
// what is taken is what that one sees, whatever came before.
func FuzzTake(f *testing.F) {
	f.Add(list, "GET /v1/recommend?b HTTP/1.1\r\nHost: shop\r\nA: 1\r\na: 2\r\n\r\n")
	f.Add("GET /v1/recommend? HTTP/1.1\r\n0:0\r\n\r\n", "GET /v1/recommend? HTTP/1.1\r\n\r\n")
	f.Add(list, "GET /v1/recommend?b HTTP/1.1\r\nHost: shop\r\nHost: shop\r\n\r\n")
	f.Add(list, "GET /v1/recommend?%zz HTTP/1.1\r\nHost: shop\r\nX-Request-ID:\t r-1 \r\nCookie: a=\"b\"\r\n\r\n")
	f.Fuzz(func(t *testing.T, first, second string) {
		const path = "/v1/recommend"
		var x exchange
		x.begin(context.Background(), "here")
		for _, text := range []string{first, second, first} {
			r, ok := parse([]byte(text), nil)
			if !ok || !r.plain || !strings.HasPrefix(text, "GET "+path+"?") || !x.take(&r, path) {
				continue
			}
			theirs, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
			if err != nil {
				t.Fatalf("%q is taken, the server says %v", text, err)
			}
			q := &x.request
			if q.Method != theirs.Method || q.Host != theirs.Host || q.RequestURI != theirs.RequestURI || *q.URL != *theirs.URL || !reflect.DeepEqual(q.Header, theirs.Header) || theirs.Close {
				t.Fatalf("%q is taken as\n%+v, the server sees\n%+v", text, q, theirs)
			}
		}
	})
}

// BenchmarkAnswer asks over one connection, at the door and, for comparison, by
// the server. The limit is a read, a write and waking the other side up twice,
// some 8 us; half of it is the client's.
func BenchmarkAnswer(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"application/json"}
		io.WriteString(w, "{}") //nolint:errcheck // a benchmark's server
	})
	for _, where := range []string{"door", "server"} {
		b.Run(where, func(b *testing.B) {
			request := list
			if where == "server" {
				request = strings.Replace(list, "/v1/recommend", "/other", 1)
			}
			dialogue(b, Options{Client: func() Client { return answer(false) }, Handler: handler}, request)
		})
	}
}

package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

func TestParse(t *testing.T) {
	cases := []struct {
		name, in, body string
		status, length int
		bad, close     bool
	}{
		{name: "length", in: "HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 3\r\n\r\nabcHTTP", body: "abc", status: 200, length: 47},
		{name: "chunks", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", body: "abc", status: 200, length: 69},
		{name: "no body", in: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, length: 27},
		{name: "close", in: "HTTP/1.1 503 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status: 503, length: 55, close: true},
		{name: "half a head", in: "HTTP/1.1 200 OK\r\nContent-Len"},
		{name: "half a body", in: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"},
		{name: "half a chunk", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"},
		{name: "nothing"},
		{name: "other protocol", in: "SSH-2.0-x\r\n", bad: true},
		{name: "no length", in: "HTTP/1.1 200 OK\r\n\r\n", bad: true},
		{name: "endless length", in: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", bad: true},
		{name: "chunk without end", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcd\r\n", bad: true},
		{name: "status", in: "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", bad: true},
	}
	for _, c := range cases {
		a, n, err := parse([]byte(c.in))
		if (err != nil) != c.bad {
			t.Errorf("%s: error %v", c.name, err)
			continue
		}
		if n != c.length || (n > 0 && (a.status != c.status || string(a.body) != c.body || a.close != c.close)) {
			t.Errorf("%s: status %d, %q, length %d, close %v", c.name, a.status, a.body, n, a.close)
		}
	}
}

// FuzzParse holds the parser against net/http: what both take must be the same,
// and an answer that comes byte by byte must be found at the same place.
func FuzzParse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a, n, err := parse(bytes.Clone(in))
		if err != nil || n == 0 {
			return
		}
		if n > len(in) || n < 0 {
			t.Fatalf("length %d of %d bytes", n, len(in))
		}
		for cut := range n {
			if _, m, err := parse(bytes.Clone(in[:cut])); err != nil || m != 0 {
				t.Fatalf("%d of %d bytes: length %d, %v", cut, n, m, err)
			}
		}
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in[:n])), nil)
		if err != nil {
			return // net/http looks at more than we need
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.StatusCode != a.status || !bytes.Equal(body, a.body) {
			t.Fatalf("status %d body %q, net/http says %d %q", a.status, a.body, r.StatusCode, body)
		}
	})
}

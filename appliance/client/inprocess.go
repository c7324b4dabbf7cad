package client

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// NewHandler is a client of a handler in this process: nothing listens, and
// the same routes answer as over a socket.
func NewHandler(h http.Handler) *Client {
	return newClient(socketHost, "this process", inProcess{h})
}

// inProcess answers requests by calling the handler, whose answer is streamed
// as it is written.
type inProcess struct{ handler http.Handler }

// RoundTrip calls the handler in a goroutine and returns when it has written
// its header.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	body, writer := io.Pipe()
	w := &answer{header: http.Header{}, body: writer, started: make(chan struct{})}
	ctx, cancel := context.WithCancel(r.Context())
	request := r.Clone(ctx)
	request.RequestURI = r.URL.RequestURI()
	request.Host = r.URL.Host
	if request.Body == nil {
		request.Body = http.NoBody
	}
	go func() {
		defer func() {
			w.WriteHeader(http.StatusOK)
			// A handler that panics is not caught: it is a fault of this program.
			_ = writer.Close()
			cancel()
		}()
		t.handler.ServeHTTP(w, request)
	}()
	select {
	case <-w.started:
	case <-r.Context().Done():
		_ = body.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header.Clone(), Body: &reading{body, cancel}, ContentLength: -1, Request: r,
	}, nil
}

// reading is an answer's body. Whoever closes it before its end has gone, and as
// behind a connection the handler learns that by its context.
type reading struct {
	*io.PipeReader
	leave context.CancelFunc
}

// Close ends the answer.
func (r *reading) Close() error {
	r.leave()
	return r.PipeReader.Close()
}

// answer is the writer that a handler sees.
type answer struct {
	once    sync.Once
	header  http.Header
	status  int
	body    *io.PipeWriter
	started chan struct{}
}

// Header is the header to be sent.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sends the header; later calls do nothing.
func (a *answer) WriteHeader(status int) {
	a.once.Do(func() {
		a.status = status
		close(a.started)
	})
}

// Write sends a part of the body.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

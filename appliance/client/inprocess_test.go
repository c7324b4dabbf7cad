package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHandlerInProcess(t *testing.T) {
	c := NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/import":
			n, _ := io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"read":%d}`, n)
		case "/v1/models":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, `{"code":"busy","detail":"no","status":409}`)
		case "/livez":
			<-r.Context().Done()
		}
	}))
	got, err := c.Import(t.Context(), strings.NewReader(strings.Repeat("x", 1<<20)), ImportFileParams{})
	if err != nil || got.Read != 1<<20 {
		t.Errorf("import: %+v, %v", got, err)
	}
	if _, err := c.Models(t.Context()); err == nil || err.Error() != "no" {
		t.Errorf("problem: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Live(ctx); err == nil {
		t.Error("a call outlived its context")
	}
	c.Close()
}

// TestLeavingInProcess: a handler learns that nobody reads its answer any more.
func TestLeavingInProcess(t *testing.T) {
	left := make(chan struct{})
	c := NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		<-r.Context().Done()
		close(left)
	}))
	defer c.Close()
	body, err := c.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	<-left
}

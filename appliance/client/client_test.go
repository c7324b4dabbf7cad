package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answering is a client of a server that always answers the same.
func answering(t *testing.T, status int, contentType, body string) *Client {
	t.Helper()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	t.Cleanup(ts.Close)
	c, err := NewTCP(ts.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestProblemIsTheError(t *testing.T) {
	c := answering(t, 409, "application/problem+json",
		`{"type":"urn:x","title":"No previous model","status":409,"code":"no_previous_model","detail":"there is none","hint":"train twice","request_id":"r1"}`)
	_, err := c.Rollback(t.Context())
	var p *Problem
	if !errors.As(err, &p) || p.Status != 409 || p.Code != "no_previous_model" || p.Hint != "train twice" || err.Error() != "there is none" {
		t.Errorf("%#v", err)
	}
	p.Detail = ""
	if p.Error() != "No previous model" {
		t.Errorf("%q", p.Error())
	}
}

func TestAnswersOfSomethingElse(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{502, "<html>Bad gateway</html>", "is it vitrine?"},
		{404, `{"error":"x"}`, "is it vitrine?"},
		{200, "<html>", "understand answer"},
		{200, "", "understand answer"},
	} {
		_, err := answering(t, tt.status, "text/html", tt.body).Models(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d %q: %v", tt.status, tt.body, err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	tcp, err := NewTCP("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	sock := NewSocket(filepath.Join(t.TempDir(), "admin.sock"))
	for _, c := range []*Client{tcp, sock} {
		var gone *UnreachableError
		if err := c.Live(t.Context()); !errors.As(err, &gone) || !strings.Contains(err.Error(), c.where) || !strings.Contains(gone.Hint(), "vitrine serve") {
			t.Errorf("%v", err)
		}
	}
	if strings.Contains(sock.Live(t.Context()).Error(), socketHost) {
		t.Error("the made-up host is shown")
	}
	for _, bad := range []string{"", "127.0.0.1:8080", "ftp://x", "http://", "://"} {
		if _, err := NewTCP(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestWaitJobEndsWithTheContext(t *testing.T) {
	c := answering(t, 200, "application/json", `{"id":"j","kind":"train","state":"running","created_at":"2026-01-01T00:00:00Z"}`)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.WaitJob(ctx, "j", time.Millisecond, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

package webhdfs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/mirror"
	"vitrine/bridge/webhdfs"
)

// refuse answers everything with a Java exception.
func refuse(t *testing.T, status int, exception string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"RemoteException":{"exception":"` + exception + `","javaClassName":"x","message":"what it says\n\tat java"}}`))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func open(t *testing.T, nodes ...string) *webhdfs.Store {
	t.Helper()
	return openFor(t, time.Minute, nodes...)
}

// openFor leaves a server that is silent for so long.
func openFor(t *testing.T, timeout time.Duration, nodes ...string) *webhdfs.Store {
	t.Helper()
	s := webhdfs.New(webhdfs.Options{NameNodes: nodes, Root: "/user/shop", User: "shop", Timeout: timeout})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestRefusals(t *testing.T) {
	for exception, want := range map[string]error{
		"AccessControlException": fs.ErrPermission, "SecurityException": fs.ErrPermission, "FileNotFoundException": fs.ErrNotExist,
	} {
		_, err := open(t, refuse(t, http.StatusForbidden, exception)).Open(t.Context(), "x")
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "read webhdfs:/user/shop/x: "+exception+": what it says") || strings.Contains(err.Error(), "java") {
			t.Errorf("%s: %v, want %v", exception, err, want)
		}
	}
}

// TestStandby: of several NameNodes the active one is found, and asked first
// from then on.
func TestStandby(t *testing.T) {
	asked := 0
	standby := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"RemoteException":{"exception":"StandbyException","message":"state standby"}}`))
	}))
	defer standby.Close()
	active := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/webhdfs/v1/user/shop/events" || r.URL.Query().Get("user.name") != "shop" {
			t.Errorf("asked for %s", r.URL)
		}
		_, _ = w.Write([]byte(`{"FileStatuses":{"FileStatus":[{"pathSuffix":"b","length":7,"type":"FILE"},{"pathSuffix":"a","type":"DIRECTORY"}]}}`))
	}))
	defer active.Close()
	s := open(t, standby.Listener.Addr().String(), active.Listener.Addr().String())
	for range 3 {
		entries, err := s.List(t.Context(), "events")
		if err != nil || len(entries) != 2 || entries[0] != (mirror.Entry{Name: "a", Dir: true}) || entries[1] != (mirror.Entry{Name: "b", Bytes: 7}) {
			t.Errorf("List: %v, %v", entries, err)
		}
	}
	if asked != 1 {
		t.Errorf("the standby was asked %d times", asked)
	}
	only := open(t, standby.Listener.Addr().String())
	if _, err := only.List(t.Context(), "events"); err == nil || !strings.Contains(err.Error(), "StandbyException") {
		t.Errorf("List with a standby only: %v", err)
	}
}

func TestNotWebHDFS(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer other.Close()
	s := open(t, other.Listener.Addr().String())
	if err := s.Write(t.Context(), "x", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "is it a WebHDFS address?") {
		t.Errorf("Write: %v", err)
	}
	if _, err := s.List(t.Context(), ""); err == nil {
		t.Error("List reads HTML")
	}
	if _, err := s.Open(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "is it a WebHDFS address?") {
		t.Errorf("Open: %v", err)
	}
}

// TestGateway: HttpFS sends a file's bytes at once, where a NameNode says who has
// them.
func TestGateway(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte("whole"))
	}))
	defer gateway.Close()
	r, err := open(t, gateway.Listener.Addr().String()).Open(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || string(data) != "whole" {
		t.Errorf("read %q, %v", data, err)
	}
}

// TestGatewayRenames: HttpFS does nothing, and says so in a body, where the folder
// is missing or a file is in the place.
func TestGatewayRenames(t *testing.T) {
	for _, test := range []struct {
		name  string
		files []string
		asked string
		err   error
	}{
		{"free", []string{"/user/shop/a", "/user/shop/dir/"}, "RENAME", nil},
		{"no folder", []string{"/user/shop/a"}, "RENAME GETFILESTATUS MKDIRS RENAME", nil},
		{"in its place", []string{"/user/shop/a", "/user/shop/dir/", "/user/shop/dir/b"}, "RENAME GETFILESTATUS MKDIRS RENAME DELETE RENAME", nil},
		{"missing", []string{"/user/shop/dir/"}, "RENAME GETFILESTATUS", fs.ErrNotExist},
	} {
		var asked []string
		there := map[string]bool{}
		for _, f := range test.files {
			there[f] = true
		}
		gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at, q := strings.TrimPrefix(r.URL.Path, "/webhdfs/v1"), r.URL.Query()
			asked = append(asked, q.Get("op"))
			done := true
			switch q.Get("op") {
			case "RENAME":
				to := q.Get("destination")
				done = there[at] && there[path.Dir(to)+"/"] && !there[to]
				if done {
					delete(there, at)
					there[to] = true
				}
			case "GETFILESTATUS":
				if !there[at] {
					w.WriteHeader(http.StatusNotFound)
					_, _ = w.Write([]byte(`{"RemoteException":{"exception":"FileNotFoundException","message":"no"}}`))
					return
				}
			case "MKDIRS":
				there[at+"/"] = true
			case "DELETE":
				delete(there, at)
			}
			_, _ = fmt.Fprintf(w, `{"boolean":%t}`, done)
		}))
		err := open(t, gateway.Listener.Addr().String()).Rename(t.Context(), "a", "dir/b")
		gateway.Close()
		if !errors.Is(err, test.err) || strings.Join(asked, " ") != test.asked || err == nil && !there["/user/shop/dir/b"] {
			t.Errorf("%s: %v after %v, want %v after %s", test.name, err, asked, test.err, test.asked)
		}
	}
}

// proof is an Authorizer that counts.
type proof struct{ authorized, refused, closed int }

func (p *proof) Authorize(req *http.Request) error {
	p.authorized++
	req.Header.Set("Authorization", "Negotiate x")
	return nil
}

func (p *proof) Refused() { p.refused++ }
func (p *proof) Close()   { p.closed++ }

// TestUnauthorized: who is not known is told what to do, and a ticket that was
// refused is not shown again.
func TestUnauthorized(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	p := &proof{}
	for _, test := range []struct {
		authorizer webhdfs.Authorizer
		advice     string
	}{
		{nil, "set archive.kerberos_principal"}, {p, "has it the keys of HTTP/127.0.0.1?"},
	} {
		s := webhdfs.New(webhdfs.Options{NameNodes: []string{server.Listener.Addr().String()}, Authorizer: test.authorizer})
		_, err := s.List(t.Context(), "")
		var told *mirror.AdviceError
		if !errors.As(err, &told) || !strings.Contains(told.Advice, test.advice) {
			t.Errorf("List: %v, want the advice %q", err, test.advice)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if *p != (proof{1, 1, 1}) {
		t.Errorf("authorized, refused, closed: %v", *p)
	}
}

func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := runtime.NumGoroutine()
	s := openFor(t, 300*time.Millisecond, l.Addr().String())
	err = s.Remove(t.Context(), "x")
	var silent *mirror.SilentError
	if !errors.As(err, &silent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Remove: %v, want the silence", err)
	}
	for begin := time.Now(); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// TestTokensStayOut: the address of a DataNode may hold a token, which no error
// tells.
func TestTokensStayOut(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:1/webhdfs/v1/x?op=CREATE&delegation=secret")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	defer node.Close()
	s := open(t, node.Listener.Addr().String())
	_, readErr := s.Open(t.Context(), "x")
	for _, err := range []error{s.Write(t.Context(), "x", strings.NewReader("x")), readErr} {
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "127.0.0.1:1: ") {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"FileStatuses":{"FileStatus":[{"pathSuffix":"b","length":7,"type":"FILE"}]}}`))
	f.Add(404, []byte(`{"RemoteException":{"exception":"FileNotFoundException","message":"\n"}}`))
	f.Add(500, []byte(`{`))
	var status int
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	f.Cleanup(server.Close)
	s := webhdfs.New(webhdfs.Options{NameNodes: []string{server.Listener.Addr().String()}})
	f.Fuzz(func(t *testing.T, code int, data []byte) {
		if code < 200 || code > 599 || code == 304 {
			return
		}
		status, body = code, data
		if entries, err := s.List(t.Context(), ""); code >= 400 && err == nil && !strings.Contains(string(data), "FileNotFound") {
			t.Errorf("status %d gives %v", code, entries)
		}
	})
}

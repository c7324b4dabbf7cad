package webhdfs_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
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

package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/appliance/client"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/door"
	"vitrine/appliance/httpapi/early"
	"vitrine/bridge/event"
)

// running starts srv and returns its context's cancel and where Run's error
// will come.
func running(t *testing.T, srv *Server) (stop func(), done chan error) {
	t.Helper()
	if err := srv.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done = make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	return cancel, done
}

func loopback(t *testing.T) Config {
	return Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Socket: filepath.Join(t.TempDir(), "admin.sock")}
}

func finished(t *testing.T, done chan error) {
	t.Helper()
	if err := await(t, done, "the end of Run"); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// await receives what comes in time.
func await[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s does not come", what)
	}
	return v
}

// TestClientAndServer calls every method of the client over the socket and the
// public ones over TCP.
func TestClientAndServer(t *testing.T) {
	s, ctx := newShop(), t.Context()
	cfg := loopback(t)
	srv, _ := serverOf(t, s, cfg)
	stop, done := running(t, srv)
	sock := client.NewSocket(cfg.Socket)
	api, _ := srv.Addresses()
	tcp, err := client.NewTCP("http://" + api.String())
	if err != nil {
		t.Fatal(err)
	}
	limit := 5
	for _, c := range []*client.Client{sock, tcp} {
		list, err := c.Recommend(ctx, client.RecommendRequest{UserID: "u", Session: []string{"a"}, Limit: &limit, Fields: []string{"title"}})
		if err != nil || len(list.Items) != 2 || list.Items[0].Fields["title"] != `A "quoted" <title>` || list.Model.AgeSeconds != 90 || list.Source != client.ListSourceLive {
			t.Fatalf("%+v %v", list, err)
		}
		if list, err = c.Similar(ctx, "a/b?", 3, "price"); err != nil || list.ItemID != "a/b?" || s.query.Limit != 3 {
			t.Errorf("%+v %v", list, err)
		}
		if list, err = c.Popular(ctx, 0); err != nil || list.Source != client.ListSourcePopular {
			t.Errorf("%+v %v", list, err)
		}
		if res, err := c.SendEvents(ctx, []byte("["+goodEvent+",{}]")); err != nil || res.Accepted != 1 || len(res.Rejected) != 1 {
			t.Errorf("%+v %v", res, err)
		}
		if item, err := c.PutItem(ctx, "100%/x", client.ItemWrite{Attributes: client.Attributes{"price": 2.5}}); err != nil || item.ItemID != "100%/x" {
			t.Errorf("%+v %v", item, err)
		}
		if item, err := c.Item(ctx, "100%/x"); err != nil || item.Attributes["price"] != 2.5 {
			t.Errorf("%+v %v", item, err)
		}
		if item, err := c.PatchItem(ctx, "100%/x", client.ItemPatch{Attributes: client.AttributesPatch{"price": nil, "new": true}}); err != nil || len(item.Attributes) != 1 {
			t.Errorf("%+v %v", item, err)
		}
		if res, err := c.PutItems(ctx, []client.BatchItem{{ItemID: 7, Attributes: client.Attributes{"price": 1}}, {}}); err != nil || res.Accepted != 1 || len(res.Rejected) != 1 {
			t.Errorf("%+v %v", res, err)
		}
		if user, err := c.PutUser(ctx, "a/b", client.UserWrite{Attributes: client.Attributes{"region": "north"}}); err != nil || user.UserID != "a/b" {
			t.Errorf("%+v %v", user, err)
		}
		if user, err := c.PatchUser(ctx, "a/b", client.UserPatch{Attributes: client.AttributesPatch{"age": 41}}); err != nil || len(user.Attributes) != 2 {
			t.Errorf("%+v %v", user, err)
		}
		if user, err := c.User(ctx, "a/b"); err != nil || user.Attributes["region"] != "north" {
			t.Errorf("%+v %v", user, err)
		}
		if err := errors.Join(c.Live(ctx), c.Ready(ctx)); err != nil {
			t.Error(err)
		}
	}
	var problem *client.Problem
	if _, err := sock.Item(ctx, "nope"); !errors.As(err, &problem) || problem.Status != 404 || problem.Code != "unknown_item" {
		t.Errorf("%v", err)
	}
	kind, name := client.Items, "x.csv"
	if res, err := sock.Import(ctx, strings.NewReader("12345"), client.ImportFileParams{Kind: &kind, Name: &name}); err != nil || res.Read != 5 {
		t.Errorf("%+v %v", res, err)
	}
	if len(s.imports) != 1 || s.imports[0] != (ImportRequest{Name: "x.csv", Kind: "items"}) {
		t.Errorf("%+v", s.imports)
	}
	job, err := sock.StartJob(ctx, client.JobRequest{Kind: client.Train})
	if err != nil || job.State != client.Queued {
		t.Fatalf("%+v %v", job, err)
	}
	var seen int
	if job, err = sock.WaitJob(ctx, job.ID, time.Millisecond, func(*client.Job) { seen++ }); err != nil || !job.Verdict.Published || seen != 1 {
		t.Errorf("%+v %v", job, err)
	}
	if models, err := sock.Models(ctx); err != nil || len(models) != 1 || models[0].Position != 9 {
		t.Errorf("%+v %v", models, err)
	}
	if m, err := sock.Rollback(ctx); err != nil || m.Version != "v1" {
		t.Errorf("%+v %v", m, err)
	}
	if p, err := sock.DeadLetters(ctx, 1, "c"); err != nil || p.NextCursor != "c2" || *p.Items[0].Line != 3 || p.Items[0].Raw != nil {
		t.Errorf("%+v %v", p, err)
	}
	if l, err := sock.DeadLetter(ctx, "a1"); err != nil || string(l.Raw) != "x,\xff" || !l.Truncated {
		t.Errorf("%+v %v", l, err)
	}
	if p, err := sock.Pipeline(ctx); err != nil || p.Archive.Lag != 2 {
		t.Errorf("%+v %v", p, err)
	}
	sock.Close()
	tcp.Close()
	stop()
	finished(t, done)
	var gone *client.UnreachableError
	if err := sock.Live(ctx); !errors.As(err, &gone) || gone.Where != cfg.Socket || gone.Hint() == "" {
		t.Errorf("after the stop: %v", err)
	}
}

func TestSocketIsForOwnerAndGroup(t *testing.T) {
	cfg := loopback(t)
	// What a killed process leaves behind.
	left, err := net.Listen("unix", cfg.Socket)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	srv, _ := serverOf(t, newShop(), cfg)
	stop, done := running(t, srv)
	info, err := os.Stat(cfg.Socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := client.NewSocket(cfg.Socket).Live(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	finished(t, done)
	if _, err := os.Stat(cfg.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestAddressesThatCannotBeHad(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	for _, tt := range []struct {
		cfg       Config
		key, text string
		is        error
	}{
		{Config{Listen: port, AdminListen: "127.0.0.1:0"}, "http.listen", port, syscall.EADDRINUSE},
		{Config{Listen: "127.0.0.1:0", AdminListen: port}, "http.admin_listen", port, syscall.EADDRINUSE},
		{Config{Listen: "203.0.113.1:80", AdminListen: "127.0.0.1:0"}, "http.listen", "203.0.113.1:80", nil},
		{Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Socket: long}, "data.dir", "a socket's may have 106", nil},
		{Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Socket: t.TempDir() + "/no/x.sock"}, "data.dir", "no such file", os.ErrNotExist},
	} {
		srv, _ := serverOf(t, newShop(), tt.cfg)
		err := srv.Run(t.Context())
		var listen *door.ListenError
		if !errors.As(err, &listen) || listen.Key != tt.key || !strings.Contains(err.Error(), tt.text) || listen.Hint() == "" {
			t.Errorf("%+v: %v", tt.cfg, err)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%v is not %v", err, tt.is)
		}
		if a, b := srv.Addresses(); a != nil || b != nil {
			t.Error("doors are still open")
		}
	}
}

// TestStopLetsRequestsFinish: a request that runs when the server is stopped
// gets its answer.
func TestStopLetsRequestsFinish(t *testing.T) {
	s := newShop()
	began, release := make(chan struct{}), make(chan struct{})
	s.submit = func(r []event.Record) (Result, error) {
		close(began)
		<-release
		return Result{Accepted: len(r)}, nil
	}
	srv, _ := serverOf(t, s, loopback(t))
	stop, done := running(t, srv)
	api, _ := srv.Addresses()
	status := make(chan int, 1)
	go func() {
		r, err := http.Post("http://"+api.String()+"/v1/events", "application/json", strings.NewReader(goodEvent))
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		r.Body.Close()
		status <- r.StatusCode
	}()
	await(t, began, "the request")
	stop()
	for { // until the stop has begun
		conn, err := net.Dial("tcp", api.String())
		if err != nil {
			break
		}
		conn.Close()
	}
	close(release)
	if got := await(t, status, "the answer"); got != 202 {
		t.Errorf("the running request was answered %d", got)
	}
	finished(t, done)
}

// TestStopCutsImports: an import may run for minutes, and its sender may be
// slow; the stop must not wait for either.
func TestStopCutsImports(t *testing.T) {
	s := newShop()
	began := make(chan struct{})
	s.importer = func(_ context.Context, body io.Reader) (adminapi.ImportResult, error) {
		close(began)
		n, err := io.Copy(io.Discard, body)
		return adminapi.ImportResult{Read: n, Accepted: n}, err
	}
	cfg := loopback(t)
	srv, log := serverOf(t, s, cfg)
	stop, done := running(t, srv)
	endless, w := io.Pipe()
	defer w.Close()
	defer endless.Close()
	go w.Write([]byte("abc"))
	failed := make(chan error, 1)
	go func() {
		_, err := client.NewSocket(cfg.Socket).Import(t.Context(), endless, client.ImportFileParams{})
		failed <- err
	}()
	await(t, began, "the import")
	stop()
	finished(t, done) // the sender has no end
	var p *client.Problem
	if err := await(t, failed, "the import's answer"); !errors.As(err, &p) || p.Code != "shutting_down" || p.Counts == nil {
		t.Errorf("the import says %v", err)
	}
	if strings.Contains(log.String(), "ERROR") {
		t.Errorf("a stop is no error: %s", log)
	}
}

// TestEarlyRefusalReachesASender that is still sending: the answer must not be
// lost in a broken pipe.
func TestEarlyRefusalReachesASender(t *testing.T) {
	s := newShop()
	s.importer = func(context.Context, io.Reader) (adminapi.ImportResult, error) {
		return adminapi.ImportResult{}, &Problem{Status: 400, Code: "unknown_column", Detail: "no column X", Hint: "it has: A, B"}
	}
	cfg := loopback(t)
	srv, _ := serverOf(t, s, cfg)
	stop, done := running(t, srv)
	c := client.NewSocket(cfg.Socket)
	for range 10 {
		_, err := c.Import(t.Context(), bytes.NewReader(make([]byte, 16<<20)), client.ImportFileParams{})
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != "unknown_column" || p.Hint == "" {
			t.Fatalf("%v", err)
		}
	}
	stop()
	finished(t, done)
}

// away says of every request whether to turn it away.
type away bool

func (a away) TurnsAway() bool { return bool(a) }
func (a away) Gone()           {}

// TestTurnedAway: lists that are asked for over the API's listener are refused
// as they come where the caller says so, and counted; nothing else is.
func TestTurnedAway(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, loopback(t))
	srv.deps.Client = func() early.Client { return away(true) }
	stop, done := running(t, srv)
	api, _ := srv.Addresses()
	for path, want := range map[string]int{
		"/v1/recommend?user_id=u": http.StatusServiceUnavailable, "/recommend?user_id=u": http.StatusServiceUnavailable,
		"/v1/popular": http.StatusOK, "/livez": http.StatusOK,
	} {
		answer, err := http.Get("http://" + api.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		s.mu.Lock()
		if path, _, _ := strings.Cut(path, "?"); answer.StatusCode != want || s.routes[fmt.Sprintf("%s %d", path, want)] == 0 {
			t.Errorf("%s: %d, observed %v", path, answer.StatusCode, s.routes)
		}
		s.mu.Unlock()
		http.DefaultClient.CloseIdleConnections()
	}
	stop()
	finished(t, done)
}

// TestKeptConnection: a list that is asked for over a connection in use, where the
// door answers, is the one that the handlers give, errors and headers with it.
func TestKeptConnection(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, loopback(t))
	srv.deps.Client = func() early.Client { return away(false) }
	stop, done := running(t, srv)
	api, _ := srv.Addresses()
	paths := []string{
		"/recommend?user_id=u", "/v1/recommend?user_id=u&fields=title&limit=2", "/v1/recommend?user_id=u&limit=0", "/v1/recommend?user_id=%zz",
		"/recommend?", "/v1/recommend?unknown=1", "/v1/recommend?session=a&session=b&explain=items",
	}
	for _, path := range append(paths, paths...) {
		answers := [2]*http.Response{}
		bodies := [2]string{}
		for i := range answers {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+api.String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Request-ID", "r-"+path[1:3])
			if i == 0 {
				if answers[i], err = http.DefaultClient.Do(req); err != nil {
					t.Fatal(err)
				}
			} else {
				w := httptest.NewRecorder()
				srv.API().ServeHTTP(w, req)
				answers[i] = w.Result()
			}
			body, err := io.ReadAll(answers[i].Body)
			answers[i].Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			bodies[i] = string(body)
			answers[i].Header.Del("Date")
			answers[i].Header.Del("Content-Length")
		}
		if answers[0].StatusCode != answers[1].StatusCode || bodies[0] != bodies[1] || !reflect.DeepEqual(answers[0].Header, answers[1].Header) {
			t.Errorf("%s: %d %v %s, the handlers give %d %v %s", path,
				answers[0].StatusCode, answers[0].Header, bodies[0], answers[1].StatusCode, answers[1].Header, bodies[1])
		}
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	finished(t, done)
}

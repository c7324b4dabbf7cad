package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi/adminapi"
)

// TestMain lets the test binary be the appliance's child process, whose
// behaviour the file named on the command line decides, or the load of a
// benchmark.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "child" {
		os.Exit(playChild(os.Args[2], os.Args[3]))
	}
	if len(os.Args) == 2 && os.Args[1] == "load" {
		os.Exit(playLoad(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func playChild(roleFile, kind string) int {
	role, _ := os.ReadFile(roleFile)
	switch string(role) {
	case "hangs":
		time.Sleep(time.Hour)
	case "is killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	if err := Child(context.Background(), kind, os.Stdin, os.Stdout); err != nil {
		return 1
	}
	return 0
}

// rig is an appliance that runs in this process, asked over its socket.
type rig struct {
	t      testing.TB
	dir    string
	app    *Appliance
	client *http.Client
	stop   context.CancelFunc
	done   chan error
	log    *logBuffer
}

// logBuffer keeps what the appliance has logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newRig prepares an appliance over dir without running it. change sees the
// configuration, which the limits of the files do not hold for.
func newRig(t testing.TB, dir string, change func(*config.Config)) *rig {
	t.Helper()
	c := config.Default()
	c.Data.Dir = dir
	c.HTTP.Listen, c.HTTP.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	c.Train.Schedule = 0
	// What is late on a busy machine is for the tests of the ladder.
	c.Recommend.Deadline = 10 * time.Second
	c.Train.Rank, c.Train.Iterations = 8, 4
	if change != nil {
		change(c)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, done: make(chan error, 1), log: &logBuffer{}}
	r.app = New(Options{
		Config: c, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Command: []string{exe, "child", filepath.Join(dir, "role")},
	})
	r.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", SocketPath(c))
	}}}
	return r
}

// shortDir is a folder whose admin socket has a short enough path.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// run starts the appliance and waits until it answers.
func run(t testing.TB, dir string, change func(*config.Config)) *rig {
	t.Helper()
	return newRig(t, dir, change).start()
}

// begin starts the appliance without waiting.
func (r *rig) begin() {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.t.Cleanup(stop)
	go func() { r.done <- r.app.Run(ctx) }()
}

func (r *rig) start() *rig {
	r.t.Helper()
	ready := make(chan struct{})
	announce := r.app.opt.Announce
	r.app.opt.Announce = func(a Ready) {
		if announce != nil {
			announce(a)
		}
		close(ready)
	}
	r.begin()
	select {
	case <-ready:
	case err := <-r.done:
		r.t.Fatalf("the appliance ended: %v\n%s", err, r.log)
	case <-time.After(patience):
		r.t.Fatalf("the appliance is not ready\n%s", r.log)
	}
	return r
}

// close stops it as SIGTERM does, and wants no error and no hurry.
func (r *rig) close() {
	r.t.Helper()
	r.client.CloseIdleConnections()
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Fatalf("stop: %v\n%s", err, r.log)
		}
	case <-time.After(patience):
		r.t.Fatalf("the appliance does not stop\n%s", r.log)
	}
}

// role decides what the next child process does; "" trains.
func (r *rig) role(role string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "role"), []byte(role), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// call sends a request and decodes the answer into into, when it is not nil.
func (r *rig) call(method, path, body string, into any) int {
	r.t.Helper()
	return r.send(method, path, strings.NewReader(body), into)
}

func (r *rig) send(method, path string, body io.Reader, into any) int {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://vitrine"+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	switch path {
	case "/v1/events":
		req.Header.Set("Content-Type", "application/x-ndjson")
	case "/v1/jobs":
		req.Header.Set("Content-Type", "application/json")
	default:
		if strings.HasPrefix(path, "/v1/import") {
			req.Header.Set("Content-Type", "application/octet-stream")
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v\n%s", method, path, err, r.log)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			r.t.Fatalf("%s %s: %s %s: %v", method, path, resp.Status, text, err)
		}
	}
	return resp.StatusCode
}

// taken is the answer to events and imports.
type taken struct {
	Accepted, Duplicate int
	Rejected            json.RawMessage
	Read                int
	Code, Detail        string
}

// post sends events, one JSON object each, and wants all of them taken.
func (r *rig) post(events ...string) taken {
	r.t.Helper()
	var out taken
	if code := r.call("POST", "/v1/events", strings.Join(events, "\n"), &out); code != http.StatusAccepted || out.Accepted+out.Duplicate != len(events) {
		r.t.Fatalf("%d events: status %d, %+v", len(events), code, out)
	}
	return out
}

// train runs a training to its end.
func (r *rig) train() adminapi.Job {
	r.t.Helper()
	var job adminapi.Job
	if code := r.call("POST", "/v1/jobs", `{"kind":"train"}`, &job); code/100 != 2 {
		r.t.Fatalf("start training: %d %+v", code, job)
	}
	return r.wait(job.ID)
}

// trained wants it published.
func (r *rig) trained() string {
	r.t.Helper()
	job := r.train()
	if job.State != adminapi.Done || job.Verdict == nil || !job.Verdict.Published {
		r.t.Fatalf("training: %+v, verdict %+v\n%s", job, job.Verdict, r.log)
	}
	return job.Verdict.Version
}

func (r *rig) wait(id string) adminapi.Job {
	r.t.Helper()
	var job adminapi.Job
	r.until("job "+id+" ends", func() bool {
		r.call("GET", "/v1/jobs/"+id, "", &job)
		return job.State != adminapi.Running
	})
	return job
}

// patience ends what is stuck; a busy machine takes a part of it.
const patience = 2 * time.Minute

func (r *rig) until(what string, done func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %s: %s\n%s", patience, what, r.log)
		}
	}
}

// list is an answer with items.
type list struct {
	Items []struct {
		ItemID string  `json:"item_id"`
		Score  float64 `json:"score"`
	} `json:"items"`
	Source, Reason string
	Model          struct{ Version string }
}

func (r *rig) recommend(query string) list {
	r.t.Helper()
	var l list
	if code := r.call("GET", "/v1/recommend?"+query, "", &l); code != http.StatusOK {
		r.t.Fatalf("recommend: %d", code)
	}
	return l
}

// eventJSON is one event; extra are further members.
func eventJSON(user, item, kind string, ms int64, extra string) string {
	return fmt.Sprintf(`{"user_id":%q,"item_id":%q,"event_type":%q,"ts":%d%s}`, user, item, kind, ms, extra)
}

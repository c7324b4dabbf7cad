package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// workshop is the folder of what is made once for all tests.
var workshop = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "vitrine-e2e") })

// binary is built once for all tests. Without the compiler's profile its packages are
// those that the tests are made of, compiled once.
var binary = sync.OnceValues(func() (string, error) { return build("vitrine", "-pgo=off") })

// shipped is the program as operators have it, for what measures.
var shipped = sync.OnceValues(func() (string, error) { return build("shipped", "-pgo=auto", "-trimpath") })

// build makes the program, under a name in the workshop.
func build(name string, flags ...string) (path string, err error) {
	dir, err := workshop()
	if err != nil {
		return "", err
	}
	if err := lookAtSources(); err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	cmd := exec.Command("go", slices.Concat([]string{"build", "-ldflags=-s -w", "-o", path}, flags, []string{"../../cmd/vitrine"})...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it ships
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
}

// lookAtSources lists the folders of what the binary is built of. This package
// imports few of them, and go test, which notes what a test has looked at, would
// take an earlier result for one of these sources.
func lookAtSources() error {
	for _, top := range []string{"als", "appliance", "bridge", "cmd", "installer", "internal", "plugins", "sdk"} {
		err := filepath.WalkDir(filepath.Join("../..", top), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return fmt.Errorf("look at the sources: %w", err)
		}
	}
	_, err := os.Stat("../../go.sum")
	return err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := workshop(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("end-to-end tests are skipped with -short")
	}
	if _, err := binary(); err != nil { // here, so that no figure holds the build
		t.Fatal(err)
	}
}

// patience ends what is stuck. Nothing is judged by it: a machine with much else
// to do takes a part of it.
const patience = 5 * time.Minute

// daemon is a running appliance.
type daemon struct {
	t    *testing.T
	dir  string
	url  string
	cmd  *exec.Cmd
	out  *syncBuffer
	err  *syncBuffer
	done chan error
}

// syncBuffer is written by a process and read by the test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// productDeadline is the default, for tests whose figures tell of late lists.
var productDeadline = []string{"--set", "recommend.deadline=100ms"}

// launch starts the daemon without waiting for it. Lists may take longer than
// the product's 100 ms, but in strict runs: on a busy machine one that is late
// would be no live one.
func launch(t *testing.T, dir string, args ...string) *daemon {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"serve", "--data", dir, "--set", "http.listen=127.0.0.1:0", "--set", "http.admin_listen=127.0.0.1:0"}, args...)
	if !strict() {
		args = slices.Insert(args, 1, "--set", "recommend.deadline=10s")
	}
	return run(t, dir, exec.Command(path, args...))
}

// bind lets a command end with this process, also where a panic or the time
// limit of the tests leaves no room for a cleanup.
func bind(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}

// run starts a command that becomes a daemon on dir.
func run(t *testing.T, dir string, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: dir, cmd: cmd, out: &syncBuffer{}, err: &syncBuffer{}, done: make(chan error, 1)}
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.err
	bind(cmd)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.done <- d.cmd.Wait() }()
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			_ = d.cmd.Process.Kill()
		}
	})
	return d
}

var readyLine = regexp.MustCompile(`Vitrine is ready at (\S+)`)

// start starts the daemon and waits until it says that it is ready.
func start(t *testing.T, dir string, args ...string) *daemon {
	t.Helper()
	d := launch(t, dir, args...)
	d.awaitReady()
	return d
}

// awaitReady waits until the daemon says where it answers.
func (d *daemon) awaitReady() {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if m := readyLine.FindStringSubmatch(d.out.String()); m != nil {
			d.url = m[1]
			return
		}
		select {
		case err := <-d.done:
			d.t.Fatalf("the daemon ended: %v\n%s", err, d.err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	d.t.Fatalf("the daemon is not ready after %s\n%s", patience, d.err)
}

// says waits for the log to say something: the pipe is slower than a socket.
func (d *daemon) says(what string) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(d.err.String(), what); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("the log does not say %s:\n%s", what, d.err)
		}
	}
}

// stop sends the signal of Ctrl-C and wants a clean end.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		d.t.Fatal(err)
	}
	if err := d.ended(); err != nil {
		d.t.Fatalf("stop: %v\n%s", err, d.err)
	}
}

// ended waits for the daemon's end, and says how it came.
func (d *daemon) ended() error {
	d.t.Helper()
	select {
	case err := <-d.done:
		return err
	case <-time.After(patience):
		d.t.Fatalf("the daemon does not end\n%s", d.err)
		return nil
	}
}

// settle stops the daemon when all that it has taken is in the archive: the last
// commit of a clean stop has a time limit, which a busy machine with much to write
// may not keep, and the next start makes good what is missing.
func (d *daemon) settle() {
	d.t.Helper()
	d.settled()
	d.stop()
}

// settled waits until all that the daemon has taken is in the archive.
func (d *daemon) settled() {
	d.t.Helper()
	last := uint64(d.bus().Last)
	until(d.t, "all is in the archive", func() bool { position, _, _ := d.copyState(); return position >= last })
}

// kill ends the daemon as a crash would.
func (d *daemon) kill() {
	d.t.Helper()
	_ = d.cmd.Process.Kill()
	<-d.done
}

// rss is the daemon's resident memory in MiB.
func (d *daemon) rss() int {
	d.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	kb, _ := strconv.Atoi(string(m[1]))
	return kb / 1024
}

// list is an answer of the recommend routes.
type list struct {
	RequestID string `json:"request_id"`
	Items     []struct {
		ItemID string         `json:"item_id"`
		Score  float64        `json:"score"`
		Fields map[string]any `json:"fields"`
	} `json:"items"`
	Plugins []struct {
		Name, Status string
	} `json:"plugins"`
	Source string `json:"source"`
	Reason string `json:"reason"`
	Model  *struct {
		Version string `json:"version"`
	} `json:"model"`
}

func (l *list) ids() string {
	ids := make([]string, len(l.Items))
	for i, it := range l.Items {
		ids[i] = it.ItemID
	}
	return strings.Join(ids, ",")
}

// get decodes an answer of 200 and returns its headers.
func (d *daemon) get(path string, into any) http.Header {
	d.t.Helper()
	resp, err := http.Get(d.url + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		d.t.Fatalf("GET %s: %s\n%s", path, resp.Status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		d.t.Fatalf("GET %s: %v\n%s", path, err, body)
	}
	return resp.Header
}

// send posts a body and returns status and answer.
func (d *daemon) send(method, path, contentType, body string) (int, string) {
	d.t.Helper()
	req, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// result is what a command printed and its exit code.
type result struct {
	code     int
	out, err string
}

// vitrine runs a command of the CLI to its end.
func vitrine(t *testing.T, args ...string) result {
	t.Helper()
	return vitrineOn(t, nil, args...)
}

// vitrineOn gives the command a standard input.
func vitrineOn(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errOut
	bind(cmd)
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}
}

// must wants exit code 0.
func (r result) must(t *testing.T) result {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	return r
}

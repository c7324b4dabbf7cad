package pluginhost

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/pluginhost/sandbox"
)

// What the sandbox promises, as the tests see it.
const (
	statusOK      = string(sandbox.OK)
	statusSkipped = string(sandbox.Skipped)
	statusFailed  = string(sandbox.Failed)
	firstRows     = 256
	faultCount    = 5
	firstBackoff  = time.Second
	lineBurst     = 10
	absentBits    = 0x7fc00000
)

// TestMain is also the compiling child process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "compile-child" {
		if err := CompileChild(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	// Child processes under the race detector would wait a second each.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// logs collects log lines.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines are those that contain every part.
func (l *logs) lines(parts ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
next:
	for line := range strings.Lines(l.text.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

// rig is a host with its folder, running.
type rig struct {
	*Host
	t    testing.TB
	dir  string
	opt  Options
	logs *logs
	stop func()
}

func newRig(t testing.TB, opt Options) *rig {
	t.Helper()
	r := &rig{t: t, logs: &logs{}}
	root := t.TempDir()
	r.dir = filepath.Join(root, "plugins")
	opt.Dir, opt.CacheDir = r.dir, filepath.Join(root, "cache")
	opt.Compile = []string{os.Args[0], "compile-child"}
	opt.Log = slog.New(slog.NewTextHandler(r.logs, nil))
	if opt.CallBudget == 0 { // the machine of a test is busy
		opt.CallBudget, opt.RequestBudget = 2*time.Second, 20*time.Second
	}
	r.opt = opt
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.stop != nil {
			r.stop()
		}
	})
	return r
}

// start opens the host and runs it.
func (r *rig) start() *rig {
	r.t.Helper()
	host, err := Open(context.Background(), r.opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Host = host
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = host.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-done
		if err := host.Close(); err != nil {
			r.t.Error(err)
		}
		r.stop = nil
	}
	return r
}

// put writes a file of the folder, in one step and with an old time, so that
// nothing waits for it to settle.
func (r *rig) put(name string, data []byte) {
	r.t.Helper()
	staged := filepath.Join(r.dir, ".staged")
	if err := os.WriteFile(staged, data, 0o644); err != nil {
		r.t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour).Add(time.Duration(time.Now().UnixNano() % 1e9))
	if err := os.Chtimes(staged, old, old); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(staged, filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) remove(name string) {
	r.t.Helper()
	if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// info waits until the file with those bytes has been dealt with.
func (r *rig) info(file string, wasm []byte) Info {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	info, err := r.awaitEntry(ctx, file, digestOf(wasm))
	if err != nil && info.State != Refused {
		r.t.Fatalf("%s: %v", file, err)
	}
	return info
}

// add puts a module in and waits for it.
func (r *rig) add(file string, wasm []byte) Info {
	r.t.Helper()
	r.put(file+moduleSuffix, wasm)
	return r.info(file, wasm)
}

// until waits for something to hold.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
	}
}

// frameOf is a frame with scores n, n-1 ... 1.
func frameOf(n int) *frame.Frame {
	f := &frame.Frame{User: 3, Now: 1_700_000_000_000, Seed: 7}
	for i := range n {
		f.Add(uint32(i), float32(n-i))
	}
	return f
}

// rank runs the plugins over a fresh frame.
func (r *rig) rank(n int) (*frame.Frame, []frame.Call) {
	f, t := frameOf(n), &frame.Trace{}
	r.Rank(context.Background(), f, t)
	return f, t.Calls
}

// statuses are NAME:STAGE:STATUS.
func statuses(calls []frame.Call) []string {
	var out []string
	for _, c := range calls {
		out = append(out, c.Name+":"+c.Stage+":"+c.Status)
	}
	return out
}

func (r *rig) wantStatus(n int, want ...string) *frame.Frame {
	r.t.Helper()
	f, calls := r.rank(n)
	if got := statuses(calls); !slices.Equal(got, want) {
		r.t.Fatalf("calls %v, want %v", got, want)
	}
	return f
}

// attributes is a Columns of maps from code to value.
type attributes struct {
	mu      sync.Mutex
	numbers map[string]map[uint32]float32
	texts   map[string]map[uint32]string
	codes   map[string]uint32
}

type attributeColumn struct {
	kind   frame.Kind
	absent uint32
	values map[uint32]uint32
}

func (c attributeColumn) Kind() frame.Kind { return c.kind }

func (c attributeColumn) Gather(dst []uint32, codes []uint32) {
	for i, code := range codes {
		v, ok := c.values[code]
		if !ok {
			v = c.absent
		}
		dst[i] = v
	}
}

// newAttributes numbers texts in the order of the map's keys being set.
func newAttributes() *attributes {
	return &attributes{numbers: map[string]map[uint32]float32{}, texts: map[string]map[uint32]string{}, codes: map[string]uint32{}}
}

func attributeKey(scope frame.Scope, name string) string {
	return string('0'+byte(scope)) + "." + name
}

func (a *attributes) number(scope frame.Scope, name string, code uint32, x float32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := attributeKey(scope, name)
	if a.numbers[key] == nil {
		a.numbers[key] = map[uint32]float32{}
	}
	a.numbers[key][code] = x
}

func (a *attributes) text(scope frame.Scope, name string, code uint32, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := attributeKey(scope, name)
	if a.texts[key] == nil {
		a.texts[key] = map[uint32]string{}
	}
	if a.codes[text] == 0 {
		a.codes[text] = uint32(len(a.codes) + 1)
	}
	a.texts[key][code] = text
}

func (a *attributes) Column(scope frame.Scope, name string) frame.Column {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := attributeKey(scope, name)
	if numbers := a.numbers[key]; numbers != nil {
		c := attributeColumn{frame.Number, absentBits, map[uint32]uint32{}}
		for code, x := range numbers {
			c.values[code] = math.Float32bits(x)
		}
		return c
	}
	if texts := a.texts[key]; texts != nil {
		c := attributeColumn{frame.Text, 0, map[uint32]uint32{}}
		for code, s := range texts {
			c.values[code] = a.codes[s]
		}
		return c
	}
	return nil
}

func (a *attributes) Code(_ frame.Scope, _, text string) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.codes[text]
}

// Package pluginhost runs operators' WebAssembly plugins in the ranking: it
// watches their folder, compiles them, keeps pools of instances, calls them on
// frames within budgets of time, and takes out those that misbehave.
//
// It owns the plugins folder's meaning, the cache of native code and the order
// of the plugins; package sandbox runs one of them. It must not import the request pipeline
// (package recommend) or the catalog: both sides know only package frame.
//
// A module goes through guard (checks and fuel metering), then a limited child
// process that compiles it and takes a first instance up to its first call,
// and only then is loaded here from the compiled code. Whatever goes wrong on
// the way refuses the module in one line, and the version before it goes on.
package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/pluginhost/sandbox"
	"vitrine/internal/logkey"
)

// Log keys of this package.
const (
	keyPlugin  = "plugin"
	keyDigest  = "sha256"
	keyServing = "serving"
)

// Options says where plugins are and what they may take. A zero value of the
// others means the default.
type Options struct {
	// Dir is the plugins folder; made if it is missing. "" means that no
	// folder is watched, for Inspect alone.
	Dir string
	// CacheDir keeps native code and earlier versions, private to this user.
	CacheDir string
	// Compile is the program and arguments that lead a child process to
	// CompileChild.
	Compile []string
	// Columns has the attributes of items and users; nil: none.
	Columns frame.Columns
	// CallBudget is the time one call may take (5 ms), RequestBudget what all
	// plugins together may take of one request (10 ms).
	CallBudget, RequestBudget time.Duration
	// Depth is how many candidates plugins are shown (200).
	Depth int
	// Order names plugins that run before all others, in this order. The
	// rest follow in the order of their file names.
	Order []string
	// Log takes the host's lines (none).
	Log *slog.Logger
	// Now is the clock of quarantines (time.Now).
	Now func() time.Time

	engine string // instead of the best that works; for tests
}

// Host runs the plugins of one folder.
type Host struct {
	opt    Options
	engine string
	// noCompiler is why engine is the interpreter.
	noCompiler string
	live       atomic.Pointer[pipeline]
	scratch    sync.Pool

	// mu guards the entries, and orders changes of the pipeline.
	mu      sync.Mutex
	entries map[string]*entry // by file name without .wasm
	totals  map[string]*sandbox.Counters
	// changed is closed and replaced when an entry's state changes.
	changed chan struct{}
	// wake makes the watcher look at the folder now.
	wake   chan struct{}
	closed bool

	// heldBefore are the files that served when this program ran last, as far
	// as they have not been seen yet; saved is what the state file says now.
	heldBefore map[string]bool
	saved      []string
	// missed are the names of Options.Order that the log has as missing.
	missed []string

	// looking makes reading the folder and adopting what was read one step, so
	// that an older look cannot undo a newer one.
	looking sync.Mutex
	// changing lets one operator's change at a time write into the folder.
	changing chan struct{}
	// compiling lets one module at a time be compiled and loaded: that leaves
	// processors to serving, and file order decides who claims a name first.
	compiling chan struct{}
	loads     sync.WaitGroup
	stop      context.CancelFunc
	ctx       context.Context
}

// Open probes the engine and reads the folder. Plugins are loaded by Run; until
// then one that must deny denies already.
func Open(ctx context.Context, opt Options) (*Host, error) {
	if opt.CallBudget == 0 {
		opt.CallBudget = 5 * time.Millisecond
	}
	if opt.RequestBudget == 0 {
		opt.RequestBudget = 10 * time.Millisecond
	}
	opt.CallBudget = min(opt.CallBudget, opt.RequestBudget)
	if opt.Depth == 0 {
		opt.Depth = 200
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if len(opt.Compile) == 0 {
		return nil, errors.New("plugins: no command to compile with")
	}
	var err error
	if opt.CacheDir, err = filepath.Abs(opt.CacheDir); err != nil {
		return nil, fmt.Errorf("plugins cache: %w", err)
	}
	if err := privateDir(opt.CacheDir); err != nil {
		return nil, fmt.Errorf("plugins cache: %w", err)
	}
	if opt.Dir != "" {
		if err := os.MkdirAll(opt.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("plugins folder: %w", err)
		}
	}
	h := &Host{
		opt: opt, entries: map[string]*entry{}, totals: map[string]*sandbox.Counters{},
		changed: make(chan struct{}), wake: make(chan struct{}, 1), compiling: make(chan struct{}, 1), changing: make(chan struct{}, 1),
	}
	h.scratch.New = func() any { return &sandbox.Scratch{} }
	h.ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	var why error
	if h.engine = opt.engine; h.engine == "" {
		h.engine, why = sandbox.ProbeEngine(ctx)
	}
	if why != nil {
		h.noCompiler = why.Error()
		opt.Log.Warn("plugins run on the interpreter, tens of times slower", logkey.Reason, why.Error(),
			logkey.Hint, "allow this program to map executable memory (SELinux execmem, no MemoryDenyWriteExecute)")
	}
	h.live.Store(newPipeline(nil, h.closeLater))
	if opt.Dir != "" {
		found, err := readFolder(opt.Dir)
		if err != nil {
			return nil, fmt.Errorf("plugins folder: %w", err)
		}
		h.mu.Lock()
		h.loadServing()
		h.adoptFolder(found)
		h.rebuild()
		h.mu.Unlock()
	}
	return h, nil
}

// The engines that Host.Engine names.
const (
	EngineCompiler    = sandbox.EngineCompiler
	EngineInterpreter = sandbox.EngineInterpreter
)

// CompileChild is the entry of the child process that compiles a module: a job
// on in, the outcome on out.
func CompileChild(ctx context.Context, in io.Reader, out io.Writer) error {
	return sandbox.CompileChild(ctx, in, out)
}

// Engine says what plugins run on: EngineCompiler, or EngineInterpreter where
// the system allows no native code.
func (h *Host) Engine() string { return h.engine }

// NoCompiler says why plugins run on the interpreter, "" where they do not.
func (h *Host) NoCompiler() string { return h.noCompiler }

// Close ends loading and frees every plugin. Run must have returned, and Rank
// must not be called any more.
func (h *Host) Close() error {
	h.stop()
	h.loads.Wait()
	h.mu.Lock()
	h.closed = true
	for _, e := range h.entries {
		e.serving = nil
	}
	old := h.live.Swap(newPipeline(nil, h.closeLater))
	h.mu.Unlock()
	old.retire()
	h.loads.Wait()
	return nil
}

// closeLater frees a version that no pipeline uses any more, without keeping
// the request waiting that happened to be the last in it.
func (h *Host) closeLater(v *version) {
	h.loads.Add(1)
	go func() {
		defer h.loads.Done()
		v.Close()
	}()
}

// rebuild makes the pipeline of what serves now. h.mu is held.
func (h *Host) rebuild() {
	var bindings []binding
	for _, e := range h.ordered() {
		switch {
		case e.serving != nil:
			bindings = append(bindings, binding{version: e.serving, name: e.serving.Manifest().Name})
		case e.mustDeny():
			bindings = append(bindings, binding{name: e.name})
		}
	}
	old := h.live.Swap(newPipeline(bindings, h.closeLater))
	old.retire()
	h.notify()
}

// notify wakes everybody who waits for a state. h.mu is held.
func (h *Host) notify() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// countersOf are the totals of a plugin by name. h.mu is held.
func (h *Host) countersOf(name string) *sandbox.Counters {
	if h.totals[name] == nil {
		h.totals[name] = &sandbox.Counters{}
	}
	return h.totals[name]
}

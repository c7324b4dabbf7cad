package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"

	"vitrine/appliance/frame"
	"vitrine/appliance/pluginhost/breaker"
	"vitrine/appliance/pluginhost/child"
	"vitrine/appliance/pluginhost/guard"
	"vitrine/sdk/abi"
)

// Spec says what to load and how.
type Spec struct {
	// Module is the checked and rewritten module; see Prepare.
	Module *guard.Module
	// Engine is what it runs on; see ProbeEngine.
	Engine string
	// CacheDir holds a folder of native code for each module.
	CacheDir string
	// Compile is the program and arguments that lead a child to CompileChild.
	Compile []string
	// Columns has the attributes of items and users; nil: none.
	Columns frame.Columns
	// Config is the operator's configuration, ConfigFile the name of its file,
	// for messages.
	Config     map[string]any
	ConfigFile string
	// AllowMissing puts empty values for what the operator must give: there is
	// none to ask.
	AllowMissing bool
	Log          *slog.Logger
	// Now is the clock of quarantines.
	Now func() time.Time
}

// Version is one module with one configuration, ready to run: native code and
// a pool of instances. It is immutable but for its instances and its record.
type Version struct {
	spec Spec
	code string // digest of the rewritten module

	manifest     *abi.Manifest
	manifestText string
	columns      []abi.Column
	config       []byte

	runtime  wazero.Runtime
	cache    wazero.CompilationCache
	compiled wazero.CompiledModule

	pool    chan *instance
	closing context.Context
	cancel  context.CancelFunc
	refills sync.WaitGroup

	breaker  breaker.Breaker
	costs    [abi.Filter + 1]cost
	counters *Counters
	lines    limiter
	faults   sparse

	questionsMu sync.Mutex
	questions   map[question]bool
	// questionBytes is the length of their texts.
	questionBytes int
	// answers counts the times that open questions were answered; an instance
	// that was configured at another count configures itself anew.
	answers atomic.Int64
	// rows is the room that new instances reserve, beyond firstRows.
	rows atomic.Int64
	// lost counts the instances that were thrown away and cannot be made anew
	// for the time being.
	lost atomic.Int64
}

// Load makes a version ready for calls: compiled by a child process that also
// tries it out, loaded here from the code that left, instances made and
// measured. Fault lines and quarantines are counted in a Counters of its own
// until Share.
func Load(ctx context.Context, spec Spec) (*Version, error) {
	v := &Version{spec: spec, counters: &Counters{}}
	sum := sha256.Sum256(spec.Module.Wasm)
	v.code = hex.EncodeToString(sum[:])
	v.breaker.Now = spec.Now
	job := compileJob{
		Dir: filepath.Join(spec.CacheDir, v.code), Engine: spec.Engine,
		Config: spec.Config, ConfigFile: spec.ConfigFile, AllowMissing: spec.AllowMissing,
	}
	if err := child.Run(ctx, spec.Compile, job, spec.Module.Wasm); err != nil {
		return nil, err
	}
	if err := v.open(ctx, job.Dir, spec.Module.Wasm); err != nil {
		return nil, err
	}
	if err := v.fill(ctx); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// Manifest is what the module says about itself.
func (v *Version) Manifest() *abi.Manifest { return v.manifest }

// Code names the folder of the native code in the cache.
func (v *Version) Code() string { return v.code }

// Share makes the version count into c. No call may have begun.
func (v *Version) Share(c *Counters) { v.counters = c }

// Counters are the totals that the version counts into.
func (v *Version) Counters() *Counters { return v.counters }

// Quarantine is the reason for the quarantine and when it is tried again; ok
// is false while there is none.
func (v *Version) Quarantine() (reason string, until time.Time, ok bool) {
	return v.breaker.Quarantine()
}

// KindCost is what calls of one kind cost: fuel for any call and per
// candidate, and time for a call of Rows candidates.
type KindCost struct {
	Kind          abi.Kind
	Base, PerItem float64
	Rows          int
	Time          time.Duration
}

// Costs are what the trial calls at load have shown.
func (v *Version) Costs() []KindCost {
	var list []KindCost
	for _, k := range v.manifest.Kinds {
		c := &v.costs[k]
		list = append(list, KindCost{Kind: k, Base: c.base, PerItem: c.perRow, Rows: firstRows, Time: c.took})
	}
	return list
}

// question is a text whose code a plugin asked for and that no item or user
// had.
type question struct {
	scope        frame.Scope
	column, text string
}

// maxQuestions and maxQuestionBytes bound what is remembered of one plugin.
const (
	maxQuestions     = 1024
	maxQuestionBytes = 1 << 20
)

// open loads the module from its cache folder, or compiles it into there.
func (v *Version) open(ctx context.Context, dir string, wasm []byte) error {
	config := runtimeConfig(v.spec.Engine)
	if v.spec.Engine == EngineCompiler {
		cache, err := wazero.NewCompilationCacheWithDir(dir)
		if err != nil {
			return fmt.Errorf("open compile cache: %w", err)
		}
		v.cache = cache
		config = config.WithCompilationCache(cache)
	}
	v.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := provideImports(ctx, v.runtime); err != nil {
		v.Close()
		return err
	}
	compiled, err := v.runtime.CompileModule(ctx, wasm)
	if err != nil {
		v.Close()
		return errors.New(firstLine(err.Error()))
	}
	v.compiled = compiled
	return nil
}

// adopt takes the manifest of the first instance.
func (v *Version) adopt(text string) error {
	m, err := parseManifest(text)
	if err != nil {
		return err
	}
	config, err := configFor(m, v.spec.Config, v.spec.AllowMissing)
	switch {
	case err != nil && v.spec.ConfigFile != "":
		return fmt.Errorf("%s: %w", v.spec.ConfigFile, err)
	case err != nil:
		return err
	}
	v.manifest, v.manifestText, v.columns, v.config = m, strings.Clone(text), m.Columns(), config
	return nil
}

// fill makes the first instances and measures what calls cost.
func (v *Version) fill(ctx context.Context) error {
	v.closing, v.cancel = context.WithCancel(context.WithoutCancel(ctx))
	size := min(max(runtime.GOMAXPROCS(0), 2), 16)
	v.pool = make(chan *instance, size)
	in, err := newInstance(ctx, v)
	if err != nil {
		return err
	}
	in = v.calibrate(ctx, in)
	if in != nil {
		v.pool <- in
	}
	for len(v.pool) < size {
		in, err := newInstance(ctx, v)
		if err != nil {
			return err
		}
		v.pool <- in
	}
	return nil
}

// needRows makes new instances reserve so much room.
func (v *Version) needRows(rows int64) {
	for have := v.rows.Load(); have < rows && !v.rows.CompareAndSwap(have, rows); have = v.rows.Load() {
	}
}

// take waits for an idle instance, and configures it anew where that is due,
// within the period. It says whether that took time.
func (v *Version) take(p Period) (in *instance, waited bool, err error) {
	select {
	case in = <-v.pool:
	default:
		if int(v.lost.Load()) >= cap(v.pool) {
			return nil, true, errBusy // nobody is about to give one back
		}
		timer := time.NewTimer(p.Allowed)
		defer timer.Stop()
		select {
		case in = <-v.pool:
			waited = true
		case <-timer.C:
			return nil, true, errBusy
		}
	}
	if answers := v.answers.Load(); in.answers != answers {
		in.answers, waited = answers, true
		if err := in.within(p.Allowed-time.Since(p.Start), in.configure); err != nil {
			v.discard(in)
			return nil, true, early(fmt.Errorf("configure again: %w", err))
		}
	}
	return in, waited, nil
}

// errBusy says that no instance became free in time.
var errBusy = errors.New("no idle instance")

// put gives an instance back.
func (v *Version) put(in *instance) { v.pool <- in }

// discard throws an instance away, with its memory and stack, and makes
// another one outside of any request.
func (v *Version) discard(in *instance) {
	in.close()
	v.refills.Add(1)
	go func() {
		defer v.refills.Done()
		lost := int64(0)
		for wait := 10 * time.Millisecond; v.closing.Err() == nil; wait = min(2*wait, 10*time.Second) {
			in, err := newInstance(v.closing, v)
			if err == nil {
				v.lost.Add(-lost)
				v.pool <- in
				return
			}
			if v.closing.Err() == nil {
				v.lost.Add(1 - lost)
				lost = 1
				v.fault("instance", err)
			}
			select {
			case <-v.closing.Done():
			case <-time.After(wait):
			}
		}
	}()
}

// Close frees everything. Nobody may be in a call.
func (v *Version) Close() {
	if v.cancel != nil {
		v.cancel()
	}
	v.refills.Wait()
	for len(v.pool) > 0 {
		(<-v.pool).close()
	}
	ctx := context.Background()
	if v.runtime != nil {
		_ = v.runtime.Close(ctx) // frees only memory of this process
	}
	if v.cache != nil {
		_ = v.cache.Close(ctx) // likewise
	}
}

// lookUp is the code of a text; one that is not known yet is remembered.
func (v *Version) lookUp(q question) uint32 {
	if v.spec.Columns == nil {
		return 0
	}
	code := v.spec.Columns.Code(q.scope, q.column, q.text)
	if code == 0 {
		v.questionsMu.Lock()
		defer v.questionsMu.Unlock()
		if v.questions == nil {
			v.questions = map[question]bool{}
		}
		if !v.questions[q] && len(v.questions) < maxQuestions && v.questionBytes+len(q.text) <= maxQuestionBytes {
			v.questions[q] = true
			v.questionBytes += len(q.text)
		}
	}
	return code
}

// AskAgain looks for texts that were unknown so far. When one has appeared,
// every instance is configured anew before its next call.
func (v *Version) AskAgain() {
	v.questionsMu.Lock()
	defer v.questionsMu.Unlock()
	answered := false
	for q := range v.questions {
		if v.spec.Columns.Code(q.scope, q.column, q.text) != 0 {
			delete(v.questions, q)
			v.questionBytes -= len(q.text)
			answered = true
		}
	}
	if answered {
		v.answers.Add(1)
	}
}

// logGuest writes a line of the guest into the log, within its rate.
func (v *Version) logGuest(level slog.Level, line string) {
	ok, dropped := v.lines.allow()
	if !ok {
		return
	}
	attributes := []slog.Attr{slog.String(keyText, line)}
	if v.manifest != nil { // else it has not said its name yet
		attributes = append(attributes, slog.String(keyPlugin, v.manifest.Name))
	}
	if dropped > 0 {
		attributes = append(attributes, slog.Int64(keyDropped, dropped))
	}
	v.spec.Log.LogAttrs(context.Background(), level, "plugin says", attributes...)
}

// firstLine keeps one line of a text that others wrote.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}

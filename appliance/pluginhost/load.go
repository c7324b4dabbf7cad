package pluginhost

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"vitrine/appliance/pluginhost/sandbox"
	"vitrine/internal/logkey"
	"vitrine/sdk/abi"
)

// State is where a plugin's file stands.
type State string

// The states.
const (
	Active      State = "active"
	Compiling   State = "compiling"
	Refused     State = "refused"
	Quarantined State = "quarantined"
	Disabled    State = "disabled"
)

// startLoads loads entries, one after the other. h.mu is held.
func (h *Host) startLoads(names []string) {
	type job struct {
		ctx    context.Context
		name   string
		print  fingerprint
		cancel context.CancelFunc
	}
	jobs := make([]job, 0, len(names))
	for _, name := range names {
		e := h.entries[name]
		j := job{name: name, print: e.print}
		j.ctx, j.cancel = context.WithCancel(h.ctx)
		e.load, e.cancel = j.ctx, j.cancel
		jobs = append(jobs, j)
	}
	h.loads.Add(1)
	go func() {
		defer h.loads.Done()
		for _, j := range jobs {
			h.loadEntry(j.ctx, j.name, j.print)
			j.cancel()
		}
		h.rescan() // something may have changed meanwhile
	}()
}

// loadEntry takes one state of a plugin's files through to a version that
// serves, or to the reason why not.
func (h *Host) loadEntry(ctx context.Context, name string, print fingerprint) {
	select {
	case h.compiling <- struct{}{}:
		defer func() { <-h.compiling }()
	case <-ctx.Done():
	}
	a := h.attemptLoad(ctx, name, print)
	if a.err != nil && ctx.Err() == nil && !errors.Is(a.err, errMoved) {
		a.fallback = h.earlier(ctx, a)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settle(ctx, a)
}

// attempt is the outcome of one load.
type attempt struct {
	name     string
	print    fingerprint
	digest   string
	wasm     []byte
	toml     []byte
	side     *sidecar
	manifest *abi.Manifest // of a disabled one, where it served before
	version  *version      // nil when disabled, unchanged or refused
	same     bool          // what serves already is this
	fallback *version      // an earlier version, where none serves
	err      error
}

func (h *Host) attemptLoad(ctx context.Context, name string, print fingerprint) *attempt {
	a := &attempt{name: name, print: print}
	if a.err = ctx.Err(); a.err != nil {
		return a
	}
	if a.wasm, a.toml, a.err = readModule(h.opt.Dir, name, print); a.err != nil {
		return a
	}
	a.digest = digestOf(a.wasm)
	var err error
	if a.side, err = parseSidecar(a.toml, h.opt.CallBudget); err != nil {
		h.mu.Lock()
		if e := h.entries[name]; e != nil {
			a.side.inherit(e.side)
		}
		h.mu.Unlock()
		a.err = fmt.Errorf("%s%s: %w", name, sidecarSuffix, err)
		return a
	}
	if !a.side.enabled() {
		a.manifest = h.keptManifest(name)
		return a
	}
	h.mu.Lock()
	if e := h.entries[name]; e != nil && e.serving != nil {
		a.same = e.serving.digest == a.digest && bytes.Equal(e.serving.toml, a.toml)
	}
	h.mu.Unlock()
	if !a.same {
		a.version, a.err = h.build(ctx, name, a.wasm, a.toml, a.side)
	}
	return a
}

// build makes a version of a module's bytes.
func (h *Host) build(ctx context.Context, name string, wasm, toml []byte, side *sidecar) (*version, error) {
	prepared, err := sandbox.Prepare(wasm)
	if err != nil {
		return nil, err
	}
	if err := privateDir(h.codeDir()); err != nil {
		return nil, fmt.Errorf("code cache: %w", err)
	}
	loaded, err := sandbox.Load(ctx, sandbox.Spec{
		Module: prepared, Engine: h.engine, CacheDir: h.codeDir(), Compile: h.opt.Compile, Columns: h.opt.Columns,
		Config: side.Config, ConfigFile: name + sidecarSuffix, AllowMissing: side.absent, Log: h.opt.Log, Now: h.opt.Now,
	})
	if err != nil {
		return nil, err
	}
	v := &version{Version: loaded, file: name, digest: digestOf(wasm), toml: toml, side: side}
	for _, k := range side.Kinds {
		var kind abi.Kind
		if err := kind.UnmarshalText([]byte(k)); err != nil || !v.Manifest().Has(kind) {
			v.Close()
			return nil, fmt.Errorf("%s%s: kinds names %q, which the module does not do", name, sidecarSuffix, k)
		}
	}
	return v, nil
}

// earlier finds a version that served before, for a file that is refused while
// nothing serves: after a restart, that is.
func (h *Host) earlier(ctx context.Context, a *attempt) *version {
	h.mu.Lock()
	e := h.entries[a.name]
	serves := e == nil || e.serving != nil
	today := a.side
	if today == nil && e != nil {
		today = e.side // the file could not be read
	}
	h.mu.Unlock()
	if serves || today != nil && !today.enabled() {
		return nil
	}
	for _, k := range h.kept(a.name) {
		wasm, toml, err := k.read()
		if err != nil || digestOf(wasm) != k.digest || k.digest == a.digest && bytes.Equal(toml, a.toml) {
			continue
		}
		side, err := parseSidecar(toml, h.opt.CallBudget)
		if err != nil || !side.enabled() {
			continue
		}
		if today != nil {
			side.OnError = today.OnError // the operator's word of today
		}
		if v, err := h.build(ctx, a.name, wasm, toml, side); err == nil {
			return v
		}
	}
	return nil
}

// settle makes the outcome of a load the entry's state. h.mu is held.
func (h *Host) settle(ctx context.Context, a *attempt) {
	e := h.entries[a.name]
	spare := []*version{a.version, a.fallback}
	defer func() {
		for _, v := range spare {
			if v != nil {
				v.Close()
			}
		}
	}()
	if e == nil || e.load != ctx {
		return // the file went away meanwhile
	}
	e.load, e.cancel = nil, nil
	defer h.saveServing()
	if ctx.Err() != nil || e.print != a.print || errors.Is(a.err, errMoved) {
		return // another look will load what is there now
	}
	e.tried, e.digest, e.conflict = a.print, a.digest, false
	if a.side != nil {
		e.side = a.side
	}
	if a.version != nil {
		if a.err = h.claims(a.name, a.version); a.err != nil {
			e.conflict = true
		}
	}
	if e.held != nil {
		e.held = nil
		defer func() {
			if e.serving == nil { // what it held is for others now
				h.freed()
				h.rescan()
			}
		}()
	}
	log := h.opt.Log.With(logkey.File, a.name+moduleSuffix)
	switch {
	case a.err != nil:
		e.state, e.reason = Refused, firstLine(a.err.Error())
		if a.fallback != nil && h.claims(a.name, a.fallback) == nil {
			h.serve(e, a.fallback)
			spare[1] = nil
		}
		attrs := []any{logkey.Reason, e.reason}
		if e.serving != nil {
			attrs = append(attrs, keyServing, e.serving.Manifest().Version, keyDigest, short(e.serving.digest))
		}
		log.Warn("plugin refused", attrs...)
	case !a.side.enabled():
		e.state, e.reason = Disabled, ""
		if e.manifest == nil {
			e.manifest = a.manifest
		}
		if e.serving != nil {
			log.Info("plugin disabled")
			e.serving = nil
			h.freed()
		}
	case a.same:
		e.state, e.reason = Active, ""
	default:
		h.serve(e, a.version)
		spare[0] = nil
		e.state, e.reason = Active, ""
		h.keep(a)
		log.Info("plugin active", keyPlugin, e.serving.Manifest().Name, logkey.Version, e.serving.Manifest().Version, keyDigest, short(a.digest))
	}
	h.rebuild()
}

// serve puts a version in the entry's place in the ranking. h.mu is held.
func (h *Host) serve(e *entry, v *version) {
	v.Share(h.countersOf(v.Manifest().Name))
	e.serving, e.manifest = v, v.Manifest()
}

// claims says whether another plugin has the version's name or one of its
// feature columns already. h.mu is held.
func (h *Host) claims(name string, v *version) error {
	for _, other := range h.ordered() {
		m := other.claimed()
		if other.name == name || m == nil {
			continue
		}
		if m.Name == v.Manifest().Name {
			return fmt.Errorf("plugin name %s is already that of %s%s", m.Name, other.name, moduleSuffix)
		}
		for _, c := range v.Manifest().Writes {
			for _, taken := range m.Writes {
				if c.Name == taken.Name {
					return fmt.Errorf("feature %s is already written by plugin %s", c.Name, m.Name)
				}
			}
		}
	}
	return nil
}

// claimed is the manifest whose name and features are the entry's own.
func (e *entry) claimed() *abi.Manifest {
	if e.serving != nil {
		return e.serving.Manifest()
	}
	return e.held
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// short is enough of a digest for a log line.
func short(digest string) string { return digest[:min(12, len(digest))] }

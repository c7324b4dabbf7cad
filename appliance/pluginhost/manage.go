package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vitrine/appliance/pluginhost/guard"
	"vitrine/appliance/pluginhost/sandbox"
	"vitrine/sdk/abi"
)

// Info is one plugin of the folder.
type Info struct {
	// Name is the plugin's own name, or that of its file without .wasm while
	// no version of it could be loaded.
	Name string
	// File is the file's name without .wasm.
	File    string
	Version string
	Summary string
	State   State
	// Reason says why it is refused or in quarantine.
	Reason string
	// SHA256 is the digest of the file; Serving that of the version that
	// ranks, "" when none does. They differ while a new file compiles or was
	// refused.
	SHA256, Serving string
	Kinds           []string
	// Stats are the totals since the host was opened.
	Stats sandbox.Stats
}

// List is every plugin of the folder in ranking order, then the names of
// Options.Order that no plugin has.
func (h *Host) List() []Info {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Info, 0, len(h.entries))
	for _, e := range h.ordered() {
		list = append(list, h.info(e))
	}
	for _, name := range h.missing() {
		list = append(list, Info{Name: name, State: Refused, Reason: "plugins.order names it, but the folder has no such plugin"})
	}
	return list
}

// info describes an entry. h.mu is held.
func (h *Host) info(e *entry) Info {
	i := Info{Name: e.name, File: e.name, State: e.state, Reason: e.reason, SHA256: e.digest}
	v := e.serving
	if v == nil {
		if m := e.manifest; m != nil && e.state != Refused {
			i.Name, i.Version, i.Summary, i.Kinds = m.Name, m.Version, m.Summary, kindNames(m, e.side)
			if c := h.totals[m.Name]; c != nil { // it has served
				i.Stats = c.Stats(m.Name)
			}
		}
		return i
	}
	i.Version, i.Summary, i.Serving, i.Kinds = v.Manifest().Version, v.Manifest().Summary, v.digest, kindNames(v.Manifest(), v.side)
	if i.Stats = v.Counters().Stats(v.Manifest().Name); e.state != Refused {
		i.Name = v.Manifest().Name
	}
	if reason, until, open := v.Quarantine(); open && e.state == Active {
		i.State = Quarantined
		i.Reason = fmt.Sprintf("%s; next try at %s", reason, until.UTC().Format(time.RFC3339))
	}
	return i
}

// kindNames are the kinds of a module that its operator lets it do.
func kindNames(m *abi.Manifest, side *sidecar) []string {
	var names []string
	for k := abi.Feature; k <= abi.Filter; k++ {
		if m.Has(k) && side.allows(k) {
			names = append(names, k.String())
		}
	}
	return names
}

// Stats are the totals of every plugin that has served, by name.
func (h *Host) Stats() []sandbox.Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]sandbox.Stats, 0, len(h.totals))
	for name, c := range h.totals {
		list = append(list, c.Stats(name))
	}
	slices.SortFunc(list, func(a, b sandbox.Stats) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// ErrUnknown says that no plugin has that name.
var ErrUnknown = errors.New("no such plugin")

// find is the entry of a plugin by its own or its file's name. h.mu is held.
func (h *Host) find(name string) *entry {
	if e := h.entries[name]; e != nil {
		return e
	}
	for _, e := range h.entries {
		if e.serving != nil && e.serving.Manifest().Name == name {
			return e
		}
	}
	for _, e := range h.entries { // disabled, or refused meanwhile
		if e.manifest != nil && e.manifest.Name == name {
			return e
		}
	}
	return nil
}

// change waits until no other change by an operator is under way; done ends
// this one.
func (h *Host) change(ctx context.Context) (done func(), err error) {
	select {
	case h.changing <- struct{}{}:
		return func() { <-h.changing }, nil
	case <-h.ctx.Done():
		return nil, errClosing
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errClosing = errors.New("plugin host is closing")

// Idle waits until everything that is in the folder now has been dealt with.
// Run must be running.
func (h *Host) Idle(ctx context.Context) error {
	if err := h.lookNow(); err != nil {
		return err
	}
	return h.await(ctx, func() bool {
		for _, e := range h.entries {
			if e.state == Compiling {
				return false
			}
		}
		return true
	})
}

// await waits until done holds; it is asked with h.mu held.
func (h *Host) await(ctx context.Context, done func() bool) error {
	for {
		h.mu.Lock()
		ok, changed := done(), h.changed
		h.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-h.ctx.Done():
			return errClosing
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Install checks and compiles a module, and only then moves it into the
// folder, where it goes live at once. name is the file's; "" takes the
// plugin's own. toml nil keeps NAME.toml as it is. It returns when the plugin
// is active or disabled. Run must be running.
func (h *Host) Install(ctx context.Context, name string, wasm, toml []byte) (Info, error) {
	if h.opt.Dir == "" {
		return Info{}, errors.New("no plugins folder")
	}
	if name != "" && !validFile(name) {
		return Info{}, fmt.Errorf("plugin name %q: want letters, digits, dots, dashes and underscores", name)
	}
	done, err := h.change(ctx)
	if err != nil {
		return Info{}, err
	}
	defer done()
	manifest, name, err := h.admit(ctx, name, wasm, toml)
	if err != nil {
		return Info{}, err
	}
	path := filepath.Join(h.opt.Dir, name)
	if toml != nil {
		if err := replaceFile(path+sidecarSuffix, toml); err != nil {
			return Info{}, fmt.Errorf("install plugin %s: %w", manifest.Name, err)
		}
	}
	if err := replaceFile(path+moduleSuffix, wasm); err != nil {
		return Info{}, fmt.Errorf("install plugin %s: %w", manifest.Name, err)
	}
	info, err := h.awaitEntry(ctx, name, digestOf(wasm))
	if err != nil {
		return info, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.entries[name]; e != nil && e.serving == nil && e.digest == info.SHA256 { // disabled
		e.manifest = manifest
		info = h.info(e)
	}
	return info, nil
}

// admit takes a module through the whole load, and closes it again. It settles
// under which file name the plugin is to be installed.
func (h *Host) admit(ctx context.Context, name string, wasm, toml []byte) (*abi.Manifest, string, error) {
	if name != "" && toml == nil {
		toml, _ = os.ReadFile(filepath.Join(h.opt.Dir, name+sidecarSuffix)) // none is none
	}
	side, err := parseSidecar(toml, h.opt.CallBudget)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", sidecarSuffix[1:], err)
	}
	select {
	case h.compiling <- struct{}{}:
		defer func() { <-h.compiling }()
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	v, err := h.build(ctx, name, wasm, toml, side)
	if err != nil {
		return nil, "", err
	}
	defer v.Close()
	if name == "" {
		name = v.Manifest().Name
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if side.enabled() {
		err = h.claims(name, v)
	}
	return v.Manifest(), name, err
}

// awaitEntry waits until the file with that digest, or the one that has taken
// its place meanwhile, has been dealt with.
func (h *Host) awaitEntry(ctx context.Context, name, digest string) (Info, error) {
	var info Info
	err := h.lookNow()
	if err != nil {
		return info, err
	}
	err = h.await(ctx, func() bool {
		e := h.entries[name]
		if e == nil {
			return true
		}
		if e.state == Compiling {
			return false
		}
		info = h.info(e)
		return true
	})
	switch {
	case err != nil:
		return info, err
	case info.File == "":
		return info, fmt.Errorf("%s%s was removed meanwhile", name, moduleSuffix)
	case digest != "" && info.SHA256 != "" && info.SHA256 != digest:
		return info, fmt.Errorf("%s%s was replaced meanwhile", name, moduleSuffix)
	case info.State == Refused:
		return info, errors.New(info.Reason)
	}
	return info, nil
}

func validFile(name string) bool {
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return false
		}
	}
	return len(name) <= 64 && name[0] != '.' && name[0] != '_' && !strings.HasSuffix(name, moduleSuffix)
}

// Enable lets a plugin rank: it sets enabled in NAME.toml and returns when the
// plugin is active.
func (h *Host) Enable(ctx context.Context, name string) (Info, error) {
	return h.setEnabled(ctx, name, true)
}

// Disable takes a plugin out and leaves its files where they are.
func (h *Host) Disable(ctx context.Context, name string) (Info, error) {
	return h.setEnabled(ctx, name, false)
}

func (h *Host) setEnabled(ctx context.Context, name string, enabled bool) (Info, error) {
	done, err := h.change(ctx)
	if err != nil {
		return Info{}, err
	}
	defer done()
	h.mu.Lock()
	e := h.find(name)
	if e == nil {
		h.mu.Unlock()
		return Info{}, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	file := e.name
	h.mu.Unlock()
	path := filepath.Join(h.opt.Dir, file+sidecarSuffix)
	if err := rewrite(path, enabled); err != nil {
		return Info{}, fmt.Errorf("set enabled in %s: %w", filepath.Base(path), err)
	}
	return h.awaitEntry(ctx, file, "")
}

func rewrite(path string, enabled bool) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := withEnabled(old, enabled)
	if err != nil {
		return err
	}
	return replaceFile(path, text)
}

// Remove deletes a plugin's files and returns when it is out of the ranking.
func (h *Host) Remove(ctx context.Context, name string) error {
	done, err := h.change(ctx)
	if err != nil {
		return err
	}
	defer done()
	h.mu.Lock()
	e := h.find(name)
	h.mu.Unlock()
	if e == nil {
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	for _, suffix := range []string{moduleSuffix, sidecarSuffix} {
		err := os.Remove(filepath.Join(h.opt.Dir, e.name+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove plugin: %w", err)
		}
	}
	if err := h.lookNow(); err != nil {
		return err
	}
	return h.await(ctx, func() bool { return h.entries[e.name] != e })
}

// Inspection is what a module is and does, without installing it.
type Inspection struct {
	SHA256 string
	Bytes  int
	// Imports are MODULE.NAME, Exports the functions.
	Imports, Exports []string
	// Pages and MaxPages are memory in pages of 64 KiB.
	Pages, MaxPages int
	Manifest        *abi.Manifest
	// Reason says why it would be refused, "" when it would not. What could
	// not be found out for it is empty.
	Reason string
	// Load is the time that all of it took; most is compiling.
	Load time.Duration
	// Costs of trial calls, by kind.
	Costs []sandbox.KindCost
}

// Inspect takes a module through the whole load, with the defaults of its
// configuration and empty values where it has none, and closes it again.
func (h *Host) Inspect(ctx context.Context, wasm []byte) (Inspection, error) {
	ins := Inspection{SHA256: digestOf(wasm), Bytes: len(wasm)}
	select {
	case h.compiling <- struct{}{}:
		defer func() { <-h.compiling }()
	case <-ctx.Done():
		return ins, ctx.Err()
	}
	start := time.Now()
	prepared, err := sandbox.Prepare(wasm)
	if err == nil {
		ins.surface(prepared)
		var v *version
		if v, err = h.build(ctx, "", wasm, nil, &sidecar{absent: true}); err == nil {
			defer v.Close()
			ins.Manifest, ins.Costs = v.Manifest(), v.Costs()
		}
	}
	ins.Load = time.Since(start)
	if ctx.Err() != nil {
		return ins, ctx.Err()
	}
	if err != nil {
		ins.Reason = firstLine(err.Error())
	}
	return ins, nil
}

func (ins *Inspection) surface(m *guard.Module) {
	ins.Pages, ins.MaxPages = m.Pages, m.MaxPages
	for _, i := range m.Imports {
		ins.Imports = append(ins.Imports, i.Module+"."+i.Name)
	}
	for _, e := range m.Exports {
		if e.Kind == guard.KindFunction {
			ins.Exports = append(ins.Exports, e.Name)
		}
	}
}

package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"vitrine/appliance/pluginhost/guard"
	"vitrine/internal/disk"
	"vitrine/internal/logkey"
	"vitrine/sdk/abi"
)

const (
	moduleSuffix  = ".wasm"
	sidecarSuffix = ".toml"
	// pollInterval finds changes that the system does not announce, as on
	// network folders.
	pollInterval = 2 * time.Second
	// A file must stay as it is for settleLooks times settleTime before it is read:
	// a copy under way changes its size. Where the machine stands still, it does so
	// within one of them at most, and the copy has the others to go on.
	settleLooks = 3
	settleTime  = 100 * time.Millisecond
	// settledAge is the age from which a file is taken as complete at once.
	settledAge = 5 * time.Second
)

// fingerprint tells one state of a plugin's files from another without reading
// them.
type fingerprint struct {
	module, sidecar fileState
}

type fileState struct {
	exists  bool
	regular bool
	size    int64
	changed int64 // Unix nanoseconds
	inode   uint64
}

func stateOf(path string) fileState {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{exists: !errors.Is(err, fs.ErrNotExist)}
	}
	s := fileState{exists: true, regular: info.Mode().IsRegular(), size: info.Size(), changed: info.ModTime().UnixNano()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = stat.Ino
	}
	return s
}

// newest is when the files last changed.
func (p fingerprint) newest() time.Time {
	return time.Unix(0, max(p.module.changed, p.sidecar.changed))
}

// fingerprintOf looks at the files of one plugin.
func fingerprintOf(dir, name string) fingerprint {
	return fingerprint{stateOf(filepath.Join(dir, name+moduleSuffix)), stateOf(filepath.Join(dir, name+sidecarSuffix))}
}

// readFolder lists the modules of a folder by file name without .wasm. Names
// that begin with "." or "_" are not modules yet.
func readFolder(dir string) (map[string]fingerprint, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[string]fingerprint{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), moduleSuffix)
		if ok && name != "" && name[0] != '.' && name[0] != '_' {
			found[name] = fingerprintOf(dir, name)
		}
	}
	return found, nil
}

// readModule reads both files of a plugin once, and only if they are still as
// they were seen.
func readModule(dir, name string, seen fingerprint) (wasm, toml []byte, err error) {
	if wasm, err = readBounded(filepath.Join(dir, name+moduleSuffix), seen.module, guard.DefaultMaxBytes); err != nil {
		return nil, nil, err
	}
	if seen.sidecar.exists {
		if toml, err = readBounded(filepath.Join(dir, name+sidecarSuffix), seen.sidecar, maxSidecar); err != nil {
			return nil, nil, err
		}
	}
	if fingerprintOf(dir, name) != seen {
		return nil, nil, errMoved
	}
	return wasm, toml, nil
}

// errMoved says that a file changed while it was read.
var errMoved = errors.New("file is changing")

func readBounded(path string, seen fileState, limit int64) ([]byte, error) {
	base := filepath.Base(path)
	if !seen.regular {
		return nil, fmt.Errorf("%s is not a regular file", base)
	}
	if seen.size > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d", base, seen.size, limit)
	}
	// Without O_NONBLOCK a pipe that has taken the file's place would block.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", base, disk.WithoutPath(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", base, disk.WithoutPath(err))
	}
	return data, nil
}

// entry is one NAME.wasm of the folder. Host.mu guards it.
type entry struct {
	name string
	// print is what was last seen, tried what was last loaded; it must be seen so
	// often again, the next time not before.
	print, tried fingerprint
	looks        int
	next         time.Time
	// load and cancel are those of the load under way.
	load   context.Context
	cancel context.CancelFunc

	state  State
	reason string
	digest string
	// side is what NAME.toml said last; see sidecar.inherit.
	side *sidecar
	// manifest is that of the last version that served or was installed; nil
	// while none is known.
	manifest *abi.Manifest
	// serving is the version that ranks: of this file, or of an earlier one.
	serving *version
	// conflict says that the file was refused for what another plugin has; it
	// is tried again when that one goes.
	conflict bool
	// held is the manifest of the version that served when this program ran
	// last, until the file has been loaded: what it has claimed stays its own.
	held *abi.Manifest
}

// mustDeny says that nothing may be shown while no version serves.
func (e *entry) mustDeny() bool {
	return e.side != nil && e.side.deny() && e.side.enabled()
}

// adoptFolder brings the entries up to what was found. It says whether the
// pipeline must be made anew. h.mu is held.
func (h *Host) adoptFolder(found map[string]fingerprint) (changed bool) {
	now := time.Now()
	for name, e := range h.entries {
		if _, still := found[name]; still {
			continue
		}
		if e.cancel != nil {
			e.cancel()
		}
		delete(h.entries, name)
		h.opt.Log.Info("plugin removed", logkey.File, name+moduleSuffix)
		h.freed()
		h.saveServing()
		changed = true
	}
	for name, print := range found {
		e := h.entries[name]
		if e == nil {
			e = &entry{name: name}
			h.entries[name] = e
			if h.heldBefore[name] {
				e.held = h.keptManifest(name)
				delete(h.heldBefore, name)
			}
			if print.sidecar.exists { // so that it denies from the start, if it must
				e.side = h.firstSidecar(name, print)
				changed = changed || e.mustDeny()
			}
		}
		if e.print == print {
			continue
		}
		e.print, e.looks, e.next = print, settleLooks, now.Add(settleTime)
		if now.Sub(print.newest()) > settledAge {
			e.looks = 0
		}
		e.state, e.reason = Compiling, ""
		if e.cancel != nil {
			e.cancel()
		}
		h.notify()
	}
	return changed
}

// firstSidecar is what NAME.toml says of a plugin that is seen for the first
// time. What it does not say because it is damaged is as it was when the plugin
// last served.
func (h *Host) firstSidecar(name string, print fingerprint) *sidecar {
	side := &sidecar{}
	toml, err := readBounded(filepath.Join(h.opt.Dir, name+sidecarSuffix), print.sidecar, maxSidecar)
	if err == nil {
		side, err = parseSidecar(toml, h.opt.CallBudget)
	}
	if err != nil {
		side.inherit(h.keptSidecar(name))
	}
	return side
}

// freed lets files be tried again that were refused for what another plugin
// had. h.mu is held.
func (h *Host) freed() {
	for _, e := range h.entries {
		if e.conflict {
			e.conflict, e.tried, e.state, e.reason = false, fingerprint{}, Compiling, ""
		}
	}
}

// due counts a look at what was found, and lists entries that are to be loaded
// now, in file order, and how long until the next look is due. h.mu is held.
func (h *Host) due() (names []string, next time.Duration) {
	next = pollInterval
	for name, e := range h.entries {
		if e.tried == e.print || e.load != nil {
			continue
		}
		if now := time.Now(); e.looks > 0 && !now.Before(e.next) {
			e.looks, e.next = e.looks-1, now.Add(settleTime)
		}
		if e.looks > 0 {
			next = min(next, max(0, time.Until(e.next)))
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, next
}

// missing are the names of Options.Order that no plugin of the folder has. h.mu
// is held.
func (h *Host) missing() []string {
	var names []string
	for _, name := range h.opt.Order {
		if h.find(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// checkOrder says which names of Options.Order nobody has, once everything in
// the folder has been loaded and whenever there is another such name. A plugin
// may come later, so it is no fault. h.mu is held.
func (h *Host) checkOrder() {
	for _, e := range h.entries {
		if e.load != nil || e.state == Compiling {
			return
		}
	}
	missing := h.missing()
	for _, name := range missing {
		if !slices.Contains(h.missed, name) {
			h.opt.Log.Warn("plugins.order names a plugin that is not in the folder", keyPlugin, name, logkey.Dir, h.opt.Dir)
		}
	}
	h.missed = missing
}

// ordered are the entries in the order in which they rank. h.mu is held.
func (h *Host) ordered() []*entry {
	place := func(e *entry) int {
		for i, name := range h.opt.Order {
			if name == e.name || e.manifest != nil && name == e.manifest.Name {
				return i
			}
		}
		return len(h.opt.Order)
	}
	list := make([]*entry, 0, len(h.entries))
	for _, e := range h.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.name, b.name))
	})
	return list
}

// Run watches the folder until ctx ends: it loads what is new or changed and
// takes out what is gone.
func (h *Host) Run(ctx context.Context) error {
	if h.opt.Dir == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	var events <-chan fsnotify.Event
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(h.opt.Dir)
		events = watcher.Events
	}
	if err != nil {
		h.opt.Log.Info("plugins folder is polled, not watched", logkey.Dir, h.opt.Dir, logkey.Reason, err.Error())
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	unreadable := ""
	for {
		select {
		case <-ctx.Done():
			h.stop()
			h.loads.Wait()
			return ctx.Err()
		case <-timer.C:
		case <-h.wake:
		case <-events:
			drain(events)
		}
		next, err := h.look()
		if err != nil && err.Error() != unreadable {
			h.opt.Log.Warn("plugins folder cannot be read, plugins stay as they are", logkey.Dir, h.opt.Dir, logkey.Error, err)
			unreadable = err.Error()
		}
		if err == nil {
			unreadable = ""
		}
		timer.Reset(next)
	}
}

// drain takes what has queued up: one look at the folder answers all of it.
func drain(events <-chan fsnotify.Event) {
	for len(events) > 0 {
		<-events
	}
}

// look compares the folder with the entries and starts what is due. It says
// when to look again.
func (h *Host) look() (time.Duration, error) {
	h.looking.Lock()
	defer h.looking.Unlock()
	found, err := readFolder(h.opt.Dir)
	if err != nil {
		return pollInterval, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.adoptFolder(found) {
		h.rebuild()
	}
	for _, e := range h.entries {
		if e.serving != nil {
			e.serving.AskAgain()
		}
	}
	names, next := h.due()
	if len(names) > 0 {
		h.startLoads(names)
	}
	h.checkOrder()
	return next, nil
}

// lookNow looks at the folder, and has Run look again when the rest is due.
func (h *Host) lookNow() error {
	_, err := h.look()
	h.rescan()
	if err != nil {
		return fmt.Errorf("plugins folder: %w", err)
	}
	return nil
}

// rescan makes Run look at the folder now.
func (h *Host) rescan() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

package registry

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"vitrine/als/model"
	"vitrine/internal/logkey"
)

// Errors that a caller may want to tell apart.
var (
	// ErrNoPrevious reports that there is no version to go back to.
	ErrNoPrevious = errors.New("there is no previous model version")
	// ErrExists reports a version name that is taken.
	ErrExists = errors.New("model version exists already")
	// ErrGate reports a bundle that lost its gate and so must not go live.
	ErrGate = errors.New("model did not pass its gate")
)

// defaultKeep is how many versions stay on disk unless told otherwise.
const defaultKeep = 5

const (
	bundleSuffix  = ".bundle"
	corruptSuffix = ".corrupt"
	tmpSuffix     = ".tmp"
)

// Registry is the folder of versions of one appliance. All methods may be used
// concurrently; one process at a time may hold a folder.
type Registry struct {
	dir  string
	keep int
	log  *slog.Logger

	// state is what readers see; it is replaced, never changed.
	state atomic.Pointer[state]

	mu          sync.Mutex // serialises the writers
	subscribers []func(*Bundle)
}

// state is one consistent view.
type state struct {
	live, previous *Bundle
	// history holds the live version and those that were live before it,
	// newest first, like the pointer file.
	history []string
}

// Open takes over the folder, makes it if need be, clears away what a crash
// left behind and loads the live version. A live bundle that is corrupt is kept
// aside under the name VERSION.bundle.corrupt and the one before it goes live;
// the log says so, once, because the pointer moves with it. Without any usable
// bundle Live is nil. keep is how many versions stay on disk: 0 is 5, and the
// live and the previous one always stay.
func Open(dir string, keep int, log *slog.Logger) (*Registry, error) {
	if keep <= 0 {
		keep = defaultKeep
	}
	r := &Registry{dir: dir, keep: max(keep, 2), log: log}
	r.state.Store(&state{})
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("open models: %w", err)
	}
	if err := r.removeTemporary(); err != nil {
		return nil, fmt.Errorf("open models: %w", err)
	}
	history, err := r.recoverHistory()
	if err != nil {
		return nil, fmt.Errorf("open models: %w", err)
	}
	live, rest, _ := r.firstUsable(history)
	if live == nil {
		if len(history) > 0 {
			r.log.Error("no model version can be used, popular items are served",
				logkey.Dir, dir, logkey.Hint, "run: vitrine train")
		}
		return r, nil
	}
	r.state.Store(&state{live: live, history: rest})
	if len(rest) < len(history) {
		r.log.Warn("an earlier model version serves", logkey.Version, live.Version)
		// Serving goes on without it: the same search then runs at the next start.
		if err := writePointer(dir, rest); err != nil {
			r.log.Warn("model pointer not moved", logkey.Dir, dir, logkey.Error, err)
		}
	}
	return r, nil
}

// removeTemporary deletes the unfinished files of a process that died.
func (r *Registry) removeTemporary() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), tmpSuffix) {
			if err := os.Remove(filepath.Join(r.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// recoverHistory reads the pointer. When there is none that can be read, the
// versions on disk that passed their gate take its place, newest first: the
// worst that can happen is that a version rolled back is live again, and the
// log says where to look.
func (r *Registry) recoverHistory() ([]string, error) {
	history, err := readPointer(r.dir)
	if err == nil {
		return history, nil
	}
	infos := r.scan()
	if notExist(err) && len(infos) == 0 {
		return nil, nil
	}
	r.log.Warn("model pointer cannot be read, the newest version is taken",
		logkey.Path, filepath.Join(r.dir, pointerName), logkey.Error, err,
		logkey.Hint, "check with: vitrine model list")
	for _, info := range infos {
		if info.Gate.Passed {
			history = append(history, info.Version)
		}
	}
	if len(history) == 0 {
		return nil, nil
	}
	return history, writePointer(r.dir, history)
}

// firstUsable loads the first version that can be loaded, and returns it with
// the history from there on; faults say why those before it were not taken.
func (r *Registry) firstUsable(history []string) (live *Bundle, rest, faults []string) {
	for i, v := range history {
		b, err := r.load(v)
		if err == nil {
			return b, history[i:], faults
		}
		r.setAside(v, err)
		faults = append(faults, fmt.Sprintf("%s: %v", v, err))
	}
	return nil, nil, faults
}

// load reads a version of the folder for serving.
func (r *Registry) load(v string) (*Bundle, error) {
	path := r.path(v)
	b, err := loadServing(path)
	if err != nil {
		return nil, err
	}
	if b.Version != v {
		return nil, fmt.Errorf("%s holds version %s", path, b.Version)
	}
	return b, nil
}

// setAside reports a version that cannot be loaded and renames a corrupt one,
// so that it is found once and can be looked at. A file that could not be read
// for another reason (no memory, a newer format) is left where it is.
func (r *Registry) setAside(v string, cause error) {
	path := r.path(v)
	hint := "run: vitrine train"
	if corrupt := (*model.CorruptError)(nil); errors.As(cause, &corrupt) {
		aside := path + corruptSuffix
		if err := os.Rename(path, aside); err != nil {
			cause = errors.Join(cause, err)
		} else {
			hint = "kept as " + filepath.Base(aside) + "; check the disk, then run: vitrine train"
		}
	}
	r.log.Error("model version cannot be used",
		logkey.Version, v, logkey.Path, path, logkey.Error, cause, logkey.Hint, hint)
}

// Path is the file of a version that is kept.
func (r *Registry) Path(version string) string { return r.path(version) }

func (r *Registry) path(v string) string { return filepath.Join(r.dir, v+bundleSuffix) }

// Live returns the version that serves, or nil. It never waits.
func (r *Registry) Live() *Bundle { return r.state.Load().live }

// Previous returns the version that served before the live one if it is still
// in memory. It is nil after a start and after a rollback; Rollback then reads
// the file.
func (r *Registry) Previous() *Bundle { return r.state.Load().previous }

// Subscribe has fn called with every version that goes live from now on, in
// order, and at once with the present one if there is one. Publish and
// Rollback return after it; fn must not call them.
func (r *Registry) Subscribe(fn func(*Bundle)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscribers = append(r.subscribers, fn)
	if live := r.Live(); live != nil {
		fn(live)
	}
}

// swap makes a version live for readers.
func (r *Registry) swap(next *state) {
	r.state.Store(next)
	for _, fn := range r.subscribers {
		fn(next.live)
	}
}

// Publish verifies the finished bundle file at path, moves it into the folder
// and makes it live. The old live version becomes the previous one and stays
// in memory; what is beyond the number to keep is deleted, oldest first.
//
// A crash at any moment leaves the old or the new version live: the bundle is
// on disk under its name before the pointer moves, in one rename.
func (r *Registry) Publish(path string) (*Bundle, error) {
	b, err := loadServing(path)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if !b.Gate.Passed {
		return nil, fmt.Errorf("publish %s: %w: %s", b.Version, ErrGate, b.Gate.Reason)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.state.Load()
	if err := r.moveIn(path, b.Version, now.history); err != nil {
		return nil, fmt.Errorf("publish %s: %w", b.Version, err)
	}
	r.swap(&state{live: b, previous: now.live, history: r.withLive(b.Version, now.history)})
	r.retain()
	return b, nil
}

// withLive puts v at the head of a history and cuts its end.
func (r *Registry) withLive(v string, history []string) []string {
	out := []string{v}
	for _, h := range history {
		if h != v && len(out) < r.keep {
			out = append(out, h)
		}
	}
	return out
}

// moveIn brings a bundle file into the folder and moves the pointer to it.
func (r *Registry) moveIn(path, v string, history []string) error {
	target := r.path(v)
	if _, err := os.Lstat(target); err == nil {
		return ErrExists
	} else if !notExist(err) {
		return err
	}
	p, err := preparePointer(r.dir, r.withLive(v, history))
	if err != nil {
		return err
	}
	if err := moveFile(path, target); err != nil {
		p.drop()
		return err
	}
	if err := p.move(); err != nil {
		p.drop()
		return err
	}
	return nil
}

// Rollback makes the version that was live before the live one live again. The
// one it replaces stays on disk, but not on the way back: the next Rollback
// goes further back. A corrupt version on the way is set aside and passed over;
// where none is left behind it, the error names them.
func (r *Registry) Rollback() (*Bundle, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.state.Load()
	if len(now.history) < 2 {
		return nil, ErrNoPrevious
	}
	back, rest := now.previous, now.history[1:]
	if back == nil || back.Version != rest[0] {
		var faults []string
		if back, rest, faults = r.firstUsable(rest); back == nil {
			return nil, fmt.Errorf("%w that can be used: %s", ErrNoPrevious, strings.Join(faults, "; "))
		}
	}
	rest = slices.Clone(rest)
	if err := writePointer(r.dir, rest); err != nil {
		return nil, fmt.Errorf("roll back to %s: %w", back.Version, err)
	}
	r.swap(&state{live: back, history: rest})
	return back, nil
}

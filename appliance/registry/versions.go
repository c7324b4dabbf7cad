package registry

import (
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

	"vitrine/als/model"
	"vitrine/internal/durable"
	"vitrine/internal/logkey"
)

// The states of a version on disk.
const (
	// StateLive is the version that serves.
	StateLive = "live"
	// StatePrevious is the version a rollback goes to.
	StatePrevious = "previous"
	// StateKept is any other version.
	StateKept = "kept"
	// StateUnreadable is a version whose file is damaged or too new; Reason
	// says why.
	StateUnreadable = "unreadable"
)

// Info describes a version on disk.
type Info struct {
	// Version names it; Parent is what its training started from.
	Version, Parent string
	// State is one of the State constants; Reason explains StateUnreadable.
	State, Reason string
	// Created, Position, Reference, Options, Metrics, Gate, Users, Items,
	// Interactions and Seconds are those of the Bundle.
	Created                    time.Time
	Position                   uint64
	Reference                  int64
	Options                    map[string]any
	Metrics                    []Metric
	Gate                       Gate
	Users, Items, Interactions int
	Seconds                    map[string]float64
	// Bytes is the size of the file.
	Bytes int64
}

// List returns all versions on disk, newest first. It reads the head of every
// file, not the models.
func (r *Registry) List() []Info {
	infos := r.scan()
	history := r.state.Load().history
	for i := range infos {
		info := &infos[i]
		switch at := slices.Index(history, info.Version); {
		case at == 0:
			// In memory and intact, whatever became of the file since.
			info.State = StateLive
		case info.State == StateUnreadable:
		case at == 1:
			info.State = StatePrevious
		}
	}
	return infos
}

// scan reads the heads of all bundles, newest first, unreadable ones last.
func (r *Registry) scan() []Info {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		r.log.Error("model folder cannot be read", logkey.Dir, r.dir, logkey.Error, err)
	}
	var infos []Info
	for _, e := range entries {
		v, ok := strings.CutSuffix(e.Name(), bundleSuffix)
		if !ok || !validVersion(v) {
			continue
		}
		info, err := readInfo(r.path(v), v)
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted since the folder was read
			continue
		case err != nil:
			info = Info{Version: v, State: StateUnreadable, Reason: err.Error()}
		}
		if fi, err := e.Info(); err == nil {
			info.Bytes = fi.Size()
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b Info) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(b.Version, a.Version)
	})
	return infos
}

// readInfo reads the head of one bundle.
func readInfo(path, v string) (Info, error) {
	raw, err := model.ReadSection(path, sectionHead, maxHead)
	if err != nil {
		return Info{}, err
	}
	b, _, err := decodeHead(raw)
	if err != nil {
		return Info{}, err
	}
	if b.Version != v {
		return Info{}, fmt.Errorf("%s holds version %.64q", path, b.Version)
	}
	return Info{
		Version: v, Parent: b.Parent, State: StateKept,
		Created: b.Created, Position: b.Position, Reference: b.Reference,
		Options: b.Options, Metrics: b.Metrics, Gate: b.Gate, Users: b.Users, Items: b.Items,
		Interactions: b.Interactions, Seconds: b.Seconds,
	}, nil
}

// retain deletes the oldest versions beyond the number to keep. Files set
// aside as corrupt are kept to the same number, so that a failing disk cannot
// fill itself with them. A file that cannot be read is not touched: it may be
// a newer program's.
func (r *Registry) retain() {
	history := r.state.Load().history
	kept := 0
	for _, info := range r.scan() {
		at := slices.Index(history, info.Version)
		switch protected := at == 0 || at == 1; {
		case info.State == StateUnreadable && !protected:
		case protected || kept < r.keep:
			kept++
		default:
			r.remove(r.path(info.Version))
		}
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return // scan has said so
	}
	aside := slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return !strings.HasSuffix(e.Name(), bundleSuffix+corruptSuffix)
	})
	for _, e := range aside[:max(0, len(aside)-r.keep)] { // by name: versions grow
		r.remove(filepath.Join(r.dir, e.Name()))
	}
}

func (r *Registry) remove(path string) {
	if err := os.Remove(path); err != nil {
		r.log.Warn("old model version not deleted", logkey.Path, path, logkey.Error, err)
	}
}

// moveFile makes the file at from, synced, the file at to. Between file
// systems it is copied and the original deleted.
func moveFile(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	err = os.Rename(from, to)
	if errors.Is(err, syscall.EXDEV) {
		if err := copyFile(f, to); err != nil {
			return err
		}
		return os.Remove(from)
	}
	if err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(to))
}

// copyFile writes what f holds to a new file, complete and synced or not at all.
func copyFile(f *os.File, to string) error {
	return durable.Replace(to, func(tmp *os.File) error {
		if _, err := io.Copy(tmp, f); err != nil {
			return err
		}
		return tmp.Chmod(0o644)
	})
}

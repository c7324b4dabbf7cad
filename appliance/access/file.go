package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"vitrine/internal/durable"
)

const (
	// fileMode keeps the names of keys, and the hashes, from other users.
	fileMode = 0o600
	// writableByOthers lets others add keys of their own.
	writableByOthers = 0o022
	// maxFile is more than MaxKeys keys take.
	maxFile = 8 << 20
)

// document is the file.
type document struct {
	Keys []Key `json:"keys"`
}

// stamp tells one state of the file from another.
type stamp struct {
	exists bool
	size   int64
	time   time.Time
	inode  uint64
}

func stampOf(info os.FileInfo) stamp {
	st := stamp{exists: true, size: info.Size(), time: info.ModTime()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		st.inode = sys.Ino
	}
	return st
}

// Reload reads the file if it has changed since it was read.
func (s *Store) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reload()
}

func (s *Store) reload() error {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		// Only a change is a new state, for Run tells of those.
		if s.Required() {
			s.state.Store(&state{})
		}
		return nil
	case err != nil:
		return fmt.Errorf("look at key file: %w", err)
	case stampOf(info) == s.state.Load().stamp:
		return nil
	}
	next, err := read(s.path)
	if err == nil {
		s.state.Store(next)
	}
	return err
}

// read reads the file whole and checks it.
func read(path string) (*state, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at key file: %w", err)
	}
	if info.Mode().Perm()&writableByOthers != 0 {
		return nil, fmt.Errorf("key file %s has mode %04o, so others could add keys: chmod 600 it", path, info.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	list, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read key file %s: %w", path, err)
	}
	st := &state{stamp: stampOf(info), list: list, byID: make(map[string]*Key, len(list))}
	for i := range list {
		st.byID[list[i].ID] = &list[i]
	}
	return st, nil
}

// parse checks every key: a damaged line must not open or close anything
// silently.
func parse(raw []byte) ([]Key, error) {
	if len(raw) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	var doc document
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("it is not {\"keys\":[...]}: %w", err)
	}
	if len(doc.Keys) > MaxKeys {
		return nil, fmt.Errorf("it has %d keys, the most is %d", len(doc.Keys), MaxKeys)
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for i := range doc.Keys {
		k := &doc.Keys[i]
		hash, err := hex.DecodeString(k.Hash)
		id, idErr := hex.DecodeString(k.ID)
		switch {
		case checkName(k.Name) != nil:
			return nil, fmt.Errorf("key %d: %w", i+1, checkName(k.Name))
		case !slices.Contains(Scopes(), k.Scope):
			return nil, fmt.Errorf("key %s has the scope %.64q", k.Name, k.Scope)
		case err != nil || len(hash) != sha256.Size:
			return nil, fmt.Errorf("the sha256 of key %s is malformed", k.Name)
		case idErr != nil || len(id) != idBytes:
			return nil, fmt.Errorf("the id of key %s is malformed", k.Name)
		case names[k.Name] || ids[k.ID]:
			return nil, fmt.Errorf("the name or id of key %s is there twice", k.Name)
		}
		names[k.Name], ids[k.ID] = true, true
		k.hash = [sha256.Size]byte(hash)
	}
	slices.SortFunc(doc.Keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return doc.Keys, nil
}

// change edits the list and writes the file anew. The folder is locked, so
// that two programs do not undo each other's change.
func (s *Store) change(edit func([]Key) ([]Key, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return fmt.Errorf("open folder of the key file: %w", err)
	}
	defer dir.Close() //nolint:errcheck // it only carries the lock
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock folder of the key file: %w", err)
	}
	if err := s.reload(); err != nil {
		return err
	}
	list, err := edit(slices.Clone(s.state.Load().list))
	if err != nil {
		return err
	}
	if err := s.write(list, dir); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	return s.reload()
}

// write replaces the file: whole or not at all, also in a crash.
func (s *Store) write(list []Key, dir *os.File) error {
	slices.SortFunc(list, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	if list == nil {
		list = []Key{}
	}
	raw, err := json.MarshalIndent(document{Keys: list}, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(s.path, func(f *os.File) error {
		if _, err := f.Write(append(raw, '\n')); err != nil {
			return err
		}
		return errors.Join(f.Chmod(fileMode), own(f, dir))
	})
}

// own gives a file that root writes to the folder's owner, who has to read it
// when the appliance starts.
func own(f, dir *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(sys.Uid), int(sys.Gid))
}

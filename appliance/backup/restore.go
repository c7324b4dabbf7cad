package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vitrine/appliance/datadir"
	"vitrine/internal/durable"
)

// Progress is told how many bytes of how many are done; total is 0 where that is
// not known.
type Progress func(done, total int64)

// ErrNotEmpty says that a folder that should be empty is not.
var ErrNotEmpty = errors.New("it is not empty")

// maxManifest bounds backup.json: a million files.
const maxManifest = 256 << 20

// Receive writes the stream of Write into a folder, which must be empty or not be
// there, and reads it back. What fails leaves nothing that could be taken for a
// backup.
func Receive(ctx context.Context, r io.Reader, dir string, tell Progress) (*Manifest, error) {
	if err := mustBeEmpty(dir); err != nil {
		return nil, fmt.Errorf("back up into %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	if err := receive(ctx, r, dir, tell); err != nil {
		return nil, errors.Join(fmt.Errorf("back up into %s: %w", dir, err), empty(dir))
	}
	return Verify(ctx, dir, nil)
}

func receive(ctx context.Context, r io.Reader, dir string, tell Progress) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	done := int64(0)
	dirs := map[string]bool{".": true}
	in := tar.NewReader(contextReader{ctx, r})
	for {
		header, err := in.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the appliance ended it early; its log says why")
			}
			return err
		}
		if header.Name == manifestName {
			break
		}
		if err := create(root, header.Name, in, dirs); err != nil {
			return err
		}
		if done += header.Size; tell != nil {
			tell(done, 0)
		}
	}
	for name := range dirs {
		if err := durable.SyncDir(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	// Last, and whole: a folder with it is a backup.
	return durable.Replace(filepath.Join(dir, manifestName), func(f *os.File) error {
		_, err := io.Copy(f, in)
		return errors.Join(err, f.Chmod(0o640))
	})
}

// create writes a file below root and syncs it; dirs notes the folders that it
// made names in.
func create(root *os.Root, name string, from io.Reader, dirs map[string]bool) error {
	name = filepath.FromSlash(name)
	folder := filepath.Dir(name)
	for at := folder; !dirs[at]; at = filepath.Dir(at) {
		dirs[at] = true
	}
	if err := root.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	mode := fs.FileMode(0o640)
	if name == keysName {
		mode = 0o600
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}

// Verify reads a whole backup and holds it against its backup.json.
func Verify(ctx context.Context, dir string, tell Progress) (*Manifest, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	done, total := int64(0), m.Bytes()
	for i := range m.Files {
		f := &m.Files[i]
		if err := verify(ctx, dir, f); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("the backup in %s is damaged: %s: %w", dir, f.Path, err)
		}
		if done += f.Bytes; tell != nil {
			tell(done, total)
		}
	}
	return m, nil
}

func readManifest(dir string) (*Manifest, error) {
	f, err := os.Open(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no backup in %s: it has no %s", dir, manifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	defer f.Close()
	var m Manifest
	if err := json.NewDecoder(io.LimitReader(f, maxManifest)).Decode(&m); err != nil {
		return nil, fmt.Errorf("read backup: %s in %s: %w", manifestName, dir, err)
	}
	if m.Format < 1 || m.Format > Format {
		return nil, fmt.Errorf("the backup in %s is of format %d, written by vitrine %s; this program reads up to format %d", dir, m.Format, m.Vitrine, Format)
	}
	for i := range m.Files {
		if p := m.Files[i].Path; !filepath.IsLocal(filepath.FromSlash(p)) || p == manifestName {
			return nil, fmt.Errorf("read backup: %s in %s names %q, which is no place for a file", manifestName, dir, p)
		}
	}
	return &m, nil
}

func verify(ctx context.Context, dir string, f *File) error {
	file, err := os.OpenInRoot(dir, filepath.FromSlash(f.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it is missing")
	}
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, contextReader{ctx, file})
	switch {
	case err != nil:
		return err
	case n != f.Bytes:
		return fmt.Errorf("it has %d bytes, not %d", n, f.Bytes)
	case digest(sum) != f.SHA256:
		return errors.New("its bytes have changed since")
	}
	return nil
}

// Into is where a backup is put back.
type Into struct {
	Places
	// Version is this program's.
	Version string
}

// Restore verifies a backup, then puts it into places that are empty. The data
// folder's lock must be held. A crash leaves a folder that no appliance opens and
// that can be restored into again.
func Restore(ctx context.Context, dir string, into Into, tell Progress) (*Manifest, error) {
	again := datadir.IsRestoring(into.Data)
	if err := into.unused(); err != nil && !again {
		return nil, fmt.Errorf("restore into %s: %w", into.Data, err)
	}
	m, err := Verify(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	if again {
		if err := into.clear(); err != nil {
			return nil, fmt.Errorf("restore again into %s: %w", into.Data, err)
		}
	}
	if err := datadir.Restoring(into.Data, into.Version); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	done, total, folders := int64(0), m.Bytes(), map[string]bool{}
	for i := range m.Files {
		if err := into.file(ctx, dir, m.Files[i].Path, folders); err != nil {
			return nil, fmt.Errorf("restore %s: %w", m.Files[i].Path, err)
		}
		if done += m.Files[i].Bytes; tell != nil {
			tell(done, total)
		}
	}
	for folder := range folders {
		if err := durable.SyncDir(folder); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	if err := datadir.Restored(into.Data, into.Version); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return m, into.own()
}

// unused says whether nothing lies where a backup is put: what an installation
// and the lock leave in a data folder does not count.
func (p *Places) unused() error {
	for _, place := range []string{p.Archive, p.Plugins} {
		if err := mustBeEmpty(place); err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
	}
	if _, err := os.Stat(p.Keys); err == nil {
		return fmt.Errorf("%s is there: %w", p.Keys, ErrNotEmpty)
	}
	for _, dir := range []string{p.Data, filepath.Join(p.Data, "state")} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			switch e.Name() {
			case "state", "lock", "format", "tune.state", "lost+found":
				continue
			}
			if !e.IsDir() || mustBeEmpty(filepath.Join(dir, e.Name())) != nil {
				return fmt.Errorf("%s is there: %w", filepath.Join(dir, e.Name()), ErrNotEmpty)
			}
		}
	}
	return nil
}

// all are the places that a backup is put into.
func (p *Places) all() []string {
	return []string{
		filepath.Join(p.Data, "bus"), filepath.Join(p.Data, "models"), filepath.Join(p.Data, "deadletters"),
		filepath.Join(p.Data, "state", "snapshots"), filepath.Join(p.Data, "state", "rules"), p.Archive, p.Plugins,
	}
}

// clear empties the places; only where they hold half of a backup.
func (p *Places) clear() error {
	var errs []error
	for _, place := range p.all() {
		errs = append(errs, empty(place))
	}
	return errors.Join(errs...)
}

// file copies a file of the backup to its place.
func (p *Places) file(ctx context.Context, dir, name string, folders map[string]bool) (err error) {
	to := filepath.Join(p.Data, filepath.FromSlash(name))
	first, rest, _ := strings.Cut(name, "/")
	switch {
	case first == "archive":
		to = filepath.Join(p.Archive, filepath.FromSlash(rest))
	case first == "plugins":
		to = filepath.Join(p.Plugins, filepath.FromSlash(rest))
	case name == keysName:
		to = p.Keys
	}
	from, err := os.OpenInRoot(dir, filepath.FromSlash(name))
	if err != nil {
		return err
	}
	defer from.Close()
	folder := filepath.Dir(to)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	for at := folder; !folders[at] && len(at) >= len(p.Data); at = filepath.Dir(at) {
		folders[at] = true
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	mode := fs.FileMode(0o640)
	if name == keysName {
		mode = 0o600
	}
	f, err := root.OpenFile(filepath.Base(to), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, contextReader{ctx, from})
	return errors.Join(err, f.Sync(), f.Close())
}

// own gives what root has restored to the owner of the data folder: the appliance
// does not run as root.
func (p *Places) own() error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid, err := owner(p.Data)
	if err != nil || uid == 0 {
		return err
	}
	for _, place := range append(p.all(), filepath.Join(p.Data, "state"), p.Keys) {
		err := filepath.WalkDir(place, func(at string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(at, uid, gid)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("give restored files to the owner of %s: %w", p.Data, err)
		}
	}
	return nil
}

func mustBeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = ErrNotEmpty
	}
	return err
}

// empty removes what is in a folder, not the folder: it may be a mount.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

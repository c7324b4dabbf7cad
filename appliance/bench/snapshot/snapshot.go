// Package snapshot takes an archive as it stands, for a benchmark of it: the
// files of one position are linked, or copied where they cannot be, into a
// folder of the run's own, so that its daemon goes on as if nobody looked and all
// parts of a run have the same data. Nothing is written into the archive.
//
// It owns where an archive is found, the copy, its hash, and which users and
// items are asked for. It may import bridge/archive and appliance/signal; it
// must not know what is measured.
//
//	s, err := snapshot.Take(ctx, snapshot.Options{Dir: "/var/lib/vitrine"})
//	defer s.Close()
package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vitrine/bridge/archive"
	"vitrine/internal/disk"
)

// The names in a folder with an archive, as bridge/archive has them.
const (
	archiveDir = "archive"
	eventsDir  = "events"
	servedDir  = "served"
	dayPrefix  = "dt="
	suffix     = ".parquet"
)

// Options say what to take.
type Options struct {
	// Dir is a data folder, an archive, its folder events, or a copy of one of
	// these.
	Dir string
	// TempDir is where the run's own folder is made; "" is the system's.
	TempDir string
	// Progress, when set, is told how many bytes are read.
	Progress func(stage string, done, total int64)
}

// Snapshot is an archive of the run's own.
type Snapshot struct {
	// Root is the archive that it is of.
	Root string
	// Hash is that of the names and bytes of its files.
	Hash string
	// Events, ItemChanges and UserChanges are the rows in it, repeats among them,
	// and Bytes what its files have.
	Events, ItemChanges, UserChanges int64
	Bytes                            int64

	dir   string
	files []archive.ListedFile
}

// Fault is an archive that cannot be measured.
type Fault struct {
	dir, why, hint string
	err            error
}

// Error says what is wrong with which folder.
func (f *Fault) Error() string {
	if f.err != nil {
		return fmt.Sprintf("archive %s: %s: %v", f.dir, f.why, f.err)
	}
	return fmt.Sprintf("archive %s: %s", f.dir, f.why)
}

// Hint says what to do about it.
func (f *Fault) Hint() string { return f.hint }

// Unwrap is the cause, nil for none.
func (f *Fault) Unwrap() error { return f.err }

// What to do about faults.
const (
	hintPlace   = "name a data folder, its folder archive, or a copy of that"
	hintEmpty   = "vitrine import FILE loads events; those of a running appliance are in its archive within a minute"
	hintForeign = "load them: vitrine import --data NEW FILE..., then --archive NEW"
	hintBroken  = "put the file back from a backup (vitrine restore), or leave it out of a copy of the archive"
	hintRight   = "run it as the user that the appliance runs as"
)

// fault makes one of an error of the file system, or of the archive.
func fault(dir, why string, err error) *Fault {
	f := &Fault{dir: dir, why: why, hint: hintBroken, err: err}
	if errors.Is(err, fs.ErrPermission) {
		f.hint = hintRight
	}
	return f
}

// Take finds the archive and takes it. Close removes what it made.
func Take(ctx context.Context, opt Options) (_ *Snapshot, err error) {
	if opt.Progress == nil {
		opt.Progress = func(string, int64, int64) {}
	}
	dir, err := os.MkdirTemp(opt.TempDir, "vitrine-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder for the archive's snapshot: %w", err)
	}
	s := &Snapshot{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	root, err := s.find(opt.Dir)
	if err != nil {
		return nil, err
	}
	s.Root = opt.Dir
	if err := s.take(ctx, root); err != nil {
		return nil, err
	}
	if err := s.count(ctx); err != nil {
		return nil, err
	}
	return s, s.hash(ctx, opt.Progress)
}

// find is the root of the archive that a person means by a folder.
func (s *Snapshot) find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find archive %s: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		f := fault(dir, "it cannot be read", disk.WithoutPath(err))
		if !errors.Is(err, fs.ErrPermission) {
			f.hint = hintPlace
		}
		return "", f
	}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == name })
	}
	one := func(fits func(name string) bool) bool {
		return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return fits(e.Name()) })
	}
	switch {
	case has(archiveDir):
		return filepath.Join(dir, archiveDir), nil
	case has(eventsDir) || has("_commits"):
		return dir, nil
	case one(func(name string) bool { return strings.HasPrefix(name, dayPrefix) }):
		if filepath.Base(dir) == eventsDir {
			return filepath.Dir(dir), nil
		}
		// Dates alone: a root of our own makes them an archive.
		root := filepath.Join(s.dir, "root")
		if err := errors.Join(os.Mkdir(root, 0o700), os.Symlink(dir, filepath.Join(root, eventsDir))); err != nil {
			return "", fmt.Errorf("make a root for %s: %w", dir, err)
		}
		return root, nil
	case one(func(name string) bool { return strings.HasSuffix(name, suffix) }):
		return "", &Fault{dir: dir, why: "it has Parquet files, but not in the folders and under the names of an archive", hint: hintForeign}
	}
	return "", &Fault{dir: dir, why: "there is no archive in it", hint: hintPlace}
}

// take links or copies the files of the newest position.
func (s *Snapshot) take(ctx context.Context, root string) error {
	a, err := archive.OpenReadOnly(ctx, archive.Options{Dir: root})
	if err != nil {
		return fault(s.Root, "it cannot be opened", err)
	}
	defer a.Close() // until then none of its files is replaced
	list, err := a.Files(ctx)
	if err != nil {
		return fault(s.Root, "its files cannot be listed", err)
	}
	events := 0
	for _, f := range list.Files {
		if strings.HasPrefix(f.Path, servedDir+"/") {
			continue // nothing is trained on it
		}
		if strings.HasPrefix(f.Path, eventsDir+"/") {
			events++
		}
		s.files = append(s.files, f)
		s.Bytes += f.Bytes
	}
	if events == 0 {
		return s.empty(root)
	}
	mark, text, err := a.Mark()
	if err != nil {
		return fmt.Errorf("write the snapshot's manifest: %w", err)
	}
	if err := put(ctx, root, s.archive(), s.files); err != nil {
		return err
	}
	path := filepath.Join(s.archive(), mark)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
		return fmt.Errorf("write the snapshot's manifest: %w", err)
	}
	return nil
}

// empty says why there are no events.
func (s *Snapshot) empty(root string) error {
	foreign := ""
	_ = filepath.WalkDir(filepath.Join(root, eventsDir), func(path string, e fs.DirEntry, err error) error { // what cannot be read says nothing
		if err == nil && !e.IsDir() && strings.HasSuffix(path, suffix) {
			foreign = path
			return fs.SkipAll
		}
		return nil
	})
	if foreign != "" {
		return &Fault{dir: s.Root, why: filepath.Base(foreign) + " is not named as a file of an archive, and no other is", hint: hintForeign}
	}
	return &Fault{dir: s.Root, why: "there are no events in it", hint: hintEmpty}
}

// archive is the folder of the snapshot itself.
func (s *Snapshot) archive() string { return filepath.Join(s.dir, archiveDir) }

// Dir is the snapshot as an archive to be read.
func (s *Snapshot) Dir() string { return s.archive() }

// Put makes the archive of a new data folder of it, which may be written to.
func (s *Snapshot) Put(ctx context.Context, dataDir string) error {
	files := slices.Clone(s.files)
	to := filepath.Join(dataDir, archiveDir)
	if err := put(ctx, s.archive(), to, files); err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(to, "_commits"), os.DirFS(filepath.Join(s.archive(), "_commits")))
}

// Close removes the snapshot.
func (s *Snapshot) Close() error { return os.RemoveAll(s.dir) }

// put links files into another root. The files of an archive never change, they
// are replaced by others under new names. Where links cannot be, over the bounds
// of file systems and to files of others, they are copied.
func put(ctx context.Context, from, to string, files []archive.ListedFile) error {
	linked := true
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		source, target := filepath.Join(from, filepath.FromSlash(f.Path)), filepath.Join(to, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return fmt.Errorf("make folder for the archive's snapshot: %w", err)
		}
		if linked {
			if os.Link(source, target) == nil {
				continue
			}
			linked = false // what a link failed of, a copy can tell
			if err := room(to, files[i:]); err != nil {
				return err
			}
		}
		if err := duplicate(source, target); err != nil {
			return fault(from, "a file cannot be copied", err)
		}
	}
	return nil
}

// spare is how much of a disk a copy leaves free, at least.
const spare = 512 << 20

// room refuses a copy that would fill the disk.
func room(dir string, files []archive.ListedFile) error {
	need := int64(spare)
	for _, f := range files {
		need += f.Bytes
	}
	left, _, err := disk.Space(dir)
	if err != nil {
		return fmt.Errorf("look for room in %s: %w", dir, err)
	}
	if free := int64(left); free < need {
		return &Fault{
			dir: dir, why: fmt.Sprintf("a copy of the archive takes %d MiB, and %d MiB are free", need>>20, free>>20),
			hint: "set TMPDIR to a folder on the archive's own disk, where its files are linked and take no room",
		}
	}
	return nil
}

// duplicate copies one file.
func duplicate(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // read only
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// count reads the footers.
func (s *Snapshot) count(ctx context.Context) error {
	a, err := archive.OpenReadOnly(ctx, archive.Options{Dir: s.archive()})
	if err != nil {
		return fault(s.Root, "it cannot be opened", err)
	}
	defer a.Close()
	sum, err := a.Summary(ctx)
	if err != nil {
		return s.broken(ctx, err)
	}
	s.Events, s.ItemChanges, s.UserChanges = sum.Events, sum.ItemChanges, sum.UserChanges
	if s.Events == 0 {
		return &Fault{dir: s.Root, why: "there are no events in it", hint: hintEmpty}
	}
	return nil
}

// broken is a file that is no Parquet, or a damaged one, under the name that it
// has in the archive.
func (s *Snapshot) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fault(s.Root, "a file is damaged", errors.New(strings.ReplaceAll(err.Error(), s.archive()+string(filepath.Separator), "")))
}

// hash reads all files once.
func (s *Snapshot) hash(ctx context.Context, progress func(stage string, done, total int64)) error {
	sum, done := sha256.New(), int64(0)
	for _, f := range s.files { // the listing is in order
		if err := ctx.Err(); err != nil {
			return err
		}
		progress("archive.read", done, s.Bytes)
		fmt.Fprintf(sum, "%s %d\n", f.Path, f.Bytes)
		in, err := os.Open(filepath.Join(s.archive(), filepath.FromSlash(f.Path)))
		if err != nil {
			return fmt.Errorf("read the snapshot: %w", err)
		}
		n, err := io.Copy(sum, in)
		if err = errors.Join(err, in.Close()); err != nil {
			return fmt.Errorf("read the snapshot: %w", err)
		}
		done += n
	}
	s.Hash = hex.EncodeToString(sum.Sum(nil))
	return nil
}

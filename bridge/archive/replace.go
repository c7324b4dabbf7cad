package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vitrine/bridge/parquet"
	"vitrine/internal/durable"
	"vitrine/internal/logkey"
)

// Folder is a folder of data files: the events or the served lists of a date, or
// the changes of items or users.
type Folder struct {
	// Path is below the root, such as events/dt=2026-11-24.
	Path string
	Kind parquet.Kind
	// Dated says that all rows are of one UTC date, which begins at Date.
	Dated bool
	Date  time.Time
	// Files are in bus order, those that the newest commit finished and all
	// before it.
	Files []DataFile
}

// DataFile is a file of a folder.
type DataFile struct {
	// Path is below the root.
	Path string
	// First and Last span the bus messages that its rows came in.
	First, Last uint64
	Bytes       int64
	// Written is when it was.
	Written time.Time
}

// Name is the file's own name.
func (f *DataFile) Name() string { return filepath.Base(f.Path) }

// Folders lists all data files up to Position.
func (a *Archive) Folders(ctx context.Context) ([]Folder, error) {
	release, err := a.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	var folders []Folder
	for _, dated := range []Folder{{Path: eventsDir, Kind: parquet.Events}, {Path: servedDir, Kind: parquet.Served}} {
		days, err := a.datedFiles(dated.Path, a.Position())
		if err != nil {
			return nil, err
		}
		for _, day := range days {
			date, err := time.Parse(time.DateOnly, strings.TrimPrefix(day.name, dayPrefix))
			folder := Folder{Path: filepath.Join(dated.Path, day.name), Kind: dated.Kind, Dated: err == nil, Date: date}
			if folder.Files, err = a.stat(day.files); err != nil {
				return nil, err
			}
			folders = append(folders, folder)
		}
	}
	for _, changes := range []Folder{{Path: itemsDir, Kind: parquet.Items}, {Path: usersDir, Kind: parquet.Users}} {
		files, err := a.dataFiles(changes.Path, a.Position())
		if err != nil {
			return nil, err
		}
		if changes.Files, err = a.stat(files); err != nil {
			return nil, err
		}
		if len(changes.Files) > 0 {
			folders = append(folders, changes)
		}
	}
	return folders, nil
}

func (a *Archive) stat(paths []string) ([]DataFile, error) {
	files := make([]DataFile, len(paths))
	for i, path := range paths {
		info, err := os.Stat(filepath.Join(a.dir, path))
		if err != nil {
			return nil, fmt.Errorf("list archive folder: %w", err)
		}
		first, last, _ := parseFileName(filepath.Base(path))
		files[i] = DataFile{Path: path, First: first, Last: last, Bytes: info.Size(), Written: info.ModTime()}
	}
	return files, nil
}

// OpenData opens a data file to read its rows.
func (a *Archive) OpenData(path string) (*parquet.File, error) {
	return parquet.Open(filepath.Join(a.dir, path))
}

// Rewrite makes a set of new files for a folder; Replace puts it in the place of
// old ones. There is one at a time for a folder.
type Rewrite struct {
	archive *Archive
	folder  string
	// dir is where the new files are written.
	dir string
	// replaced are the names of the files whose rows were written anew.
	replaced []string
}

// Rewrite begins the new files of a folder, and does away with what a crash left
// of another.
func (a *Archive) Rewrite(ctx context.Context, folder string) (*Rewrite, error) {
	if a.readOnly {
		return nil, errors.New("rewrite archive: the archive is open for reading only")
	}
	dir := a.nextDir(folder) + writingMark
	if err := a.settle(ctx, folder); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("rewrite archive: %w", err)
	}
	return &Rewrite{archive: a, folder: folder, dir: dir}, nil
}

// Write writes rows as one file in the place of some that follow each other;
// fill says how many. Where there are none, no file takes their place.
func (w *Rewrite) Write(kind parquet.Kind, files []DataFile, fill func(out *parquet.Rewriter) (rows int64, err error)) (err error) {
	a := w.archive
	c := parquet.Commit{First: files[0].First, Last: files[len(files)-1].Last, Time: a.now().UnixMilli()}
	name := nextName(files)
	if err := a.step("write " + w.folder + "/" + name); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(w.dir, name))
	if err != nil {
		return fmt.Errorf("rewrite archive: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := parquet.NewRewriter(f, kind)
	rows, err := fill(out)
	if err != nil {
		return err
	}
	for i := range files {
		w.replaced = append(w.replaced, files[i].Name())
	}
	if rows == 0 {
		return os.Remove(f.Name())
	}
	if c.Time, err = w.arrived(files); err != nil {
		return err
	}
	if err := errors.Join(out.Close(c), f.Sync()); err != nil {
		return fmt.Errorf("rewrite archive: %w", err)
	}
	return nil
}

// arrived is when the newest of some files was committed: the time of a commit
// says when its rows arrived, which a rewriting does not change.
func (w *Rewrite) arrived(files []DataFile) (ms int64, err error) {
	for i := range files {
		info, err := w.archive.footer(context.Background(), files[i].Path)
		if err != nil {
			return 0, err
		}
		ms = max(ms, info.Commit.Time)
	}
	return ms, nil
}

// Abandon takes back what was written.
func (w *Rewrite) Abandon() error { return os.RemoveAll(w.dir) }

// Replace puts the new files in the place of the old, in one step and on disk: a
// folder that holds the new files, and links to those of the old one's that stay,
// changes places with it. Who lists the folder sees all of the old files or all of
// the new, whatever program it is. ErrBusy says that somebody reads; it can be
// tried again.
func (w *Rewrite) Replace(ctx context.Context) error {
	a := w.archive
	if err := a.step("sync rewritten"); err != nil {
		return err
	}
	// No commit puts a file into the folder while its links are made.
	a.placing.Lock()
	defer a.placing.Unlock()
	release, err := a.exclude(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := w.link(); err != nil {
		return fmt.Errorf("replace files of %s: %w", w.folder, err)
	}
	if err := durable.SyncDir(w.dir); err != nil {
		return err
	}
	if err := a.step("rewritten"); err != nil {
		return err
	}
	if err := os.Rename(w.dir, a.nextDir(w.folder)); err != nil {
		return fmt.Errorf("replace files of %s: %w", w.folder, err)
	}
	if err := durable.SyncDir(filepath.Dir(w.dir)); err != nil {
		return err
	}
	if err := a.swap(w.folder); err != nil {
		return fmt.Errorf("replace files of %s: %w", w.folder, err)
	}
	a.forget(w.folder)
	if err := a.step("remove replaced"); err != nil {
		return err
	}
	return a.settle(ctx, w.folder)
}

// link gives the files of the folder that are not replaced a name among the new.
func (w *Rewrite) link() error {
	live := filepath.Join(w.archive.dir, w.folder)
	entries, err := os.ReadDir(live)
	if err != nil {
		return err
	}
	missing := slices.Clone(w.replaced)
	for _, entry := range entries {
		if n := slices.Index(missing, entry.Name()); n >= 0 {
			missing = slices.Delete(missing, n, n+1)
			continue
		}
		err := os.Link(filepath.Join(live, entry.Name()), filepath.Join(w.dir, entry.Name()))
		if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s is not there any more", missing[0])
	}
	return nil
}

// Drop removes a folder with all that is in it.
func (a *Archive) Drop(ctx context.Context, folder string) error {
	a.placing.Lock()
	defer a.placing.Unlock()
	release, err := a.exclude(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := os.MkdirAll(filepath.Join(a.dir, compactDir), 0o755); err != nil {
		return fmt.Errorf("drop archive folder: %w", err)
	}
	old := a.nextDir(folder) + droppedMark
	if err := os.Rename(filepath.Join(a.dir, folder), old); err != nil {
		return fmt.Errorf("drop archive folder: %w", err)
	}
	a.forget(folder)
	if err := errors.Join(a.step("remove dropped"), durable.SyncDir(filepath.Dir(filepath.Join(a.dir, folder)))); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// compactDir holds what is not, or not any more, in the place of a folder, under
// the folder's path with a point for the slash: without a mark it is all of the
// new folder, or, after the exchange, all of the old.
const (
	compactDir   = "_compact"
	writingMark  = ".writing"
	replacedMark = ".replaced"
	droppedMark  = ".dropped"
)

func (a *Archive) nextDir(folder string) string {
	return filepath.Join(a.dir, compactDir, strings.Replace(folder, "/", ".", 1))
}

// swap lets the new folder and the live one change places.
func (a *Archive) swap(folder string) error {
	live, next := filepath.Join(a.dir, folder), a.nextDir(folder)
	if err := a.step("swap"); err != nil {
		return err
	}
	err := a.exchange(live, next)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EINVAL) {
		// Kernels before 3.15, and file systems that cannot: for a moment the
		// folder is not there. Vitrine's own readers wait meanwhile, and settle
		// puts it back after a crash.
		if err = os.Rename(live, next+replacedMark); err == nil {
			if err = a.step("between"); err == nil {
				err = os.Rename(next, live)
			}
			if err != nil {
				err = errors.Join(err, os.Rename(next+replacedMark, live))
			}
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(durable.SyncDir(filepath.Dir(live)), durable.SyncDir(filepath.Join(a.dir, compactDir)))
}

func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// settle ends a replacement of a folder that a crash or a fault cut short, and
// removes what it left. It may be done again.
func (a *Archive) settle(ctx context.Context, folder string) error {
	live, next := filepath.Join(a.dir, folder), a.nextDir(folder)
	if _, err := os.Stat(live); isGone(err) {
		// The moment between the two renames; what is written is whole, for it
		// was synced before them.
		if err := os.Rename(next, live); err != nil && !isGone(err) {
			return fmt.Errorf("put %s back: %w", folder, err)
		}
		if err := durable.SyncDir(filepath.Dir(live)); err != nil && !isGone(err) {
			return err
		}
		a.forget(folder)
	}
	for _, path := range []string{next + writingMark, next, next + replacedMark, next + droppedMark} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove replaced files: %w", err)
		}
	}
	return nil
}

// settleAll settles every folder that something is left of.
func (a *Archive) settleAll(ctx context.Context) error {
	entries, err := readDir(filepath.Join(a.dir, compactDir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		for _, mark := range []string{writingMark, replacedMark, droppedMark} {
			name = strings.TrimSuffix(name, mark)
		}
		a.log.Info("removing what is left of a rewriting of the archive", logkey.Dir, entry.Name())
		if err := a.settle(ctx, strings.Replace(name, ".", "/", 1)); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what is known of the files of a folder.
func (a *Archive) forget(folder string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for path := range a.footers {
		if filepath.Dir(path) == folder {
			delete(a.footers, path)
		}
	}
}

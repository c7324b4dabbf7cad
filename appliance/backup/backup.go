// Package backup makes copies of a data folder that is in use, proves them whole,
// and puts them back.
//
// It owns what belongs into a copy and the form of it: a folder with the files as
// they lie in the data folder, and backup.json, which names each with its length
// and digest. Between the appliance and who wants the copy the files travel as one
// tar stream, backup.json last. The log is not in it: what it held is in the
// archive before the copy begins. It imports bridge/archive, appliance/datadir and
// internal/durable.
//
//	err := backup.Write(ctx, w, source)             // the appliance's side
//	m, err := backup.Receive(ctx, r, dir, nil)      // the other side
//	m, err := backup.Verify(ctx, dir, nil)
//	m, err := backup.Restore(ctx, dir, into, nil)
package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vitrine/bridge/archive"
	"vitrine/bridge/mirror"
)

// Format is the version of the form of a backup. A program reads its own and all
// before it.
const Format = 1

// manifestName is the file that says what the others are.
const manifestName = "backup.json"

// Manifest says what is in a backup.
type Manifest struct {
	Format int `json:"format"`
	// Vitrine is the version of the program that wrote it.
	Vitrine string `json:"vitrine"`
	// Created is when it was begun: what was acknowledged before is in it.
	Created time.Time `json:"created_at"`
	// Position is the last sequence of the log that is in it.
	Position uint64 `json:"position"`
	Files    []File `json:"files"`
}

// File is one file of a backup.
type File struct {
	// Path is below the backup's folder, with slashes.
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Bytes is the length of all files.
func (m *Manifest) Bytes() (n int64) {
	for i := range m.Files {
		n += m.Files[i].Bytes
	}
	return n
}

// Places are where the parts of a data folder lie; they need not lie in it.
type Places struct {
	// Data is the data folder itself.
	Data                   string
	Archive, Plugins, Keys string
}

// part is a folder of the backup: its name there, the folder on disk, and which
// of its files belong into a backup.
type part struct {
	name, dir string
	keep      func(rel string) bool
}

func (p *Places) parts() []part {
	suffix := func(all ...string) func(string) bool {
		return func(rel string) bool {
			return slices.ContainsFunc(all, func(s string) bool { return strings.HasSuffix(rel, s) })
		}
	}
	return []part{
		{"models", filepath.Join(p.Data, "models"), suffix(".bundle", "live", "trials.json")},
		{"state", filepath.Join(p.Data, "state"), func(rel string) bool {
			return strings.HasPrefix(rel, "rules/") && strings.HasSuffix(rel, ".json") || slices.Contains([]string{"instance", "demo.json", "erasures.json"}, rel)
		}},
		{"state/snapshots", filepath.Join(p.Data, "state", "snapshots"), suffix(".snapshot")},
		{"deadletters", filepath.Join(p.Data, "deadletters"), suffix(".letters")},
		{"plugins", p.Plugins, func(rel string) bool { return !strings.HasPrefix(rel, ".") }},
	}
}

// keysName is the file of API keys in a backup.
const keysName = "keys.json"

// Source is the data folder that is copied.
type Source struct {
	Places
	// Flush gets everything that was acknowledged before into the archive.
	Flush func(ctx context.Context) error
	// Version is this program's.
	Version string
	Now     func() time.Time
}

// opened is a file that is held open from the cut on: it may be replaced or
// removed while others are copied.
type opened struct {
	name string
	file *os.File
	size int64
}

// Write copies the data folder to w as a tar stream. All that was acknowledged
// before the call is in it; what comes during it may be. No lock is held that an
// event or an answer would wait for; merging of the archive's files does.
func Write(ctx context.Context, w io.Writer, src Source) (err error) {
	m := &Manifest{Format: Format, Vitrine: src.Version, Created: src.Now().UTC(), Files: []File{}}
	// What is derived from the log is opened first: so it is not ahead of it.
	files, err := src.open(ctx)
	defer func() {
		for i := range files {
			_ = files[i].file.Close() // read only
		}
	}()
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := src.Flush(ctx); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	a, err := archive.OpenReadOnly(ctx, archive.Options{Dir: src.Archive})
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer a.Close()
	list, err := a.Files(ctx)
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	m.Position = list.Position
	out := &writer{ctx: ctx, tar: tar.NewWriter(w), manifest: m}
	for _, f := range list.Files {
		if err := out.archived(a, f); err != nil {
			return fmt.Errorf("back up the archive: %w", err)
		}
	}
	mark, data, err := a.Mark()
	if err == nil && mark != "" {
		err = out.add("archive/"+filepath.ToSlash(mark), strings.NewReader(string(data)), int64(len(data)))
	}
	for i := range files {
		if err == nil {
			err = out.add(files[i].name, files[i].file, files[i].size)
		}
	}
	if err == nil {
		err = out.end()
	}
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

// open opens all files but the archive's.
func (s *Source) open(ctx context.Context) (files []opened, err error) {
	add := func(name, path string) error {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed just now
		}
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		files = append(files, opened{name, f, info.Size()})
		return nil
	}
	for _, p := range s.parts() {
		names, err := p.list(ctx)
		if err != nil {
			return files, err
		}
		if p.name == "state/snapshots" && len(names) > 1 {
			names = names[len(names)-1:] // the newest; an older one adds nothing
		}
		for _, rel := range names {
			if err := add(path.Join(p.name, rel), filepath.Join(p.dir, filepath.FromSlash(rel))); err != nil {
				return files, err
			}
		}
	}
	// With another id, a copy of the archive elsewhere would be begun anew beside
	// the old one.
	if err := add("archive/"+mirror.IDFile, filepath.Join(s.Archive, mirror.IDFile)); err != nil {
		return files, err
	}
	return files, add(keysName, s.Keys)
}

// list names the files of a part that belong into a backup, in order.
func (p *part) list(ctx context.Context) (names []string, err error) {
	err = filepath.WalkDir(p.dir, func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		rel, err := filepath.Rel(p.dir, at)
		if err != nil {
			return err
		}
		if d.Type().IsRegular() && p.keep(filepath.ToSlash(rel)) {
			names = append(names, filepath.ToSlash(rel))
		}
		return nil
	})
	return names, err
}

// writer writes the stream and notes what is in it.
type writer struct {
	ctx      context.Context
	tar      *tar.Writer
	manifest *Manifest
}

func (w *writer) archived(a *archive.Archive, f archive.ListedFile) error {
	file, err := a.OpenFile(f.Path)
	if err != nil {
		return err
	}
	return errors.Join(w.add("archive/"+f.Path, file, f.Bytes), file.Close())
}

// add writes the first bytes of a file: what is appended to it meanwhile is
// not of this copy.
func (w *writer) add(name string, r io.Reader, bytes int64) error {
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o640, Size: bytes, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w.tar, sum), contextReader{w.ctx, r}, bytes); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	w.manifest.Files = append(w.manifest.Files, File{Path: name, Bytes: bytes, SHA256: digest(sum)})
	return nil
}

func (w *writer) end() error {
	data, err := json.MarshalIndent(w.manifest, "", " ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if err := w.tar.WriteHeader(&tar.Header{Name: manifestName, Mode: 0o640, Size: int64(len(data)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return err
	}
	if _, err := w.tar.Write(data); err != nil {
		return err
	}
	return w.tar.Close()
}

func digest(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

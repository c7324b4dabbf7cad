package mirror

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"
	"time"

	"vitrine/bridge/archive"
	"vitrine/internal/logkey"
)

// copyAll makes the copy equal to the archive.
func (m *Mirror) copyAll(ctx context.Context) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		err := m.tryCopyAll(ctx)
		if !errors.Is(err, errChanged) || attempt == attempts {
			return err
		}
	}
}

// errChanged ends a turn whose listing has grown old.
var errChanged = errors.New("the archive's files changed while they were copied")

func (m *Mirror) tryCopyAll(ctx context.Context) error {
	now := m.opt.Now()
	if m.there == nil || now.Sub(m.asked) >= recheckEvery {
		if err := m.ask(ctx); err != nil {
			return err
		}
		m.asked = now
	}
	list, err := m.opt.Archive.Files(ctx)
	if err != nil {
		return err
	}
	if m.written.Position > list.Position {
		return &BehindError{Name: m.opt.Name, Copy: m.written.Position, Position: list.Position}
	}
	todo := m.compare(list)
	m.note(todo)
	for _, b := range batches(todo) {
		if err := m.bring(ctx, b); err != nil {
			return err
		}
	}
	return m.mark(ctx, list.Position)
}

// ask finds out what the store has of this archive, and clears what a turn that
// was cut short left.
func (m *Mirror) ask(ctx context.Context) error {
	staged, err := m.opt.Store.List(ctx, m.staging())
	if err != nil {
		return err
	}
	for _, e := range staged {
		if err := m.opt.Store.Remove(ctx, path.Join(m.staging(), e.Name)); err != nil {
			return err
		}
	}
	there := map[string]int64{}
	for _, dir := range archive.Folders() {
		if err := m.list(ctx, dir, there); err != nil {
			return err
		}
	}
	if err := m.readMarker(ctx); err != nil {
		return err
	}
	gone := 0
	for file := range m.there {
		if _, ok := there[file]; !ok {
			gone++
		}
	}
	if gone > 0 {
		m.opt.Log.Warn("files of the copy were removed by somebody; they are copied again", logkey.Address, m.opt.Name, logkey.Files, gone)
	}
	m.there = there
	return nil
}

func (m *Mirror) list(ctx context.Context, dir string, there map[string]int64) error {
	entries, err := m.opt.Store.List(ctx, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := path.Join(dir, e.Name)
		if e.Dir {
			if err := m.list(ctx, at, there); err != nil {
				return err
			}
		} else if local, ok := m.local(at); ok {
			there[local] = e.Bytes
		}
	}
	return nil
}

// work is what is to be done in one folder.
type work struct {
	dir  string
	add  []archive.ListedFile
	drop []string
}

// compare finds what differs, by folder.
func (m *Mirror) compare(list archive.Listing) []work {
	byDir := map[string]*work{}
	of := func(file string) *work {
		dir := path.Dir(file)
		if byDir[dir] == nil {
			byDir[dir] = &work{dir: dir}
		}
		return byDir[dir]
	}
	wanted := make(map[string]bool, len(list.Files))
	for _, f := range list.Files {
		wanted[f.Path] = true
		// A size that differs is a file that was never finished: none changes.
		if size, ok := m.there[f.Path]; !ok || size != f.Bytes {
			w := of(f.Path)
			w.add = append(w.add, f)
		}
	}
	for file := range m.there {
		if !wanted[file] {
			w := of(file)
			w.drop = append(w.drop, file)
		}
	}
	out := make([]work, 0, len(byDir))
	for _, w := range byDir {
		slices.Sort(w.drop)
		out = append(out, *w)
	}
	slices.SortFunc(out, func(a, b work) int { return cmp.Compare(a.dir, b.dir) })
	return out
}

// note puts what is to be done into the figures.
func (m *Mirror) note(todo []work) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Waiting, m.stats.WaitingBytes = 0, 0
	for _, w := range todo {
		m.stats.Waiting += len(w.add)
		for _, f := range w.add {
			m.stats.WaitingBytes += f.Bytes
		}
	}
}

// batchFiles is about how many files are staged before they are moved in.
const batchFiles = 64

// batches groups the work. What replaces files is in one batch with what it
// replaces, so that a reader sees both for moments only; a folder that only
// grows is cut up, so that a turn that is cut short has not worked in vain.
func batches(todo []work) [][]work {
	var out [][]work
	var batch []work
	files := 0
	put := func(w work) {
		batch, files = append(batch, w), files+len(w.add)
		if files >= batchFiles {
			out, batch, files = append(out, batch), nil, 0
		}
	}
	for _, w := range todo {
		for len(w.drop) == 0 && len(w.add) > batchFiles {
			put(work{dir: w.dir, add: w.add[:batchFiles]})
			w.add = w.add[batchFiles:]
		}
		put(w)
	}
	if len(batch) > 0 {
		out = append(out, batch)
	}
	return out
}

// copyWorkers is how many files are written at a time: with small files it is
// the store's answers that are waited for.
const copyWorkers = 4

// bring does a batch: everything is staged and verified before anything moves.
func (m *Mirror) bring(ctx context.Context, batch []work) error {
	var adds []archive.ListedFile
	for _, w := range batch {
		adds = append(adds, w.add...)
	}
	staged := make([]string, len(adds))
	err := each(ctx, len(adds), func(ctx context.Context, i int) error {
		staged[i] = m.stagedName()
		return m.stage(ctx, adds[i], staged[i])
	})
	if err != nil {
		return err
	}
	for _, w := range batch {
		for _, f := range w.add {
			if err := m.opt.Store.Rename(ctx, staged[0], m.remote(f.Path)); err != nil {
				return err
			}
			m.there[f.Path], staged = f.Bytes, staged[1:]
			m.count(f.Bytes)
		}
		for _, file := range w.drop {
			if err := m.opt.Store.Remove(ctx, m.remote(file)); err != nil {
				return err
			}
			delete(m.there, file)
			m.count(-1)
		}
	}
	return nil
}

// count puts one file into the figures, a removed one by a negative size.
func (m *Mirror) count(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size < 0 {
		m.stats.Removed++
		return
	}
	m.stats.Copied++
	m.stats.Waiting--
	m.stats.WaitingBytes -= size
}

// each calls fn for 0..n-1 from several goroutines; after an error the others
// are told to stop.
func each(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wait sync.WaitGroup
	for range min(copyWorkers, n) {
		wait.Go(func() {
			for i := range next {
				if err := fn(inner, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-inner.Done():
			break feed
		}
	}
	close(next)
	wait.Wait()
	return context.Cause(inner)
}

// stage writes a file beside its place and reads it back: what a store says of
// a file that it lost the end of is not to be relied on.
func (m *Mirror) stage(ctx context.Context, f archive.ListedFile, staged string) error {
	file, err := m.opt.Archive.OpenFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return errChanged
	}
	if err != nil {
		return fmt.Errorf("open archive file: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	return m.put(ctx, file, f.Bytes, staged)
}

// put writes and verifies size bytes.
func (m *Mirror) put(ctx context.Context, src io.Reader, size int64, at string) error {
	want := sha256.New()
	if err := m.opt.Store.Write(ctx, at, io.TeeReader(src, want)); err != nil {
		return err
	}
	r, err := m.opt.Store.Open(ctx, at)
	if err != nil {
		return fmt.Errorf("verify a copied file: %w", err)
	}
	got := sha256.New()
	n, err := io.Copy(got, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("verify a copied file: %w", err)
	}
	if n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return fmt.Errorf("verify %s: %d bytes read back differ from the %d written", at, n, size)
	}
	return nil
}

// marker is the file that says how far the copy is: once it is there, all
// records up to Position are.
type marker struct {
	Schema   int    `json:"schema"`
	ID       string `json:"id"`
	Position uint64 `json:"position"`
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`
}

const markerSchema = 1

func (m *Mirror) markerPath() string { return path.Join("_commits", m.opt.ID+".json") }

func (m *Mirror) readMarker(ctx context.Context) error {
	m.written = marker{}
	r, err := m.opt.Store.Open(ctx, m.markerPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	const most = 1 << 16
	data, err := io.ReadAll(io.LimitReader(r, most))
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("read %s: %w", m.markerPath(), err)
	}
	if err := json.Unmarshal(data, &m.written); err != nil {
		return fmt.Errorf("read %s: %w", m.markerPath(), err)
	}
	if m.written.Schema > markerSchema {
		return fmt.Errorf("read %s: schema %d is newer than this program's %d", m.markerPath(), m.written.Schema, markerSchema)
	}
	return nil
}

// mark writes the marker where it says something new.
func (m *Mirror) mark(ctx context.Context, position uint64) error {
	next := marker{Schema: markerSchema, ID: m.opt.ID, Position: position, Files: len(m.there)}
	for size := range maps.Values(m.there) {
		next.Bytes += size
	}
	if next != m.written {
		data, err := json.MarshalIndent(next, "", " ")
		if err != nil {
			return fmt.Errorf("write %s: %w", m.markerPath(), err)
		}
		staged := m.stagedName()
		if err := m.put(ctx, bytes.NewReader(data), int64(len(data)), staged); err != nil {
			return err
		}
		if err := m.opt.Store.Rename(ctx, staged, m.markerPath()); err != nil {
			return err
		}
		m.written = next
		m.opt.Log.Debug("archive copied", logkey.Address, m.opt.Name, logkey.Last, position, logkey.Files, next.Files)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	// At once: who sees that the copy is complete must not see why it was not.
	m.stats.LastError, m.stats.Hint, m.stats.Since = "", "", time.Time{}
	m.stats.Position, m.stats.Files, m.stats.Bytes, m.stats.LastCopy = position, next.Files, next.Bytes, m.opt.Now()
	return nil
}

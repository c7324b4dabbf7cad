package archive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"vitrine/internal/logkey"
)

// recover brings the folders to the state after the newest manifest: its
// renames are done again, and what no manifest names is removed.
func (a *Archive) recover(ctx context.Context) error {
	state, err := a.readCommits(ctx)
	if err != nil {
		return err
	}
	position := state.finished
	a.setTopics(state.newest)
	if m := state.newest; m != nil && !m.Done {
		a.log.Info("finishing an interrupted archive commit", logkey.First, m.First, logkey.Last, m.Last)
		if err := a.finish(ctx, m); err != nil {
			return err
		}
		position = m.Last
	}
	if err := a.removeLeftovers(); err != nil {
		return err
	}
	a.position.Store(position)
	a.broken = false
	return nil
}

// finish moves the files of a manifest to their places. Every part of it may
// be done again.
func (a *Archive) finish(ctx context.Context, m *manifest) error {
	a.placing.Lock()
	defer a.placing.Unlock()
	dirs := map[string]bool{}
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.step("rename " + f.Path); err != nil {
			return err
		}
		if err := a.place(f, dirs); err != nil {
			return err
		}
	}
	if err := a.step("sync folders"); err != nil {
		return err
	}
	paths := []string{filepath.Join(a.dir, eventsDir), filepath.Join(a.dir, itemsDir), filepath.Join(a.dir, usersDir), filepath.Join(a.dir, servedDir)}
	for dir := range dirs {
		if dir != itemsDir && dir != usersDir {
			paths = append(paths, filepath.Join(a.dir, dir))
		}
	}
	if err := syncDirs(paths); err != nil {
		return err
	}
	if err := a.step("mark done"); err != nil {
		return err
	}
	m.Done = true
	return a.writeManifest(m)
}

// place renames one staged file, or finds it renamed already.
func (a *Archive) place(f manifestFile, dirs map[string]bool) error {
	dir := filepath.Dir(f.Path)
	if !dirs[dir] {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return fmt.Errorf("make partition: %w", err)
		}
		dirs[dir] = true
	}
	target := filepath.Join(a.dir, f.Path)
	err := os.Rename(filepath.Join(a.dir, f.Staged), target)
	if err == nil {
		return nil
	}
	if isGone(err) {
		if _, placed := os.Stat(target); placed == nil {
			return nil
		}
		return fmt.Errorf("commit file: %s (%d rows) is neither staged nor in its place", f.Path, f.Rows)
	}
	return fmt.Errorf("commit file: %w", err)
}

// removeLeftovers deletes staged files and half written manifests. It runs
// when no commit is under way.
func (a *Archive) removeLeftovers() error {
	staged, err := readDir(filepath.Join(a.dir, stagingDir))
	if err != nil {
		return err
	}
	for _, entry := range staged {
		if err := os.RemoveAll(filepath.Join(a.dir, stagingDir, entry.Name())); err != nil {
			return fmt.Errorf("remove staged file: %w", err)
		}
	}
	entries, err := readDir(filepath.Join(a.dir, commitsDir))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".tmp") {
			continue
		}
		if err := os.Remove(filepath.Join(a.dir, commitsDir, entry.Name())); err != nil && !isGone(err) {
			return fmt.Errorf("remove half a manifest: %w", err)
		}
	}
	return nil
}

package archive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Listing is which files make up the archive at one moment: no record is in two
// of them, and none up to Position is missing.
type Listing struct {
	// Position is the last bus sequence that is in the files.
	Position uint64
	Files    []ListedFile
}

// ListedFile is one data file; Path lies below the root, with slashes. A file
// never changes: what is written anew has another name.
type ListedFile struct {
	Path  string
	Bytes int64
}

// Folders are the folders below the root that data files lie in, the files of
// dates one level deeper.
func Folders() []string { return []string{eventsDir, itemsDir, usersDir, servedDir} }

// Files lists the data files. One that is listed may be gone when it is opened:
// then the listing has grown old and another one holds.
func (a *Archive) Files(ctx context.Context) (Listing, error) {
	release, err := a.hold(ctx)
	if err != nil {
		return Listing{}, err
	}
	defer release()
	list := Listing{Position: a.Position()}
	paths, err := a.filesOf(list.Position, Folders()...)
	if err != nil {
		return Listing{}, err
	}
	list.Files = make([]ListedFile, 0, len(paths))
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return Listing{}, err
		}
		stat, err := os.Stat(filepath.Join(a.dir, path))
		if isGone(err) {
			continue
		}
		if err != nil {
			return Listing{}, fmt.Errorf("list archive file: %w", err)
		}
		list.Files = append(list.Files, ListedFile{Path: filepath.ToSlash(path), Bytes: stat.Size()})
	}
	return list, nil
}

// News is the last sequence of the newest commit that had more than served
// lists in it.
func (a *Archive) News() (uint64, error) {
	release, err := a.hold(context.Background())
	if err != nil {
		return 0, err
	}
	defer release()
	paths, err := a.filesOf(a.Position(), eventsDir, itemsDir, usersDir)
	newest := uint64(0)
	for _, path := range paths {
		_, last, _ := parseFileName(filepath.Base(path))
		newest = max(newest, last)
	}
	return newest, err
}

// OpenFile opens a listed file as it lies there.
func (a *Archive) OpenFile(path string) (*os.File, error) {
	return os.OpenInRoot(a.dir, filepath.FromSlash(path))
}

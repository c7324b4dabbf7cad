package model

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// Encode writes a container. The data of the sections are read twice (once for
// the checksums, which come first in the file) and never copied.
func Encode(w io.Writer, sections []Section) error {
	entries, size, err := layout(sections)
	if err != nil {
		return err
	}
	head := encodeHeader(entries, size)
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	at := uint64(len(head))
	var zeros [align]byte
	for i, e := range entries {
		if _, err := w.Write(zeros[:e.offset-at]); err != nil {
			return fmt.Errorf("write padding: %w", err)
		}
		if _, err := w.Write(sections[i].Data); err != nil {
			return fmt.Errorf("write section %s: %w", e.name, err)
		}
		at = e.offset + e.length
	}
	return nil
}

// layout places the sections and sums their bytes.
func layout(sections []Section) ([]entry, uint64, error) {
	if len(sections) > maxSections {
		return nil, 0, fmt.Errorf("lay out container: %d sections, at most %d are allowed", len(sections), maxSections)
	}
	entries := make([]entry, len(sections))
	seen := make(map[string]bool, len(sections))
	end := uint64(headerSize + entrySize*len(sections))
	for i, s := range sections {
		if !validName(s.Name) || seen[s.Name] {
			return nil, 0, fmt.Errorf("lay out container: section name %q is invalid or used twice", s.Name)
		}
		seen[s.Name] = true
		entries[i] = entry{
			name:   s.Name,
			offset: alignUp(end),
			length: uint64(len(s.Data)),
			crc:    crc32.Checksum(s.Data, castagnoli),
		}
		end = entries[i].offset + entries[i].length
	}
	return entries, end, nil
}

// WriteFile writes a container so that path afterwards holds either all of it,
// on disk, or what it held before: it writes a temporary file named
// NAME.*.tmp beside it, syncs it, renames it and syncs the folder.
func WriteFile(path string, sections []Section) (err error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	tmp, err := os.CreateTemp(dir, base+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if err := Encode(tmp, sections); err != nil {
		return err
	}
	// CreateTemp makes 0600 files; a bundle is no secret, its folder decides.
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename inside dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

package model

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"unsafe"
)

// File is a container whose wanted sections lie in memory. It holds no open
// file, so it needs no closing, and what was read cannot change under it.
//
// It is read, not mapped: a mapped file that is truncated or on a failing disk
// kills the process with SIGBUS in the middle of an answer, and the factors
// are scanned by every request anyway, so a mapping would save no memory.
type File struct {
	path     string
	sections map[string][]byte
}

// OpenFile reads and verifies a whole container. Bytes that are not an intact
// container give a *CorruptError, a newer format a *VersionError. Memory is
// allocated only for what the file really holds.
func OpenFile(path string) (*File, error) {
	return OpenSections(path, func(string) bool { return true })
}

// OpenSections is OpenFile keeping only the sections that want reports true
// for. The others are verified too, but need no memory.
func OpenSections(path string, want func(name string) bool) (*File, error) {
	f, entries, err := openTable(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSections(f, path, entries, want)
}

// ReadSection reads one section of a container and verifies nothing but the
// header, the table and this section: enough to list many large files quickly.
// A section longer than limit is refused.
func ReadSection(path, name string, limit int) ([]byte, error) {
	f, entries, err := openTable(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for _, e := range entries {
		if e.name != name {
			continue
		}
		if e.length > uint64(limit) {
			return nil, &CorruptError{path, fmt.Sprintf("section %s has %d bytes, at most %d are allowed", name, e.length, limit)}
		}
		buf := make([]byte, e.length)
		return buf, readInto(f, path, e, buf)
	}
	return nil, &CorruptError{path, "section " + name + " is missing"}
}

// openTable opens a container and reads its section table.
func openTable(path string) (*os.File, []entry, error) {
	// Looked at before it is opened: opening a named pipe would wait for ever.
	if info, err := os.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("open model file: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, nil, &CorruptError{path, "it is not a regular file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open model file: %w", err)
	}
	entries, err := readTable(f, path)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, entries, nil
}

func readTable(f *os.File, path string) ([]entry, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open model file: %w", err)
	}
	size := info.Size()
	if size < headerSize {
		return nil, &CorruptError{path, fmt.Sprintf("it has %d bytes, a header alone has %d", size, headerSize)}
	}
	var head [headerSize]byte
	if err := readAt(f, path, head[:], 0); err != nil {
		return nil, err
	}
	h, err := decodeHeader(path, head[:], size)
	if err != nil {
		return nil, err
	}
	table := make([]byte, h.sections*entrySize)
	if err := readAt(f, path, table, headerSize); err != nil {
		return nil, err
	}
	return decodeTable(path, table, h, size)
}

// readSections reads the wanted sections into one buffer, aligned like in the
// file, and runs the others through a small one.
func readSections(f *os.File, path string, entries []entry, want func(string) bool) (*File, error) {
	var total uint64
	for _, e := range entries {
		if want(e.name) {
			total += alignUp(e.length)
		}
	}
	out := &File{path: path, sections: make(map[string][]byte, len(entries))}
	buf := alignedBytes(int(total))
	var scratch []byte
	end := uint64(headerSize + entrySize*len(entries))
	for _, e := range entries {
		if err := checkPadding(f, path, end, e.offset); err != nil {
			return nil, err
		}
		end = e.offset + e.length
		if !want(e.name) {
			if size := min(e.length, 1<<20); uint64(len(scratch)) < size {
				scratch = make([]byte, size)
			}
			if err := verify(f, path, e, scratch); err != nil {
				return nil, err
			}
			continue
		}
		data := buf[:e.length:e.length]
		buf = buf[alignUp(e.length):]
		if err := readInto(f, path, e, data); err != nil {
			return nil, err
		}
		out.sections[e.name] = data
	}
	return out, nil
}

// checkPadding reports whether the bytes before a section are zero.
func checkPadding(f *os.File, path string, from, to uint64) error {
	var pad [align]byte
	gap := pad[:to-from]
	if err := readAt(f, path, gap, int64(from)); err != nil {
		return err
	}
	if !allZero(gap) {
		return &CorruptError{path, fmt.Sprintf("padding at offset %d is not zero", from)}
	}
	return nil
}

// readInto fills dst, which has the section's length, and checks its sum.
func readInto(f *os.File, path string, e entry, dst []byte) error {
	if err := readAt(f, path, dst, int64(e.offset)); err != nil {
		return err
	}
	return checkSum(path, e, crc32.Checksum(dst, castagnoli))
}

// verify checks a section's sum without keeping it.
func verify(f *os.File, path string, e entry, scratch []byte) error {
	sum := uint32(0)
	for at := uint64(0); at < e.length; {
		part := scratch[:min(uint64(len(scratch)), e.length-at)]
		if err := readAt(f, path, part, int64(e.offset+at)); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, part)
		at += uint64(len(part))
	}
	return checkSum(path, e, sum)
}

func checkSum(path string, e entry, sum uint32) error {
	if sum != e.crc {
		return &CorruptError{path, "wrong checksum of section " + e.name}
	}
	return nil
}

// readAt fills dst; a file that ends too early has been cut while it was read.
func readAt(f *os.File, path string, dst []byte, offset int64) error {
	_, err := f.ReadAt(dst, offset)
	switch {
	case err == nil || len(dst) == 0:
		return nil
	case errors.Is(err, io.EOF):
		return &CorruptError{path, "it was cut while it was read"}
	}
	return fmt.Errorf("read model file: %w", err)
}

// Path is the file that was read.
func (f *File) Path() string { return f.path }

// Section returns the data of a section. They begin at a multiple of 64 and
// must not be changed: models alias them.
func (f *File) Section(name string) ([]byte, bool) {
	data, ok := f.sections[name]
	return data, ok
}

// Corrupt makes the error for a section whose content is wrong.
func (f *File) Corrupt(format string, args ...any) error {
	return &CorruptError{f.path, fmt.Sprintf(format, args...)}
}

// alignedBytes returns n zero bytes that begin at a multiple of 64.
func alignedBytes(n int) []byte {
	buf := make([]byte, n+align-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % align)
	return buf[skip : skip+n : skip+n]
}

package model

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// The section container, little endian throughout. It holds models and, with
// further sections, whole bundles.
//
//	offset  size  field
//	0       8     magic "VITRINEB"
//	8       4     format version, 1
//	12      4     n, the number of sections, 0..1024
//	16      8     length of the whole file in bytes
//	24      4     CRC-32C of the section table
//	28      32    zero
//	60      4     CRC-32C of bytes 0..59
//	64      64*n  section table
//
// One entry of the section table:
//
//	0       40    name: 1..40 bytes of [a-z0-9._/-], padded with zeros, unique
//	40      8     offset of the data from the start of the file
//	48      8     length of the data in bytes
//	56      4     CRC-32C of the data
//	60      4     zero
//
// Data lie in table order. The first section begins right behind the table,
// every other one at the next multiple of 64 behind its predecessor; the bytes
// between are zero, and the file ends with the last byte of the last section.
// So there is one way only to lay out given sections, and a reader that checks
// all of it notices any changed byte. CRC-32C is the Castagnoli polynomial
// with the usual reflection, as in iSCSI.
//
// A section with an unknown name is ignored: new data come as new sections
// without a new format version. Version 1 stays readable.
const (
	magic        = "VITRINEB"
	version      = 1
	headerSize   = 64
	entrySize    = 64
	nameSize     = 40
	align        = 64
	maxSections  = 1024
	headerCRCPos = headerSize - 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CorruptError says that a file is not what its writer wrote: it is damaged or
// was never a file of this format.
type CorruptError struct {
	// Path is the file.
	Path string
	// Reason is what was found.
	Reason string
}

// Error names the file and what is wrong with it.
func (e *CorruptError) Error() string { return fmt.Sprintf("%s is corrupt: %s", e.Path, e.Reason) }

// VersionError says that a file is intact but was written by a newer program.
type VersionError struct {
	// Path is the file.
	Path string
	// Version is the format version found.
	Version uint32
}

// Error names the file and both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has format version %d, this program reads version %d", e.Path, e.Version, version)
}

// Section is one named piece of a container.
type Section struct {
	// Name is 1..40 bytes of [a-z0-9._/-].
	Name string
	// Data is the content; it is not copied.
	Data []byte
}

// entry is one row of the section table.
type entry struct {
	name   string
	offset uint64
	length uint64
	crc    uint32
}

// alignUp rounds n up to the next multiple of 64.
func alignUp(n uint64) uint64 { return (n + align - 1) &^ (align - 1) }

// validName reports whether a section may have this name.
func validName(name string) bool {
	if name == "" || len(name) > nameSize {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '/', c == '-':
		default:
			return false
		}
	}
	return true
}

// encodeHeader builds header and section table for sections laid out in order.
func encodeHeader(entries []entry, fileSize uint64) []byte {
	buf := make([]byte, headerSize+entrySize*len(entries))
	table := buf[headerSize:]
	for i, e := range entries {
		row := table[i*entrySize : (i+1)*entrySize]
		copy(row[:nameSize], e.name)
		binary.LittleEndian.PutUint64(row[40:], e.offset)
		binary.LittleEndian.PutUint64(row[48:], e.length)
		binary.LittleEndian.PutUint32(row[56:], e.crc)
	}
	copy(buf, magic)
	binary.LittleEndian.PutUint32(buf[8:], version)
	binary.LittleEndian.PutUint32(buf[12:], uint32(len(entries)))
	binary.LittleEndian.PutUint64(buf[16:], fileSize)
	binary.LittleEndian.PutUint32(buf[24:], crc32.Checksum(table, castagnoli))
	binary.LittleEndian.PutUint32(buf[headerCRCPos:], crc32.Checksum(buf[:headerCRCPos], castagnoli))
	return buf
}

// header is what the first 64 bytes say.
type header struct {
	sections int
	tableCRC uint32
}

// decodeHeader checks the first 64 bytes against the true size of the file.
func decodeHeader(path string, buf []byte, fileSize int64) (header, error) {
	corrupt := func(format string, args ...any) (header, error) {
		return header{}, &CorruptError{path, fmt.Sprintf(format, args...)}
	}
	if string(buf[:8]) != magic {
		return corrupt("it does not begin with %q", magic)
	}
	if crc32.Checksum(buf[:headerCRCPos], castagnoli) != binary.LittleEndian.Uint32(buf[headerCRCPos:]) {
		return corrupt("wrong header checksum")
	}
	if v := binary.LittleEndian.Uint32(buf[8:]); v != version {
		return header{}, &VersionError{path, v}
	}
	if want := binary.LittleEndian.Uint64(buf[16:]); want != uint64(fileSize) {
		return corrupt("it has %d bytes instead of %d", fileSize, want)
	}
	n := binary.LittleEndian.Uint32(buf[12:])
	if n > maxSections || headerSize+entrySize*int64(n) > fileSize {
		return corrupt("%d sections do not fit into it", n)
	}
	if !allZero(buf[28:headerCRCPos]) {
		return corrupt("reserved header bytes are not zero")
	}
	return header{int(n), binary.LittleEndian.Uint32(buf[24:])}, nil
}

// decodeTable checks the section table: names, order and exact layout.
func decodeTable(path string, table []byte, h header, fileSize int64) ([]entry, error) {
	corrupt := func(format string, args ...any) ([]entry, error) {
		return nil, &CorruptError{path, fmt.Sprintf(format, args...)}
	}
	if crc32.Checksum(table, castagnoli) != h.tableCRC {
		return corrupt("wrong section table checksum")
	}
	entries := make([]entry, h.sections)
	seen := make(map[string]bool, h.sections)
	end := uint64(headerSize + len(table)) // always a multiple of 64
	for i := range entries {
		row := table[i*entrySize : (i+1)*entrySize]
		name := strings.TrimRight(string(row[:nameSize]), "\x00")
		e := entry{
			name:   name,
			offset: binary.LittleEndian.Uint64(row[40:]),
			length: binary.LittleEndian.Uint64(row[48:]),
			crc:    binary.LittleEndian.Uint32(row[56:]),
		}
		switch {
		case !validName(name) || seen[name] || !allZero(row[60:]):
			return corrupt("section %d has an invalid entry", i)
		case e.offset != alignUp(end) || e.offset > uint64(fileSize) || e.length > uint64(fileSize)-e.offset:
			return corrupt("section %s lies outside its place", name)
		}
		seen[name] = true
		entries[i] = e
		end = e.offset + e.length
	}
	if end != uint64(fileSize) {
		return corrupt("%d bytes behind the last section", uint64(fileSize)-end)
	}
	return entries, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

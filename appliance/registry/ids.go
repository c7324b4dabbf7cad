package registry

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"vitrine/als/model"
)

// maxID is the longest id in bytes; the shortest has one.
const maxID = 256

// encodeIDs makes a string table, a section with these parts:
//
//	4 bytes       n, the number of strings
//	4 bytes x n   where string i ends, counted from the start of the text
//	rest          the text: all strings one behind the other, UTF-8
//
// String i begins where string i-1 ends, the first at 0; the last one ends
// with the section. Numbers are little endian, every string has 1..256 bytes.
func encodeIDs(name string, ids []string) (model.Section, error) {
	size := 0
	for i, id := range ids {
		if len(id) < 1 || len(id) > maxID || !utf8.ValidString(id) {
			return model.Section{}, fmt.Errorf("encode %s: id %d (%.40q) is not UTF-8 of 1..%d bytes", name, i, id, maxID)
		}
		size += len(id)
	}
	if size > math.MaxUint32 || len(ids) > math.MaxUint32 {
		return model.Section{}, fmt.Errorf("encode %s: %d bytes of ids, at most %d are allowed", name, size, uint32(math.MaxUint32))
	}
	data := make([]byte, 0, 4+4*len(ids)+size)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(ids)))
	end := uint32(0)
	for _, id := range ids {
		end += uint32(len(id))
		data = binary.LittleEndian.AppendUint32(data, end)
	}
	for _, id := range ids {
		data = append(data, id...)
	}
	return model.Section{Name: name, Data: data}, nil
}

// readIDs reads a string table of exactly n strings. They share one piece of
// memory, so that a million ids are one allocation and not a million.
func readIDs(f *model.File, name string, n int) ([]string, error) {
	data, ok := f.Section(name)
	if !ok {
		return nil, f.Corrupt("section %s is missing", name)
	}
	if len(data) < 4 || int64(binary.LittleEndian.Uint32(data)) != int64(n) || n > (len(data)-4)/4 {
		return nil, f.Corrupt("section %s does not hold %d ids", name, n)
	}
	ends, text := data[4:4+4*n], string(data[4+4*n:])
	if !utf8.ValidString(text) {
		return nil, f.Corrupt("section %s is not UTF-8", name)
	}
	ids := make([]string, n)
	begin := 0
	for i := range ids {
		end := int(binary.LittleEndian.Uint32(ends[4*i:]))
		if end <= begin || end > len(text) || end-begin > maxID || (end < len(text) && !utf8.RuneStart(text[end])) {
			return nil, f.Corrupt("id %d of section %s has an impossible end", i, name)
		}
		ids[i] = text[begin:end]
		begin = end
	}
	if begin != len(text) {
		return nil, f.Corrupt("section %s holds more than its ids", name)
	}
	return ids, nil
}

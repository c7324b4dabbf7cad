package fetch

import (
	"encoding/binary"
	"iter"
	"math"
)

// Record is one record of a partition. Its bytes are parts of those that came from
// the broker, which nobody changes.
type Record struct {
	Offset int64
	// Time is the record's, or where the topic says so the broker's, in Unix
	// milliseconds.
	Time       int64
	Key, Value []byte
	Headers    Headers
}

// Headers are those of a record, as they are in a batch: they are taken apart when
// somebody asks for them, for most decoders never do.
type Headers struct {
	n   int
	raw []byte
}

// Add appends one. It is not for the headers of a batch.
func (h *Headers) Add(name string, value []byte) {
	h.raw = append(binary.AppendVarint(h.raw, int64(len(name))), name...)
	size := int64(len(value))
	if value == nil {
		size = -1
	}
	h.raw = append(binary.AppendVarint(h.raw, size), value...)
	h.n++
}

// All gives them in their order. A header may have no value, which is nil then.
func (h *Headers) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		at := 0
		for range h.n {
			var name, value []byte
			name, at = chunk(h.raw, at)
			if value, at = chunk(h.raw, at); at == beyond || !yield(string(name), value) {
				return
			}
		}
	}
}

// What follows takes records apart, from a place in the data to the one behind what was
// read, which is beyond the data when that is not possible. Places go from call to call
// in registers; one that is kept in memory waits for its own last step each time.

// beyond is the place behind what cannot be read.
const beyond = math.MaxInt

// varint reads a zigzag varint of up to 64 bits.
func varint(data []byte, at int) (v int64, next int) {
	if at >= len(data) {
		return 0, beyond
	}
	in := data[at:]
	switch u := uint64(in[0]); {
	case u < 0x80: // nearly all
		return zigzag(u), at + 1
	case len(in) > 1 && in[1] < 0x80: // most lengths and times
		return zigzag(u&0x7f | uint64(in[1])<<7), at + 2
	}
	v, n := binary.Varint(in)
	if n <= 0 {
		return 0, beyond
	}
	return v, at + n
}

func zigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// chunk reads a length and so many bytes; the length -1 is nil.
func chunk(data []byte, at int) (b []byte, next int) {
	n, at := varint(data, at)
	switch {
	case n > int64(len(data)-at): // and whatever is beyond
		return nil, beyond
	case n < 0:
		return nil, at
	}
	next = at + int(n)
	return data[at:next:next], next
}

package fetch

import (
	"encoding/binary"
	"iter"
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
		r := reader{h.raw}
		for range h.n {
			name, ok := r.bytes()
			value, valid := r.bytes()
			if !ok || !valid || !yield(string(name), value) {
				return
			}
		}
	}
}

// reader takes a record apart.
type reader struct{ rest []byte }

// varint reads a zigzag varint of up to 64 bits.
func (r *reader) varint() (v int64, ok bool) {
	if len(r.rest) > 0 && r.rest[0] < 0x80 { // nearly all
		u := r.rest[0]
		r.rest = r.rest[1:]
		return int64(u>>1) ^ -int64(u&1), true
	}
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		return 0, false
	}
	r.rest = r.rest[n:]
	return v, true
}

// bytes reads a length and so many bytes; the length -1 is nil.
func (r *reader) bytes() (b []byte, ok bool) {
	n, ok := r.varint()
	switch {
	case !ok || n > int64(len(r.rest)):
		return nil, false
	case n < 0:
		return nil, true
	}
	b, r.rest = r.rest[:n:n], r.rest[n:]
	return b, true
}

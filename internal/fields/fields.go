// Package fields reads numbers and texts off the front of a block of bytes.
//
// It owns the rules of doing so with bytes that nobody vouches for: what is
// missing or out of range makes the reader bad for good and is read as zero. It
// is a leaf and imports nothing of this module.
//
//	d := fields.Reader{Rest: block}
//	name, count := string(d.Text()), d.Uvarint()
//	if d.Bad || len(d.Rest) > 0 { ... }
package fields

import (
	"encoding/binary"
	"math"
)

// Reader reads fields until one is missing.
type Reader struct {
	// Rest is what was not read yet.
	Rest []byte
	// Bad says that a field was missing, or that a caller found one wrong.
	Bad bool
}

// take cuts off n bytes; nil where there are fewer.
func (r *Reader) take(n int) []byte {
	if len(r.Rest) < n {
		r.Bad, r.Rest = true, nil
		return nil
	}
	out := r.Rest[:n]
	r.Rest = r.Rest[n:]
	return out
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint32 reads 4 bytes, little endian.
func (r *Reader) Uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads 8 bytes, little endian.
func (r *Reader) Uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Float reads the 8 bytes of a number; what is not finite is none.
func (r *Reader) Float() float64 {
	v := math.Float64frombits(r.Uint64())
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.Bad = true
		return 0
	}
	return v
}

// Uvarint reads an unsigned number of binary.AppendUvarint.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	if !r.pass(n) {
		return 0
	}
	return v
}

// Varint reads a signed number of binary.AppendVarint.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.Rest)
	if !r.pass(n) {
		return 0
	}
	return v
}

// pass goes behind a number of n bytes; false where there was no number.
func (r *Reader) pass(n int) bool {
	if n <= 0 {
		r.Bad, r.Rest = true, nil
		return false
	}
	r.Rest = r.Rest[n:]
	return true
}

// Text reads a length, by Uvarint, and that many bytes, which are not copied.
func (r *Reader) Text() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.Rest)) {
		r.Bad, r.Rest = true, nil
		return nil
	}
	return r.take(int(n))
}

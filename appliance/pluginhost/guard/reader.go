package guard

import (
	"fmt"
	"unicode/utf8"
)

// reader walks over bytes of a module. The first error stays, and everything
// read after it is zero, so that callers may check once for several reads; a
// loop must check in every turn.
type reader struct {
	b    []byte
	p    int
	base int    // offset of b in the module, for messages
	what string // what is being read, for messages
	err  *Refusal
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = &Refusal{Reason: r.what + ": " + fmt.Sprintf(format, args...)}
	}
	r.p = len(r.b)
}

func (r *reader) cut() { r.fail("cut off at byte %d", r.base+len(r.b)) }

func (r *reader) done() bool { return r.p >= len(r.b) }

func (r *reader) left() int { return len(r.b) - r.p }

// end refuses bytes left over.
func (r *reader) end() {
	if !r.done() {
		r.fail("%d bytes too many at byte %d", r.left(), r.base+r.p)
	}
}

func (r *reader) byte() byte {
	if r.p >= len(r.b) {
		r.cut()
		return 0
	}
	v := r.b[r.p]
	r.p++
	return v
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(r.left()) {
		r.cut()
		return nil
	}
	v := r.b[r.p : r.p+int(n) : r.p+int(n)]
	r.p += int(n)
	return v
}

// u32 reads an unsigned LEB128 number: at most five bytes, no bit beyond 32.
func (r *reader) u32() uint32 {
	if r.p < len(r.b) && r.b[r.p] < 0x80 { // most numbers are one byte
		r.p++
		return uint32(r.b[r.p-1])
	}
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if v>>32 != 0 {
				break
			}
			return uint32(v)
		}
	}
	r.fail("a number at byte %d is longer than 32 bits", r.base+r.p)
	return 0
}

// signed reads a signed LEB128 number of the given width: at most
// ceil(bits/7) bytes, and the unused bits of the last one repeat the sign.
func (r *reader) signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		if c >= 0x80 {
			continue
		}
		if rest := bits - shift; rest < 7 {
			if top := int8(c<<1) >> rest; top != 0 && top != -1 {
				break
			}
		}
		if shift+7 < 64 && c&0x40 != 0 {
			v |= -1 << (shift + 7)
		}
		return v
	}
	r.fail("a number at byte %d is longer than %d bits", r.base+r.p, bits)
	return 0
}

// count reads the length of a vector whose elements take at least least bytes
// each, so that what is allocated for them is bounded by the input.
func (r *reader) count(least int) int {
	n := r.u32()
	if uint64(n)*uint64(least) > uint64(r.left()) {
		r.fail("%d entries cannot be in %d bytes", n, r.left())
		return 0
	}
	return int(n)
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.fail("a name before byte %d is not UTF-8", r.base+r.p)
		return ""
	}
	return string(b)
}

// appendUint writes an unsigned LEB128 number in its shortest form.
func appendUint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// appendInt writes a signed LEB128 number in its shortest form.
func appendInt(dst []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(dst, c)
		}
		dst = append(dst, c|0x80)
	}
}

func appendSection(dst []byte, id byte, body []byte) []byte {
	dst = append(dst, id)
	dst = appendUint(dst, uint64(len(body)))
	return append(dst, body...)
}

package deadletter

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"unicode/utf8"
)

// A record is a header of 20 bytes and a payload, little endian:
//
//	offset  size  header
//	0       4     mark D1 'V' 'L' FE, to find the next record after damage
//	4       4     length of the payload
//	8       4     CRC-32C of bytes 4..7, 12..19 and of the payload
//	12      8     number of the letter, counted from 1 over all segments
//
// The payload is the 16 bytes of the identity, a byte of flags (bit 0:
// truncated), varints time, partition, line and offset, and the texts source,
// code, detail, raw and context, each a uvarint length and its bytes. Context
// is not there in letters of older versions.
const (
	recordHeader = 20
	// maxPayload is more than the longest payload that appendRecord writes.
	maxPayload = MaxRaw + MaxContext + maxDetail + maxSource + maxCode + 128
)

// recordMark begins every record; its first and last byte are in no UTF-8
// text, so it is rare in letters.
var recordMark = []byte{0xd1, 'V', 'L', 0xfe}

// castagnoli is the table of CRC-32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// identity is what a letter is known by: half a SHA-256, so that nobody can
// craft a letter that hides another.
type identity [16]byte

// identify computes the identity of a letter.
func identify(l *Letter) identity {
	var stack [256]byte
	b := appendText(stack[:0], l.Source)
	if l.Source != SourceHTTP {
		b = binary.AppendVarint(b, int64(l.Partition))
		b = binary.AppendVarint(b, l.Line)
		b = binary.AppendVarint(b, l.Offset)
		if l.Generation != "" {
			b = appendText(b, l.Generation)
		}
	}
	if l.Source == SourceHTTP || l.Line == 0 && l.Offset == 0 {
		b = append(b, l.Raw...)
	}
	sum := sha256.Sum256(b)
	return identity(sum[:16])
}

// Key is what the letter is known by, as text: the same place, or over HTTP the
// same bytes, give the same.
func (l *Letter) Key() string {
	id := l.id
	if id == (identity{}) { // it is not from the store
		id = identify(l)
	}
	return hex.EncodeToString(id[:])
}

// EventID is the event_id of the event that the letter becomes when it is read again
// and names none itself: so it is taken once, however often that is.
func (l *Letter) EventID() string { return "letter-" + l.Key() }

// record is a letter as it lies in a segment.
type record struct {
	number uint64
	id     identity
	time   int64
	// payload follows the identity; letter() takes it apart.
	payload []byte
	// start and end are where the record lies in the scanned bytes.
	start, end int
}

// appendRecord appends a letter as record number, with its bounds kept.
func appendRecord(dst []byte, number uint64, id identity, l *Letter, time int64) []byte {
	raw, truncated := l.Raw, l.Truncated
	if len(raw) > MaxRaw {
		raw, truncated = raw[:MaxRaw], true
	}
	start := len(dst)
	dst = append(dst, make([]byte, recordHeader)...)
	dst = append(dst, id[:]...)
	var flags byte
	if truncated {
		flags = 1
	}
	dst = append(dst, flags)
	dst = binary.AppendVarint(dst, time)
	dst = binary.AppendVarint(dst, int64(l.Partition))
	dst = binary.AppendVarint(dst, l.Line)
	dst = binary.AppendVarint(dst, l.Offset)
	dst = appendText(dst, cut(l.Source, maxSource))
	dst = appendText(dst, cut(l.Code, maxCode))
	dst = appendText(dst, cut(l.Detail, maxDetail))
	dst = binary.AppendUvarint(dst, uint64(len(raw)))
	dst = append(dst, raw...)
	if len(l.Context) <= MaxContext {
		dst = binary.AppendUvarint(dst, uint64(len(l.Context)))
		dst = append(dst, l.Context...)
	}
	rec := dst[start:]
	copy(rec, recordMark)
	binary.LittleEndian.PutUint32(rec[4:], uint32(len(rec)-recordHeader))
	binary.LittleEndian.PutUint64(rec[12:], number)
	binary.LittleEndian.PutUint32(rec[8:], recordSum(rec))
	return dst
}

// recordSum is the checksum of a whole record.
func recordSum(rec []byte) uint32 {
	sum := crc32.Update(0, castagnoli, rec[4:8])
	return crc32.Update(sum, castagnoli, rec[12:])
}

// cut shortens a text to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// appendText appends a length and the bytes of s.
func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// readRecord reads the record that begins data. ok is false when there is no
// whole, sound record.
func readRecord(data []byte) (r record, ok bool) {
	if len(data) < recordHeader+len(r.id)+2 || !bytes.HasPrefix(data, recordMark) {
		return r, false
	}
	n := binary.LittleEndian.Uint32(data[4:])
	if n > maxPayload || int(n) > len(data)-recordHeader || int(n) < len(r.id)+2 {
		return r, false
	}
	rec := data[:recordHeader+int(n)]
	if binary.LittleEndian.Uint32(rec[8:]) != recordSum(rec) {
		return r, false
	}
	r.number, r.end = binary.LittleEndian.Uint64(rec[12:]), len(rec)
	copy(r.id[:], rec[recordHeader:])
	r.payload = rec[recordHeader+len(r.id):]
	var size int
	r.time, size = binary.Varint(r.payload[1:])
	return r, size > 0
}

// scan calls fn with every sound record whose number is at least first and
// below limit, in order, until fn returns false. It returns where the last
// sound record ends and how many bytes before that it had to pass over.
func scan(data []byte, first, limit uint64, fn func(r *record) bool) (end int, damaged int64) {
	pos := 0
	for pos < len(data) {
		r, ok := readRecord(data[pos:])
		if !ok {
			skip := bytes.Index(data[pos+1:], recordMark)
			if skip < 0 {
				break
			}
			pos += 1 + skip
			continue
		}
		if r.number < first || r.number >= limit {
			// Pass over it whole: its raw bytes may look like a record.
			pos += r.end
			continue
		}
		damaged += int64(pos - end)
		r.start, r.end = pos, pos+r.end
		pos, end, first = r.end, r.end, r.number+1
		if !fn(&r) {
			break
		}
	}
	return end, damaged
}

// letter takes a record apart. Its checksum was right, so what does not fit
// is empty.
func (r *record) letter(raw bool) Letter {
	d := reader{data: r.payload[1:]}
	l := Letter{ID: formatID(r.number), id: r.id, Truncated: r.payload[0]&1 != 0}
	l.Time = d.varint()
	l.Partition = int32(d.varint())
	l.Line, l.Offset = d.varint(), d.varint()
	l.Source, l.Code, l.Detail = string(d.text()), string(d.text()), string(d.text())
	if raw {
		l.Raw = bytes.Clone(d.text())
		if text := d.text(); len(text) > 0 {
			l.Context = bytes.Clone(text)
		}
	}
	return l
}

// reader reads the fields of a payload; beyond its end all is zero.
type reader struct{ data []byte }

// varint reads a signed number.
func (d *reader) varint() int64 {
	v, n := binary.Varint(d.data)
	d.data = d.data[max(n, 0):]
	return v
}

// text reads a length and that many bytes.
func (d *reader) text() []byte {
	v, n := binary.Uvarint(d.data)
	d.data = d.data[max(n, 0):]
	v = min(v, uint64(len(d.data)))
	out := d.data[:v]
	d.data = d.data[v:]
	return out
}

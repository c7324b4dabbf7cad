package jetstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/minio/highwayhash"
)

// The form of a record in a segment of the server's file store. All numbers are
// little endian:
//
//	offset  size  record
//	0       4     length of the whole record; the high bit says that it has headers
//	4       8     sequence; the two highest bits mark what was deleted
//	12      8     time
//	20      2     length of the subject
//	22            subject, with headers their length in 4 bytes and they, message
//	end-8   8     HighwayHash-64 of sequence, time, subject, headers and message,
//	              keyed with the SHA-256 of the stream's name, a dash and the
//	              number of the segment
//
// The server itself passes over a damaged record in silence, or cuts the segment
// off before it, so it is looked at before the server is.
const (
	recordHead  = 22
	recordSum   = 8
	recordMost  = maxPayload + 64<<10
	recordLeast = recordHead + len(subject) + recordSum
	headersBit  = 1 << 31
	headersEnd  = "\r\n\r\n"
	deletedBits = 3 << 62
)

// Damage is a range of frames that the log has lost.
type Damage struct {
	First, Last uint64
}

// walk calls fn with every sound frame of the store, in order, and returns the
// ranges between them that are damaged, or in a file that is not there any more. What
// ends the newest segment without being a whole record was never acknowledged, and is
// none. after is a sequence that the log reaches at least. fn may keep nothing. A file
// that cannot be read is a *Fault.
func walk(dir string, after uint64, fn func(seq uint64, frame []byte) error) ([]Damage, error) {
	all, err := segments(dir)
	if err != nil {
		return nil, err
	}
	w := &walker{fn: fn, after: after}
	for i, s := range all {
		data, whole, err := s.read()
		if err != nil {
			return nil, err
		}
		if err := w.segment(data, s.number, i == len(all)-1); err != nil {
			return nil, err
		}
		w.damaged = w.damaged || !whole
	}
	return w.end(), nil
}

// walker goes through the segments of a store.
type walker struct {
	fn func(seq uint64, frame []byte) error
	// last is the sequence of the last sound frame; damaged says that something
	// behind it is not.
	last    uint64
	damaged bool
	// records are about how many damaged ones are behind it, heard is the newest
	// sequence that they say, 0 for none: where no sound one follows, nothing else
	// tells what was there. after is what the log has reached at least.
	records, heard, after uint64
	lost                  []Damage
}

func (w *walker) segment(data []byte, number int, newest bool) error {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", streamName, number))
	for at := 0; at < len(data); {
		r, ok := parse(data[at:], key[:])
		if ok {
			at += r.length
			if err := w.sound(r); err != nil {
				return err
			}
			continue
		}
		next := w.resync(data, at, key[:])
		if next < 0 && newest && w.heard <= max(w.last, w.after)+1 && cut(data[at:], key[:]) {
			return nil
		}
		w.damaged = true
		if next < 0 {
			return nil
		}
		at = next
	}
	return nil
}

// sound takes a record; those of deleted frames are none.
func (w *walker) sound(r record) error {
	if r.seq == 0 || r.seq&deletedBits != 0 || r.seq <= w.last {
		return nil
	}
	first := uint64(0) // the damage begins the log
	if w.last > 0 {
		first = w.last + 1
	}
	// Sequences have no gaps, so where there is one a file is missing, as after a
	// check of the file system that could not keep it.
	if first < r.seq && (w.damaged || first > 0) {
		w.lost = append(w.lost, Damage{first, r.seq - 1})
	}
	w.damaged, w.records, w.heard, w.last = false, 0, 0, r.seq
	return w.fn(r.seq, r.frame)
}

// end is what was lost. Where damage ends the log at least one frame is, unless
// all that was heard is older.
func (w *walker) end() []Damage {
	switch {
	case !w.damaged:
	case w.last > 0:
		w.lost = append(w.lost, Damage{w.last + 1, max(w.last+1, w.heard)})
	case w.heard > 0:
		w.lost = append(w.lost, Damage{0, w.heard})
	default:
		w.lost = append(w.lost, Damage{0, w.after + 1})
	}
	return w.lost
}

// hear takes the sequence of a damaged record, unless that cannot be, as where it is
// what is damaged: sequences have no gaps.
func (w *walker) hear(seq uint64) {
	w.records++
	if seq > w.heard && seq <= max(w.last, w.after)+w.records {
		w.heard = seq
	}
}

// record is one of a segment.
type record struct {
	length int
	seq    uint64
	frame  []byte
}

// parse reads the record that data begins with, if it is sound.
func parse(data, key []byte) (r record, ok bool) {
	if !whole(data) {
		return r, false
	}
	le := binary.LittleEndian
	length := int(le.Uint32(data) &^ headersBit)
	return unseal(data[:length], le.Uint32(data)&headersBit != 0, key)
}

// unseal reads a record of which all bytes are there, if it is sound but for its
// length. The sum says nothing of the lengths of subject and headers, which it goes
// over without a mark between: one subject there is, and headers end with the first
// empty line.
func unseal(data []byte, headed bool, key []byte) (r record, ok bool) {
	le := binary.LittleEndian
	seq, end := le.Uint64(data[4:]), len(data)-recordSum
	name, body := int(le.Uint16(data[20:])), data[recordHead:end]
	if name > len(body) || name != len(subject) && seq&deletedBits == 0 {
		return r, false
	}
	sum, err := highwayhash.New64(key)
	if err != nil {
		return r, false // never: the key has its length
	}
	sum.Write(data[4:20])
	sum.Write(body[:name])
	frame := body[name:]
	if headed {
		if len(frame) < 4 {
			return r, false
		}
		headers := int(le.Uint32(frame))
		frame = frame[4:]
		sum.Write(frame)
		if headers > len(frame) || bytes.Index(frame, []byte(headersEnd))+len(headersEnd) != headers {
			return r, false
		}
		frame = frame[headers:]
	} else {
		sum.Write(frame)
	}
	if sum.Sum64() != le.Uint64(data[end:]) {
		return r, false
	}
	return record{len(data), seq, frame}, true
}

// whole tells whether data has as many bytes as its record says.
func whole(data []byte) bool {
	if len(data) < recordHead+recordSum {
		return false
	}
	length := int(binary.LittleEndian.Uint32(data) &^ headersBit)
	return length >= recordHead+recordSum && length <= recordMost && length <= len(data)
}

// cut tells whether data, which ends a segment, is one write that was cut short. A
// record whose length alone is damaged looks like that, but has its sum where it ends.
func cut(data, key []byte) bool {
	if whole(data) {
		return false
	}
	if len(data) < recordLeast {
		return true
	}
	for _, headed := range []bool{false, true} {
		if _, ok := unseal(data, headed, key); ok {
			return false
		}
	}
	return true
}

// resync is where the next sound record of a segment begins behind the damaged one
// at from; -1 when there is none. What is damaged before it is heard.
func (w *walker) resync(data []byte, from int, key []byte) int {
	if name := data[min(from+recordHead, len(data)):]; !bytes.HasPrefix(name, []byte(subject)) {
		w.records++ // its subject is damaged
	}
	for at := from; ; at++ {
		i := bytes.Index(data[at:], []byte(subject))
		if i < 0 {
			return -1
		}
		at += i
		start := at - recordHead
		if start < from {
			continue
		}
		if _, ok := parse(data[start:], key); ok {
			return start
		}
		w.hear(binary.LittleEndian.Uint64(data[start+4:]) &^ deletedBits)
	}
}

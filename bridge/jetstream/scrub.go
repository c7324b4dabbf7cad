package jetstream

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	recordHead   = 22
	recordSum    = 8
	recordMost   = maxPayload + 64<<10
	headersBit   = 1 << 31
	deletedBits  = 3 << 62
	segmentDepth = "*/streams/" + streamName + "/msgs/*.blk"
)

// Damage is a range of frames that the log has lost.
type Damage struct {
	First, Last uint64
}

// segment is one file of the store.
type segment struct {
	path   string
	number int
}

// segments lists the files of the store below dir, in the order of the log.
func segments(dir string) ([]segment, error) {
	paths, err := filepath.Glob(filepath.Join(dir, segmentDepth))
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var out []segment
	for _, path := range paths {
		number, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".blk"))
		if err != nil {
			continue // none of the server's
		}
		out = append(out, segment{path, number})
	}
	slices.SortFunc(out, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	return out, nil
}

// walk calls fn with every sound frame of the store, in order, and returns the
// ranges between them that are damaged. What ends the newest segment without
// being a whole record was never acknowledged, and is none. fn may keep nothing.
func walk(dir string, fn func(seq uint64, frame []byte) error) ([]Damage, error) {
	all, err := segments(dir)
	if err != nil {
		return nil, err
	}
	w := &walker{fn: fn}
	for i, s := range all {
		data, err := os.ReadFile(s.path)
		if err != nil {
			return nil, fmt.Errorf("read segment: %w", err)
		}
		if err := w.segment(data, s.number, i == len(all)-1); err != nil {
			return nil, err
		}
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
	lost    []Damage
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
		next := resync(data, at+1, key[:])
		if next < 0 && newest && !whole(data[at:]) {
			return nil // a write that was cut short
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
	if w.damaged && first < r.seq {
		w.lost = append(w.lost, Damage{first, r.seq - 1})
	}
	w.damaged, w.last = false, r.seq
	return w.fn(r.seq, r.frame)
}

// end is what was lost; of damage at the end one frame is known.
func (w *walker) end() []Damage {
	if w.damaged {
		w.lost = append(w.lost, Damage{w.last + 1, w.last + 1})
	}
	return w.lost
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
	subject := int(le.Uint16(data[20:]))
	body := data[recordHead : length-recordSum]
	if subject > len(body) {
		return r, false
	}
	sum, err := highwayhash.New64(key)
	if err != nil {
		return r, false // never: the key has its length
	}
	sum.Write(data[4:20])
	sum.Write(body[:subject])
	rest := body[subject:]
	if le.Uint32(data)&headersBit != 0 {
		if len(rest) < 4 {
			return r, false
		}
		headers := int(le.Uint32(rest))
		if rest = rest[4:]; headers > len(rest) {
			return r, false
		}
		sum.Write(rest)
		rest = rest[headers:]
	} else {
		sum.Write(rest)
	}
	if sum.Sum64() != le.Uint64(data[length-recordSum:length]) {
		return r, false
	}
	return record{length, le.Uint64(data[4:]), rest}, true
}

// whole tells whether data has as many bytes as its record says.
func whole(data []byte) bool {
	if len(data) < recordHead+recordSum {
		return false
	}
	length := int(binary.LittleEndian.Uint32(data) &^ headersBit)
	return length >= recordHead+recordSum && length <= recordMost && length <= len(data)
}

// resync is where the next sound record of a segment begins, from from on; -1
// when there is none.
func resync(data []byte, from int, key []byte) int {
	for at := from; at < len(data); {
		i := bytes.Index(data[at:], []byte(subject))
		if i < 0 {
			return -1
		}
		at += i + 1
		if start := at - 1 - recordHead; start >= from {
			if _, ok := parse(data[start:], key); ok {
				return start
			}
		}
	}
	return -1
}

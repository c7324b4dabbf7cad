package state

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"vitrine/internal/durable"
)

// A snapshot is fileMagic and blocks. All numbers are little endian. A block is
//
//	offset  size
//	0       4     n, length of the payload
//	4       1     part: 1 head, 2 catalog, 3 profile, 4 window, 5 end
//	5       3     0
//	8       4     CRC-32C of bytes 0..7 and the payload
//	12      n     payload
//
// The head comes first: JSON, see head. The parts' blocks follow in the order in
// which their packages wrote them, and may lie among each other. The end is 8
// bytes, the number of blocks before it, and the file ends with it.
const (
	fileMagic  = "VTSTATE1"
	blockHead  = 12
	maxBlock   = 256 << 20
	maxHead    = 64 << 10
	fileSuffix = ".snapshot"
	tempSuffix = ".tmp"
	// filesKept is how many snapshots are left: the one before stands in for a
	// damaged newest one.
	filesKept = 2
	seqDigits = 20
)

// part is whose a block is.
type part byte

const (
	partHead part = 1 + iota
	partCatalog
	partProfile
	partWindow
	partEnd
)

// head says what a snapshot is of.
type head struct {
	// Position is the last bus message in it.
	Position uint64 `json:"position"`
	// Settings are those that it depends on.
	Settings string `json:"settings"`
	// Items and Users are how many codes there are.
	Items int `json:"items"`
	Users int `json:"users"`
}

// corruptError says what is wrong with a snapshot.
type corruptError struct{ what string }

func (e *corruptError) Error() string { return "the snapshot is damaged: " + e.what }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writer writes a snapshot under another name until it is whole.
type writer struct {
	file   *os.File
	buffer *bufio.Writer
	path   string
	blocks uint64
	bytes  int64
}

func fileName(position uint64) string { return fmt.Sprintf("%0*d%s", seqDigits, position, fileSuffix) }

func create(dir string, h head) (*writer, error) {
	path := filepath.Join(dir, fileName(h.Position))
	f, err := os.OpenFile(path+tempSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	w := &writer{file: f, buffer: bufio.NewWriterSize(f, 1<<20), path: path, bytes: int64(len(fileMagic))}
	_, err = w.buffer.WriteString(fileMagic)
	data, err2 := json.Marshal(h)
	if err = errors.Join(err, err2); err == nil {
		err = w.block(partHead, data)
	}
	if err != nil {
		w.abandon()
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	return w, nil
}

func (w *writer) block(p part, payload []byte) error {
	if len(payload) > maxBlock {
		return fmt.Errorf("write snapshot: a block of %d bytes is longer than %d", len(payload), maxBlock)
	}
	var h [blockHead]byte
	binary.LittleEndian.PutUint32(h[:], uint32(len(payload)))
	h[4] = byte(p)
	binary.LittleEndian.PutUint32(h[8:], crc32.Update(crc32.Checksum(h[:8], castagnoli), castagnoli, payload))
	if _, err := w.buffer.Write(h[:]); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := w.buffer.Write(payload); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	w.blocks++
	w.bytes += blockHead + int64(len(payload))
	return nil
}

// finish makes the snapshot durable under its name.
func (w *writer) finish() error {
	err := w.block(partEnd, binary.LittleEndian.AppendUint64(nil, w.blocks))
	if err == nil {
		err = w.buffer.Flush()
	}
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		w.abandon()
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := os.Rename(w.path+tempSuffix, w.path); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return durable.SyncDir(filepath.Dir(w.path))
}

// abandon takes an unfinished snapshot away. What goes wrong on the way leaves
// a file that the next start removes.
func (w *writer) abandon() {
	_ = w.file.Close()
	_ = os.Remove(w.path + tempSuffix)
}

// snapshots lists a folder's, newest first, and removes unfinished ones.
func snapshots(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	for _, e := range slices.Backward(entries) {
		name := e.Name()
		if strings.HasSuffix(name, fileSuffix+tempSuffix) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return nil, fmt.Errorf("remove an unfinished snapshot: %w", err)
			}
		}
		digits, ok := strings.CutSuffix(name, fileSuffix)
		if _, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && len(digits) == seqDigits {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, nil
}

// prune removes all but the newest.
func prune(dir string) error {
	paths, err := snapshots(dir)
	if err != nil {
		return err
	}
	for _, path := range paths[min(filesKept, len(paths)):] {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove an old snapshot: %w", err)
		}
	}
	return nil
}

// pruneBefore removes those of before a message of the log.
func pruneBefore(dir string, seq uint64) error {
	paths, err := snapshots(dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		at, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), fileSuffix), 10, 64)
		if err == nil && at < seq {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("remove an old snapshot: %w", err)
		}
	}
	return nil
}

// reader reads a snapshot.
type reader struct {
	head   head
	in     *bufio.Reader
	left   int64
	blocks uint64
}

// newReader reads the head of a snapshot of size bytes.
func newReader(in io.Reader, size int64) (*reader, error) {
	r := &reader{in: bufio.NewReaderSize(in, 1<<20), left: size}
	magic := make([]byte, len(fileMagic))
	if err := r.full(magic); err != nil || string(magic) != fileMagic {
		return nil, orCorrupt(err, "it does not begin as one")
	}
	p, data, err := r.next(maxHead)
	if err != nil {
		return nil, err
	}
	if p != partHead || json.Unmarshal(data, &r.head) != nil {
		return nil, &corruptError{"it has no head"}
	}
	// Each id takes two bytes at least, so what is made for them is bounded.
	if h := r.head; h.Items < 0 || h.Users < 0 || int64(h.Items) > r.left/2 || int64(h.Users) > r.left/2 {
		return nil, &corruptError{"its head counts more ids than it has bytes"}
	}
	return r, nil
}

// orCorrupt is an error of the disk, or says what is wrong with the file.
func orCorrupt(err error, what string) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read snapshot: %w", err)
	}
	return &corruptError{what}
}

func (r *reader) full(dst []byte) error {
	if int64(len(dst)) > r.left {
		return io.ErrUnexpectedEOF
	}
	r.left -= int64(len(dst))
	_, err := io.ReadFull(r.in, dst)
	return err
}

// next reads a block of at most limit bytes.
func (r *reader) next(limit int) (part, []byte, error) {
	var h [blockHead]byte
	if err := r.full(h[:]); err != nil {
		return 0, nil, orCorrupt(err, "it ends too early")
	}
	n := int64(binary.LittleEndian.Uint32(h[:]))
	if n > int64(limit) || n > r.left {
		return 0, nil, &corruptError{"a block is longer than can be"}
	}
	payload := make([]byte, n)
	if err := r.full(payload); err != nil {
		return 0, nil, orCorrupt(err, "it ends too early")
	}
	if binary.LittleEndian.Uint32(h[8:]) != crc32.Update(crc32.Checksum(h[:8], castagnoli), castagnoli, payload) {
		return 0, nil, &corruptError{"a checksum is wrong"}
	}
	r.blocks++
	return part(h[4]), payload, nil
}

// each hands every block to whose it is, the parts at the same time, the blocks
// of one part in their order.
func (r *reader) each(ctx context.Context, take map[part]func(block []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	lanes := make(map[part]chan []byte, len(take))
	for p, fn := range take {
		lane := make(chan []byte, 4)
		lanes[p] = lane
		wg.Go(func() {
			for block := range lane {
				if err := fn(block); err != nil {
					cancel(&corruptError{err.Error()})
					return
				}
			}
		})
	}
	err := r.deal(ctx, lanes)
	for _, lane := range lanes {
		close(lane)
	}
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (r *reader) deal(ctx context.Context, lanes map[part]chan []byte) error {
	for {
		p, block, err := r.next(maxBlock)
		if err != nil {
			return err
		}
		if p == partEnd {
			if len(block) != 8 || binary.LittleEndian.Uint64(block) != r.blocks-1 || r.left != 0 {
				return &corruptError{"its end does not fit"}
			}
			return nil
		}
		lane := lanes[p]
		if lane == nil {
			return &corruptError{"a block is of no known part"}
		}
		select {
		case lane <- block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

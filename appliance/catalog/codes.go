package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// codes numbers one kind of ids, in RAM and in a file.
//
// The file is codesMagic, then one record for each code in order, all little
// endian: uint32 code, uint32 length, the id's bytes, uint32 CRC-32C of all
// that stands before it in the record. What follows the first record that is
// not whole, or does not carry the next code, is cut when the file is opened:
// the ids come up again in the log, which has everything.
type codes struct {
	ids  chunked[string]
	n    atomic.Uint32
	seed maphash.Seed
	// shards map ids to codes.
	shards [numShards]shard

	mu sync.Mutex // the writer's: new codes

	fileMu  sync.Mutex // file, written, size
	file    *os.File   // nil once closed
	path    string
	written uint32 // codes that are in the file
	size    int64  // bytes of the file that are whole
	cut     int64
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type shard struct {
	mu    sync.RWMutex
	codes map[string]uint32
	_     [32]byte // own cache line
}

const (
	numShards   = 64
	codesMagic  = "VTCODES1"
	headBytes   = 4 + 4
	recordExtra = headBytes + 4
	flushBytes  = 1 << 20
)

func (c *codes) shard(id string) *shard {
	return &c.shards[maphash.String(c.seed, id)%numShards]
}

func (c *codes) code(id string) (uint32, bool) {
	s := c.shard(id)
	s.mu.RLock()
	code, ok := s.codes[id]
	s.mu.RUnlock()
	return code, ok
}

func (c *codes) id(code uint32) string {
	if code >= c.n.Load() {
		return ""
	}
	return *c.ids.at(code)
}

func (c *codes) intern(id string) uint32 {
	if code, ok := c.code(id); ok {
		return code
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if code, ok := c.code(id); ok {
		return code
	}
	// The id may be cut from a whole frame, which must not stay in RAM for it.
	return c.add(strings.Clone(id))
}

// add gives id the next code. The id is stored before the code can be found
// or counted, so whoever sees the code finds the id.
func (c *codes) add(id string) uint32 {
	code := c.n.Load()
	*c.ids.grow(code) = id
	c.n.Store(code + 1)
	s := c.shard(id)
	s.mu.Lock()
	if s.codes == nil {
		s.codes = make(map[string]uint32)
	}
	s.codes[id] = code
	s.mu.Unlock()
	return code
}

func openCodes(path string) (*codes, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open codes: %w", err)
	}
	c := &codes{seed: maphash.MakeSeed(), file: file, path: path}
	if err := c.load(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return c, nil
}

func (c *codes) load() error {
	data, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("read codes: %w", err)
	}
	if len(data) < len(codesMagic) && strings.HasPrefix(codesMagic, string(data)) {
		// New, or a crash came before its first bytes were written.
		return c.create()
	}
	if !strings.HasPrefix(string(data[:min(len(data), len(codesMagic))]), codesMagic) {
		return fmt.Errorf("read codes %s: this is no file of codes; move it away and the codes are made anew", c.path)
	}
	at := len(codesMagic)
	for {
		raw, ok := parseRecord(data[at:], c.n.Load())
		if !ok {
			break
		}
		id := string(raw)
		if _, twice := c.code(id); twice {
			break
		}
		c.add(id)
		at += recordExtra + len(raw)
	}
	c.written, c.size, c.cut = c.n.Load(), int64(at), int64(len(data)-at)
	if c.cut == 0 {
		return nil
	}
	if err := c.file.Truncate(c.size); err != nil {
		return fmt.Errorf("cut the torn end of %s: %w", c.path, err)
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("cut the torn end of %s: %w", c.path, err)
	}
	return nil
}

func (c *codes) create() error {
	if _, err := c.file.WriteAt([]byte(codesMagic), 0); err != nil {
		return fmt.Errorf("write codes: %w", err)
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("sync codes %s: %w", c.path, err)
	}
	c.size = int64(len(codesMagic))
	return syncDir(filepath.Dir(c.path))
}

// parseRecord reads the record of code want at the start of data and returns
// its id, which aliases data; ok is false when there is no such record.
func parseRecord(data []byte, want uint32) (id []byte, ok bool) {
	if len(data) < recordExtra || binary.LittleEndian.Uint32(data) != want {
		return nil, false
	}
	length := binary.LittleEndian.Uint32(data[4:])
	if uint64(length) > uint64(len(data)-recordExtra) {
		return nil, false
	}
	end := headBytes + int(length)
	if binary.LittleEndian.Uint32(data[end:]) != crc32.Checksum(data[:end], castagnoli) {
		return nil, false
	}
	return data[headBytes:end], true
}

func appendRecord(dst []byte, code uint32, id string) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, code)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(id)))
	dst = append(dst, id...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// sync appends the codes that the file does not have.
func (c *codes) sync() error {
	c.fileMu.Lock()
	defer c.fileMu.Unlock()
	if c.file == nil {
		return fmt.Errorf("write codes %s: %w", c.path, os.ErrClosed)
	}
	return c.flush()
}

func (c *codes) close() error {
	c.fileMu.Lock()
	defer c.fileMu.Unlock()
	if c.file == nil {
		return nil
	}
	err := errors.Join(c.flush(), c.file.Close())
	c.file = nil
	return err
}

// flush writes after the last whole record, so that a write that failed
// half-way is written over by the next one.
func (c *codes) flush() error {
	end := c.n.Load()
	if c.written == end {
		return nil
	}
	var buf []byte
	code, size := c.written, c.size
	for code < end {
		buf = buf[:0]
		for code < end && len(buf) < flushBytes {
			buf = appendRecord(buf, code, *c.ids.at(code))
			code++
		}
		if _, err := c.file.WriteAt(buf, size); err != nil {
			return fmt.Errorf("write codes: %w", err)
		}
		size += int64(len(buf))
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("sync codes %s: %w", c.path, err)
	}
	c.written, c.size = end, size
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

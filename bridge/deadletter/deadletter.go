// Package deadletter keeps what could not become an event: the rejected rows
// and bodies, with the place they came from and the reason, so that an
// operator can look at them and send them again.
//
// It owns the files of its folder: numbered segments of checksummed records,
// the oldest of which are dropped beyond a limit of bytes or age. It must not
// import the stages that reject (file, httpapi, kafka); they hand it letters.
//
//	store, err := deadletter.Open(deadletter.Options{Dir: "/var/lib/vitrine/deadletters"})
//	added, err := store.Add(ctx, []deadletter.Letter{{Source: "sales.csv", Line: 7, Code: "missing_user_id"}})
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Defaults of a zero Options.
const (
	DefaultMaxBytes = 256 << 20
	DefaultMaxAge   = 30 * 24 * time.Hour
)

// Bounds of one letter; what is longer is cut.
const (
	// MaxRaw is the most broken bytes that are kept.
	MaxRaw = 64 << 10
	// MaxContext is the most bytes of context.
	MaxContext = 16 << 10

	maxDetail = 4 << 10
	maxSource = 4 << 10
	maxCode   = 64
)

// SourceHTTP is the Source of letters that came by HTTP. They have no line,
// so they are known by their bytes.
const SourceHTTP = "http"

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("no such dead letter")
	ErrCursor   = errors.New("the cursor is not one that a list has returned")
	ErrClosed   = errors.New("the dead letter store is closed")
)

// Letter is one rejected record.
type Letter struct {
	// ID names the letter within the store; Add ignores it.
	ID string
	// Source is the file, the topic or SourceHTTP.
	Source string
	// Generation tells apart sources that have a name one after the other, such as a
	// topic that is deleted and created again. It is not kept but in what the letter
	// is known by.
	Generation string
	Partition  int32
	// Line and Offset are where in the source it was; 0 means not known.
	Line, Offset int64
	// Code is stable, Detail is for people.
	Code, Detail string
	// Time is when it was rejected, in Unix milliseconds; 0 means now.
	Time int64
	// Raw is the rejected bytes, at most MaxRaw of them.
	Raw []byte
	// Truncated tells that there were more.
	Truncated bool
	// Context is what else is needed to read Raw again, in a form that only who
	// rejected it knows; nil where Raw is enough. One of more than MaxContext
	// bytes is not kept.
	Context []byte

	// id is what a letter of the store is known by.
	id identity
}

// Options configures a Store.
type Options struct {
	// Dir is made when it is not there.
	Dir string
	// MaxBytes bounds the files; default DefaultMaxBytes.
	MaxBytes int64
	// MaxAge bounds the age of a letter; default DefaultMaxAge.
	MaxAge time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Stats describes a Store.
type Stats struct {
	// Letters is how many are kept.
	Letters int64
	// Bytes is the size of the files.
	Bytes int64
	// Dropped is how many went over the limits since the store was made.
	Dropped int64
	// DamagedBytes is how much of the files could not be read when the store
	// was opened and was passed over. The half-written end that a crash
	// leaves was never acknowledged and is not counted.
	DamagedBytes int64
}

// Store is a folder of dead letters. Its methods may be called from any
// goroutine; two stores must not share a folder.
type Store struct {
	opt Options
	// segmentBytes is the size at which a segment is full.
	segmentBytes int64

	mu sync.RWMutex
	// segments are sorted by first; the last one is written to while file is
	// open.
	segments []*segment
	file     *os.File
	// next is the number of the next letter; the first ever is 1.
	next uint64
	// known holds the identity of every kept letter.
	known   map[identity]struct{}
	bytes   int64
	letters int64
	dropped int64
	damaged int64
	closed  bool
	buf     []byte
}

// Open opens the store in a folder. It reads every segment once: a half-written
// end is cut off, damage in the middle is passed over and counted.
func Open(opt Options) (*Store, error) {
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = DefaultMaxBytes
	}
	if opt.MaxAge <= 0 {
		opt.MaxAge = DefaultMaxAge
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if err := os.MkdirAll(opt.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("open dead letters: %w", err)
	}
	s := &Store{
		opt: opt,
		// A list reads one segment into memory, and the limits work by whole
		// segments: 8 MiB keeps both fine-grained.
		segmentBytes: min(8<<20, max(opt.MaxBytes/16, 64<<10)),
		next:         1,
		known:        make(map[identity]struct{}),
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open dead letters in %s: %w", opt.Dir, err)
	}
	if err := s.prune(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Add keeps the letters that are not known yet and returns how many those
// were. They are on disk when it returns without an error. A letter is known
// by its source with its generation, partition, line and offset; one without line and offset, and
// every one of SourceHTTP, by its bytes. After an error the first added
// letters of the call are kept and the others are not; adding all of them
// again is right.
func (s *Store) Add(ctx context.Context, letters []Letter) (added int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	if err := s.prune(); err != nil {
		return 0, err
	}
	now := s.opt.Now().UnixMilli()
	var b batch
	for i := range letters {
		if i%1024 == 0 && ctx.Err() != nil {
			s.forget(&b)
			return added, ctx.Err()
		}
		l := &letters[i]
		id := identify(l)
		if _, ok := s.known[id]; ok {
			continue
		}
		if s.full(int64(len(s.buf)), now) {
			if err := s.commit(&b, now); err != nil {
				return added, fmt.Errorf("add dead letters: %w", err)
			}
			added += b.len()
			b = batch{}
			if err := s.rotate(); err != nil {
				return added, fmt.Errorf("add dead letters: %w", err)
			}
		}
		b.add(id, int64(len(s.buf)), clampTime(l.Time, now))
		s.known[id] = struct{}{}
		s.buf = appendRecord(s.buf, s.next+uint64(b.len()-1), id, l, b.newest())
	}
	if err := s.commit(&b, now); err != nil {
		return added, fmt.Errorf("add dead letters: %w", err)
	}
	added += b.len()
	if cap(s.buf) > 1<<20 {
		// A large import is over; its buffer need not stay.
		s.buf = nil
	}
	return added, s.prune()
}

// clampTime gives the time under which a letter ages: a wrong clock at the
// source must not make it stay for ever.
func clampTime(ms, now int64) int64 {
	if ms <= 0 || ms > now {
		return now
	}
	return ms
}

// batch is what one commit writes: the letters whose bytes are in Store.buf.
type batch struct {
	ids     []identity
	offsets []int64
	times   []int64
}

// add notes a letter that will stand at offset of the buffer.
func (b *batch) add(id identity, offset, time int64) {
	b.ids, b.offsets, b.times = append(b.ids, id), append(b.offsets, offset), append(b.times, time)
}

// len is the number of letters.
func (b *batch) len() int { return len(b.ids) }

// newest is the time of the letter added last.
func (b *batch) newest() int64 { return b.times[len(b.times)-1] }

// full tells whether the next letter must go to another segment: the current
// one has no file open, is large enough, or is old for its share of MaxAge.
func (s *Store) full(pending, now int64) bool {
	if s.file == nil {
		return true
	}
	g := s.segments[len(s.segments)-1]
	return g.size+pending >= s.segmentBytes ||
		g.letters > 0 && now-g.begun > s.opt.MaxAge.Milliseconds()/8
}

// commit writes the buffered letters and waits for the disk. When that fails
// the letters are not in the store.
func (s *Store) commit(b *batch, now int64) error {
	if b.len() == 0 {
		return nil
	}
	g := s.segments[len(s.segments)-1]
	_, err := s.file.WriteAt(s.buf, g.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.forget(b)
		return errors.Join(fmt.Errorf("write %s: %w", g.path, err), s.abandon(g))
	}
	if g.letters == 0 {
		g.begun = now
	}
	for i, offset := range b.offsets {
		g.note(s.next, g.size+offset, b.times[i])
		s.next++
	}
	g.size += int64(len(s.buf))
	s.bytes += int64(len(s.buf))
	s.letters += int64(b.len())
	s.buf = s.buf[:0]
	return nil
}

// forget takes back what Add has noted of a batch.
func (s *Store) forget(b *batch) {
	for _, id := range b.ids {
		delete(s.known, id)
	}
	s.buf = s.buf[:0]
}

// abandon ends the writing to a segment. After a failed fsync nobody knows
// what the disk holds; what lies beyond the segment's size is cut off, or
// ignored at the next Open, because the next segment begins with its numbers.
func (s *Store) abandon(g *segment) error {
	err := errors.Join(s.file.Truncate(g.size), s.file.Close())
	s.file = nil
	return err
}

// rotate closes the current segment, which is on disk, and begins another.
func (s *Store) rotate() error {
	if s.file != nil {
		if err := s.file.Close(); err != nil {
			return err
		}
		s.file = nil
	}
	if last := len(s.segments) - 1; last >= 0 && s.segments[last].first == s.next {
		// It is empty, and its name is the one the new segment needs.
		s.bytes -= s.segments[last].size
		s.segments = s.segments[:last]
	}
	g, file, err := createSegment(s.opt.Dir, s.next)
	if err != nil {
		return err
	}
	s.segments, s.file = append(s.segments, g), file
	s.bytes += g.size
	return nil
}

// prune drops the oldest segments until the limits are kept.
func (s *Store) prune() error {
	horizon := s.opt.Now().UnixMilli() - s.opt.MaxAge.Milliseconds()
	for len(s.segments) > 0 {
		g := s.segments[0]
		if s.bytes <= s.opt.MaxBytes && g.letters > 0 && g.newest >= horizon {
			return nil
		}
		if len(s.segments) == 1 {
			if g.letters == 0 {
				return nil
			}
			// An empty segment keeps the numbering, and with it the count of
			// what was dropped.
			if err := s.rotate(); err != nil {
				return fmt.Errorf("drop old dead letters: %w", err)
			}
		}
		if err := s.drop(g); err != nil {
			return fmt.Errorf("drop old dead letters: %w", err)
		}
	}
	return nil
}

// drop removes the oldest segment.
func (s *Store) drop(g *segment) error {
	data, err := os.ReadFile(g.path)
	if err != nil {
		return err
	}
	scan(data, g.first, s.segments[1].first, func(r *record) bool {
		delete(s.known, r.id)
		return true
	})
	if err := s.countDropped(g.letters); err != nil {
		return err
	}
	if err := os.Remove(g.path); err != nil {
		return err
	}
	s.segments = s.segments[1:]
	s.bytes -= g.size
	s.letters -= g.letters
	return nil
}

// Prune drops what has grown too old. Add does it too; a caller that adds
// rarely should call Prune now and then.
func (s *Store) Prune() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return s.prune()
}

// Stats returns the figures of the store.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Stats{Letters: s.letters, Bytes: s.bytes, Dropped: s.dropped, DamagedBytes: s.damaged}
}

// Close closes the store. It is harmless to call it again.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

package deadletter

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/durable"
)

// A segment is a file named after the number of its first letter. It begins
// with segmentMagic; the records follow without gaps.
const (
	segmentMagic  = "VTDL\x01\x00\x00\x00"
	segmentSuffix = ".letters"
	// stride is how many letters lie between two places that a segment
	// remembers: a list starts reading at the nearest one.
	stride = 512
)

// segment is what is known of one file.
type segment struct {
	path  string
	first uint64
	// size is where the last sound record ends.
	size    int64
	letters int64
	// oldest and newest are times of letters.
	oldest, newest int64
	// begun is when the first letter was added.
	begun int64
	// marks are places of letters, about every stride letters.
	marks []mark
}

// mark is the place of one letter.
type mark struct {
	number uint64
	offset int64
}

// note takes a letter into the figures of the segment.
func (g *segment) note(number uint64, offset, time int64) {
	if g.letters%stride == 0 {
		g.marks = append(g.marks, mark{number, offset})
	}
	if g.letters == 0 || time < g.oldest {
		g.oldest = time
	}
	g.newest = max(g.newest, time)
	g.letters++
}

// before returns where to start reading for the letter called number.
func (g *segment) before(number uint64) int64 {
	i, found := slices.BinarySearchFunc(g.marks, number, func(m mark, n uint64) int {
		switch {
		case m.number < n:
			return -1
		case m.number > n:
			return 1
		}
		return 0
	})
	switch {
	case found:
		return g.marks[i].offset
	case i > 0:
		return g.marks[i-1].offset
	}
	return int64(len(segmentMagic))
}

// segmentPath names the segment that begins with a letter.
func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

// createSegment makes an empty segment, durably.
func createSegment(dir string, first uint64) (*segment, *os.File, error) {
	path := segmentPath(dir, first)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, nil, err
	}
	_, err = file.WriteString(segmentMagic)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = durable.SyncDir(dir)
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return &segment{path: path, first: first, size: int64(len(segmentMagic))}, file, nil
}

// load reads the folder and opens the last segment for writing.
func (s *Store) load() error {
	firsts, err := listSegments(s.opt.Dir)
	if err != nil {
		return err
	}
	for i, first := range firsts {
		limit := uint64(math.MaxUint64)
		if i+1 < len(firsts) {
			limit = firsts[i+1]
		}
		if err := s.loadSegment(first, limit); err != nil {
			return err
		}
	}
	if err := s.loadDropped(firsts); err != nil {
		return err
	}
	if len(s.segments) == 0 {
		return s.rotate()
	}
	return s.reopen()
}

// listSegments returns the first numbers of the segments in a folder, sorted.
func listSegments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok || len(digits) != 20 {
			continue
		}
		if first, err := strconv.ParseUint(digits, 10, 64); err == nil && first > 0 {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

// loadSegment reads one segment; letters from limit on belong to the next.
func (s *Store) loadSegment(first, limit uint64) error {
	g := &segment{path: segmentPath(s.opt.Dir, first), first: first}
	data, err := os.ReadFile(g.path)
	if err != nil {
		return err
	}
	body, begin := data, 0
	if strings.HasPrefix(string(data[:min(len(data), len(segmentMagic))]), segmentMagic) {
		begin = len(segmentMagic)
		body = data[begin:]
	}
	s.next = max(s.next, first)
	end, damaged := scan(body, first, limit, func(r *record) bool {
		g.note(r.number, int64(begin+r.start), r.time)
		s.known[r.id] = struct{}{}
		s.next = r.number + 1
		return true
	})
	if limit != math.MaxUint64 && s.next < limit {
		// The last letters of a segment that was complete are gone.
		damaged += int64(len(body) - end)
	}
	g.size, g.begun = int64(begin+end), g.oldest
	s.segments = append(s.segments, g)
	s.letters += g.letters
	s.bytes += g.size
	s.damaged += damaged
	return nil
}

// reopen opens the last segment for writing and cuts off what a crash left
// behind its last sound letter.
func (s *Store) reopen() error {
	g := s.segments[len(s.segments)-1]
	if g.size < int64(len(segmentMagic)) {
		// The crash came before the segment had its first bytes on disk.
		return s.rotateOver(g)
	}
	file, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := file.Truncate(g.size); err != nil {
		return errors.Join(err, file.Close())
	}
	s.file = file
	return nil
}

// rotateOver replaces the last segment, which holds no letter.
func (s *Store) rotateOver(g *segment) error {
	s.segments = s.segments[:len(s.segments)-1]
	s.bytes -= g.size
	return s.rotate()
}

package deadletter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"vitrine/internal/durable"
)

// droppedFile holds how many letters went over the limits, as decimal text.
const droppedFile = "dropped"

// Remove takes letters out of the store, as when they have become events at
// last, and returns how many of them were in it. They are gone from the disk
// when it returns without an error. A letter that was removed may be added
// again.
func (s *Store) Remove(ids []string) (removed int, err error) {
	numbers := make([]uint64, 0, len(ids))
	for _, id := range ids {
		if n, err := parseID(id); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	// The last segment is written to, and its name carries the numbers on.
	if last := s.segments[len(s.segments)-1]; last.letters > 0 && len(numbers) > 0 && numbers[len(numbers)-1] >= last.first {
		if err := s.rotate(); err != nil {
			return 0, fmt.Errorf("remove dead letters: %w", err)
		}
	}
	for i := 0; i < len(s.segments)-1; i++ {
		from, _ := slices.BinarySearch(numbers, s.segments[i].first)
		to, _ := slices.BinarySearch(numbers, s.limit(i))
		if from == to {
			continue
		}
		n, err := s.rewrite(i, numbers[from:to])
		if err != nil {
			return removed, fmt.Errorf("remove dead letters: %w", err)
		}
		removed += n
		if s.segments[i].letters == 0 {
			if err := s.removeEmpty(i); err != nil {
				return removed, fmt.Errorf("remove dead letters: %w", err)
			}
			i--
		}
	}
	return removed, nil
}

// rewrite writes a segment anew without some of its letters.
func (s *Store) rewrite(i int, numbers []uint64) (removed int, err error) {
	old := s.segments[i]
	data, err := os.ReadFile(old.path)
	if err != nil {
		return 0, err
	}
	g := &segment{path: old.path, first: old.first, begun: old.begun}
	out := append(make([]byte, 0, len(data)), segmentMagic...)
	var gone []identity
	body := data[len(segmentMagic):]
	scan(body, old.first, s.limit(i), func(r *record) bool {
		if _, ok := slices.BinarySearch(numbers, r.number); ok {
			gone = append(gone, r.id)
			return true
		}
		g.note(r.number, int64(len(out)), r.time)
		out = append(out, body[r.start:r.end]...)
		return true
	})
	if len(gone) == 0 {
		return 0, nil
	}
	if err := replace(old.path, out); err != nil {
		return 0, err
	}
	for _, id := range gone {
		delete(s.known, id)
	}
	g.size = int64(len(out))
	s.segments[i] = g
	s.bytes += g.size - old.size
	s.letters += g.letters - old.letters
	return len(gone), nil
}

// removeEmpty takes a segment without letters away.
func (s *Store) removeEmpty(i int) error {
	if err := os.Remove(s.segments[i].path); err != nil {
		return err
	}
	s.bytes -= s.segments[i].size
	s.segments = slices.Delete(s.segments, i, i+1)
	return nil
}

// countDropped counts letters that go over the limits.
func (s *Store) countDropped(n int64) error {
	if n == 0 {
		return nil
	}
	s.dropped += n
	return replace(filepath.Join(s.opt.Dir, droppedFile), strconv.AppendInt(nil, s.dropped, 10))
}

// replace puts data in the place of a file.
func replace(path string, data []byte) error {
	return durable.Replace(path, func(f *os.File) error {
		if err := f.Chmod(0o640); err != nil {
			return err
		}
		_, err := f.Write(data)
		return err
	})
}

// loadDropped reads that count. A store of an older version has none; there,
// letters went in no other way.
func (s *Store) loadDropped(firsts []uint64) error {
	text, err := os.ReadFile(filepath.Join(s.opt.Dir, droppedFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if len(firsts) > 0 {
			return s.countDropped(int64(firsts[0] - 1))
		}
		return nil
	case err != nil:
		return err
	}
	if s.dropped, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err != nil {
		return fmt.Errorf("read the count of dropped letters: %w", err)
	}
	return nil
}

package deadletter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
)

// MaxPage is the most letters of one page.
const MaxPage = 500

// Page is one page of a list.
type Page struct {
	// Total is how many letters the store holds.
	Total int64
	// Letters are the oldest first, without Raw.
	Letters []Letter
	// Next is the cursor of the next page; empty after the last one.
	Next string
}

// List returns up to limit letters (0 or more than MaxPage means MaxPage) from
// cursor on; an empty cursor starts with the oldest. Letters that are added
// meanwhile come at the end, and dropped ones are passed over, so following
// Next shows every kept letter exactly once.
func (s *Store) List(limit int, cursor string) (Page, error) {
	return s.page(limit, cursor, false)
}

func (s *Store) page(limit int, cursor string, raw bool) (Page, error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	from := uint64(1)
	if cursor != "" {
		var err error
		if from, err = parseID(cursor); err != nil {
			return Page{}, ErrCursor
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return Page{}, ErrClosed
	}
	page := Page{Total: s.letters}
	size := 0
	err := s.walk(from, func(r *record) bool {
		if len(page.Letters) == limit || size >= loadBytes {
			page.Next = formatID(r.number)
			return false
		}
		l := r.letter(raw)
		size += len(l.Raw) + len(l.Context)
		page.Letters = append(page.Letters, l)
		return true
	})
	return page, err
}

// loadBytes bounds the raw bytes and contexts of one Load, which may go beyond
// it by one letter.
const loadBytes = 8 << 20

// Load is List with the bytes of the letters; a page may be shorter than limit
// because these are many.
func (s *Store) Load(limit int, cursor string) (Page, error) {
	return s.page(limit, cursor, true)
}

// Get returns one letter with its Raw, or ErrNotFound.
func (s *Store) Get(id string) (Letter, error) {
	number, err := parseID(id)
	if err != nil {
		return Letter{}, ErrNotFound
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return Letter{}, ErrClosed
	}
	var out Letter
	err = s.walk(number, func(r *record) bool {
		if r.number == number {
			out = r.letter(true)
		}
		return false
	})
	if err == nil && out.ID == "" {
		err = ErrNotFound
	}
	return out, err
}

// walk calls fn with the letters from number on until fn returns false.
func (s *Store) walk(number uint64, fn func(r *record) bool) error {
	// The segment before the first one that begins beyond number.
	i := max(0, s.beyond(number)-1)
	for ; i < len(s.segments); i++ {
		g := s.segments[i]
		data, err := g.read(g.before(number))
		if err != nil {
			return fmt.Errorf("read dead letters: %w", err)
		}
		more := true
		scan(data, max(g.first, number), s.limit(i), func(r *record) bool {
			more = fn(r)
			return more
		})
		if !more {
			return nil
		}
	}
	return nil
}

// beyond is the index of the first segment that begins after number.
func (s *Store) beyond(number uint64) int {
	if i := slices.IndexFunc(s.segments, func(g *segment) bool { return g.first > number }); i >= 0 {
		return i
	}
	return len(s.segments)
}

// limit is the number at which segment i has ended.
func (s *Store) limit(i int) uint64 {
	if i+1 < len(s.segments) {
		return s.segments[i+1].first
	}
	return s.next
}

// read returns the bytes of a segment from offset on.
func (g *segment) read(offset int64) ([]byte, error) {
	if offset >= g.size {
		return nil, nil
	}
	file, err := os.Open(g.path)
	if err != nil {
		return nil, err
	}
	data := make([]byte, g.size-offset)
	_, err = io.ReadFull(io.NewSectionReader(file, offset, g.size-offset), data)
	return data, errors.Join(err, file.Close())
}

// formatID makes the ID of a letter from its number.
func formatID(number uint64) string { return strconv.FormatUint(number, 10) }

// parseID reads an ID.
func parseID(id string) (uint64, error) { return strconv.ParseUint(id, 10, 64) }

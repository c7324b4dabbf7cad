package neighbors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"vitrine/als/neighbors/overlap"
)

// DefaultPerItem is how many sessions of an item the index keeps.
const DefaultPerItem = 5000

// Sessions is the index of past sessions. Its four slices are all there is to
// store: the sessions themselves, in time order, and for every item i the
// newest sessions that hold it, Session[Posting[i]:Posting[i+1]], ascending.
type Sessions struct {
	Sequences
	// Posting has one entry more than there are items, the first is 0.
	Posting []int64
	// Session holds numbers of sessions.
	Session []uint32
}

// SessionOptions say what the index keeps. The zero value of a field other
// than Items means the documented default.
type SessionOptions struct {
	// Items is the number of items, which the sequences do not tell.
	Items int
	// PerItem is how many sessions of an item are kept, the newest; 0 is
	// DefaultPerItem.
	PerItem int
	// Newest is how many sessions are kept; 0 keeps all.
	Newest int
}

// NewSessions indexes sessions that stand in time order, newest last. It is
// two passes of a counting sort on one core. The index aliases q.Items.
func NewSessions(ctx context.Context, q *Sequences, opt SessionOptions) (*Sessions, error) {
	if err := q.Check(opt.Items); err != nil {
		return nil, fmt.Errorf("index sessions: %w", err)
	}
	if opt.PerItem < 0 || opt.Newest < 0 {
		return nil, fmt.Errorf("index sessions: negative number in %+v", opt)
	}
	perItem := int64(opt.PerItem)
	if perItem == 0 {
		perItem = DefaultPerItem
	}
	s := &Sessions{Sequences: q.newest(opt.Newest), Posting: make([]int64, opt.Items+1)}
	if int64(s.Sequences.Len()) > math.MaxUint32 {
		return nil, errors.New("index sessions: more than 2^32 sessions")
	}
	held := make([]int64, opt.Items)
	last := make([]int64, opt.Items)
	if err := s.eachItem(ctx, last, func(_ int, item uint32) { held[item]++ }); err != nil {
		return nil, err
	}
	for item, n := range held {
		s.Posting[item+1] = s.Posting[item] + min(n, perItem)
	}
	s.Session = make([]uint32, s.Posting[opt.Items])
	next := append([]int64(nil), s.Posting[:opt.Items]...)
	clear(last)
	err := s.eachItem(ctx, last, func(session int, item uint32) {
		if held[item]--; held[item] < perItem {
			s.Session[next[item]] = uint32(session)
			next[item]++
		}
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// newest returns the last n sequences, all of them when n is 0.
func (q *Sequences) newest(n int) Sequences {
	out := Sequences{Start: []int64{0}}
	if q.Len() == 0 {
		return out
	}
	from := 0
	if n > 0 {
		from = max(q.Len()-n, 0)
	}
	out.Items = q.Items[q.Start[from]:]
	for _, end := range q.Start[from+1:] {
		out.Start = append(out.Start, end-q.Start[from])
	}
	return out
}

// eachItem calls fn for every sequence and every distinct item in it. last
// remembers, per item, one more than the sequence that held it last.
func (q *Sequences) eachItem(ctx context.Context, last []int64, fn func(sequence int, item uint32)) error {
	for n := range q.Len() {
		if n%stopRows == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for _, item := range q.At(n) {
			if last[item] != int64(n)+1 {
				last[item] = int64(n) + 1
				fn(n, item)
			}
		}
	}
	return nil
}

// NumItems is the number of items of the index.
func (s *Sessions) NumItems() int { return max(len(s.Posting)-1, 0) }

// Check reports the first thing that makes s no index, for slices that were
// not built here. It allocates nothing.
func (s *Sessions) Check() error {
	if err := s.Sequences.Check(s.NumItems()); err != nil {
		return err
	}
	if err := checkStart(s.Posting, len(s.Session)); err != nil {
		return fmt.Errorf("check sessions: %w", err)
	}
	for item := range s.NumItems() {
		list := s.holding(uint32(item), math.MaxInt)
		for n, session := range list {
			if int64(session) >= int64(s.Sequences.Len()) || (n > 0 && list[n-1] >= session) {
				return fmt.Errorf("check sessions: item %d lists session %d of %d", item, session, s.Sequences.Len())
			}
		}
	}
	return nil
}

// holding returns the newest sessions that hold an item, at most n.
func (s *Sessions) holding(item uint32, n int) []uint32 {
	if int64(item) >= int64(s.NumItems()) {
		return nil
	}
	list := s.Session[s.Posting[item]:s.Posting[item+1]]
	return list[max(len(list)-n, 0):]
}

// shares tells, beside Session, where in Items the item of each entry stands
// last in the session, and what the session weighs; a place that there is for an
// entry whose session does not hold the item, which only an index from elsewhere
// has.
func (s *Sessions) shares(weights []float32) []overlap.Share {
	out := make([]overlap.Share, len(s.Session))
	for e, session := range s.Session {
		out[e] = overlap.Share{At: uint32(min(int(s.Start[session]), len(s.Items)-1)), Weight: weights[session]}
	}
	next := slices.Clone(s.Posting)
	for n := range s.Sequences.Len() {
		for p := s.Start[n]; p < s.Start[n+1]; p++ {
			item := s.Items[p]
			e, end := next[item], s.Posting[item+1]
			for e < end && int64(s.Session[e]) < int64(n) {
				e++
			}
			if next[item] = e; e < end && int64(s.Session[e]) == int64(n) {
				out[e].At = uint32(p)
			}
		}
	}
	return out
}

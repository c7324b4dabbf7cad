package trainer

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/parts"
	"vitrine/bridge/parquet"
)

// windowColumns are the columns that training reads.
const windowColumns = parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value | parquet.SessionID

// loader reads the archive into units, part by part, on all cores.
type loader struct {
	dir   string
	sig   *signal.Signal
	parts *parts.Parts
	// owners says whose events are: not always of those who are written there.
	owners *archive.Owners
	// users and items number the ids of the interactions that enter: what was
	// only shown gets no row, for no factors could be found for it.
	users, items *interner
	// units are the interactions of each part; their users and items are codes
	// until all parts are read.
	units []unit

	progress func(done, total int)
	mu       sync.Mutex
	// done and total count rows.
	done, total int
}

// read loads the archive within so many bytes; 0 is any number. progress, called
// one at a time, is told how many of the rows are read.
func read(ctx context.Context, dir string, sig *signal.Signal, limit int64, progress func(done, total int)) (*window, error) {
	a, err := archive.OpenReadOnly(ctx, archive.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	l := &loader{dir: dir, sig: sig, users: newInterner(), items: newInterner(), progress: progress}
	if l.owners, err = a.Owners(ctx); err != nil {
		return nil, fmt.Errorf("read erasures and merges: %w", err)
	}
	if l.parts, err = parts.List(ctx, a); err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	for n := range l.parts.Len() {
		l.total += l.parts.Rows(n)
	}
	if err := l.checkLoad(ctx, limit); err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	l.units = make([]unit, l.parts.Len())
	if err := l.readParts(ctx); err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	w := &window{position: a.Position()}
	l.number(w)
	return w, w.group(ctx, l.units)
}

// readParts fills the units. The first failure stops all readers.
func (l *loader) readParts(ctx context.Context) error {
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	columns := windowColumns
	if !l.owners.None() {
		columns |= parquet.BusSeq
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			r := partReader{loader: l, reader: l.parts.Reader(columns)}
			for inner.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= l.parts.Len() {
					break
				}
				if err := r.read(inner, n); err != nil {
					stop(err)
				}
			}
			if err := r.reader.Close(); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(inner)
}

// tell reports progress, a hundred times at most.
func (l *loader) tell(rows int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.done
	l.done += rows
	if rows > 0 && l.done*100/l.total > before*100/l.total {
		l.progress(l.done, l.total)
	}
}

// number turns the codes of the units into rows.
func (l *loader) number(w *window) {
	var users, items rowsOf
	w.userIDs, users = l.users.rows()
	w.itemIDs, items = l.items.rows()
	inParallel(len(l.units), func(n int) {
		u := &l.units[n]
		for i, code := range u.users {
			u.users[i] = users.row(code)
		}
		for i, code := range u.items {
			u.items[i] = items.row(code)
		}
	})
}

// partReader is one goroutine's working memory: a part's interactions, with
// the part's own numbers of users and items.
type partReader struct {
	loader *loader
	reader *parts.Reader
	users  side
	items  side
	// types are the signal's codes by the part's numbers, -1 for what does not
	// enter.
	types  []int
	times  []int64
	kinds  []uint8
	values []float32
	// sessions tell which events are of one session, see columns.
	sessions []uint16
	intern   internScratch
	moved    moved
}

// side is the users or the items of a part.
type side struct {
	rows []uint32
	// first is the first row of each id, plus one; 0 for what has none.
	first []uint32
	names []string
	codes []uint32
}

// grow makes room for names that have come.
func (s *side) grow(names []string) {
	s.names = names
	s.first = append(s.first, make([]uint32, len(names)-len(s.first))...)
}

// add puts in the next row, of the id with this number.
func (s *side) add(id uint32) {
	s.rows = append(s.rows, id)
	if s.first[id] == 0 {
		s.first[id] = uint32(len(s.rows))
	}
}

// finish returns the rows with the interner's codes.
func (s *side) finish(in *interner, part int, scratch *internScratch) []uint32 {
	s.codes = in.codes(s.names, s.first, part, scratch, s.codes)
	for i, id := range s.rows {
		s.rows[i] = s.codes[id]
	}
	out := slices.Clone(s.rows)
	s.rows, s.first, s.names = s.rows[:0], s.first[:0], nil
	return out
}

// read makes a part a unit.
func (r *partReader) read(ctx context.Context, n int) error {
	r.types, r.times, r.kinds, r.values, r.sessions = r.types[:0], r.times[:0], r.kinds[:0], r.values[:0], r.sessions[:0]
	rows := 0
	if err := r.reader.Scan(ctx, n, func(b *archive.EventBatch) error {
		rows += b.Len
		r.add(b)
		return nil
	}); err != nil {
		return err
	}
	r.moved.part = n
	u := unit{
		users: r.users.finish(r.loader.users, n, &r.intern),
		items: r.items.finish(r.loader.items, n, &r.intern),
		types: slices.Clone(r.kinds),
	}
	if len(r.times) > 0 {
		u.base = slices.Min(r.times)
		if span := slices.Max(r.times) - u.base; span > math.MaxUint32 {
			return fmt.Errorf("%s: its events are %d days apart, but its folder is of one date", filepath.Join(r.loader.dir, r.loader.parts.Path(n)), span/dayMillis)
		}
	}
	r.moved.finish(r.loader.users, u.users)
	u.offsets = make([]uint32, len(r.times))
	for i, t := range r.times {
		u.offsets[i] = uint32(t - u.base)
	}
	if slices.ContainsFunc(r.values, func(v float32) bool { return v == v }) {
		u.values = slices.Clone(r.values)
	}
	if slices.ContainsFunc(r.sessions, func(s uint16) bool { return s != 0 }) {
		u.sessions = slices.Clone(r.sessions)
	}
	r.loader.units[n] = u
	r.loader.tell(rows)
	return nil
}

const dayMillis = 24 * 60 * 60 * 1000

// add takes the interactions of a batch.
func (r *partReader) add(b *archive.EventBatch) {
	for n := len(r.types); n < len(b.EventType.Names); n++ {
		r.types = append(r.types, enteringCode(r.loader.sig, b.EventType.Names[n]))
	}
	r.users.grow(b.UserID.Names)
	r.items.grow(b.ItemID.Names)
	for i := range b.Len {
		code := r.types[b.EventType.Code[i]]
		if code < 0 {
			continue
		}
		value := b.Value[i]
		if user := b.UserID.Code[i]; r.loader.owners.Moved(b.UserID.Names[user]) {
			owner := r.loader.owners.Of(b.UserID.Names[user], b.BusSeq[i])
			if owner == "" {
				continue
			}
			r.moved.add(owner, len(r.users.rows))
			r.users.rows = append(r.users.rows, user) // until finish
		} else {
			r.users.add(user)
		}
		r.items.add(b.ItemID.Code[i])
		r.times = append(r.times, b.Time[i])
		r.kinds = append(r.kinds, uint8(code))
		r.values = append(r.values, signal.Amount(value, value == value))
		r.sessions = append(r.sessions, signal.SessionHash(b.SessionID[i]))
	}
}

func enteringCode(sig *signal.Signal, name string) int {
	code, ok := sig.TypeCode(name)
	if !ok || !sig.Enters(code) {
		return -1
	}
	return int(code)
}

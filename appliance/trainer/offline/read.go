package offline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/file"
	"vitrine/bridge/parquet"
)

// ids numbers the ids of one side in the order in which they come.
type ids struct {
	of    map[string]uint32
	names []string
}

func (d *ids) row(id string) uint32 {
	if row, ok := d.of[id]; ok {
		return row
	}
	if d.of == nil {
		d.of = map[string]uint32{}
	}
	row := uint32(len(d.names))
	d.of[id] = row
	d.names = append(d.names, id)
	return row
}

// history holds interactions by user: user u has events[starts[u]:starts[u+1]],
// by time, equal times in the order in which they came. place is where each
// came among all.
type history struct {
	starts []int
	events []signal.Interaction
	place  []uint32
}

func (h *history) users() int { return max(len(h.starts)-1, 0) }

func (h *history) of(user int) []signal.Interaction {
	if user >= h.users() {
		return nil
	}
	return h.events[h.starts[user]:h.starts[user+1]]
}

// raw is interactions as they come.
type raw struct {
	users  []uint32
	events []signal.Interaction
}

// group makes a history of rows, for at least so many users.
func (w *raw) group(users int) *history {
	h := &history{starts: make([]int, users+1), events: make([]signal.Interaction, len(w.events)), place: make([]uint32, len(w.events))}
	for _, u := range w.users {
		h.starts[u+1]++
	}
	for u := range users {
		h.starts[u+1] += h.starts[u]
	}
	next := slices.Clone(h.starts)
	for n, u := range w.users {
		h.place[next[u]] = uint32(n)
		next[u]++
	}
	for u := range users {
		slices.SortStableFunc(h.place[h.starts[u]:h.starts[u+1]], func(a, b uint32) int {
			return cmp.Compare(w.events[a].Time, w.events[b].Time)
		})
	}
	for n, place := range h.place {
		h.events[n] = w.events[place]
	}
	return h
}

// part keeps the interactions that keep reports true for, for the same users.
func (h *history) part(keep func(user, at int) bool) *history {
	p := &history{starts: make([]int, len(h.starts))}
	for u := range h.users() {
		for at := h.starts[u]; at < h.starts[u+1]; at++ {
			if keep(u, at) {
				p.events = append(p.events, h.events[at])
				p.place = append(p.place, h.place[at])
			}
		}
		p.starts[u+1] = len(p.events)
	}
	return p
}

// data is all that is measured.
type data struct {
	items []string
	// train is everything where the split is still to be made; test is that of
	// a given split. Their users are the same, but for sessions.
	train, test *history
	// rejected counts the rows that are no interactions, idle those of types
	// that say nothing about taste.
	rejected      int64
	firstRejected string
	idle          int64
}

// read loads the source.
func (r *run) read(ctx context.Context) (d *data, err error) {
	d = &data{}
	err = r.stage("read", func() error {
		if r.job.Source.Dir != "" {
			return r.readArchive(ctx, d)
		}
		return r.readFiles(ctx, d)
	})
	return d, err
}

// readFiles loads the files. In a given split both sides share their numbers of
// users and items; two sessions of one name, in train and test, are two.
func (r *run) readFiles(ctx context.Context, d *data) error {
	src := r.job.Source
	var users, items ids
	first := src.Events
	if len(src.Train) > 0 {
		first = src.Train
	}
	w, err := r.readSide(ctx, d, first, &users, &items)
	if err != nil {
		return err
	}
	if len(src.Train) == 0 {
		d.train, d.items = w.group(len(users.names)), items.names
		return nil
	}
	testUsers := &users
	if r.opt.Mode == ModeSession {
		testUsers = &ids{}
	}
	t, err := r.readSide(ctx, d, src.Test, testUsers, &items)
	if err != nil {
		return err
	}
	d.train, d.test, d.items = w.group(len(users.names)), t.group(len(testUsers.names)), items.names
	return nil
}

// readSide loads the files of one side.
func (r *run) readSide(ctx context.Context, d *data, files []string, users, items *ids) (*raw, error) {
	sink := &sink{run: r, data: d, users: users, items: items}
	spec, err := r.spec()
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		sink.name, spec.Name = name, name
		if _, err := file.ReadPath(ctx, name, spec, sink); err != nil {
			return nil, withHint(err)
		}
	}
	if len(sink.events) == 0 && d.rejected > 0 {
		return nil, fmt.Errorf("read %s: no row is an interaction; the first fault is in %s", files[0], d.firstRejected)
	}
	return &sink.raw, nil
}

// withHint carries the hint of a file's fault over the pipe of the child.
func withHint(err error) error {
	var fault *file.InputError
	if errors.As(err, &fault) && fault.Hint != "" {
		return fmt.Errorf("%w (%s)", err, fault.Hint)
	}
	return err
}

// The columns of a ratings file without a header: MovieLens' layout, of which
// the last one or two may be absent.
func layout() []file.Mapping {
	return []file.Mapping{
		{Field: "user_id", Column: "1"}, {Field: "item_id", Column: "2"}, {Field: "value", Column: "3"}, {Field: "ts", Column: "4"},
	}
}

// spec says how files become events.
func (r *run) spec() (file.Spec, error) {
	src := r.job.Source
	spec := file.Spec{
		Format: src.Format, Where: src.Where, TSFormat: src.TSFormat, TZ: src.TZ,
		Bare: layout(), Types: r.sig, Type: "purchase", Lines: file.Lists, NoIDs: true, Now: time.Now(),
	}
	switch r.opt.Mode {
	case ModeExplicit:
		spec.Type = "rating"
	case ModeSession:
		spec.Lines = file.Sessions
	}
	var err error
	if spec.Map, err = file.ParseMap(src.Map); err != nil {
		return spec, withHint(err)
	}
	return spec, nil
}

// sink takes the events of files.
type sink struct {
	raw
	run          *run
	data         *data
	name         string
	users, items *ids
}

// Records implements file.Sink.
func (s *sink) Records(_ context.Context, records []event.Record) error {
	for n := range records {
		if records[n].Kind != event.KindEvent {
			continue
		}
		e := &records[n].Event
		in, ok := s.run.sig.Interaction(e, 0)
		if !ok {
			s.data.idle++
			continue
		}
		in.Item, in.Session = s.items.row(e.ItemID), signal.SessionHash(e.SessionID)
		s.add(s.users.row(e.UserID), in)
	}
	return nil
}

func (w *raw) add(user uint32, in signal.Interaction) {
	w.users, w.events = append(w.users, user), append(w.events, in)
}

// Reject implements file.Sink.
func (s *sink) Reject(_ context.Context, rejected []file.Rejected) error {
	for _, row := range rejected {
		if s.data.rejected++; s.data.firstRejected == "" {
			s.data.firstRejected = fmt.Sprintf("%s line %d: %s", s.name, row.Line, row.Detail)
		}
	}
	return nil
}

// readArchive loads the archive as a training does: what the erased did is left
// out, and what guests did is theirs whom they became.
func (r *run) readArchive(ctx context.Context, d *data) error {
	a, err := archive.OpenReadOnly(ctx, archive.Options{Dir: r.job.Source.Dir})
	if err != nil {
		return err
	}
	defer a.Close()
	if at := a.Position(); at < r.job.Source.Position {
		return fmt.Errorf("read archive %s: it ends at bus sequence %d, but was committed up to %d", r.job.Source.Dir, at, r.job.Source.Position)
	}
	owners, err := a.Owners(ctx)
	if err != nil {
		return fmt.Errorf("read erasures and merges: %w", err)
	}
	columns := parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value | parquet.SessionID
	if !owners.None() {
		columns |= parquet.BusSeq
	}
	rows := archiveRows{run: r, owners: owners}
	if err := a.ScanEvents(ctx, columns, rows.take); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	d.train, d.items, d.idle = rows.group(len(rows.users.names)), rows.items.names, rows.idle
	return nil
}

// archiveRows takes the events of the archive.
type archiveRows struct {
	raw
	run *run
	// owners says whose events are: not always of those who are written there.
	owners       *archive.Owners
	users, items ids
	idle         int64
}

func (s *archiveRows) take(b *parquet.EventBatch) error {
	for n := range b.Len {
		code, ok := s.run.sig.TypeCode(b.EventType.At(n))
		if !ok || !s.run.sig.Enters(code) {
			s.idle++
			continue
		}
		user := b.UserID.At(n)
		if s.owners.Moved(user) {
			if user = s.owners.Of(user, b.BusSeq[n]); user == "" {
				continue
			}
		}
		s.add(s.users.row(user), signal.Interaction{
			Time: b.Time[n], Value: signal.Amount(b.Value[n], b.Value[n] == b.Value[n]), Type: code,
			Item: s.items.row(b.ItemID.At(n)), Session: signal.SessionHash(b.SessionID[n]),
		})
	}
	return nil
}

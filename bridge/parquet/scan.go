package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go"

	"vitrine/bridge/event"
)

// EventScanner reads event files one after the other. The numbers of its
// batches' strings stay the same over all of them. It is for one goroutine.
type EventScanner struct {
	columns           Columns
	user, item, event *dictionary
	batch             EventBatch
	committed         int64
	seqs              []uint64
	codes             [3][]uint32
	times             []int64
	positions         []int32
	values, prices    []float64

	ids, sessions, requests, scenes, currencies, props texts
}

// texts is the memory of a column of strings that are hardly ever the same.
type texts struct {
	arena []byte
	ends  []int
	list  []string
}

// NewEventScanner makes a scanner that reads the given columns.
func NewEventScanner(columns Columns) *EventScanner {
	return &EventScanner{columns: columns, user: newDictionary(), item: newDictionary(), event: newDictionary()}
}

// Scan calls fn with the rows of f in order. An error of fn ends the scan and
// comes back as it is.
func (s *EventScanner) Scan(ctx context.Context, f *File, fn func(*EventBatch) error) error {
	for _, group := range f.pq.RowGroups() {
		if err := s.scan(ctx, f, group, fn); err != nil {
			return err
		}
	}
	return nil
}

// scan reads one row group.
func (s *EventScanner) scan(ctx context.Context, f *File, group parquet.RowGroup, fn func(*EventBatch) error) error {
	columns, err := s.open(f, group)
	if err == nil {
		s.committed = f.info.Commit.Time
		err = s.scanGroup(ctx, columns, group.NumRows(), fn)
	}
	for i := range columns {
		err = errors.Join(err, columns[i].close())
	}
	var fromCaller *callerError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fromCaller):
		return fromCaller.err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("read %s: %w", f.path, err)
}

// callerError carries an error of the caller's function past the wrapping.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }

// open starts one column per wanted one, in the order of the flags.
func (s *EventScanner) open(f *File, group parquet.RowGroup) (columns []*column, err error) {
	defer guard(&err)
	chunks := group.ColumnChunks()
	for _, want := range []struct {
		flag Columns
		name string
		kind parquet.Kind
		dict *dictionary
	}{
		{UserID, "user_id", parquet.ByteArray, s.user},
		{ItemID, "item_id", parquet.ByteArray, s.item},
		{EventType, "event_type", parquet.ByteArray, s.event},
		{Time, "ts", parquet.Int64, nil},
		{Value, "value", parquet.Double, nil},
		{EventID, "event_id", parquet.ByteArray, nil},
		{BusSeq, "bus_seq", parquet.Int64, nil},
		{SessionID, "session_id", parquet.ByteArray, nil},
		{RequestID, "request_id", parquet.ByteArray, nil},
		{Position, "position", parquet.Int32, nil},
		{Scene, "scene", parquet.ByteArray, nil},
		{Price, "price", parquet.Double, nil},
		{Currency, "currency", parquet.ByteArray, nil},
		{Props, "props", parquet.ByteArray, nil},
	} {
		if s.columns&want.flag == 0 {
			continue
		}
		leaf, ok := f.pq.Schema().Lookup(want.name)
		if !ok || leaf.ColumnIndex >= len(chunks) {
			return columns, fmt.Errorf("it has no column %s", want.name)
		}
		if kind := leaf.Node.Type().Kind(); kind != want.kind || leaf.MaxRepetitionLevel != 0 || leaf.MaxDefinitionLevel > 1 {
			return columns, fmt.Errorf("column %s is of another type: %s", want.name, kind)
		}
		columns = append(columns, &column{
			name: want.name, kind: want.kind, dict: want.dict, pages: chunks[leaf.ColumnIndex].Pages(),
		})
	}
	return columns, nil
}

func (s *EventScanner) scanGroup(ctx context.Context, columns []*column, rows int64, fn func(*EventBatch) error) error {
	for rows > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(rows, BatchRows))
		if err := s.read(columns, n); err != nil {
			return err
		}
		if err := fn(&s.batch); err != nil {
			return &callerError{err}
		}
		rows -= int64(n)
	}
	return nil
}

// read fills the batch with the next n rows.
func (s *EventScanner) read(columns []*column, n int) (err error) {
	defer guard(&err)
	b := &s.batch
	*b = EventBatch{Len: n, Committed: s.committed}
	for _, c := range columns {
		switch c.name {
		case "user_id":
			b.UserID, err = s.readCodes(c, 0, n)
		case "item_id":
			b.ItemID, err = s.readCodes(c, 1, n)
		case "event_type":
			b.EventType, err = s.readCodes(c, 2, n)
		case "ts":
			s.times = grow(s.times, n)
			b.Time, err = s.times, readInts(c, s.times)
		case "value":
			s.values = grow(s.values, n)
			b.Value, err = s.values, readNumbers(c, s.values, &c.doubles, math.NaN())
		case "event_id":
			b.EventID, err = s.ids.read(c, n)
		case "session_id":
			b.SessionID, err = s.sessions.read(c, n)
		case "request_id":
			b.RequestID, err = s.requests.read(c, n)
		case "position":
			s.positions = grow(s.positions, n)
			b.Position, err = s.positions, readNumbers(c, s.positions, &c.small, 0)
		case "scene":
			b.Scene, err = s.scenes.read(c, n)
		case "price":
			s.prices = grow(s.prices, n)
			b.Price, err = s.prices, readNumbers(c, s.prices, &c.doubles, math.NaN())
		case "currency":
			b.Currency, err = s.currencies.read(c, n)
		case "props":
			b.Props, err = s.props.read(c, n)
		case "bus_seq":
			s.seqs = grow(s.seqs, n)
			b.BusSeq, err = s.seqs, readInts(c, s.seqs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *EventScanner) readCodes(c *column, slot, n int) (Codes, error) {
	s.codes[slot] = grow(s.codes[slot], n)
	err := c.readCodes(s.codes[slot])
	return Codes{Code: s.codes[slot], Names: c.dict.names}, err
}

// read reads n rows.
func (t *texts) read(c *column, n int) ([]string, error) {
	var err error
	if t.arena, t.ends, err = c.readStrings(t.arena[:0], t.ends[:0], n); err != nil {
		return nil, err
	}
	all := string(t.arena)
	t.list = grow(t.list, n)
	start := 0
	for i, end := range t.ends {
		t.list[i] = all[start:end]
		start = end
	}
	return t.list, nil
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, BatchRows)
	}
	return s[:n]
}

// ScanItems calls fn with the item changes of f in order, and the bus message
// that each came in. The record is
// overwritten by the next; its strings and attributes are safe to keep.
func (f *File) ScanItems(ctx context.Context, fn func(seq uint64, r *event.Record) error) error {
	return scanRows[itemRow](ctx, f, "item_id", fn)
}

// ScanUsers is ScanItems for a file of user changes.
func (f *File) ScanUsers(ctx context.Context, fn func(seq uint64, r *event.Record) error) error {
	return scanRows[userRow](ctx, f, "user_id", fn)
}

// recordRow is a pointer to a row that is one record.
type recordRow[R any] interface {
	*R
	record(r *event.Record) error
	seq() uint64
}

// scanRows refuses a file without the id column: the library would read it as
// empty texts.
func scanRows[R itemRow | userRow, P recordRow[R]](ctx context.Context, f *File, id string, fn func(uint64, *event.Record) error) error {
	if _, ok := f.pq.Schema().Lookup(id); !ok {
		return fmt.Errorf("read %s: it has no column %s", f.path, id)
	}
	rows := make([]R, chunkRows)
	var record event.Record
	reader, err := rowReader[R](f)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.path, err)
	}
	defer reader.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, last, err := readRows(reader, rows)
		if err != nil {
			return fmt.Errorf("read %s: %w", f.path, err)
		}
		for i := range rows[:n] {
			if err := P(&rows[i]).record(&record); err != nil {
				return fmt.Errorf("read %s: %w", f.path, err)
			}
			if err := fn(P(&rows[i]).seq(), &record); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

func rowReader[R any](f *File) (r *parquet.GenericReader[R], err error) {
	defer guard(&err)
	return parquet.NewGenericReader[R](f.pq), nil
}

func readRows[R any](r *parquet.GenericReader[R], rows []R) (n int, last bool, err error) {
	defer guard(&err)
	n, err = r.Read(rows)
	if errors.Is(err, io.EOF) {
		return n, true, nil
	}
	return n, n == 0, err
}

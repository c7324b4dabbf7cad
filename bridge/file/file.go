// Package file reads files of events and of item or user attributes (CSV, TSV,
// NDJSON, lines of ids, plain or compressed by gzip, zstd or xz; Parquet) into
// records of the log.
//
// It owns how rows are read, the mapping of columns to fields, the filters, the
// times, the identity of rows without an event_id, and the faults of all of
// these. It knows nothing of the log, of dead letters or of HTTP: records and
// rejected rows go to a Sink. It must not import anything of this module but
// bridge/event, what is below this folder, bridge/parquet, internal/expr and
// internal/nearest.
//
//	mapping, err := file.ParseMap("user_id=CustomerID,item_id=StockCode,event_type==purchase")
//	counts, err := file.Read(ctx, r, file.Spec{Name: "shop.csv.xz", Map: mapping}, sink)
package file

import (
	"context"
	"fmt"
	"io"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/file/format"
	"vitrine/bridge/file/stream"
)

// Kind is what the rows of a file are.
type Kind uint8

const (
	// Events is a file with one interaction per row.
	Events Kind = iota
	// Items is a file with the attributes of one item per row.
	Items
	// Users is a file with the attributes of one user per row.
	Users
)

// Formats that Spec.Format names.
const (
	CSV      = format.CSV
	TSV      = format.TSV
	NDJSON   = format.NDJSON
	Lists    = format.Lists
	Sessions = format.Sessions
	// Parquet is read by ReadPath alone, because it is not read from front to
	// end.
	Parquet = format.Parquet
)

// Spec says what a file is and how its rows become records.
type Spec struct {
	// Name is the name of the file in faults and in the source of each record.
	Name string
	// Format is one of the formats; empty guesses by the name, then by the
	// content.
	Format string
	// Lines is what lines of numbers are taken for when the format is guessed:
	// Lists or Sessions; empty takes them for neither.
	Lines string
	// Kind is what the rows are; the zero value is Events.
	Kind Kind
	// Map says which column, or constant, becomes which field. Fields that it
	// does not name come from the columns of their own name.
	Map []Mapping
	// Bare are mappings of columns by their position ("1" is the first) for a
	// file without a header. They give the fields that Map does not name.
	Bare []Mapping
	// Type is the type of events that name none; empty rejects them.
	Type string
	// NoIDs leaves events without an event_id as they are, for a caller who
	// keeps none: the hash is most of the work.
	NoIDs bool
	// Where keeps the rows for which it holds; empty keeps all.
	Where string
	// RemoveWhere turns the events for which it holds into "remove" events.
	RemoveWhere string
	// TSFormat is the form of ts: strftime ("%d/%m/%Y %H:%M"), a Go layout,
	// "unix" or "unix_ms"; empty understands the usual forms.
	TSFormat string
	// TZ is the zone of times that name none; empty is UTC.
	TZ string
	// Types knows the configured event types; nil lets every type pass.
	Types event.Types
	// Now is the time of events without one; zero is the time of the call.
	Now time.Time
}

// Counts is what became of the rows. Read is the sum of Emitted, Rejected and
// Skipped.
type Counts struct {
	// Read counts the rows, without the header and empty lines.
	Read int64
	// Emitted counts the rows that became a record: the caller parts them into
	// accepted and duplicate.
	Emitted int64
	// Rejected counts the rows given to Sink.Reject.
	Rejected int64
	// Skipped counts the rows that Where dropped.
	Skipped int64
	// Patches counts the attribute records that came on top of the events from
	// attr.NAME columns; they are no rows.
	Patches int64
}

// Rejected is a row that cannot become a record.
type Rejected struct {
	// Line is the physical line, from 1, on which the row begins.
	Line int64
	// Code is one of event's codes, or CodeInvalidRow.
	Code string
	// Detail says what is wrong, for people.
	Detail string
	// Raw is the row as it stands in the file, at most MaxRaw bytes of it.
	Raw []byte
	// Truncated says that the row is longer than Raw.
	Truncated bool
	// Head is the header as it stands in the file, nil without one.
	Head []byte
}

const (
	// CodeInvalidRow is the code of a row that does not fit the file's format:
	// a wrong number of fields or a quote out of place.
	CodeInvalidRow = "invalid_row"
	// MaxRow is the most bytes of one row.
	MaxRow = stream.MaxRow
	// MaxRaw is the most bytes of a rejected row that are kept.
	MaxRaw = 64 << 10
)

// Sink takes what was read, in file order, from one goroutine. The slices are
// only valid until the call returns; the strings are safe to keep. An error
// ends the reading and is returned by Read as it is.
type Sink interface {
	// Records takes events and attribute changes.
	Records(ctx context.Context, records []event.Record) error
	// Reject takes rows that cannot become a record.
	Reject(ctx context.Context, rejected []Rejected) error
}

// Read reads the whole of r into the sink. Faults of the input are an
// *InputError; the counts are valid beside an error, and what they count was
// given to the sink. When the reading is cut short, one last call of r.Read may
// still be under way as Read returns; closing r ends it.
func Read(ctx context.Context, r io.Reader, spec Spec, sink Sink) (Counts, error) {
	spec.complete()
	return convey(ctx, sink, func(ctx context.Context, out *conveyor) error {
		return parse(ctx, r, spec, out)
	})
}

func (s *Spec) complete() {
	if s.Now.IsZero() {
		s.Now = time.Now()
	}
}

// convey runs the reading side beside the sink's.
func convey(ctx context.Context, sink Sink, parse func(context.Context, *conveyor) error) (Counts, error) {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan *batch, 1)
	free := make(chan *batch, cap(batches)+2)
	parsed := make(chan error, 1)
	// The parser stops at its next block or batch once the context is
	// cancelled, and it is waited for.
	go func() {
		defer close(batches)
		parsed <- parse(ctx, &conveyor{ctx: ctx, full: batches, free: free})
	}()
	var counts Counts
	var failed error
	for b := range batches {
		if failed == nil {
			failed = b.deliver(ctx, sink, &counts)
		}
		if failed != nil {
			cancel() // and drain, so that the parser ends
		}
		select {
		case free <- b:
		default:
		}
	}
	err := <-parsed
	cause := ctx.Err()
	cancel()
	switch {
	case failed != nil:
		return counts, failed
	case cause != nil:
		return counts, cause
	default:
		return counts, err
	}
}

// parse is the reading side of Read: from bytes to batches.
func parse(ctx context.Context, r io.Reader, spec Spec, out *conveyor) error {
	w, err := stream.Open(ctx, r, spec.Name)
	if err != nil {
		return err
	}
	rows, err := openRows(w, &spec)
	if err != nil {
		return err
	}
	b, err := build(rows, &spec, out)
	if err != nil {
		return err
	}
	if err := w.Fault(spec.Name); err != nil {
		return err
	}
	if b.rows == 0 {
		return inputErrorf(spec.Name, stream.CodeEmptyFile, "it holds no rows").WithHint(stream.HintEmpty)
	}
	return ctx.Err()
}

// build makes records of all rows.
func build(rows rowReader, spec *Spec, out *conveyor) (*builder, error) {
	p, err := newPlan(rows, spec)
	if err != nil {
		return nil, err
	}
	if pq, ok := rows.(*parquetRows); ok {
		pq.want(p)
	}
	b, err := newBuilder(p, spec, out)
	if err != nil {
		return nil, err
	}
	for {
		row, err := rows.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if row == nil {
			continue
		}
		if err := b.add(row); err != nil {
			return nil, err
		}
	}
	// What was read before a broken end counts, so it is handed on first.
	return b, b.finish()
}

// openRows finds the format and reads what comes before the first row.
func openRows(w *stream.Window, spec *Spec) (rowReader, error) {
	guess, delimiter, err := format.Guess(spec.Name, spec.Format, spec.Lines, w.Peek())
	if err != nil {
		return nil, err
	}
	switch guess {
	case NDJSON:
		return newJSONRows(w), nil
	case Lists, Sessions:
		return newListRows(w, guess == Sessions), nil
	}
	return newCSVRows(w, spec, delimiter)
}

// batch is what the parser hands to the sink's side in one go.
type batch struct {
	records  []event.Record
	rejected []Rejected
	counts   Counts
}

// batchRecords fills about one frame of the log.
const batchRecords = 4096

// batchRejectedBytes bounds the raw rows that wait in one batch.
const batchRejectedBytes = 4 << 20

func (b *batch) deliver(ctx context.Context, sink Sink, counts *Counts) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(b.records) > 0 {
		if err := sink.Records(ctx, b.records); err != nil {
			return fmt.Errorf("store the records: %w", err)
		}
	}
	if len(b.rejected) > 0 {
		if err := sink.Reject(ctx, b.rejected); err != nil {
			return fmt.Errorf("store the rejected rows: %w", err)
		}
	}
	counts.Read += b.counts.Read
	counts.Emitted += b.counts.Emitted
	counts.Rejected += b.counts.Rejected
	counts.Skipped += b.counts.Skipped
	counts.Patches += b.counts.Patches
	return nil
}

// conveyor carries batches to the sink's side and the empty ones back.
type conveyor struct {
	ctx  context.Context
	full chan<- *batch
	free <-chan *batch
}

// empty returns a batch to fill.
func (c *conveyor) empty() *batch {
	select {
	case b := <-c.free:
		clear(b.rejected) // lets go of the raw rows
		b.records, b.rejected, b.counts = b.records[:0], b.rejected[:0], Counts{}
		return b
	default:
		return &batch{}
	}
}

// send hands a batch on, or gives up when the context ends.
func (c *conveyor) send(b *batch) error {
	select {
	case c.full <- b:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// Kind is what the rows of a file are.
type Kind uint8

// The kinds of files.
const (
	Events Kind = iota
	Items
	Users
	Served
)

// Row is what decides whether a row is written again.
type Row struct {
	// Number counts the rows of the file from 0.
	Number int64
	// Seq is the bus message that the row came in.
	Seq uint64
	// Time is when a list was served, in Unix milliseconds; 0 in other files.
	Time int64
	// User is whose the row is, "" for an item's. Another one may be put here.
	User string
}

// rewriteGroupRows bounds the memory of a rewriting: a row group is held until
// it is whole, some 100 bytes a row.
const rewriteGroupRows = 1 << 18

// Rewriter writes rows of existing files into a new one, one file after the
// other, as they are. Its memory does not depend on the number of rows. It is for
// one goroutine.
type Rewriter struct {
	kind Kind
	rows rewriter
}

// rewriter is a Rewriter of rows of one type.
type rewriter interface {
	copy(ctx context.Context, f *File, keep func(*Row) bool) (int64, error)
	close(commit Commit) error
}

// NewRewriter begins a file.
func NewRewriter(out io.Writer, kind Kind) *Rewriter {
	w := &Rewriter{kind: kind}
	switch kind {
	case Items:
		w.rows = newTyped[itemRow](out)
	case Users:
		w.rows = newTyped[userRow](out)
	case Served:
		w.rows = newTyped[servedRow](out)
	default:
		w.rows = newTyped[eventRow](out)
	}
	return w
}

// Copy adds those rows of f, which must be of the kind, that keep says so of, and
// returns how many. A nil keep takes all.
func (w *Rewriter) Copy(ctx context.Context, f *File, keep func(*Row) bool) (int64, error) {
	n, err := w.rows.copy(ctx, f, keep)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("rewrite %s: %w", f.path, err)
	}
	return n, err
}

// Close ends the file; it holds what came in the bus messages of commit.
func (w *Rewriter) Close(commit Commit) error {
	if err := w.rows.close(commit); err != nil {
		return fmt.Errorf("rewrite parquet file: %w", err)
	}
	return nil
}

// rowPointer is a pointer to a row of a file of one kind.
type rowPointer[R any] interface {
	*R
	look(*Row)
	change(*Row)
}

type typed[R any, P rowPointer[R]] struct {
	out  *parquet.GenericWriter[R]
	rows []R
}

func newTyped[R any, P rowPointer[R]](out io.Writer) *typed[R, P] {
	options := append(writerOptions(), parquet.MaxRowsPerRowGroup(rewriteGroupRows))
	return &typed[R, P]{out: parquet.NewGenericWriter[R](out, options...), rows: make([]R, chunkRows)}
}

func (t *typed[R, P]) copy(ctx context.Context, f *File, keep func(*Row) bool) (written int64, err error) {
	reader, err := rowReader[R](f)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	var row Row
	for number := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		n, last, err := readRows(reader, t.rows)
		if err != nil {
			return written, err
		}
		kept := t.rows[:n]
		if keep != nil {
			kept = t.rows[:0]
			for i := range n {
				p := P(&t.rows[i])
				row = Row{Number: number + int64(i)}
				p.look(&row)
				if !keep(&row) {
					continue
				}
				p.change(&row)
				kept = append(kept, t.rows[i])
			}
		}
		if _, err := t.out.Write(kept); err != nil {
			return written, err
		}
		written += int64(len(kept))
		number += int64(n)
		clear(t.rows)
		if last {
			return written, nil
		}
	}
}

func (t *typed[R, P]) close(commit Commit) error {
	setMetadata(t.out.SetKeyValueMetadata, commit)
	return t.out.Close()
}

func (row *eventRow) look(r *Row)   { r.User, r.Seq = row.UserID, uint64(row.BusSeq) }
func (row *eventRow) change(r *Row) { row.UserID = r.User }

func (row *servedRow) look(r *Row) {
	r.User, r.Seq, r.Time = row.UserID, uint64(row.BusSeq), row.Time
}

func (row *servedRow) change(r *Row) { row.UserID = r.User }

func (row *itemRow) look(r *Row) { r.Seq = uint64(row.BusSeq) }
func (*itemRow) change(*Row)     {}

func (row *userRow) look(r *Row) {
	r.User, r.Seq = row.UserID, uint64(row.BusSeq)
}

func (row *userRow) change(r *Row) { row.UserID = r.User }

// HasUser says whether any row may be of a user that is for whom is true. It reads
// dictionaries, and rows only where a column has none.
func (f *File) HasUser(is func(id []byte) bool) (found bool, err error) {
	defer guard(&err)
	leaf, ok := f.pq.Schema().Lookup("user_id")
	if !ok {
		return false, nil
	}
	for _, group := range f.pq.RowGroups() {
		found, err := chunkHas(group.ColumnChunks()[leaf.ColumnIndex], is)
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

func chunkHas(chunk parquet.ColumnChunk, is func(id []byte) bool) (found bool, err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	var known parquet.Dictionary
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		values := page.Data()
		if dict := page.Dictionary(); dict != nil {
			if dict == known {
				parquet.Release(page)
				continue
			}
			known, values = dict, dict.Page().Data()
		}
		data, ends := values.ByteArray()
		for i := range len(ends) - 1 {
			found = found || is(data[ends[i]:ends[i+1]])
		}
		parquet.Release(page)
		if found {
			return true, nil
		}
	}
}

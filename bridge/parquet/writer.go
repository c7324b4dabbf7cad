package parquet

import (
	"fmt"
	"io"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// rowGroupRows bounds what a reader must hold of one column.
const rowGroupRows = 1 << 20

// chunkRows is how many rows are handed to the library at once; a chunk stays
// in the second level cache.
const chunkRows = 512

// EventWriter writes event tables, one file after the other, and keeps the
// library's buffers between files: making them anew takes longer than writing
// a small file. It is for one goroutine.
type EventWriter struct {
	out  *parquet.GenericWriter[eventRow]
	rows []eventRow
}

// NewEventWriter makes a writer.
func NewEventWriter() *EventWriter {
	return &EventWriter{
		out:  parquet.NewGenericWriter[eventRow](nil, writerOptions()...),
		rows: make([]eventRow, chunkRows),
	}
}

// Write writes one whole file. The rows keep the order of the table.
func (w *EventWriter) Write(out io.Writer, t *EventTable, commit Commit) error {
	w.reset(out)
	for i := range t.blocks {
		chunk := w.rows[:len(t.blocks[i].rows)]
		t.blocks[i].fill(chunk, t.strings.list)
		if _, err := w.out.Write(chunk); err != nil {
			return fmt.Errorf("write event rows: %w", err)
		}
	}
	clear(w.rows)
	setMetadata(w.out.SetKeyValueMetadata, commit)
	if err := w.out.Close(); err != nil {
		return fmt.Errorf("write event file: %w", err)
	}
	return nil
}

// reset begins the next file. The footer of the last one shares the paths of its
// columns with the library's writer, whose Reset (v0.32.0) blanks what it finds
// in the footer: without this, all files but the first name no columns in their
// row groups, and Spark refuses them.
func (w *EventWriter) reset(out io.Writer) {
	for _, group := range w.out.File().Metadata().RowGroups {
		for i := range group.Columns {
			group.Columns[i].MetaData.PathInSchema = nil
		}
	}
	w.out.Reset(out)
}

// WriteItems writes one whole file of item changes in the table's order.
func WriteItems(out io.Writer, t *ItemTable, commit Commit) error {
	if err := writeRows(out, t.rows, commit); err != nil {
		return fmt.Errorf("write item file: %w", err)
	}
	return nil
}

// WriteUsers writes one whole file of user changes in the table's order.
func WriteUsers(out io.Writer, t *UserTable, commit Commit) error {
	if err := writeRows(out, t.rows, commit); err != nil {
		return fmt.Errorf("write user file: %w", err)
	}
	return nil
}

func writeRows[R itemRow | userRow](out io.Writer, rows []R, commit Commit) error {
	w := parquet.NewGenericWriter[R](out, writerOptions()...)
	for len(rows) > 0 {
		n := min(chunkRows, len(rows))
		if _, err := w.Write(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	setMetadata(w.SetKeyValueMetadata, commit)
	return w.Close()
}

func writerOptions() []parquet.WriterOption {
	return []parquet.WriterOption{
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.DataPageVersion(1),
		parquet.MaxRowsPerRowGroup(rowGroupRows),
		parquet.CreatedBy("vitrine", strconv.Itoa(SchemaVersion), "0"),
	}
}

func setMetadata(set func(key, value string), commit Commit) {
	set(keySchema, strconv.Itoa(SchemaVersion))
	set(keyFirst, strconv.FormatUint(commit.First, 10))
	set(keyLast, strconv.FormatUint(commit.Last, 10))
	set(keyTime, strconv.FormatInt(commit.Time, 10))
}

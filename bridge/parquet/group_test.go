package parquet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"vitrine/bridge/event"
)

// writeGroups writes a file of small row groups, with options of the library
// beside our own.
func writeGroups(t *testing.T, rows int, options ...parquet.WriterOption) string {
	t.Helper()
	table := NewEventTable(NewStrings())
	records := sampleEvents(rows)
	for i := range records {
		table.Append(uint64(i), &records[i])
	}
	cells := make([]eventRow, 0, rows)
	for i := range table.blocks {
		block := make([]eventRow, len(table.blocks[i].rows))
		table.blocks[i].fill(block, table.strings.list)
		cells = append(cells, block...)
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[eventRow](&out, append(writerOptions(), options...)...)
	if _, err := w.Write(cells); err != nil {
		t.Fatal(err)
	}
	setMetadata(w.SetKeyValueMetadata, Commit{First: 1, Last: uint64(rows)})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "groups.parquet")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// cellsOf writes the rows of a batch as text.
func cellsOf(out *strings.Builder, b *EventBatch) {
	for i := range b.Len {
		var e event.Event
		b.Event(i, &e)
		fmt.Fprintln(out, e, b.BusSeq[i])
	}
}

// groupCells reads a file group by group, the last group first.
func groupCells(path string) (string, error) {
	f, err := Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := NewEventScanner(allColumns)
	texts := make([]string, len(f.Groups()))
	for g := len(texts) - 1; g >= 0; g-- {
		var out strings.Builder
		err := s.ScanGroup(context.Background(), f, g, func(b *EventBatch) error {
			cellsOf(&out, b)
			return nil
		})
		if err != nil {
			return "", err
		}
		texts[g] = out.String()
	}
	return strings.Join(texts, ""), nil
}

func TestGroupsGiveTheRowsOfTheFile(t *testing.T) {
	const rows = 3*BatchRows + 100
	for name, options := range map[string][]parquet.WriterOption{
		"dictionaries":        {parquet.MaxRowsPerRowGroup(BatchRows + 1)},
		"one group":           nil,
		"half a dictionary":   {parquet.MaxRowsPerRowGroup(BatchRows + 1), parquet.DictionaryMaxBytes(1000), parquet.PageBufferSize(2000)},
		"without dictionary":  {parquet.DictionaryMaxBytes(1)},
		"pages of a few rows": {parquet.PageBufferSize(100)},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeGroups(t, rows, options...)
			var want strings.Builder
			if err := scanAll(path, allColumns, func(b *EventBatch) error { cellsOf(&want, b); return nil }); err != nil {
				t.Fatal(err)
			}
			got, err := groupCells(path)
			if err != nil || got != want.String() {
				t.Fatalf("group by group %d bytes of cells, want %d: %v", len(got), want.Len(), err)
			}
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			n := 0
			for _, g := range f.Groups() {
				n += g.Rows
				if !g.IDs {
					t.Error("a group with ids denies them")
				}
			}
			if n != rows {
				t.Errorf("the groups have %d rows of %d", n, rows)
			}
		})
	}
}

func TestGroupsTellThatThereAreNoIDs(t *testing.T) {
	records := sampleEvents(100)
	for i := range records {
		records[i].Event.EventID = ""
	}
	f, err := Open(writeEvents(t, records))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if g := f.Groups(); len(g) != 1 || g[0].IDs || g[0].Rows != 100 {
		t.Errorf("groups %+v", g)
	}
}

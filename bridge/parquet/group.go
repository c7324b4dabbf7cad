package parquet

import (
	"context"
	"strings"
)

// Group is what the footer tells of a row group of an event file.
type Group struct {
	Rows int
	// IDs says that some rows may have an event id.
	IDs bool
}

// Groups are the row groups of an event file, in order.
func (f *File) Groups() []Group {
	groups := make([]Group, 0, len(f.pq.Metadata().RowGroups))
	leaf, ok := f.pq.Schema().Lookup("event_id")
	for _, g := range f.pq.Metadata().RowGroups {
		group := Group{Rows: int(g.NumRows), IDs: true}
		if ok && leaf.ColumnIndex < len(g.Columns) {
			group.IDs = g.Columns[leaf.ColumnIndex].MetaData.Statistics.NullCount != g.NumRows
		}
		groups = append(groups, group)
	}
	return groups
}

// ScanGroup is Scan of one row group, for readers that share a file's groups
// out. The numbers of the batches' strings are those of this call: the group's
// own dictionaries as they are, where it has such, which spares a look-up for
// each of their entries.
func (s *EventScanner) ScanGroup(ctx context.Context, f *File, group int, fn func(*EventBatch) error) error {
	for _, d := range []*dictionary{s.user, s.item, s.event} {
		d.reset()
	}
	return s.scan(ctx, f, f.pq.RowGroups()[group], fn)
}

// reset forgets all strings, and lets the next dictionary of a file be taken
// over whole.
func (d *dictionary) reset() {
	clear(d.codes)
	d.names, d.takeOver = nil, true
}

// take makes the strings of a file's dictionary this one's, which must be empty.
// The strings are sliced from one.
func (d *dictionary) take(data []byte, offsets []uint32) {
	d.takeOver = false
	if len(offsets) == 0 {
		return
	}
	n := len(offsets) - 1
	all := string(data[:offsets[n]])
	d.names = make([]string, n)
	for i := range d.names {
		d.names[i] = all[offsets[i]:offsets[i+1]]
	}
	d.taken = n
}

// index enters the strings that were taken over into the map, once a string
// must be looked up beside them.
func (d *dictionary) index() {
	for i, name := range d.names[:d.taken] {
		if _, ok := d.codes[name]; !ok {
			d.codes[strings.Clone(name)] = uint32(i)
		}
	}
	d.taken = 0
}

// Package parquet writes and reads the archive's Parquet files: tables of
// interaction events and of item and user changes.
//
// It owns the columns, their encodings and the footer metadata, and is the one
// door to the Parquet library: no type of that library leaves it. Where files
// lie, how they are committed and which duplicates are dropped belongs to
// package archive. It must not import anything of this module but bridge/event
// and internal/logkey.
//
//	tab := parquet.NewEventTable(parquet.NewStrings())
//	tab.Append(seq, &record)
//	err := parquet.NewEventWriter().Write(file, tab, parquet.Commit{First: 1, Last: seq})
package parquet

// SchemaVersion is the version of the columns, kept in each file's footer.
// Readers take every version up to theirs; columns are only ever added.
const SchemaVersion = 1

// Keys of the footer metadata.
const (
	keySchema = "vitrine.schema"
	keyFirst  = "vitrine.first"
	keyLast   = "vitrine.last"
	keyTime   = "vitrine.committed"
)

// Commit is what wrote a file.
type Commit struct {
	// First and Last span the bus sequences, both included. A file need not
	// hold a row of each.
	First, Last uint64
	// Time is when it was, in Unix milliseconds: the rows arrived shortly
	// before, whatever the times of their events.
	Time int64
}

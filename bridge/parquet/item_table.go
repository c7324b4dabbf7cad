package parquet

import (
	"fmt"

	"vitrine/bridge/event"
)

// ItemTable collects the item changes of one file.
type ItemTable struct {
	rows []itemRow
	json []byte
}

// Values of the op column.
const (
	opPut    = "put"
	opPatch  = "patch"
	opDelete = "delete"
	opErase  = "erase"
	opMerge  = "merge"
)

// itemRow is a row of an items file. The attributes are one JSON object: each
// shop has its own names and types, and every reader of Parquet knows JSON.
type itemRow struct {
	Op         string `parquet:"op,dict"`
	ItemID     string `parquet:"item_id"`
	Time       int64  `parquet:"ts,timestamp(millisecond:utc)"`
	Attributes string `parquet:"attributes"`
	ExpiresAt  *int64 `parquet:"expires_at,timestamp(millisecond:utc)"`
	Source     string `parquet:"source,dict"`
	Partition  int32  `parquet:"source_partition"`
	Offset     int64  `parquet:"source_offset"`
	BusSeq     int64  `parquet:"bus_seq"`
}

// NewItemTable makes an empty table.
func NewItemTable() *ItemTable { return &ItemTable{} }

// Append adds the item change of r, which came in bus message seq.
func (t *ItemTable) Append(seq uint64, r *event.Record) error {
	row := itemRow{
		ItemID: r.Item.ID, Time: r.Item.Time, Source: r.Source.Name,
		Partition: r.Source.Partition, Offset: r.Source.Offset, BusSeq: int64(seq),
	}
	switch r.Kind {
	case event.KindItemPut:
		row.Op = opPut
	case event.KindItemPatch:
		row.Op = opPatch
	case event.KindItemDelete:
		row.Op = opDelete
	default:
		return fmt.Errorf("add item change: record kind %d is not one", r.Kind)
	}
	t.json = event.AppendAttributesJSON(t.json[:0], r.Item.Attributes)
	row.Attributes = string(t.json)
	if r.Item.ExpiresAt != 0 {
		at := r.Item.ExpiresAt
		row.ExpiresAt = &at
	}
	t.rows = append(t.rows, row)
	return nil
}

// Len is the number of rows.
func (t *ItemTable) Len() int { return len(t.rows) }

func (row *itemRow) seq() uint64 { return uint64(row.BusSeq) }

// record turns a row back into a record.
func (row *itemRow) record(r *event.Record) error {
	*r = event.Record{}
	switch row.Op {
	case opPut:
		r.Kind = event.KindItemPut
	case opPatch:
		r.Kind = event.KindItemPatch
	case opDelete:
		r.Kind = event.KindItemDelete
	default:
		return fmt.Errorf("item %q: op %q is not known", row.ItemID, row.Op)
	}
	attributes, err := parseAttributes(row.Op, row.Attributes)
	if err != nil {
		return fmt.Errorf("item %q: %w", row.ItemID, err)
	}
	r.Item = event.Item{ID: row.ItemID, Time: row.Time, Attributes: attributes}
	if row.ExpiresAt != nil {
		r.Item.ExpiresAt = *row.ExpiresAt
	}
	r.Source = event.Source{Name: row.Source, Partition: row.Partition, Offset: row.Offset}
	return nil
}

// parseAttributes reads the attributes column; in a patch a null takes the
// attribute away.
func parseAttributes(op, text string) ([]event.Attribute, error) {
	parse := event.ParseAttributes
	if op == opPatch {
		parse = event.ParsePatch
	}
	list, invalid := parse([]byte(text))
	if invalid != nil {
		return nil, fmt.Errorf("attributes: %w", invalid)
	}
	return list, nil
}

package parquet

import (
	"fmt"

	"vitrine/bridge/event"
)

// UserTable collects the user changes of one file.
type UserTable struct {
	rows []userRow
	json []byte
}

// userRow is a row of a users file; its columns are those of an items file as
// far as a user has them.
type userRow struct {
	Op         string `parquet:"op,dict"`
	UserID     string `parquet:"user_id"`
	Time       int64  `parquet:"ts,timestamp(millisecond:utc)"`
	Attributes string `parquet:"attributes"`
	Source     string `parquet:"source,dict"`
	Partition  int32  `parquet:"source_partition"`
	Offset     int64  `parquet:"source_offset"`
	BusSeq     int64  `parquet:"bus_seq"`
}

// mergeInto is the one attribute of a merge.
const mergeInto = "into"

// NewUserTable makes an empty table.
func NewUserTable() *UserTable { return &UserTable{} }

// Append adds the user change of r, which came in bus message seq.
func (t *UserTable) Append(seq uint64, r *event.Record) error {
	row := userRow{
		UserID: r.User.ID, Time: r.User.Time, Source: r.Source.Name,
		Partition: r.Source.Partition, Offset: r.Source.Offset, BusSeq: int64(seq),
	}
	attributes := r.User.Attributes
	switch r.Kind {
	case event.KindUserPut:
		row.Op = opPut
	case event.KindUserPatch:
		row.Op = opPatch
	case event.KindUserErase:
		row.Op = opErase
	case event.KindUserMerge:
		row.Op, attributes = opMerge, []event.Attribute{{Name: mergeInto, Value: event.Value{Kind: event.String, Str: r.User.Into}}}
	default:
		return fmt.Errorf("add user change: record kind %d is not one", r.Kind)
	}
	t.json = event.AppendAttributesJSON(t.json[:0], attributes)
	row.Attributes = string(t.json)
	t.rows = append(t.rows, row)
	return nil
}

// Len is the number of rows.
func (t *UserTable) Len() int { return len(t.rows) }

func (row *userRow) seq() uint64 { return uint64(row.BusSeq) }

// record turns a row back into a record.
func (row *userRow) record(r *event.Record) error {
	*r = event.Record{}
	switch row.Op {
	case opPut:
		r.Kind = event.KindUserPut
	case opPatch:
		r.Kind = event.KindUserPatch
	case opErase:
		r.Kind = event.KindUserErase
	case opMerge:
		r.Kind = event.KindUserMerge
	default:
		return fmt.Errorf("user %q: op %q is not known", row.UserID, row.Op)
	}
	attributes, err := parseAttributes(row.Op, row.Attributes)
	if err != nil {
		return fmt.Errorf("user %q: %w", row.UserID, err)
	}
	r.User = event.User{ID: row.UserID, Time: row.Time, Attributes: attributes}
	if r.Kind == event.KindUserMerge {
		if len(attributes) != 1 || attributes[0].Name != mergeInto || attributes[0].Value.Str == "" {
			return fmt.Errorf("user %q: a merge does not say into whom", row.UserID)
		}
		r.User.Into, r.User.Attributes = attributes[0].Value.Str, nil
	}
	r.Source = event.Source{Name: row.Source, Partition: row.Partition, Offset: row.Offset}
	return nil
}

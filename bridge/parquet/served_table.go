package parquet

import (
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"

	"vitrine/bridge/event"
)

// ServedTable collects the served lists of one file.
type ServedTable struct {
	strings *Strings
	lists   []servedList
	places  []servedPlace
}

// servedList is what the rows of one list share; texts are codes.
type servedList struct {
	requestID                                                         string
	ts                                                                int64
	seq                                                               uint64
	user, list, subject, scene, source, reason, model, plugins, rules uint32
	// end is where its places end in the table.
	end int
}

// servedPlace is one item of a list.
type servedPlace struct {
	item  uint32
	score float32
}

// servedRow is one place of one list: what was clicked is joined to it by
// request_id and item_id. A list without items has one row, of rank 0.
type servedRow struct {
	RequestID string   `parquet:"request_id,dict"`
	UserID    string   `parquet:"user_id,optional,dict"`
	Time      int64    `parquet:"ts,timestamp(millisecond:utc)"`
	List      string   `parquet:"list,dict"`
	Subject   string   `parquet:"subject_item_id,optional,dict"`
	Scene     string   `parquet:"scene,optional,dict"`
	ItemID    string   `parquet:"item_id,optional,dict"`
	Rank      int32    `parquet:"rank"`
	Score     *float32 `parquet:"score,optional"`
	Source    string   `parquet:"source,dict"`
	Reason    string   `parquet:"reason,optional,dict"`
	Model     string   `parquet:"model,optional,dict"`
	Rules     int32    `parquet:"rules,optional"`
	Plugins   string   `parquet:"plugins,optional,dict"`
	BusSeq    int64    `parquet:"bus_seq"`
}

// NewServedTable makes an empty table whose strings are kept in s.
func NewServedTable(s *Strings) *ServedTable { return &ServedTable{strings: s} }

// Append adds the list of r, which came in bus message seq. It keeps nothing
// of r.
func (t *ServedTable) Append(seq uint64, r *event.Record) {
	s, in := t.strings, r.Served
	for i := range in.Items {
		t.places = append(t.places, servedPlace{item: s.code(in.Items[i].ID), score: in.Items[i].Score})
	}
	t.lists = append(t.lists, servedList{
		requestID: strings.Clone(in.RequestID), ts: in.Time, seq: seq, user: s.code(in.UserID), list: s.code(in.List), subject: s.code(in.Subject),
		scene: s.code(in.Scene), source: s.code(in.Source), reason: s.code(in.Reason), model: s.code(in.Model),
		plugins: s.code(strings.Join(in.Plugins, ",")), rules: in.Rules, end: len(t.places),
	})
}

// Len is the number of rows.
func (t *ServedTable) Len() int {
	rows, start := 0, 0
	for i := range t.lists {
		rows += max(1, t.lists[i].end-start)
		start = t.lists[i].end
	}
	return rows
}

// Span is the oldest and newest time in Unix milliseconds; zeros for an empty
// table.
func (t *ServedTable) Span() (oldest, newest int64) {
	for i := range t.lists {
		ts := t.lists[i].ts
		if i == 0 {
			oldest, newest = ts, ts
		}
		oldest, newest = min(oldest, ts), max(newest, ts)
	}
	return oldest, newest
}

// WriteServed writes one whole file of served lists in the table's order.
func WriteServed(out io.Writer, t *ServedTable, commit Commit) error {
	w := parquet.NewGenericWriter[servedRow](out, writerOptions()...)
	rows := make([]servedRow, 0, chunkRows)
	start := 0
	for i := range t.lists {
		rows = t.rows(rows[:0], &t.lists[i], t.places[start:t.lists[i].end])
		start = t.lists[i].end
		if _, err := w.Write(rows); err != nil {
			return fmt.Errorf("write served rows: %w", err)
		}
	}
	setMetadata(w.SetKeyValueMetadata, commit)
	if err := w.Close(); err != nil {
		return fmt.Errorf("write served file: %w", err)
	}
	return nil
}

// rows appends those of one list.
func (t *ServedTable) rows(dst []servedRow, l *servedList, places []servedPlace) []servedRow {
	text := t.strings.list
	row := servedRow{
		RequestID: l.requestID, UserID: text[l.user], Time: l.ts, List: text[l.list], Subject: text[l.subject], Scene: text[l.scene],
		Source: text[l.source], Reason: text[l.reason], Model: text[l.model], Rules: int32(l.rules), Plugins: text[l.plugins], BusSeq: int64(l.seq),
	}
	if len(places) == 0 {
		return append(dst, row)
	}
	for i := range places {
		row.ItemID, row.Rank, row.Score = text[places[i].item], int32(i+1), &places[i].score
		dst = append(dst, row)
	}
	return dst
}

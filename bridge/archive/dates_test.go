package archive

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"vitrine/bridge/parquet"
)

// TestDatesAreFilled: files that the caller fills are committed like others.
func TestDatesAreFilled(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	b, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "b", "c"}
	for date := range int64(3) {
		err := b.AddDate(day0+date*dayMillis, func(w *parquet.ColumnsWriter) error {
			of := parquet.Codes{Names: names, Code: []uint32{0, 2, uint32(date)}}
			time := day0 + date*dayMillis
			return w.Write(&parquet.EventColumns{UserID: of, ItemID: of, EventType: of, Time: []int64{time, time + 1, time + 2}, BusSeq: b.First()})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.AddDate(day0+5, nil); err == nil {
		t.Error("a date is taken twice")
	}
	if err := b.Commit(t.Context(), b.First()); err != nil {
		t.Fatal(err)
	}
	commit(t, a, view("d", "i", "", day0+3))
	a = open(t, dir)
	var got strings.Builder
	columns := parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value | parquet.BusSeq
	err = a.ScanEvents(t.Context(), columns, func(b *EventBatch) error {
		for i := range b.Len {
			fmt.Fprintln(&got, b.UserID.At(i), b.ItemID.At(i), b.EventType.At(i), b.Time[i], b.Value[i], b.BusSeq[i])
		}
		return nil
	})
	if err != nil || strings.Count(got.String(), "\n") != 10 || !strings.HasPrefix(got.String(), fmt.Sprintf("a a a %d NaN 1\nc c c", day0)) {
		t.Errorf("%v, rows\n%s", err, &got)
	}
	if sum, err := a.Summary(t.Context()); err != nil || sum.Events != 10 || sum.Newest != day0+2*dayMillis+2 {
		t.Errorf("summary %+v, %v", sum, err)
	}
	b, err = a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("full")
	if err := b.AddDate(day0, func(*parquet.ColumnsWriter) error { return full }); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context(), b.First()); !errors.Is(err, full) {
		t.Errorf("a failing date: %v", err)
	}
}

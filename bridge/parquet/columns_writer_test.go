package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// columnsOf makes rows whose names use a part of the lists.
func columnsOf(rows int, seed uint64) *EventColumns {
	random := rand.New(rand.NewPCG(seed, 5))
	c := &EventColumns{BusSeq: seed}
	for n := range rows {
		c.UserID.Names = append(c.UserID.Names, fmt.Sprint("user", n))
		c.ItemID.Names = append(c.ItemID.Names, fmt.Sprint("item", n))
	}
	c.EventType.Names = []string{"view", "cart", "purchase"}
	for n := range rows {
		c.UserID.Code = append(c.UserID.Code, uint32(random.IntN(1+rows/3)))
		c.ItemID.Code = append(c.ItemID.Code, uint32(random.IntN(rows)))
		c.EventType.Code = append(c.EventType.Code, uint32(random.IntN(3)))
		c.Time = append(c.Time, 1_700_000_000_000+int64(n)*7)
	}
	return c
}

func TestColumnsAreReadBack(t *testing.T) {
	groups := []*EventColumns{columnsOf(1, 1), columnsOf(20_000, 2), columnsOf(300, 3)}
	path := filepath.Join(t.TempDir(), "columns.parquet")
	var out bytes.Buffer
	w := NewColumnsWriter(&out)
	for _, g := range groups {
		if err := w.Write(g); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(Commit{First: 1, Last: 3, Time: 4}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	// By the library's own rows, and by ours.
	rows, err := parquet.ReadFile[eventRow](path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := ReadInfo(path)
	if err != nil || info.Commit != (Commit{First: 1, Last: 3, Time: 4}) || info.Newest != groups[1].Time[19_999] || info.Oldest != groups[0].Time[0] {
		t.Errorf("info %+v, %v", info, err)
	}
	at, group, row := 0, 0, 0
	err = scanAll(path, UserID|ItemID|EventType|Time|Value|EventID|BusSeq|SessionID, func(b *EventBatch) error {
		for i := range b.Len {
			if row == len(groups[group].Time) {
				group, row = group+1, 0
			}
			g := groups[group]
			want := fmt.Sprint(g.UserID.At(row), g.ItemID.At(row), g.EventType.At(row), g.Time[row])
			if got := fmt.Sprint(b.UserID.At(i), b.ItemID.At(i), b.EventType.At(i), b.Time[i]); got != want {
				t.Fatalf("row %d of group %d is %s, want %s", row, group, got, want)
			}
			r := &rows[at]
			if got := fmt.Sprint(r.UserID, r.ItemID, r.EventType, r.Time); got != want || r.BusSeq != int64(g.BusSeq) || r.Value != nil {
				t.Fatalf("the library reads row %d as %s, want %s", at, got, want)
			}
			if !math.IsNaN(b.Value[i]) || b.EventID[i] != "" || b.SessionID[i] != "" || b.BusSeq[i] != g.BusSeq {
				t.Fatalf("row %d: value %v, id %q, message %d", at, b.Value[i], b.EventID[i], b.BusSeq[i])
			}
			at, row = at+1, row+1
		}
		return nil
	})
	if err != nil || at != len(rows) || at != 20_301 {
		t.Fatalf("read %d of %d rows: %v", at, len(rows), err)
	}
}

func TestColumnsOfDifferentLengthsAreRefused(t *testing.T) {
	c := columnsOf(10, 1)
	c.Time = c.Time[:9]
	if err := NewColumnsWriter(io.Discard).Write(c); err == nil {
		t.Error("written")
	}
	full := errors.New("full")
	w := NewColumnsWriter(writerFunc(func([]byte) (int, error) { return 0, full }))
	if err := w.Write(columnsOf(10, 1)); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// BenchmarkColumns: the floor is zstd-1 over 16 bytes a row of two columns and
// a random access per string.
func BenchmarkColumns(b *testing.B) {
	c := columnsOf(500_000, 1)
	for b.Loop() {
		w := NewColumnsWriter(io.Discard)
		if err := w.Write(c); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(Commit{First: 1, Last: 1}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(c.Time))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"vitrine/bridge/event"
)

const allColumns = AllOfEvent | BusSeq

// sampleEvents makes n events that use every field, and each optional one only
// now and then.
func sampleEvents(n int) []event.Record {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	types := []string{"view", "click", "cart", "purchase"}
	records := make([]event.Record, n)
	for i := range records {
		e := event.Event{
			UserID: fmt.Sprintf("user-%d", r.IntN(n/10+1)),
			ItemID: fmt.Sprintf("art\u00efcle-%d", r.IntN(500)),
			Type:   types[r.IntN(len(types))],
			Time:   1_700_000_000_000 + int64(i)*37,
		}
		if i%3 != 0 {
			e.EventID = fmt.Sprintf("%032x", r.Uint64())
		}
		if i%2 == 0 {
			e.HasValue, e.Value = true, float64(r.IntN(3))
		}
		if i%5 == 0 {
			e.SessionID, e.RequestID, e.Position, e.Scene = "s-"+e.UserID, fmt.Sprint("r", i), int32(i%20+1), "home"
		}
		if i%7 == 0 {
			e.HasPrice, e.Price, e.Currency, e.Props = true, float64(i)/100, "EUR", `{"a":1}`
		}
		records[i] = event.Record{
			Kind: event.KindEvent, Event: e,
			Source: event.Source{Name: "file.csv", Partition: int32(i % 3), Offset: int64(i + 1)},
		}
	}
	return records
}

func writeEvents(t testing.TB, records []event.Record) string {
	t.Helper()
	table := NewEventTable(NewStrings())
	for i := range records {
		table.Append(uint64(i/10+1), &records[i])
	}
	var out bytes.Buffer
	if err := NewEventWriter().Write(&out, table, Commit{First: 1, Last: uint64(len(records)), Time: 99}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "events.parquet")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func scanAll(path string, columns Columns, fn func(*EventBatch) error) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return NewEventScanner(columns).Scan(context.Background(), f, fn)
}

// TestEventColumnsRoundTrip reads every column back, through the library's own
// rows so that both sides cannot be wrong in the same way.
func TestEventColumnsRoundTrip(t *testing.T) {
	records := sampleEvents(5*chunkRows + 100)
	rows, err := parquet.ReadFile[eventRow](writeEvents(t, records))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(records) {
		t.Fatalf("got %d rows, want %d", len(rows), len(records))
	}
	for i, row := range rows {
		got := event.Record{
			Kind: event.KindEvent,
			Event: event.Event{
				UserID: row.UserID, ItemID: row.ItemID, Type: row.EventType, Time: row.Time,
				EventID: row.EventID, SessionID: row.SessionID, RequestID: row.RequestID, Position: row.Position,
				Scene: row.Scene, Currency: row.Currency, Props: row.Props,
			},
			Source: event.Source{Name: row.Source, Partition: row.Partition, Offset: row.Offset},
		}
		if row.Value != nil {
			got.Event.HasValue, got.Event.Value = true, *row.Value
		}
		if row.Price != nil {
			got.Event.HasPrice, got.Event.Price = true, *row.Price
		}
		if got.Event != records[i].Event || got.Source != records[i].Source {
			t.Fatalf("row %d:\n got %+v\nwant %+v", i, got, records[i])
		}
		if row.BusSeq != int64(i/10+1) {
			t.Fatalf("row %d has bus sequence %d", i, row.BusSeq)
		}
	}
}

func TestScanGivesTheSameRows(t *testing.T) {
	// More than one batch and several pages.
	records := sampleEvents(3*BatchRows + 17)
	path := writeEvents(t, records)
	at := 0
	err := scanAll(path, allColumns, func(b *EventBatch) error {
		for i := range b.Len {
			var e event.Event
			if b.Event(i, &e); e != records[at].Event || b.BusSeq[i] != uint64(at/10+1) || b.Committed != 99 {
				t.Fatalf("row %d is %+v, not %+v", at, e, records[at].Event)
			}
			at++
		}
		return nil
	})
	if err != nil || at != len(records) {
		t.Fatalf("scanned %d of %d rows: %v", at, len(records), err)
	}
	err = scanAll(path, Time, func(b *EventBatch) error {
		if b.UserID.Code != nil || b.EventID != nil || b.Value != nil || len(b.Time) != b.Len {
			t.Fatal("columns that nobody asked for, or none")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestScanKeepsCodesOverFiles(t *testing.T) {
	s := NewEventScanner(UserID)
	seen := map[uint32]string{}
	for n := 50; n < 54; n++ {
		f, err := Open(writeEvents(t, sampleEvents(n)))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Scan(t.Context(), f, func(b *EventBatch) error {
			for i, code := range b.UserID.Code {
				if name, ok := seen[code]; ok && name != b.UserID.At(i) {
					t.Fatalf("code %d was %s and is %s", code, name, b.UserID.At(i))
				}
				seen[code] = b.UserID.At(i)
			}
			return nil
		})
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestScanReturnsTheCallersError(t *testing.T) {
	mine := errors.New("enough")
	if err := scanAll(writeEvents(t, sampleEvents(10)), Time, func(*EventBatch) error { return mine }); err != mine {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := Open(writeEvents(t, sampleEvents(10)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := NewEventScanner(Time).Scan(ctx, f, func(*EventBatch) error { return nil }); err != context.Canceled {
		t.Fatalf("got %v", err)
	}
}

func TestKeepDropsRows(t *testing.T) {
	b := EventBatch{
		Len: 4, Time: []int64{1, 2, 3, 4}, EventID: []string{"a", "b", "c", "d"}, Position: []int32{0, 7, 0, 9}, Props: []string{"", "{}", "", ""},
		UserID: Codes{Code: []uint32{0, 1, 0, 1}, Names: []string{"x", "y"}},
	}
	b.Keep([]int{1, 3})
	want := EventBatch{
		Len: 2, Time: []int64{2, 4}, EventID: []string{"b", "d"}, Position: []int32{7, 9}, Props: []string{"{}", ""},
		UserID: Codes{Code: []uint32{1, 1}, Names: []string{"x", "y"}},
	}
	if !reflect.DeepEqual(b, want) {
		t.Fatalf("got %+v", b)
	}
}

func TestInfoComesFromTheFooter(t *testing.T) {
	path := writeEvents(t, sampleEvents(1000))
	info, err := ReadInfo(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Info{
		Commit: Commit{First: 1, Last: 1000, Time: 99}, Rows: 1000, Bytes: stat.Size(),
		Oldest: 1_700_000_000_000, Newest: 1_700_000_000_000 + 999*37,
	}
	if info != want {
		t.Fatalf("got %+v\nwant %+v", info, want)
	}
}

func sampleItems() []event.Record {
	return []event.Record{
		{Kind: event.KindItemPut, Item: event.Item{
			ID: "i1", Time: 1_700_000_000_001, ExpiresAt: 1_800_000_000_000,
			Attributes: []event.Attribute{
				{Name: "brand", Value: event.Value{Kind: event.String, Str: "N\u00f6rdic \"Oak\"\n"}},
				{Name: "price", Value: event.Value{Kind: event.Number, Num: 0.1 + 0.2}},
				{Name: "sale", Value: event.Value{Kind: event.Bool, Bool: true}},
				{Name: "tags", Value: event.Value{Kind: event.Set, Set: []string{"a", "b"}}},
			},
		}, Source: event.Source{Name: "http"}},
		{
			Kind: event.KindItemPatch, Item: event.Item{
				ID: "i1", Time: 1_700_000_000_002,
				Attributes: []event.Attribute{
					{Name: "price", Value: event.Value{Kind: event.Number, Num: 12}},
					{Name: "sale", Value: event.Value{Kind: event.Removed}},
				},
			},
			Source: event.Source{Name: "x.csv", Partition: 2, Offset: 9},
		},
		{Kind: event.KindItemPut, Item: event.Item{ID: "i2", Time: 3}},
	}
}

func TestItemsRoundTrip(t *testing.T) {
	want := sampleItems()
	table := NewItemTable()
	for i := range want {
		if err := table.Append(uint64(i+1), &want[i]); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := WriteItems(&out, table, Commit{First: 1, Last: 3}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "items.parquet")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []event.Record
	if err := f.ScanItems(t.Context(), func(_ uint64, r *event.Record) error { got = append(got, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if len(got) != len(want) || fmt.Sprintf("%+v", got[i]) != fmt.Sprintf("%+v", want[i]) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	}
	if err := table.Append(1, &event.Record{Kind: event.KindEvent}); err == nil {
		t.Fatal("an event went into the item table")
	}
}

func sampleUsers() []event.Record {
	return []event.Record{
		{Kind: event.KindUserPut, User: event.User{
			ID: "u1", Time: 1_700_000_000_001,
			Attributes: []event.Attribute{
				{Name: "region", Value: event.Value{Kind: event.String, Str: "north"}},
				{Name: "vip", Value: event.Value{Kind: event.Bool, Bool: true}},
			},
		}, Source: event.Source{Name: "users.csv", Offset: 2}},
		{Kind: event.KindUserPatch, User: event.User{
			ID: "u1", Time: 1_700_000_000_002,
			Attributes: []event.Attribute{{Name: "vip", Value: event.Value{Kind: event.Removed}}},
		}, Source: event.Source{Name: "http"}},
		{Kind: event.KindUserPut, User: event.User{ID: "u2", Time: 3}},
		{Kind: event.KindUserErase, User: event.User{ID: "u1", Time: 4}},
		{Kind: event.KindUserMerge, User: event.User{ID: "guest", Into: "u2", Time: 5}},
	}
}

func TestUsersRoundTrip(t *testing.T) {
	want := sampleUsers()
	table := NewUserTable()
	for i := range want {
		if err := table.Append(uint64(i+1), &want[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Append(1, &event.Record{Kind: event.KindItemPut}); err == nil || table.Len() != len(want) {
		t.Fatal("an item went into the user table")
	}
	path := filepath.Join(t.TempDir(), "users.parquet")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(WriteUsers(out, table, Commit{First: 1, Last: 3}), out.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []event.Record
	if err := f.ScanUsers(t.Context(), func(_ uint64, r *event.Record) error { got = append(got, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	if err := f.ScanItems(t.Context(), func(uint64, *event.Record) error { return nil }); err == nil {
		t.Error("a file of users was read as one of items")
	}
}

func TestOpenRefuses(t *testing.T) {
	good, err := os.ReadFile(writeEvents(t, sampleEvents(100)))
	if err != nil {
		t.Fatal(err)
	}
	longFooter := bytes.Clone(good)
	binary.LittleEndian.PutUint32(longFooter[len(good)-8:], math.MaxUint32)
	newer := bytes.Replace(good, []byte(keySchema+"\x18\x011"), []byte(keySchema+"\x18\x012"), 1)
	for name, data := range map[string][]byte{
		"empty": nil, "short": good[:6], "text": []byte("user_id,item_id\nu1,i1\n"),
		"cut": good[:len(good)/2], "no footer": good[:len(good)-9], "long footer": longFooter, "newer": newer,
	} {
		path := filepath.Join(t.TempDir(), "bad.parquet")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestRottenBytes flips bytes all over a file: each read must end in an error
// or in the right rows, never in a panic or in other rows. Only what no scan
// reads, such as the page index and most statistics, may rot unnoticed.
func TestRottenBytes(t *testing.T) {
	good, err := os.ReadFile(writeEvents(t, sampleEvents(400)))
	if err != nil {
		t.Fatal(err)
	}
	want, err := scanBytes(t, good)
	if err != nil {
		t.Fatal(err)
	}
	caught := 0
	const flips = 600
	for i := range flips {
		data := bytes.Clone(good)
		data[i*len(data)/flips] ^= byte(1 + i%255)
		got, err := scanBytes(t, data)
		if err != nil {
			caught++
		} else if got != want {
			t.Errorf("byte %d of %d: the scan gave other rows", i*len(data)/flips, len(data))
		}
	}
	t.Logf("%d of %d flipped bytes were noticed", caught, flips)
	if caught < flips/2 {
		t.Fatalf("only %d of %d flipped bytes were noticed", caught, flips)
	}
}

// scanBytes scans a file of these bytes and returns all its cells as text.
func scanBytes(t testing.TB, data []byte) (string, error) {
	path := filepath.Join(t.TempDir(), "x.parquet")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var cells strings.Builder
	err := scanAll(path, allColumns, func(b *EventBatch) error {
		cellsOf(&cells, b)
		return nil
	})
	return cells.String(), err
}

func FuzzOpen(f *testing.F) {
	for _, n := range []int{0, 1, 40} {
		data, err := os.ReadFile(writeEvents(f, sampleEvents(n)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.parquet")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = scanBytes(t, data)
		_, _ = groupCells(path)
	})
}

// BenchmarkWrite: the floor is zstd-1 over about 90 bytes a row and a hash of
// each dictionary string; 1.25 us a row measured, of 17 columns.
func BenchmarkWrite(b *testing.B) {
	records := sampleEvents(100_000)
	table := NewEventTable(NewStrings())
	for i := range records {
		table.Append(1, &records[i])
	}
	w := NewEventWriter()
	for b.Loop() {
		var out bytes.Buffer
		if err := w.Write(&out, table, Commit{First: 1, Last: 1}); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(out.Len()))
	}
	b.ReportMetric(float64(len(records))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkScan: the floor is decompression; 90 ns a row measured for five
// columns, 140 ns with the ids.
func BenchmarkScan(b *testing.B) {
	const rows = 500_000
	path := writeEvents(b, sampleEvents(rows))
	for _, c := range []struct {
		name    string
		columns Columns
	}{{"five", UserID | ItemID | EventType | Time | Value}, {"withIDs", UserID | ItemID | EventType | Time | Value | EventID}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := scanAll(path, c.columns, func(*EventBatch) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	b.Run("group", func(b *testing.B) {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		s := NewEventScanner(UserID | ItemID | EventType | Time | Value)
		for b.Loop() {
			if err := s.ScanGroup(context.Background(), f, 0, func(*EventBatch) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}

// TestFilesNameTheirColumns: other readers find columns by the paths in the row
// groups, in every file that a writer writes, whatever it wrote before.
func TestFilesNameTheirColumns(t *testing.T) {
	w := NewEventWriter()
	for n := range 3 {
		table := NewEventTable(NewStrings())
		for _, r := range sampleEvents(10) {
			table.Append(1, &r)
		}
		var b bytes.Buffer
		if err := w.Write(&b, table, Commit{First: 1, Last: 1}); err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for i, field := range f.Schema().Fields() {
			if got := []string(f.Metadata().RowGroups[0].Columns[i].MetaData.PathInSchema); !reflect.DeepEqual(got, []string{field.Name()}) {
				t.Errorf("file %d: column %d is %q, want %q", n, i, got, field.Name())
			}
		}
	}
}

package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// movieLens are the columns of a ratings file without a header.
var movieLens = []Mapping{
	{Field: "user_id", Column: "1"}, {Field: "item_id", Column: "2"}, {Field: "value", Column: "3"}, {Field: "ts", Column: "4"},
}

func TestFilesWithoutHeader(t *testing.T) {
	for _, tt := range []struct {
		name, text, mapping string
		spec                Spec
		want                []string
	}{
		{"ratings", "196\t242\t3\t881250949\n186\t302\t4.5\t891717742\n", "", Spec{Bare: movieLens, Type: "rating"}, []string{
			"196 242 rating 3 881250949000", "186 302 rating 4.5 891717742000",
		}},
		{"without a time", "196\t242\t3\n", "", Spec{Bare: movieLens, Type: "rating"}, []string{"196 242 rating 3 1800000000000"}},
		{"pairs", "1,2\n3,4\n", "", Spec{Bare: movieLens, Type: "view"}, []string{"1 2 view - 1800000000000", "3 4 view - 1800000000000"}},
		{"by position", "A1,B2,5.0,1291191960\nA3,B4,1.0,1291191961\n", "user_id=1,item_id=2,value=3,ts=4,event_type==rating", Spec{}, []string{
			"A1 B2 rating 5 1291191960000", "A3 B4 rating 1 1291191961000",
		}},
		{"mapped in part", "9,A,1\n8,B,2\n", "item_id=1,user_id=2", Spec{Bare: movieLens, Type: "rating"}, []string{
			"A 9 rating 1 1800000000000", "B 8 rating 2 1800000000000",
		}},
		{"a header of numbers by name", "user,2\nu,i\n", "user_id=user,item_id=2", Spec{Type: "view"}, []string{"u i view - 1800000000000"}},
		{"own type before the default", "user_id,item_id,event_type\nu,i,cart\nu,j,\n", "", Spec{Type: "view"}, []string{
			"u i cart - 1800000000000", "u j view - 1800000000000",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			same(t, "events", mustRead(t, tt.text, tt.mapping, tt.spec).events(), tt.want)
		})
	}
	if _, _, err := read(t, "1,2\n3,4\n", "", Spec{}); err == nil || !strings.Contains(err.Error(), "the columns are 1, 2") {
		t.Errorf("numbers without a mapping: %v", err)
	}
}

func TestLists(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		spec       Spec
		want       []string
	}{
		{"user and items", "0 10 20\n\n7 30\n8\n", Spec{Lines: Lists}, []string{"0 10", "0 20", "7 30"}},
		{"sessions", "10 20\n30 40 10\n", Spec{Lines: Sessions}, []string{"1 10", "1 20", "2 30", "2 40", "2 10"}},
		{"ids that are no numbers", "u a  b\t c\r\n", Spec{Format: Lists}, []string{"u a", "u b", "u c"}},
		{"no lists", "user_id,item_id\n1 2,3\n", Spec{Lines: Lists}, []string{"1 2 3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Type = "view"
			var got []string
			for _, r := range mustRead(t, tt.text, "", tt.spec).records {
				got = append(got, r.Event.UserID+" "+r.Event.ItemID)
			}
			same(t, "events", got, tt.want)
		})
	}
}

// stranger is a row as other programs write it.
type stranger struct {
	User  int64     `parquet:"user"`
	Item  *string   `parquet:"item,optional,dict"`
	Stars float32   `parquet:"stars"`
	At    time.Time `parquet:"at,timestamp(microsecond)"`
	Day   int32     `parquet:"day,date"`
	Tags  []string  `parquet:"tags,list"`
}

func writeStranger(t testing.TB) string {
	t.Helper()
	var rows []stranger
	for n := range 100 {
		row := stranger{User: int64(n), Item: new("i" + itoa(int64(n%7))), Stars: 0.5, At: time.UnixMilli(1291191960123), Day: 14944, Tags: []string{"x"}}
		if n == 3 {
			row.Item = nil
		}
		rows = append(rows, row)
	}
	path := filepath.Join(t.TempDir(), "rows.parquet")
	if err := parquet.WriteFile(path, rows, parquet.MaxRowsPerRowGroup(30)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParquetOfOthers(t *testing.T) {
	path := writeStranger(t)
	maps, err := ParseMap("user_id=user,item_id=item,value=stars,ts=at")
	if err != nil {
		t.Fatal(err)
	}
	var sink recorder
	counts, err := ReadPath(context.Background(), path, Spec{Name: "rows", Map: maps, Type: "rating", Where: "user < 5 && day == '2010-12-01T00:00:00Z'"}, &sink)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "events", sink.events(), []string{
		"0 i0 rating 0.5 1291191960123", "1 i1 rating 0.5 1291191960123", "2 i2 rating 0.5 1291191960123", "4 i4 rating 0.5 1291191960123",
	})
	same(t, "faults", sink.faults(), []string{"4 missing_item_id"})
	if counts.Read != 100 || counts.Skipped != 95 {
		t.Errorf("counts %+v", counts)
	}
	_, err = ReadPath(context.Background(), path, Spec{Name: "rows", Type: "rating"}, &sink)
	if err == nil || !strings.Contains(err.Error(), "the columns are user, item, stars, at, day") {
		t.Errorf("without a mapping: %v", err)
	}
}

// FuzzParquet: bytes that are not what they say give an error, never more.
func FuzzParquet(f *testing.F) {
	good, err := os.ReadFile(writeStranger(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, 20, byte(3))
	f.Add(good[:200], 8, byte(0))
	f.Fuzz(func(t *testing.T, data []byte, at int, value byte) {
		if len(data) > 64<<10 {
			return
		}
		if data = bytes.Clone(data); len(data) > 0 {
			data[uint(at)%uint(len(data))] ^= value
		}
		path := filepath.Join(t.TempDir(), "fuzz.parquet")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		maps, _ := ParseMap("user_id=user,item_id=item,value=stars,ts=at")
		var sink recorder
		counts, err := ReadPath(context.Background(), path, Spec{Name: "fuzz", Format: Parquet, Map: maps, Type: "rating"}, &sink)
		if errors.Is(err, io.EOF) || counts.Emitted != int64(len(sink.records)) {
			t.Fatalf("%v, counts %+v, %d records", err, counts, len(sink.records))
		}
	})
}

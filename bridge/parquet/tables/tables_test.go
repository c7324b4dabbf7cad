package tables

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// lists are n lists of k places.
func lists(n, k int) []List[string] {
	rows := make([]List[string], n)
	for i := range rows {
		rows[i] = List[string]{UserID: fmt.Sprintf("user-%d", i), Source: "live", Model: "20260101T000000.000Z", Recommendations: make([]Place[string], k)}
		for j := range k {
			rows[i].Recommendations[j] = Place[string]{ItemID: fmt.Sprintf("item-%d", (i*7919+j*j)%100_000), Score: float32(k-j) / 3}
		}
	}
	return rows
}

// roundTrip writes rows and reads them back by the library's own reader.
func roundTrip[R Row](t *testing.T, rows []R) {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter[R](&out, map[string]string{"a": "b"})
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range f.Metadata().RowGroups[0].Columns {
		for _, e := range c.MetaData.Encoding {
			if e != format.Plain && e != format.RLE && e != format.RLEDictionary {
				t.Errorf("%T: column %v is encoded by %s", rows, c.MetaData.PathInSchema, e)
			}
		}
		if len(c.MetaData.PathInSchema) == 0 {
			t.Errorf("%T: a column has no name in its row group", rows)
		}
	}
	got, err := parquet.Read[R](bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, rows) {
		t.Errorf("%T: read back\n%+v\nwritten\n%+v", rows, got, rows)
	}
}

func TestRoundTrip(t *testing.T) {
	at, price := Millis(1_700_000_000_123), 9.5
	roundTrip(t, append(lists(3, 2), List[string]{UserID: "none", Source: "empty", Reason: "no_items", Recommendations: []Place[string]{}}))
	roundTrip(t, []List[int32]{{UserID: 1, Source: "popular", Recommendations: []Place[int32]{{ItemID: 2, Score: -1}}}})
	roundTrip(t, []Event[string]{{UserID: "u", ItemID: "i", EventType: "view", Time: at}, {UserID: "u", ItemID: "i", EventType: "cart", Time: 1, Value: &price, Position: 3, Props: `{"a":1}`}})
	roundTrip(t, []Event[int32]{{UserID: 0, ItemID: 5, EventType: "view", Time: at, Price: &price, Currency: "EUR"}})
	roundTrip(t, []Item[string]{{ItemID: "i", Attributes: `{"price":2}`, ExpiresAt: &at}, {ItemID: "j", Attributes: `{}`, Time: &at}})
	roundTrip(t, []User[int32]{{UserID: 9, Attributes: `{}`, Time: &at}})
	roundTrip(t, []UserFactors[string]{{UserID: "u", Factors: []float32{1, -2.5}}})
	roundTrip(t, []ItemFactors[int32]{{ItemID: 1, Factors: []float32{0.25, 4}}})
	roundTrip(t, []UserCode{{Code: 0, UserID: "u"}})
	roundTrip(t, []ItemCode{{Code: 1, ItemID: "i"}})
}

// TestJSON: a row is a line, and comes back from it.
func TestJSON(t *testing.T) {
	at := Millis(1_700_000_000_120)
	row := Item[string]{ItemID: "i<1>", Attributes: `{"a":["b"],"c":1.5}`, ExpiresAt: &at}
	text, err := json.Marshal(row)
	if want := `{"item_id":"i\u003c1\u003e","attributes":{"a":["b"],"c":1.5},"expires_at":"2023-11-14T22:13:20.12Z"}`; err != nil || string(text) != want {
		t.Fatalf("%s, %v", text, err)
	}
	var back Item[string]
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, row) {
		t.Errorf("%+v, %v", back, err)
	}
}

// BenchmarkLists: the floor is zstd-1 over 8 bytes a place.
func BenchmarkLists(b *testing.B) {
	rows := lists(256, 20)
	var out bytes.Buffer
	w := NewWriter[List[string]](&out, nil)
	for b.Loop() {
		if err := w.Write(rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(rows)*b.N)/b.Elapsed().Seconds(), "lists/s")
}

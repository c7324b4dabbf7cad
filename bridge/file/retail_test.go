package file

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/therootcompany/xz"

	"vitrine/bridge/event"
)

// The real shop lies beside the project, not in it.
const retailFile = "../../../shared/data/online-retail/online_retail.csv.xz"

// retailSpec is the import that an operator of that shop types.
func retailSpec(t testing.TB) Spec {
	t.Helper()
	mapping, err := ParseMap("user_id=CustomerID,item_id=StockCode,event_type==purchase,ts=InvoiceDate,value=Quantity,attr.name=Description,attr.price=UnitPrice")
	if err != nil {
		t.Fatal(err)
	}
	return Spec{
		Name:        "online_retail.csv.xz",
		Map:         mapping,
		Where:       `CustomerID != "" && !(StockCode in ["POST", "D", "DOT", "M", "BANK CHARGES", "PADS", "CRUK", "C2"])`,
		RemoveWhere: `InvoiceNo.startsWith("C")`,
		Now:         time.UnixMilli(1_700_000_000_000),
	}
}

func openRetail(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Open(retailFile)
	if err != nil {
		t.Skipf("the Online Retail data set is not beside the project: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestOnlineRetail imports the real shop and checks what became of its rows.
func TestOnlineRetail(t *testing.T) {
	f := openRetail(t)
	var sink recorder
	start := time.Now()
	counts, err := Read(context.Background(), f, retailSpec(t), &sink)
	if err != nil {
		t.Fatal(err)
	}
	seconds := time.Since(start).Seconds()
	t.Logf("%+v in %.2f s: %.0f rows/s from xz", counts, seconds, float64(counts.Read)/seconds)
	if counts.Read != 541_909 || counts.Emitted+counts.Rejected+counts.Skipped != counts.Read {
		t.Errorf("counts = %+v, want 541909 rows that add up", counts)
	}
	for _, r := range sink.rejected[:min(5, len(sink.rejected))] {
		t.Logf("rejected: line %d %s %s: %s", r.Line, r.Code, r.Detail, r.Raw)
	}
	ids := map[string]bool{}
	var events, removes int
	for i := range sink.records {
		r := &sink.records[i]
		if r.Kind != event.KindEvent {
			continue
		}
		events++
		if r.Event.Type == event.TypeRemove {
			removes++
		}
		if ids[r.Event.EventID] {
			t.Fatalf("event_id %s stands twice", r.Event.EventID)
		}
		ids[r.Event.EventID] = true
	}
	t.Logf("%d events, %d of them removes", events, removes)
	first := sink.records[0].Event
	want := event.Event{
		UserID: "17850", ItemID: "85123A", Type: "purchase", Time: 1291191960000,
		Value: 6, HasValue: true, EventID: first.EventID,
	}
	if first != want {
		t.Errorf("first event = %+v, want %+v", first, want)
	}
}

// BenchmarkOnlineRetail reads the whole file from memory. The floor is the
// SHA-256 of each row, about 0.2 us, and its 32 byte id.
func BenchmarkOnlineRetail(b *testing.B) {
	packed, err := io.ReadAll(openRetail(b))
	if err != nil {
		b.Fatal(err)
	}
	z, err := xz.NewReader(bytes.NewReader(packed), 0)
	if err != nil {
		b.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	for name, data := range map[string][]byte{"csv": plain, "xz": packed} {
		b.Run(name, func(b *testing.B) {
			spec := retailSpec(b)
			spec.Name = fmt.Sprintf("retail.%s", name)
			spec.Format = CSV
			b.ReportAllocs()
			var rows int64
			for b.Loop() {
				counts, err := Read(context.Background(), bytes.NewReader(data), spec, discard{})
				if err != nil {
					b.Fatal(err)
				}
				rows += counts.Read
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

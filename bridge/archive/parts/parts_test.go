package parts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vitrine/bridge/archive"
	"vitrine/bridge/event"
	"vitrine/bridge/parquet"
)

const (
	day0      = 1_700_006_400_000 // 2023-11-15, midnight
	dayMillis = 24 * 60 * 60 * 1000
)

func open(t testing.TB, dir string) *archive.Archive {
	t.Helper()
	a, err := archive.Open(t.Context(), archive.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func view(user, item, id string, ts int64) event.Record {
	return event.Record{Kind: event.KindEvent, Event: event.Event{UserID: user, ItemID: item, Type: "view", Time: ts, EventID: id}}
}

// commit writes records, each in a bus message of its own.
func commit(t testing.TB, a *archive.Archive, records ...event.Record) {
	t.Helper()
	b, err := a.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := b.Add(b.First()+uint64(i), &records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(t.Context(), b.First()+uint64(len(records))-1); err != nil {
		t.Fatal(err)
	}
}

const partColumns = parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value | parquet.BusSeq

// rowsOf writes the rows of a batch as text.
func rowsOf(out *strings.Builder, b *parquet.EventBatch) {
	for i := range b.Len {
		fmt.Fprintln(out, b.UserID.At(i), b.ItemID.At(i), b.EventType.At(i), b.Time[i], b.Value[i], b.BusSeq[i])
	}
}

// scanned are the rows that ScanEvents gives, parted those of the parts, which
// are read by two readers side by side.
func scanned(t *testing.T, a *archive.Archive) string {
	t.Helper()
	var out strings.Builder
	if err := a.ScanEvents(t.Context(), partColumns, func(b *parquet.EventBatch) error { rowsOf(&out, b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func parted(t *testing.T, parts *Parts) string {
	t.Helper()
	texts := make([]string, parts.Len())
	var wg sync.WaitGroup
	for first := range 2 {
		wg.Go(func() {
			r := parts.Reader(partColumns)
			for n := first; n < parts.Len(); n += 2 {
				var out strings.Builder
				rows := 0
				err := r.Scan(t.Context(), n, func(b *parquet.EventBatch) error { rows += b.Len; rowsOf(&out, b); return nil })
				if err != nil || rows > parts.Rows(n) {
					t.Errorf("part %d: %d rows of %d, %v", n, rows, parts.Rows(n), err)
				}
				texts[n] = out.String()
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return strings.Join(texts, "")
}

// TestPartsGiveTheRowsOfTheScan: with ids that come again in the same commit, in
// others, and on other dates, with ids that are missing, and in dates without
// any.
func TestPartsGiveTheRowsOfTheScan(t *testing.T) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 1))
		a := open(t, t.TempDir())
		for range 4 {
			var records []event.Record
			for n := range 200 {
				date := random.Int64N(4)
				id := ""
				if date > 0 && random.IntN(4) > 0 {
					id = fmt.Sprint("e", random.IntN(300))
				}
				r := view(fmt.Sprint("u", random.IntN(9)), fmt.Sprint("i", n), id, day0+date*dayMillis+random.Int64N(dayMillis))
				records = append(records, r)
			}
			commit(t, a, records...)
		}
		parts, err := List(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		want := scanned(t, a)
		if got := parted(t, parts); got != want {
			t.Fatalf("seed %d: parts give %d lines, the scan %d", seed, strings.Count(got, "\n"), strings.Count(want, "\n"))
		}
		total := 0
		for n := range parts.Len() {
			total += parts.Rows(n)
		}
		if want := strings.Count(want, "\n"); total != want || want == 800 {
			t.Fatalf("seed %d: the parts promise %d rows of %d", seed, total, want)
		}
	}
}

func TestPartsOfRottenAndVanishedFiles(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	commit(t, a, view("u1", "i1", "a", day0))
	commit(t, a, view("u2", "i2", "b", day0+dayMillis))
	parts, err := List(t.Context(), a)
	if err != nil || parts.Len() != 2 {
		t.Fatal(parts, err)
	}
	if err := os.Remove(filepath.Join(dir, parts.Path(0))); err != nil {
		t.Fatal(err)
	}
	if got := parted(t, parts); got != scanned(t, a) || strings.Count(got, "\n") != 1 {
		t.Errorf("rows %q", got)
	}
	stop := errors.New("stop")
	r := parts.Reader(parquet.UserID)
	defer r.Close()
	if err := r.Scan(t.Context(), 1, func(*parquet.EventBatch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("caller's error: %v", err)
	}
	path := filepath.Join(dir, parts.Path(1))
	if err := os.WriteFile(path, []byte("PAR1 this is not one PAR1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := List(t.Context(), a); err == nil || !strings.Contains(err.Error(), filepath.Base(path)) {
		t.Errorf("rotten file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := List(ctx, a); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestHashesOfManyBucketsAreHeldAgainstEachOther(t *testing.T) {
	const bucketBits = 3
	random := rand.New(rand.NewPCG(3, 3))
	parts := make([]hashed, 3)
	want := map[uint64]int{}
	for i := range parts {
		buckets := make([][]uint64, 1<<bucketBits)
		for range 1000 {
			h := random.Uint64() &^ (1<<52 - 1) // 4096 different ones
			buckets[h>>(64-bucketBits)] = append(buckets[h>>(64-bucketBits)], h)
			want[max(h, 1)]++
		}
		parts[i].starts = []uint32{0}
		for _, b := range buckets {
			parts[i].hashes = append(parts[i].hashes, b...)
			parts[i].starts = append(parts[i].starts, uint32(len(parts[i].hashes)))
		}
	}
	got, err := sharedHashes(t.Context(), append(parts, hashed{}), bucketBits)
	if err != nil {
		t.Fatal(err)
	}
	for h, n := range want {
		if _, shared := got[h]; shared != (n > 1) {
			t.Fatalf("hash %x comes %d times, shared %v", h, n, shared)
		}
	}
}

package gen

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"vitrine/bridge/archive"
	"vitrine/bridge/parquet"
)

func small() Shape { return Shape{Users: 3000, Items: 2000, Cells: 150_000, Seed: 1} }

func TestMatrixIsLikeAShops(t *testing.T) {
	m, err := Matrix(t.Context(), small())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if n := m.NNZ(); n < 135_000 || n > 165_000 || m.Rows != 3000 || m.Cols != 2000 {
		t.Errorf("%d x %d with %d cells, want about 150000", m.Rows, m.Cols, n)
	}
	again, err := Matrix(t.Context(), small())
	if err != nil || !reflect.DeepEqual(m, again) {
		t.Errorf("the same shape makes other data: %v", err)
	}
	counts := m.Counts()
	slices.Sort(counts)
	if low, high := counts[len(counts)/10], counts[len(counts)-len(counts)/10]; high < 2*low {
		t.Errorf("items are evenly popular: %d and %d", low, high)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Matrix(ctx, small()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestArchiveHoldsTheMatrix: every cell once, by user, item and weight.
func TestArchiveHoldsTheMatrix(t *testing.T) {
	want, err := Matrix(t.Context(), small())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "archive")
	rows, err := Archive(t.Context(), dir, small(), false)
	if err != nil || rows != want.NNZ() {
		t.Fatal(rows, err)
	}
	a, err := archive.OpenReadOnly(t.Context(), archive.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	got := map[[2]int]float32{}
	last := int64(math.MinInt64)
	err = a.ScanEvents(t.Context(), parquet.UserID|parquet.ItemID|parquet.EventType|parquet.Time, func(b *archive.EventBatch) error {
		for i := range b.Len {
			user, err := strconv.Atoi(b.UserID.At(i))
			if err != nil {
				return err
			}
			item, err := strconv.Atoi(b.ItemID.At(i))
			if err != nil {
				return err
			}
			got[[2]int{user, item}] += float32(slices.Index(EventTypes(), b.EventType.At(i)) + 1)
			if b.Time[i] < last {
				t.Fatalf("time goes back from %d to %d", last, b.Time[i])
			}
			last = b.Time[i]
		}
		return nil
	})
	if err != nil || len(got) != want.NNZ() {
		t.Fatal(len(got), err)
	}
	for user := range want.Rows {
		cols, weights := want.Row(user)
		for i, item := range cols {
			if got[[2]int{user, int(item)}] != weights[i] {
				t.Fatalf("user %d, item %d: %v, want %v", user, item, got[[2]int{user, int(item)}], weights[i])
			}
		}
	}
}

func TestIdsOfTwelveBytes(t *testing.T) {
	for kind, want := range map[bool]string{true: "user-0000007", false: "7"} {
		if got := names("user", 9, kind)[7]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// BenchmarkArchive: the floor is a sort of every row, a shuffle of every date
// and zstd-1 over 8 bytes an event.
func BenchmarkArchive(b *testing.B) {
	rows := 0
	for b.Loop() {
		n, err := Archive(b.Context(), filepath.Join(b.TempDir(), "a"), Sized(1_000_000), false)
		if err != nil {
			b.Fatal(err)
		}
		rows += n
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

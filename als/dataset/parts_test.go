package dataset

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFoldsPartTheCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols, r, c, w, dense := cells(t)
		m, err := FromTriples(rows, cols, r, c, w)
		if err != nil {
			t.Fatal(err)
		}
		folds, seed := rapid.IntRange(2, 6).Draw(t, "folds"), rapid.Uint64().Draw(t, "seed")
		tested := map[[2]uint32]float32{}
		for n := range folds {
			train, test, err := m.Fold(n, folds, seed)
			if err := errors.Join(err, train.Validate(), test.Validate()); err != nil {
				t.Fatal(err)
			}
			both := toDense(train)
			for k, v := range toDense(test) {
				if _, twice := tested[k]; twice {
					t.Fatalf("cell %v is in two folds", k)
				}
				tested[k], both[k] = v, v
			}
			if !equal(both, dense) {
				t.Fatalf("fold %d: train and test are %v, want %v", n, both, dense)
			}
			if shared, err := Shared(train, test); shared != 0 || err != nil {
				t.Fatalf("fold %d: %d cells shared, %v", n, shared, err)
			}
			if shared, err := Shared(m, test); shared != test.NNZ() || err != nil {
				t.Fatalf("fold %d: shares %d of its %d cells with the whole, %v", n, shared, test.NNZ(), err)
			}
		}
		if !equal(tested, dense) {
			t.Fatalf("tested %v, want %v", tested, dense)
		}
	})
}

func TestFoldsAreOfAboutOneSize(t *testing.T) {
	b := NewBuilder(100)
	for range 200 {
		for col := range 100 {
			if err := b.Add(uint32(col), 1); err != nil {
				t.Fatal(err)
			}
		}
		b.EndRow()
	}
	m := b.Build()
	for n := range 5 {
		_, test, err := m.Fold(n, 5, 7)
		if err != nil {
			t.Fatal(err)
		}
		// 4,000 expected; the deviation of a fair draw is 57.
		if got := test.NNZ(); got < 3770 || got > 4230 {
			t.Errorf("fold %d has %d of 20,000 cells", n, got)
		}
	}
	for _, bad := range [][2]int{{0, 1}, {-1, 5}, {5, 5}} {
		if _, _, err := m.Fold(bad[0], bad[1], 0); !errors.Is(err, ErrRange) {
			t.Errorf("fold %d of %d: %v", bad[0], bad[1], err)
		}
	}
}

func TestLeaveLast(t *testing.T) {
	b := NewBuilder(9)
	for _, row := range [][]uint32{{0, 2, 4, 6}, {1}, {}, {3, 5}} {
		for _, col := range row {
			if err := b.Add(col, float32(col+1)); err != nil {
				t.Fatal(err)
			}
		}
		b.EndRow()
	}
	m := b.Build()
	times := []int64{40, 10, 40, 20, 5, 7, 7}
	train, test, left, err := m.LeaveLast(times, 1)
	if err := errors.Join(err, train.Validate(), test.Validate()); err != nil {
		t.Fatal(err)
	}
	// Row 1 has nothing but its newest; of the two at 40 and at 7 the higher column is newer.
	if want := []uint32{4, 5}; !slices.Equal(test.Indices, want) || !slices.Equal(test.Weights, []float32{5, 6}) {
		t.Errorf("test %v %v", test.Indices, test.Weights)
	}
	if want := []uint32{0, 2, 6, 1, 3}; !slices.Equal(train.Indices, want) || !slices.Equal(left, []int64{40, 10, 20, 5, 7}) {
		t.Errorf("train %v at %v", train.Indices, left)
	}
	_, validation, _, err := train.LeaveLast(left, 1)
	if err != nil || !slices.Equal(validation.Indices, []uint32{0}) {
		t.Errorf("validation %v, %v", validation, err)
	}
	if _, _, _, err := m.LeaveLast(times[1:], 1); !errors.Is(err, ErrShape) {
		t.Errorf("missing time: %v", err)
	}
	if _, err := Shared(m, &CSR{Rows: 4, Cols: 8, Indptr: make([]int64, 5)}); !errors.Is(err, ErrShape) {
		t.Errorf("other shape: %v", err)
	}
}

// TestWorkersDoNotMatter: every number of goroutines gives the same matrix, and
// the fault found is that of the lowest cell.
func TestWorkersDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols, r, c, w, _ := cells(t)
		triples := Triples{rows, cols, r, c, w}
		want, err := triples.Build(context.Background(), 1)
		if err != nil {
			t.Fatal(err)
		}
		workers := rapid.IntRange(2, 20).Draw(t, "workers")
		got, err := triples.Build(context.Background(), workers)
		if err := errors.Join(err, got.Check(context.Background(), workers)); err != nil {
			t.Fatal(err)
		}
		same := func(what string, a, b *CSR) {
			if !slices.Equal(a.Indptr, b.Indptr) || !slices.Equal(a.Indices, b.Indices) || !slices.Equal(a.Weights, b.Weights) {
				t.Fatalf("%s: %d workers make %v, one makes %v", what, workers, b, a)
			}
		}
		same("build", want, got)
		turned, err := want.TransposeWith(context.Background(), workers)
		if err != nil {
			t.Fatal(err)
		}
		same("transpose", want.Transpose(), turned)
		if len(r) < 2 {
			return
		}
		bad := rapid.IntRange(0, len(r)-2).Draw(t, "bad")
		triples.W[bad], triples.R[bad+1] = -1, uint32(rows)
		if _, err := triples.Build(context.Background(), workers); !errors.Is(err, ErrWeight) {
			t.Fatalf("bad cells from %d on: %v", bad, err)
		}
	})
}

func TestCancelledWorkReturnsTheContextsError(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m, err := FromTriples(2, 2, []uint32{0, 1}, []uint32{0, 1}, []float32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	_, built := Triples{2, 2, []uint32{0, 1}, []uint32{0, 1}, []float32{1, 2}}.Build(ctx, 1)
	_, turned := m.TransposeWith(ctx, 1)
	for what, err := range map[string]error{"build": built, "transpose": turned, "check": m.Check(ctx, 1)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSizesThatDoNotFitAreRefused(t *testing.T) {
	for _, c := range []struct {
		rows, cols int
		want       error
	}{{1 << 40, 1, ErrTooLarge}, {1, 1 << 32, ErrTooLarge}, {-1, 2, ErrShape}} {
		if _, err := FromTriples(c.rows, c.cols, nil, nil, nil); !errors.Is(err, c.want) {
			t.Errorf("%d x %d: %v", c.rows, c.cols, err)
		}
		if err := (&CSR{Rows: c.rows, Cols: c.cols, Indptr: []int64{0}}).Validate(); !errors.Is(err, c.want) {
			t.Errorf("check %d x %d: %v", c.rows, c.cols, err)
		}
	}
}

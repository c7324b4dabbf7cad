package neighbors_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"

	"vitrine/als/dataset"
	"vitrine/als/neighbors"
)

func TestSimilarMatchesTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users, items := rapid.IntRange(1, 10).Draw(t, "users"), rapid.IntRange(1, 10).Draw(t, "items")
		a := make([][]float64, users)
		b := dataset.NewBuilder(items)
		for u := range a {
			a[u] = make([]float64, items)
			for i := range a[u] {
				if rapid.Bool().Draw(t, "cell") {
					w := rapid.Float32Range(0.1, 5).Draw(t, "weight")
					a[u][i] = float64(w)
					if err := b.Add(uint32(i), w); err != nil {
						t.Fatal(err)
					}
				}
			}
			b.EndRow()
		}
		data := b.Build()
		top := rapid.IntRange(1, 12).Draw(t, "top")
		for _, measure := range []neighbors.Measure{neighbors.Cosine, neighbors.Conditional} {
			table, err := neighbors.Similar(context.Background(), data, neighbors.SimilarOptions{Measure: measure, Shrink: 3, Top: top})
			if err != nil {
				t.Fatal(err)
			}
			for i := range items {
				dense := make([]float64, items)
				for j := range items {
					var both, common, ii, jj, users float64
					for u := range a {
						both += a[u][i] * a[u][j]
						ii += a[u][i] * a[u][i]
						jj += a[u][j] * a[u][j]
						if a[u][i] > 0 {
							users++
							if a[u][j] > 0 {
								common++
							}
						}
					}
					dense[j] = both / math.Sqrt((ii+3)*(jj+3))
					if measure == neighbors.Conditional {
						dense[j] = common / (users + 3)
					}
				}
				wantRow(t, table, i, dense, top)
			}
		}
	})
}

func TestTransitionsMatchTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.IntRange(1, 6).Draw(t, "items")
		q := drawSequences(t, items)
		window := rapid.IntRange(1, 4).Draw(t, "window")
		backward := rapid.SampledFrom([]float64{0, .5, 1}).Draw(t, "backward")
		count := make([]float64, items)
		sum := make([][]float64, items)
		for i := range sum {
			sum[i] = make([]float64, items)
		}
		for n := range q.Len() {
			s := q.At(n)
			for a, x := range s {
				count[x]++
				for d := 1; d <= window && a+d < len(s); d++ {
					sum[x][s[a+d]] += 1 / float64(d)
					sum[s[a+d]][x] += backward / float64(d)
				}
			}
		}
		table, err := neighbors.Transitions(context.Background(), q, neighbors.TransitionOptions{Items: items, Window: window, Shrink: 2, Backward: backward})
		if err != nil {
			t.Fatal(err)
		}
		for i := range items {
			for j := range items {
				sum[i][j] /= math.Sqrt((count[i] + 2) * (count[j] + 2))
			}
			wantRow(t, table, i, sum[i], neighbors.DefaultTop)
		}
	})
}

func TestEASEMatchesFloat64(t *testing.T) {
	for _, items := range []int{1, 5, 128, 129, 400} {
		data := matrix(t, randomSequences(7, 900, items, 8), items)
		const lambda = 20.0
		table, err := neighbors.EASE(context.Background(), data, neighbors.EASEOptions{Lambda: lambda, Top: items, Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		g := mat.NewSymDense(items, nil)
		for u := range data.Rows {
			cols, _ := data.Row(u)
			for _, i := range cols {
				for _, j := range cols {
					if i <= j {
						g.SetSym(int(i), int(j), g.At(int(i), int(j))+1)
					}
				}
			}
		}
		for i := range items {
			g.SetSym(i, i, g.At(i, i)+lambda)
		}
		var c mat.Cholesky
		if !c.Factorize(g) {
			t.Fatal("oracle: not positive definite")
		}
		var p mat.SymDense
		if err := c.InverseTo(&p); err != nil {
			t.Fatal(err)
		}
		for i := range items {
			neighborsOf, scores := table.Row(uint32(i))
			if !slices.IsSortedFunc(scores, func(a, b float32) int { return int(math.Copysign(1, float64(b-a))) }) && items > 1 {
				t.Errorf("row %d of %d is not sorted", i, items)
			}
			for n, j := range neighborsOf {
				want := -p.At(i, int(j)) / p.At(int(j), int(j))
				if d := math.Abs(float64(scores[n]) - want); d > 1e-5 {
					t.Fatalf("%d items: B[%d][%d] = %v, want %v", items, i, j, scores[n], want)
				}
			}
		}
	}
}

func TestEASEKeepsTheEntriesFarthestFromZero(t *testing.T) {
	data := matrix(t, randomSequences(3, 500, 60, 10), 60)
	all, err := neighbors.EASE(context.Background(), data, neighbors.EASEOptions{Lambda: 5})
	if err != nil {
		t.Fatal(err)
	}
	few, err := neighbors.EASE(context.Background(), data, neighbors.EASEOptions{Lambda: 5, Top: 10})
	if err != nil {
		t.Fatal(err)
	}
	negative := false
	for i := range uint32(60) {
		_, scores := all.Row(i)
		var sizes []float64
		for _, v := range scores {
			sizes = append(sizes, math.Abs(float64(v)))
		}
		slices.Sort(sizes)
		_, kept := few.Row(i)
		for _, v := range kept {
			negative = negative || v < 0
			if math.Abs(float64(v)) < sizes[len(sizes)-len(kept)] {
				t.Errorf("row %d keeps %v", i, v)
			}
		}
	}
	if !negative {
		t.Error("no negative entry among the farthest: the case tests nothing")
	}
}

func TestEASERefuses(t *testing.T) {
	data := matrix(t, randomSequences(3, 10, 50, 4), 50)
	_, err := neighbors.EASE(context.Background(), data, neighbors.EASEOptions{MaxItems: 49})
	if !errors.Is(err, neighbors.ErrTooManyItems) {
		t.Errorf("50 items with a limit of 49: %v", err)
	}
	for _, lambda := range []float64{-1, math.NaN(), math.Inf(1)} {
		if _, err := neighbors.EASE(context.Background(), data, neighbors.EASEOptions{Lambda: lambda}); err == nil {
			t.Errorf("lambda %v: no error", lambda)
		}
	}
	if got := neighbors.MemoryOfEASE(10_000) >> 20; got < 190 || got > 230 {
		t.Errorf("10,000 items need %d MiB", got)
	}
}

// TestTablesDoNotDependOnWorkers also cancels every build.
func TestTablesDoNotDependOnWorkers(t *testing.T) {
	const items = 300
	q := randomSequences(1, 3000, items, 6)
	data := matrix(t, q, items)
	for name, build := range map[string]func(ctx context.Context, workers int) (*neighbors.Table, error){
		"cosine": func(ctx context.Context, w int) (*neighbors.Table, error) {
			return neighbors.Similar(ctx, data, neighbors.SimilarOptions{Top: 20, RowLimit: 5, Workers: w})
		},
		"conditional": func(ctx context.Context, w int) (*neighbors.Table, error) {
			return neighbors.Similar(ctx, data, neighbors.SimilarOptions{Measure: neighbors.Conditional, Top: 20, Workers: w})
		},
		"transitions": func(ctx context.Context, w int) (*neighbors.Table, error) {
			return neighbors.Transitions(ctx, q, neighbors.TransitionOptions{Items: items, Top: 20, Workers: w})
		},
		"ease": func(ctx context.Context, w int) (*neighbors.Table, error) {
			return neighbors.EASE(ctx, data, neighbors.EASEOptions{Top: 20, Workers: w})
		},
	} {
		one, err := build(context.Background(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Check(); err != nil || one.Len() != items || len(one.Items) > 20*items {
			t.Errorf("%s: %v, %d rows, %d entries", name, err, one.Len(), len(one.Items))
		}
		for _, workers := range []int{2, 7} {
			if many, err := build(context.Background(), workers); err != nil || !equalTables(one, many) {
				t.Errorf("%s: %d workers give another table (%v)", name, workers, err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if table, err := build(ctx, 2); !errors.Is(err, context.Canceled) || table != nil {
			t.Errorf("%s: cancelled build gives %v, %v", name, table, err)
		}
	}
}

// TestLookupDecays: every item has one neighbour of its own with score 1.
func TestLookupDecays(t *testing.T) {
	table := &neighbors.Table{
		Start: []int64{0, 1, 2, 3, 4, 4, 4, 4, 4},
		Items: []uint32{4, 5, 6, 7}, Scores: []float32{1, 1, 1, 1},
	}
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lookup  neighbors.Lookup
		history []uint32
		want    [4]float32
	}{
		"default":      {neighbors.Lookup{}, []uint32{0, 1, 2}, [4]float32{.36, .6, 1, 0}},
		"no decay":     {neighbors.Lookup{Decay: 1}, []uint32{0, 1, 1, 3}, [4]float32{1, 2, 0, 1}},
		"last two":     {neighbors.Lookup{Decay: 1, Last: 2}, []uint32{0, 1, 2}, [4]float32{0, 1, 1, 0}},
		"a hundredth":  {neighbors.Lookup{Decay: .2}, []uint32{0, 1, 2, 3}, [4]float32{0, .04, .2, 1}},
		"unknown item": {neighbors.Lookup{}, []uint32{0, 99}, [4]float32{.6, 0, 0, 0}},
	} {
		c.lookup.Table = table
		var out neighbors.Scores
		out.Reset(8)
		c.lookup.Score(c.history, &out, nil)
		for n, want := range c.want {
			if got, _ := out.Get(uint32(4 + n)); !near(float64(got), float64(want)) {
				t.Errorf("%s: item %d has %v, want %v", name, 4+n, got, want)
			}
		}
	}
}

func TestLongRowsCountInPart(t *testing.T) {
	var q neighbors.Sequences
	robot := make([]uint32, 400)
	for i := range robot {
		robot[i] = uint32(i)
	}
	q.Add(robot)
	q.Add([]uint32{1, 2})
	q.Add([]uint32{1, 2})
	table, err := neighbors.Similar(context.Background(), matrix(t, &q, 400), neighbors.SimilarOptions{RowLimit: 50})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for i := range uint32(400) {
		if items, _ := table.Row(i); len(items) >= 49 {
			rows++
		}
	}
	if rows != 50 {
		t.Errorf("the robot's row counts for %d items, want 50", rows)
	}
	if items, _ := table.Row(1); len(items) == 0 || items[0] != 2 {
		t.Errorf("neighbours of item 1: %v", items)
	}
}

func TestBuildersRefuse(t *testing.T) {
	ctx := context.Background()
	data := matrix(t, randomSequences(3, 10, 5, 4), 5)
	bad := &neighbors.Sequences{Start: []int64{0, 1}, Items: []uint32{9}}
	broken := *data
	broken.Indices = slices.Clone(data.Indices)
	broken.Indices[0] = 99
	for name, build := range map[string]func() error{
		"item out of range": func() error {
			_, err := neighbors.Transitions(ctx, bad, neighbors.TransitionOptions{Items: 9})
			return err
		},
		"backward of 2": func() error {
			_, err := neighbors.Transitions(ctx, &neighbors.Sequences{}, neighbors.TransitionOptions{Backward: 2})
			return err
		},
		"NaN shrink": func() error {
			_, err := neighbors.Similar(ctx, data, neighbors.SimilarOptions{Shrink: math.NaN()})
			return err
		},
		"unknown measure":    func() error { _, err := neighbors.Similar(ctx, data, neighbors.SimilarOptions{Measure: 7}); return err },
		"broken matrix":      func() error { _, err := neighbors.Similar(ctx, &broken, neighbors.SimilarOptions{}); return err },
		"broken ease matrix": func() error { _, err := neighbors.EASE(ctx, &broken, neighbors.EASEOptions{}); return err },
		"session item": func() error {
			_, err := neighbors.NewSessions(t.Context(), bad, neighbors.SessionOptions{Items: 9})
			return err
		},
	} {
		if build() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestEmptyInputsBuildEmptyTables(t *testing.T) {
	ctx := context.Background()
	table, err := neighbors.Transitions(ctx, &neighbors.Sequences{}, neighbors.TransitionOptions{Items: 3})
	if err != nil || table.Len() != 3 || len(table.Items) != 0 {
		t.Errorf("transitions of nothing: %+v, %v", table, err)
	}
	empty := dataset.NewBuilder(0).Build()
	if table, err = neighbors.Similar(ctx, empty, neighbors.SimilarOptions{}); err != nil || table.Len() != 0 {
		t.Errorf("similar of nothing: %+v, %v", table, err)
	}
	if table, err = neighbors.EASE(ctx, empty, neighbors.EASEOptions{}); err != nil || table.Len() != 0 {
		t.Errorf("ease of nothing: %+v, %v", table, err)
	}
}

// FuzzCheck: what passes Check can be asked anything without a panic.
func FuzzCheck(f *testing.F) {
	f.Add([]byte{0, 1, 2}, []byte{1, 0}, []byte{0, 1})
	f.Add([]byte{0, 0, 3}, []byte{1, 0, 7}, []byte{1, 1, 1})
	f.Fuzz(func(t *testing.T, start, items, sessions []byte) {
		var rows []int64
		for _, b := range start {
			rows = append(rows, int64(int8(b)))
		}
		var cells, numbers []uint32
		var scores []float32
		for _, b := range items {
			cells = append(cells, uint32(b))
			scores = append(scores, float32(b)-3)
		}
		for _, b := range sessions {
			numbers = append(numbers, uint32(b))
		}
		history := []uint32{0, 1, 7, 255, math.MaxUint32}
		var s neighbors.Scratch
		var out neighbors.Scores
		out.Reset(4)
		table := &neighbors.Table{Start: rows, Items: cells, Scores: scores}
		if table.Check() == nil {
			(&neighbors.Lookup{Table: table, Decay: 1}).Score(history, &out, &s)
		}
		for _, ix := range []*neighbors.Sessions{
			{Sequences: neighbors.Sequences{Start: rows, Items: cells}, Posting: []int64{0, int64(len(numbers))}, Session: numbers},
			{Sequences: neighbors.Sequences{Start: []int64{0, 0, int64(len(cells))}, Items: cells}, Posting: rows, Session: numbers},
		} {
			if ix.Check() != nil {
				continue
			}
			knn, err := neighbors.NewSessionKNN(ix, neighbors.KNNOptions{Age: 10})
			if err != nil {
				t.Fatal(err)
			}
			knn.Score(history, &out, &s)
		}
		out.Top(3, nil, nil)
	})
}

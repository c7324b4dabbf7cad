package neighbors_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/als/neighbors"
)

// entry is one neighbour of the plain implementations that judge the package.
type entry struct {
	item  uint32
	score float64
}

// wantRow compares a row with a dense one: the same scores in the same order,
// without the item itself. Items of equal score may differ by rounding.
func wantRow(t interface{ Fatalf(string, ...any) }, table *neighbors.Table, i int, dense []float64, top int) {
	var want []entry
	for j, v := range dense {
		if j != i && v > 0 {
			want = append(want, entry{uint32(j), v})
		}
	}
	slices.SortStableFunc(want, func(a, b entry) int { return cmp.Compare(b.score, a.score) })
	want = want[:min(top, len(want))]
	items, scores := table.Row(uint32(i))
	if len(items) != len(want) {
		t.Fatalf("row %d has %d entries, want %d", i, len(items), len(want))
	}
	for n, item := range items {
		if !near(float64(scores[n]), want[n].score) || !near(float64(scores[n]), dense[item]) {
			t.Fatalf("row %d place %d: item %d score %v, want %v (its own score %v)", i, n, item, scores[n], want[n].score, dense[item])
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-5*max(1, math.Abs(a), math.Abs(b)) }

func drawSequences(t *rapid.T, items int) *neighbors.Sequences {
	var q neighbors.Sequences
	for range rapid.IntRange(0, 12).Draw(t, "sequences") {
		q.Add(rapid.SliceOfN(rapid.Uint32Range(0, uint32(items-1)), 0, 8).Draw(t, "sequence"))
	}
	return &q
}

// randomSequences makes sequences with a skewed choice of items.
func randomSequences(seed uint64, n, items, length int) *neighbors.Sequences {
	random := rand.New(rand.NewPCG(seed, 0))
	var q neighbors.Sequences
	var row []uint32
	for range n {
		row = row[:0]
		for range 1 + random.IntN(2*length) {
			row = append(row, uint32(float64(items)*math.Pow(random.Float64(), 3)))
		}
		q.Add(row)
	}
	return &q
}

// matrix has a cell of weight 1 for every item of a sequence.
func matrix(t testing.TB, q *neighbors.Sequences, items int) *dataset.CSR {
	t.Helper()
	b := dataset.NewBuilder(items)
	for n := range q.Len() {
		row := slices.Clone(q.At(n))
		slices.Sort(row)
		for _, item := range slices.Compact(row) {
			if err := b.Add(item, 1); err != nil {
				t.Fatal(err)
			}
		}
		b.EndRow()
	}
	return b.Build()
}

func equalTables(a, b *neighbors.Table) bool {
	return slices.Equal(a.Start, b.Start) && slices.Equal(a.Items, b.Items) && slices.Equal(a.Scores, b.Scores)
}

// modelOf is a model of item factors alone.
func modelOf(items []float32, rank int) *model.Model {
	return &model.Model{Rank: rank, NumItems: len(items) / rank, Items: items, ItemScale: make([]float32, len(items)/rank)}
}

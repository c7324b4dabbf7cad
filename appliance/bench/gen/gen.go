// Package gen makes the data that training is measured on: a matrix like a
// shop's, with users of very different diligence who mostly stay with the
// tastes of their group, and items of skewed popularity; in memory, or as the
// Parquet files of an archive.
//
// It owns the distribution. It may import als/dataset, bridge/archive and
// bridge/parquet; it must not know what is measured.
//
//	m, err := gen.Matrix(ctx, gen.Sized(10_000_000))
package gen

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"vitrine/als/dataset"
)

// Shape is the size of the data. The same shape makes the same data.
type Shape struct {
	Users int `json:"users"`
	Items int `json:"items"`
	// Cells is about how many interactions there are.
	Cells int    `json:"cells"`
	Seed  uint64 `json:"seed"`
}

// The article's size.
const (
	FullCells = 100_000_000
	fullUsers = 1_000_000
	fullItems = 200_000
)

// Sized is a shape like the article's with another number of cells: users and
// items grow with them.
func Sized(cells int) Shape {
	share := float64(cells) / FullCells
	return Shape{Users: max(1, int(share*fullUsers)), Items: max(1, int(share*fullItems)), Cells: cells, Seed: 1}
}

const (
	groups = 50
	own    = 0.7 // share of a user's items that are his group's
	// sigma of the logarithm of how many items a user has.
	sigma = 0.8
	// maxWeight of a cell; weights are whole numbers from 1.
	maxWeight = 4
	// draws bounds how often repeats are drawn again: a user who wants most of
	// the catalogue gets less.
	draws = 8
)

// Streams of random numbers.
const (
	streamSize = 1 + iota
	streamPlace
	streamDay
	streamRow = 1 << 32
)

// Matrix makes the data in memory, on all cores.
func Matrix(ctx context.Context, s Shape) (*dataset.CSR, error) {
	mean := float64(s.Cells) / float64(s.Users)
	random := rand.New(rand.NewPCG(s.Seed, streamSize))
	room := make([]int64, s.Users+1)
	for user := range s.Users {
		want := int(math.Round(mean * math.Exp(sigma*random.NormFloat64()-sigma*sigma/2)))
		room[user+1] = room[user] + int64(min(max(want, 1), s.Items/4+1))
	}
	// Scatter popular items over the rows: ids say nothing about popularity.
	place := rand.New(rand.NewPCG(s.Seed, streamPlace)).Perm(s.Items)
	return dataset.FromRows(ctx, s.Items, room, 0, func() dataset.RowFunc {
		var row []uint32
		return func(user int, cols []uint32, weights []float32) (int, error) {
			random := rand.New(rand.NewPCG(s.Seed, streamRow+uint64(user)))
			row = row[:0]
			for draw := 0; draw < draws && len(row) < len(cols); draw++ {
				for missing := len(cols) - len(row); missing > 0; missing-- {
					row = append(row, uint32(place[s.item(random, user)]))
				}
				slices.Sort(row)
				row = slices.Compact(row)
			}
			for i := range row {
				weights[i] = float32(1 + random.IntN(maxWeight))
			}
			return copy(cols, row), nil
		}
	})
}

// item draws the rank of an item by popularity.
func (s *Shape) item(random *rand.Rand, user int) int {
	x := random.Float64()
	at := int(float64(s.Items) * x * x * x) // density falls as x^(-2/3)
	if random.Float64() < own {
		at = at/groups*groups + user%groups
	}
	return min(at, s.Items-1)
}

package dataset

import (
	"fmt"
	"slices"
)

// Fold splits the cells of m for cross-validation: test gets those of fold n of
// so many, train the others. A cell's fold depends on its row, its column and
// the seed alone, so folds are about, not exactly, of one size, and cells added
// later leave the others where they are.
func (m *CSR) Fold(n, folds int, seed uint64) (train, test *CSR, err error) {
	if folds < 2 || n < 0 || n >= folds {
		return nil, nil, fmt.Errorf("split cells: %w: fold %d of %d", ErrRange, n, folds)
	}
	train, test = m.split(func(row, at int) bool {
		return FoldOf(row, m.Indices[at], folds, seed) == n
	})
	return train, test, nil
}

// FoldOf is the fold that Fold puts a cell in.
func FoldOf(row int, col uint32, folds int, seed uint64) int {
	cell := uint64(row)<<32 | uint64(col)
	return int(mix(mix(cell)+seed) % uint64(folds))
}

// mix scatters the bits of x (the finalizer of SplitMix64, Steele et al. 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// LeaveLast splits off the n newest cells of every row that has more than n.
// times stands beside m.Indices; of equal times the higher column is newer.
// trainTimes stands beside train.Indices, for splitting that once more.
func (m *CSR) LeaveLast(times []int64, n int) (train, test *CSR, trainTimes []int64, err error) {
	if len(times) != m.NNZ() || n < 0 {
		return nil, nil, nil, fmt.Errorf("split off the %d newest cells of a row: %w: %d times for %d cells", n, ErrShape, len(times), m.NNZ())
	}
	newest := make([]bool, m.NNZ())
	var order []int
	for row := range m.Rows {
		lo, hi := int(m.Indptr[row]), int(m.Indptr[row+1])
		if hi-lo <= n {
			continue
		}
		order = order[:0]
		for at := lo; at < hi; at++ {
			order = append(order, at)
		}
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case times[a] < times[b]:
				return -1
			case times[a] > times[b]:
				return 1
			}
			return 0
		})
		for _, at := range order[len(order)-n:] {
			newest[at] = true
		}
	}
	train, test = m.split(func(_, at int) bool { return newest[at] })
	for at, last := range newest {
		if !last {
			trainTimes = append(trainTimes, times[at])
		}
	}
	return train, test, trainTimes, nil
}

// split makes two matrices of the shape of m: no of the cells, by row and
// position, that yes returns false for, and the other of the rest.
func (m *CSR) split(yes func(row, at int) bool) (no, others *CSR) {
	parts := [2]CSR{}
	for p := range parts {
		parts[p] = CSR{Rows: m.Rows, Cols: m.Cols, Indptr: make([]int64, m.Rows+1)}
	}
	for row := range m.Rows {
		for at := int(m.Indptr[row]); at < int(m.Indptr[row+1]); at++ {
			p := &parts[0]
			if yes(row, at) {
				p = &parts[1]
			}
			p.Indices = append(p.Indices, m.Indices[at])
			p.Weights = append(p.Weights, m.Weights[at])
		}
		for p := range parts {
			parts[p].Indptr[row+1] = int64(len(parts[p].Indices))
		}
	}
	return &parts[0], &parts[1]
}

// Shared counts the cells that both matrices have. A split that was given from
// elsewhere should share none: a cell in both is seen in training.
func Shared(a, b *CSR) (int, error) {
	if a.Rows != b.Rows || a.Cols != b.Cols {
		return 0, fmt.Errorf("compare matrices: %w: %d x %d and %d x %d", ErrShape, a.Rows, a.Cols, b.Rows, b.Cols)
	}
	shared := 0
	for row := range a.Rows {
		left, _ := a.Row(row)
		right, _ := b.Row(row)
		for len(left) > 0 && len(right) > 0 {
			switch {
			case left[0] < right[0]:
				left = left[1:]
			case left[0] > right[0]:
				right = right[1:]
			default:
				shared++
				left, right = left[1:], right[1:]
			}
		}
	}
	return shared, nil
}

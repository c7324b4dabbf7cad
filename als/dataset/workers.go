package dataset

// maxParts bounds how many goroutines scatter cells at the same time: each has
// a position per row or column of its own.
const maxParts = 8

// stopCells is about how many cells are handled between two looks at the
// context: some milliseconds of work.
const stopCells = 1 << 18

// rowParts cuts the rows of a matrix into so many ranges of about as many cells
// each: part p is rows bounds[p] to bounds[p+1]-1.
func (m *CSR) rowParts(parts int) []int {
	bounds := make([]int, parts+1)
	row := 0
	for p := range parts {
		bounds[p] = row
		for want := int64(p+1) * int64(m.NNZ()) / int64(parts); row < m.Rows && m.Indptr[row+1] <= want; {
			row++
		}
	}
	bounds[parts] = m.Rows
	return bounds
}

// positions turns the counts that parts have of each key into where each part
// writes, and returns the start of every key: parts write one behind the other,
// so the outcome is that of one part.
func positions(counts [][]int64, keys int) []int64 {
	starts := make([]int64, keys+1)
	at := int64(0)
	for key := range keys {
		starts[key] = at
		for _, c := range counts {
			at, c[key] = at+c[key], at
		}
	}
	starts[keys] = at
	return starts
}

package retrieval

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"vitrine/als/dataset"
)

const (
	// maxPairsLine bounds a line of a file of pairs, maxPairsItem an item's
	// number: the matrix has a column for each up to the highest.
	maxPairsLine = 16 << 20
	maxPairsItem = 10_000_000
)

// ReadPairs reads who took what: each line has the number of a user and those
// of his items, separated by blanks, as the data sets of LightGCN do. A user's
// number says nothing here, and a line without items is passed over.
func ReadPairs(path string) (*dataset.CSR, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open pairs: %w", err)
	}
	defer f.Close()
	m, err := readPairs(f)
	if err != nil {
		return nil, fmt.Errorf("read pairs of %s: %w", path, err)
	}
	return m, nil
}

func readPairs(in io.Reader) (*dataset.CSR, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxPairsLine)
	rows, cols := 0, 0
	var users, items []uint32
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		for _, field := range fields[1:] {
			item, err := strconv.ParseUint(field, 10, 32)
			if err != nil || item >= maxPairsItem {
				return nil, fmt.Errorf("line %d: %q is no item number below %d; a line has a user and his items", n, field, maxPairsItem)
			}
			cols = max(cols, int(item)+1)
			users, items = append(users, uint32(rows)), append(items, uint32(item))
		}
		rows++
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if rows == 0 {
		return nil, fmt.Errorf("there are no pairs in it; a line has a user and his items")
	}
	weights := make([]float32, len(items))
	for i := range weights {
		weights[i] = 1
	}
	return dataset.FromTriples(rows, cols, users, items, weights)
}

// Package nearest finds the known name that a mistyped one was meant to be.
//
// It owns nothing and is a leaf: it imports nothing of this module.
package nearest

import "strings"

// longest is the most bytes of a name that are compared; hostile ones are cut.
const longest = 256

// Name returns the name closest to what was typed, the first of equals, or ""
// when none is close: more than half of the letters would be others. Case and the
// separators "_", "-", " " do not count.
func Name(typed string, names []string) string {
	best, bestDistance := "", (len(typed)+1)/2+1
	for _, n := range names {
		if len(n) > longest {
			continue
		}
		if d := Distance(simplify(typed), simplify(n)); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	return best
}

func simplify(s string) string {
	s = s[:min(len(s), longest)]
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
}

// Distance is the Levenshtein distance in bytes.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

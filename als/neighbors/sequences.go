package neighbors

import (
	"context"
	"fmt"
)

// Sequences are ordered lists of item rows, one per user or session, in flat
// form: sequence n is Items[Start[n]:Start[n+1]], oldest item first.
type Sequences struct {
	// Start has one entry more than there are sequences, the first is 0.
	Start []int64
	Items []uint32
}

// Add appends a sequence, which is copied. The zero value is ready for it.
func (q *Sequences) Add(items []uint32) {
	if len(q.Start) == 0 {
		q.Start = append(q.Start, 0)
	}
	q.Items = append(q.Items, items...)
	q.Start = append(q.Start, int64(len(q.Items)))
}

// Len is the number of sequences.
func (q *Sequences) Len() int { return max(len(q.Start)-1, 0) }

// At returns sequence n; it aliases Items.
func (q *Sequences) At(n int) []uint32 { return q.Items[q.Start[n]:q.Start[n+1]] }

// Check reports the first thing that makes q no list of sequences over the
// given number of items.
func (q *Sequences) Check(items int) error {
	if err := checkStart(q.Start, len(q.Items)); err != nil {
		return fmt.Errorf("check sequences: %w", err)
	}
	for n, item := range q.Items {
		if int64(item) >= int64(items) {
			return fmt.Errorf("check sequences: item %d at %d, there are %d items", item, n, items)
		}
	}
	return nil
}

// checkStart tests the row pointers of a flat structure with n entries. No
// pointers at all stand for no rows.
func checkStart(start []int64, n int) error {
	if len(start) == 0 {
		if n != 0 {
			return fmt.Errorf("%d entries without row pointers", n)
		}
		return nil
	}
	if start[0] != 0 || start[len(start)-1] != int64(n) {
		return fmt.Errorf("rows run from %d to %d, there are %d entries", start[0], start[len(start)-1], n)
	}
	for r := 1; r < len(start); r++ {
		if start[r] < start[r-1] {
			return fmt.Errorf("row %d ends at %d, before its start at %d", r-1, start[r], start[r-1])
		}
	}
	return nil
}

// occurrences lists, for every item, the positions in Items at which it
// stands, ascending: a counting sort, so the memory is one number per event.
func (q *Sequences) occurrences(ctx context.Context, items int) (start, at []int64, err error) {
	start = make([]int64, items+1)
	for _, item := range q.Items {
		start[item+1]++
	}
	for i := range items {
		start[i+1] += start[i]
	}
	next := append([]int64(nil), start[:items]...)
	at = make([]int64, len(q.Items))
	for n, item := range q.Items {
		if n%stopPlaces == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		at[next[item]] = int64(n)
		next[item]++
	}
	return start, at, nil
}

// stopPlaces is how many places are gone through between two looks at a context:
// some milliseconds of work.
const stopPlaces = 1 << 18

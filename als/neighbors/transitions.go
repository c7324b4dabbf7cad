package neighbors

import (
	"context"
	"fmt"
	"math"
	"math/bits"

	"vitrine/als/neighbors/pairs"
)

// DefaultWindow is how many later items of a sequence follow an item.
const DefaultWindow = 10

// TransitionOptions say how transitions are counted. The zero value means the
// documented defaults.
type TransitionOptions struct {
	// Items is the number of items, which the sequences do not tell.
	Items int
	// Window is how far apart two items may be; 0 is DefaultWindow.
	Window int
	// Shrink is s of the score; 0 is DefaultShrink, negative is none.
	Shrink float64
	// Backward is what an item counts that came before, not after: 0 (the
	// default) to 1.
	Backward float64
	// Top is the number of followers kept per item; 0 is DefaultTop.
	Top int
	// Workers is the number of goroutines; 0 is GOMAXPROCS.
	Workers int
}

// Transitions builds the table of what follows what: for every pair of an item
// i and an item j that stands d <= Window places behind it in the same
// sequence 1/d is added, and with n the number of times an item occurs
//
//	score(i -> j) = sum 1/d / sqrt((n_i + s) (n_j + s))
//
// An item that follows itself is no neighbour of itself.
func Transitions(ctx context.Context, q *Sequences, opt TransitionOptions) (*Table, error) {
	if err := q.Check(opt.Items); err != nil {
		return nil, fmt.Errorf("build transitions: %w", err)
	}
	if opt.Window < 0 || opt.Top < 0 || opt.Workers < 0 || math.IsNaN(opt.Shrink) || !(opt.Backward >= 0 && opt.Backward <= 1) {
		return nil, fmt.Errorf("build transitions: number out of range in %+v", opt)
	}
	if opt.Window == 0 {
		opt.Window = DefaultWindow
	}
	start, at, err := q.occurrences(ctx, opt.Items)
	if err != nil {
		return nil, err
	}
	first := sequenceStarts(q)
	weight := make([]float32, opt.Window+1)
	for d := 1; d <= opt.Window; d++ {
		weight[d] = 1 / float32(d)
	}
	mass := make([]float64, opt.Items)
	for item := range mass {
		mass[item] = float64(start[item+1]-start[item]) + shrinkage(opt.Shrink)
	}
	count := func(item uint32, out *pairs.Sums) {
		for _, p := range at[start[item]:start[item+1]] {
			after := q.Items[p+1 : first.next(int(p)+1, min(int(p)+1+opt.Window, len(q.Items)))]
			out.Add(after, weight[1:], 1)
			for d := 1; d <= opt.Window && opt.Backward > 0 && !first.has(int(p)+1-d); d++ {
				out.Add(q.Items[int(p)-d:int(p)-d+1], weight[d:], float32(opt.Backward))
			}
		}
	}
	return rowsOf{
		items: opt.Items, top: opt.Top, workers: opt.Workers,
		pairs: count, masses: pairs.MassesOf(mass),
	}.build(ctx)
}

// bitmap marks positions.
type bitmap []uint64

func (b bitmap) has(n int) bool { return b[n>>6]>>(n&63)&1 != 0 }

// next is the first marked position from lo on, hi when there is none below it.
func (b bitmap) next(lo, hi int) int {
	for at := lo; at < hi; at = (at>>6 + 1) << 6 {
		if rest := b[at>>6] >> (at & 63); rest != 0 {
			return min(at+bits.TrailingZeros64(rest), hi)
		}
	}
	return max(lo, hi)
}

// sequenceStarts marks the positions in Items at which a sequence begins, and
// the one behind all.
func sequenceStarts(q *Sequences) bitmap {
	b := make(bitmap, len(q.Items)/64+1)
	b[len(q.Items)>>6] = 1 << (len(q.Items) & 63)
	for n := range q.Len() {
		if p := q.Start[n]; p < q.Start[n+1] {
			b[p>>6] |= 1 << (p & 63)
		}
	}
	return b
}

package eval

import "slices"

// ranker is one goroutine's working memory.
type ranker struct {
	in       *Input
	depth    int
	scores   []float32
	targets  []uint32 // the present user's, without the masked
	relevant int      // their number
	top      []uint32
	found    []int
	// shown[cut][item] counts the lists that hold the item.
	shown [][]int
}

func newRanker(in *Input) *ranker {
	items := in.Targets.Cols
	depth := min(slices.Max(in.Ks), items)
	r := &ranker{in: in, depth: depth, scores: make([]float32, items), top: make([]uint32, 0, depth)}
	for range in.Ks {
		r.shown = append(r.shown, make([]int, items))
	}
	return r
}

// addShown adds this goroutine's counts to those of all.
func (r *ranker) addShown(all [][]int) {
	for cut, counts := range r.shown {
		for item, n := range counts {
			all[cut][item] += n
		}
	}
}

// ranks returns the 1-based ranks, ascending, at which the user's targets
// stand in the first depth places, and sets relevant.
func (r *ranker) ranks(user int) []int {
	r.in.Score(user, r.scores)
	mask := r.in.masked(user)
	targets, _ := r.in.Targets.Row(user)
	r.targets = r.targets[:0]
	for _, item := range targets {
		if _, seen := slices.BinarySearch(mask, item); !seen {
			r.targets = append(r.targets, item)
		}
	}
	r.relevant = len(r.targets)
	r.choose(mask)
	for cut, k := range r.in.Ks {
		for _, item := range r.top[:min(k, len(r.top))] {
			r.shown[cut][item]++
		}
	}
	r.found = r.found[:0]
	for n, item := range r.top {
		if _, ok := slices.BinarySearch(r.targets, item); ok {
			r.found = append(r.found, n+1)
		}
	}
	return r.found
}

// choose fills top with the best items, by score and then row. Items come in
// ascending order, so one that equals the last place stays behind it. Most
// items fail the first comparison; the few insertions are cheap at the depths
// that metrics use.
func (r *ranker) choose(mask []uint32) {
	r.top = r.top[:0]
	for i, score := range r.scores {
		item := uint32(i)
		if len(mask) > 0 && mask[0] == item {
			mask = mask[1:]
			continue
		}
		full := len(r.top) == r.depth
		if score != score || (full && !(score > r.scores[r.top[r.depth-1]])) {
			continue
		}
		if !full {
			r.top = append(r.top, item)
		}
		at := len(r.top) - 1
		for at > 0 && r.scores[r.top[at-1]] < score {
			r.top[at] = r.top[at-1]
			at--
		}
		r.top[at] = item
	}
}

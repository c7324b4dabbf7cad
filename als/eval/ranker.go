package eval

import (
	"context"
	"slices"

	"vitrine/als/topk"
)

// batchUsers is how many users are ranked together: a search for many reads the
// items from memory once for several of them.
const batchUsers = 32

// catalogue is what all goroutines search: the model's items, and those of them
// that are never ranked.
type catalogue struct {
	index      *topk.Index
	ineligible topk.Mask
}

func newCatalogue(in *Input) *catalogue {
	m := in.Factors
	if m == nil {
		return nil
	}
	c := &catalogue{index: topk.New(m.Items, m.NumItems, m.Rank)}
	c.ineligible.Reset(c.index)
	for item, ok := range in.Eligible {
		if !ok {
			c.ineligible.Hide(uint32(item))
		}
	}
	return c
}

// ranker is one goroutine's working memory.
type ranker struct {
	in        *Input
	catalogue *catalogue
	depth     int
	scores    []float32
	lists     [batchUsers]list
	search    topk.BatchScratch
	masks     [batchUsers]topk.Mask
	// of are the lists that the queries of a search are for.
	of      []int
	queries [][]float32
	hidden  []*topk.Mask
	hits    [][]topk.Hit
	// shown[cut][item] counts the lists that hold the item.
	shown [][]int
	ranks []int
}

// list is the ranking of one user in the making.
type list struct {
	user   int
	mask   []uint32 // the part not met yet
	items  []uint32 // the best so far, best first
	scores []float32
}

func newRanker(in *Input, c *catalogue) *ranker {
	items := in.Targets.Cols
	r := &ranker{in: in, catalogue: c, depth: min(slices.Max(in.Ks), items)}
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

// rank makes the lists of up to batchUsers users.
func (r *ranker) rank(ctx context.Context, users []int) {
	for n, user := range users {
		l := &r.lists[n]
		l.user, l.mask, l.items, l.scores = user, r.in.masked(user), l.items[:0], l.scores[:0]
	}
	if r.in.Factors != nil {
		r.byFactors(users)
	}
	for n, user := range users {
		if ctx.Err() != nil {
			return
		}
		if l := &r.lists[n]; r.scored(user) {
			scores := r.room(r.in.Targets.Cols)
			r.in.Score(user, scores)
			r.add(l, scores)
		}
		for cut, k := range r.in.Ks {
			for _, item := range r.lists[n].items[:min(k, len(r.lists[n].items))] {
				r.shown[cut][item]++
			}
		}
	}
}

// scored reports whether a user is ranked by Score.
func (r *ranker) scored(user int) bool {
	m := r.in.Factors
	if m == nil {
		return true
	}
	return r.in.Score != nil && !slices.ContainsFunc(m.Users[user*m.Rank:(user+1)*m.Rank], func(v float32) bool { return v != 0 })
}

// byFactors ranks by the model, all at once.
func (r *ranker) byFactors(users []int) {
	m, c := r.in.Factors, r.catalogue
	r.of, r.queries, r.hidden = r.of[:0], r.queries[:0], r.hidden[:0]
	for n, user := range users {
		if r.scored(user) {
			continue
		}
		hidden := &r.masks[n]
		hidden.Copy(&c.ineligible)
		for _, item := range r.lists[n].mask {
			hidden.Hide(item)
		}
		r.of = append(r.of, n)
		r.queries = append(r.queries, m.Users[user*m.Rank:(user+1)*m.Rank])
		r.hidden = append(r.hidden, hidden)
	}
	r.hits = c.index.SearchBatch(r.queries, r.depth, r.hidden, r.hits, &r.search)
	for i, n := range r.of {
		l := &r.lists[n]
		for _, hit := range r.hits[i] {
			l.items, l.scores = append(l.items, hit.Row), append(l.scores, hit.Score)
		}
	}
}

// room returns memory for n scores.
func (r *ranker) room(n int) []float32 {
	if len(r.scores) < n {
		r.scores = make([]float32, n)
	}
	return r.scores[:n]
}

// add takes the scores of all items into a list. Items come in ascending order,
// so one that equals the last place stays behind it. Most items fail the first
// comparison; the few insertions are cheap at the depths that metrics use.
func (r *ranker) add(l *list, scores []float32) {
	full := len(l.items) == r.depth
	for i, score := range scores {
		if full && !(score > l.scores[r.depth-1]) || score != score {
			continue
		}
		item := uint32(i)
		for len(l.mask) > 0 && l.mask[0] < item {
			l.mask = l.mask[1:]
		}
		if len(l.mask) > 0 && l.mask[0] == item || r.in.Eligible != nil && !r.in.Eligible[item] {
			continue
		}
		if !full {
			l.items, l.scores = append(l.items, item), append(l.scores, score)
			full = len(l.items) == r.depth
		}
		at := len(l.items) - 1
		for at > 0 && l.scores[at-1] < score {
			l.items[at], l.scores[at] = l.items[at-1], l.scores[at-1]
			at--
		}
		l.items[at], l.scores[at] = item, score
	}
}

// found returns the 1-based ranks, ascending, at which the targets of list n
// stand, and how many targets there are.
func (r *ranker) found(n int) (ranks []int, relevant int) {
	l := &r.lists[n]
	targets, _ := r.in.Targets.Row(l.user)
	mask := r.in.masked(l.user)
	for _, item := range targets {
		if _, seen := slices.BinarySearch(mask, item); !seen {
			relevant++
		}
	}
	r.ranks = r.ranks[:0]
	for place, item := range l.items {
		// What is masked is not in the list.
		if _, ok := slices.BinarySearch(targets, item); ok {
			r.ranks = append(r.ranks, place+1)
		}
	}
	return r.ranks, relevant
}

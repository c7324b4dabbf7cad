package recommend

import (
	"context"
	"errors"

	"vitrine/als/neighbors"
	"vitrine/als/topk"
	"vitrine/appliance/recommend/pace"
)

// BatchSize is the most requests of a Batch.
const BatchSize = 32

// Batch are requests that are answered one after the other, for whose first
// search the items were read once for several of them. Each list is the one
// that Recommend gives. A Batch is not safe for concurrent use.
type Batch struct {
	engine *Engine
	n      int
	asked  [BatchSize]asked
	// mixing serves the lists in turn, for it is large.
	mixing neighbors.Scratch

	// The queries of the common search, whose they are and what they find.
	of      []int
	queries [][]float32
	hidden  []*topk.Mask
	hits    [][]topk.Hit
	search  topk.BatchScratch
}

// asked is one of the requests.
type asked struct {
	req      *Request
	sc       scratch
	question question
	err      error
	// settled tells that question and err are there. A request for a next page
	// is not: the page before may be in the same batch.
	settled bool
}

// Batch begins to answer up to BatchSize requests. They must stay as they are
// until End, which gives the memory back.
func (e *Engine) Batch(ctx context.Context, reqs []Request) *Batch {
	b, ok := e.batches.Get().(*Batch)
	if !ok {
		b = &Batch{engine: e}
	}
	b.n = min(len(reqs), BatchSize)
	for i := range b.n {
		a := &b.asked[i]
		a.req, a.settled = &reqs[i], false
		a.sc.mixing = &b.mixing
		if a.req.After == "" {
			b.settle(ctx, a)
			// One for which there was no time has some of its own later.
			a.settled = !errors.Is(a.err, context.DeadlineExceeded)
		}
	}
	b.searchTogether()
	return b
}

// settle is what comes before the first search of a list.
func (b *Batch) settle(ctx context.Context, a *asked) {
	a.sc.begin(ctx, a.req.Limit, a.req.Now)
	if a.question, a.err = b.engine.question(a.req, &a.sc); a.err == nil {
		b.engine.ready(&a.sc, a.question)
	}
	a.settled = true
}

// searchTogether finds the best by the factors for all lists that begin with
// them. They are the first of as many as the longest of them wants.
func (b *Batch) searchTogether() {
	b.of, b.queries, b.hidden = b.of[:0], b.queries[:0], b.hidden[:0]
	v, most := b.engine.view.Load(), 0
	for i := range b.n {
		a := &b.asked[i]
		if !a.settled || a.err != nil || a.question.view != v || !a.sc.byFactors(a.question) || a.sc.lift != nil {
			continue
		}
		// What is buried does not take part in the first search.
		open := len(a.sc.conditions)
		a.sc.conditions = append(a.sc.conditions, a.sc.buried...)
		b.engine.hide(&a.sc, v, false)
		a.sc.conditions = a.sc.conditions[:open]
		b.of = append(b.of, i)
		b.queries = append(b.queries, a.sc.vector)
		b.hidden = append(b.hidden, &a.sc.without)
		most = max(most, a.sc.searches(v))
	}
	if len(b.of) == 0 {
		return
	}
	b.hits = v.Index.SearchBatch(b.queries, most, b.hidden, b.hits, &b.search)
	for j, i := range b.of {
		sc := &b.asked[i].sc
		sc.ahead, sc.searched = b.hits[j][:min(len(b.hits[j]), sc.searches(v))], true
	}
}

// List fills resp with the list for one of the requests. Each is asked for once,
// in their order. It fails like Recommend.
func (b *Batch) List(ctx context.Context, i int, resp *Response) error {
	a := &b.asked[i]
	if !a.settled {
		b.settle(ctx, a)
	}
	if a.err != nil {
		return a.err
	}
	a.sc.clock = pace.Start(ctx)
	return b.engine.answer(ctx, a.req, &a.sc, a.question, resp)
}

// End gives the batch's memory back.
func (b *Batch) End() {
	for i := range b.n {
		a := &b.asked[i]
		a.req, a.question, a.err = nil, question{}, nil
	}
	b.engine.batches.Put(b)
}

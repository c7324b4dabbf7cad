package answer

import (
	"context"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/recommend"
)

// Batch are queries that share a search; each is answered once, in their order.
type Batch interface {
	List(ctx context.Context, i int, list *httpapi.List) error
	End()
}

// openBatch is a batch of the engine in the API's terms.
type openBatch struct {
	Lists
	batch *recommend.Batch
}

// Batch begins to answer up to recommend.BatchSize queries.
func (l Lists) Batch(ctx context.Context, qs []httpapi.Query) Batch {
	reqs := make([]recommend.Request, len(qs))
	for i := range qs {
		reqs[i] = requestOf(&qs[i])
	}
	return openBatch{l, l.engine.Batch(ctx, reqs)}
}

// List makes one of the lists.
func (b openBatch) List(ctx context.Context, i int, list *httpapi.List) error {
	return listProblem(b.answer(list, func(resp *recommend.Response) error { return b.batch.List(ctx, i, resp) }))
}

// End gives the engine's memory back.
func (b openBatch) End() { b.batch.End() }

package export

import (
	"context"
	"errors"
	"sync"

	"vitrine/appliance/httpapi"
)

// BatchSize is how many lists are asked for at once: as many as share a search.
const BatchSize = 32

// recommendations writes everybody's list, those of a batch after those of the
// batch before.
func (e *Exporter) recommendations(ctx context.Context, limit int, out *lines, begin func(int64)) error {
	if e.src.Listing != nil {
		defer e.src.Listing()()
	}
	users := uint32(e.src.Catalog.NumUsers())
	expected := int64(0)
	for code := range users {
		if e.src.HasHistory(code) {
			expected++
		}
	}
	begin(expected)
	workers := make([]worker, max(1, e.src.Workers))
	for next := uint32(0); next < users; {
		var wg sync.WaitGroup
		busy := workers[:0]
		for i := range workers {
			w := &workers[i]
			next = w.take(e, next, users, limit)
			if len(w.queries) == 0 {
				break
			}
			busy = workers[:i+1]
			wg.Go(func() { w.work(ctx, e) })
		}
		wg.Wait()
		for i := range busy {
			if err := busy[i].write(out); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// worker makes the lists of one batch.
type worker struct {
	queries []httpapi.Query
	lists   [BatchSize]httpapi.List
	errs    [BatchSize]error
	err     error
}

// take chooses the users of the next batch and returns who comes after them.
func (w *worker) take(e *Exporter, next, users uint32, limit int) uint32 {
	w.queries = w.queries[:0]
	q := e.src.Query
	if limit > 0 {
		q.Limit = limit
	}
	q.Now = e.src.Now().UnixMilli()
	for ; next < users && len(w.queries) < BatchSize; next++ {
		if e.src.HasHistory(next) {
			q.UserID = e.src.Catalog.UserID(next)
			w.queries = append(w.queries, q)
		}
	}
	return next
}

func (w *worker) work(ctx context.Context, e *Exporter) {
	n := len(w.queries)
	w.err = e.src.Lists(ctx, w.queries, w.lists[:n], w.errs[:n])
}

// write appends the lists that could be made.
func (w *worker) write(out *lines) error {
	if w.err != nil {
		return w.err
	}
	for i := range w.queries {
		switch err := w.errs[i]; {
		case errors.Is(err, context.Canceled):
			return err
		case err != nil:
			out.failed++
			continue
		}
		out.buf = appendList(out.buf, w.queries[i].UserID, &w.lists[i])
		if err := out.row(); err != nil {
			return err
		}
	}
	return nil
}

func appendList(dst []byte, user string, list *httpapi.List) []byte {
	dst = appendText(append(dst, `{"user_id":`...), user)
	dst = append(dst, `,"recommendations":[`...)
	for i := range list.Picks {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(dst, `{"item_id":`...), list.Picks[i].ItemID)
		dst = append(appendFloat(append(dst, `,"score":`...), list.Picks[i].Score), '}')
	}
	dst = appendText(append(dst, `],"source":`...), list.Source)
	if list.Reason != "" {
		dst = appendText(append(dst, `,"reason":`...), list.Reason)
	}
	if list.ModelVersion != "" {
		dst = appendText(append(dst, `,"model":`...), list.ModelVersion)
	}
	return append(dst, '}')
}

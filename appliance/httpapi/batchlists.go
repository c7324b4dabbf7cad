package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// Bounds of one POST /v1/recommend:batch: its lists, which the document has too,
// the items that they ask for together, and the bytes of the answer.
const (
	maxLists  = 1000
	maxPlaces = 100_000
	maxAnswer = 64 << 20
)

// atOnce is how many lists are asked for at once: enough for a search to share
// what it reads, and few enough that their memory does not count.
const atOnce = 32

// RecommendBatch is POST /v1/recommend:batch.
func (p *public) RecommendBatch(c echo.Context) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	var body struct {
		Requests []recommendBody `json:"requests"`
	}
	if err := readJSON(c, &body); err != nil {
		return err
	}
	if n := len(body.Requests); n == 0 || n > maxLists {
		return refuse("invalid_requests", "requests must have 1 to %d entries, not %d", maxLists, n)
	}
	b, err := p.queries(c, body.Requests)
	if err != nil {
		return err
	}
	answer := []byte(`{"lists":[`)
	for lo := 0; lo < len(b.queries); lo += atOnce {
		if answer, err = p.appendLists(c, b, lo, min(lo+atOnce, len(b.queries)), answer); err != nil {
			return err
		}
	}
	return send(c, http.StatusOK, append(answer, "]}\n"...))
}

// listBatch are the queries of a batch and the attributes that each wants.
type listBatch struct {
	queries []Query
	fields  [][]string
	lists   [atOnce]List
}

// queries checks all requests before the first of them is answered.
func (p *public) queries(c echo.Context, bodies []recommendBody) (*listBatch, error) {
	b := &listBatch{queries: make([]Query, len(bodies)), fields: make([][]string, len(bodies))}
	first, places := p.query(c), 0
	for i := range bodies {
		one, q := &bodies[i], &b.queries[i]
		*q = first
		// Each list has an id of its own: pages and events name it.
		q.RequestID += "-" + strconv.Itoa(i)
		err := q.take(one.request())
		if err == nil {
			b.fields[i], err = appendNames(nil, &one.Fields)
		}
		if err != nil {
			return nil, placed(err, i)
		}
		if places += q.Limit; places > maxPlaces {
			return nil, refuse("invalid_requests", "the requests ask for more than %d items together", maxPlaces).
				With("ask for fewer lists in one call, or for shorter ones")
		}
	}
	return b, nil
}

// appendLists asks for the lists of the queries from lo to hi and appends them.
func (p *public) appendLists(c echo.Context, b *listBatch, lo, hi int, answer []byte) ([]byte, error) {
	lists := b.lists[:hi-lo]
	if at, err := p.deps.Recommender.RecommendBatch(c.Request().Context(), b.queries[lo:hi], lists); err != nil {
		return nil, placed(err, lo+at)
	}
	l := p.get(c)
	defer p.pool.Put(l)
	for i := range lists {
		l.query, l.list, l.fields = b.queries[lo+i], lists[i], b.fields[lo+i]
		if lo+i > 0 {
			answer = append(answer, ',')
		}
		p.keep(l)
		answer = p.appendList(answer, l, "user_id", l.query.UserID)
		p.deps.Observer.Listed(l.list.Source, l.list.Reason)
		if len(answer) > maxAnswer {
			return nil, refuse("invalid_requests", "the answer is longer than %d MiB", maxAnswer>>20).
				With("ask for fewer lists in one call, or for less of each")
		}
	}
	// What the last list lies in is the batch's, and is used again.
	l.list, l.fields = List{}, nil
	return answer, nil
}

// placed says which of the requests is at fault.
func placed(err error, index int) error {
	var problem *Problem
	if !errors.As(err, &problem) {
		return fmt.Errorf("request %d: %w", index, err)
	}
	at := *problem
	at.Detail = fmt.Sprintf("requests[%d]: %s", index, problem.Detail)
	return &at
}

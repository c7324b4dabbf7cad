package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// maxLists is the most lists of one POST /v1/recommend:batch: at 100 us each
// they take 20 ms, so that others do not wait for long.
const maxLists = 200

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
	l := p.get(c)
	defer func() { p.pool.Put(l) }()
	answer := append(l.buf[:0:0], `{"lists":[`...)
	for i := range body.Requests {
		one := &body.Requests[i]
		// Each list has an id of its own: pages and events name it.
		l.query.RequestID += "-" + strconv.Itoa(i)
		if err := p.ask(c, l, one.request(), &one.Fields); err != nil {
			return placed(err, i)
		}
		if i > 0 {
			answer = append(answer, ',')
		}
		p.keep(l)
		answer = p.appendList(answer, l, "user_id", l.query.UserID)
		p.deps.Observer.Listed(l.list.Source, l.list.Reason)
		p.pool.Put(l)
		l = p.get(c)
	}
	return send(c, http.StatusOK, append(answer, "]}\n"...))
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

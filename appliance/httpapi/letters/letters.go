// Package letters answers the admin routes of dead letters: what was refused of
// rows, topics and requests, shown and read again.
//
// It owns these routes' behaviour; the store comes through an interface. It
// imports nothing of this module but what such a store keeps, the form of
// requests and answers, and the generated admin types.
package letters

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/deadletter"
)

// Letter is a refused row or event, Page one page of letters.
type (
	Letter = deadletter.Letter
	Page   = deadletter.Page
)

// Store keeps what was refused. Add is durable when it returns and may
// not keep the Raw bytes. Get returns wire.ErrNotFound for an unknown id.
type Store interface {
	Add(ctx context.Context, letters []Letter) (added int, err error)
	List(limit int, cursor string) (Page, error)
	Get(id string) (Letter, error)
	// Replay reads letters again. Ids that are not there are wire.ErrNotFound.
	Replay(ctx context.Context, req adminapi.Replay) (adminapi.ReplayResult, error)
}

// defaultLetters is how many dead letters a page has when none is asked for.
const defaultLetters = 100

// Routes are the handlers.
type Routes struct{ store Store }

// New makes them.
func New(store Store) Routes { return Routes{store} }

// ListDeadLetters is GET /v1/deadletters.
func (r Routes) ListDeadLetters(c echo.Context, params adminapi.ListDeadLettersParams) error {
	if err := wire.OnlyParams(c, "limit", "cursor"); err != nil {
		return err
	}
	limit, cursor := defaultLetters, ""
	if params.Limit != nil {
		if limit = *params.Limit; limit < 1 || limit > wire.MaxLimit {
			return wire.BadLimit()
		}
	}
	if params.Cursor != nil {
		cursor = *params.Cursor
	}
	page, err := r.store.List(limit, cursor)
	if errors.Is(err, wire.ErrNotFound) {
		return wire.Refuse("invalid_cursor", "the cursor is not one of this store").With("begin again without a cursor")
	}
	if err != nil {
		return fmt.Errorf("list dead letters: %w", err)
	}
	answer := adminapi.DeadLetterPage{Total: page.Total, NextCursor: page.Next, Items: make([]adminapi.DeadLetter, len(page.Letters))}
	for i := range page.Letters {
		answer.Items[i] = deadLetter(&page.Letters[i])
		answer.Items[i].Raw = nil
	}
	return wire.SendJSON(c, http.StatusOK, answer)
}

// GetDeadLetter is GET /v1/deadletters/{id}.
func (r Routes) GetDeadLetter(c echo.Context, id string) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	letter, err := r.store.Get(id)
	if errors.Is(err, wire.ErrNotFound) {
		return &wire.Problem{Status: http.StatusNotFound, Code: "unknown_letter", Detail: fmt.Sprintf("there is no dead letter %.64q", id)}
	}
	if err != nil {
		return fmt.Errorf("read dead letter: %w", err)
	}
	return wire.SendJSON(c, http.StatusOK, deadLetter(&letter))
}

// ReplayDeadLetters is POST /v1/deadletters:replay.
func (r Routes) ReplayDeadLetters(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	var req adminapi.Replay
	if err := wire.ReadJSON(c, &req); err != nil {
		return err
	}
	if req.Limit != nil && (*req.Limit < 1 || *req.Limit > wire.MaxLimit) {
		return wire.BadLimit()
	}
	if err := checkReplay(&req); err != nil {
		return err
	}
	result, err := r.store.Replay(c.Request().Context(), req)
	if errors.Is(err, wire.ErrNotFound) {
		return &wire.Problem{Status: http.StatusNotFound, Code: "unknown_letter", Detail: "one of the ids is no dead letter's"}
	}
	if err != nil {
		return fmt.Errorf("replay dead letters: %w", err)
	}
	return wire.SendJSON(c, http.StatusOK, result)
}

// checkReplay holds a replay against the document's lengths.
func checkReplay(req *adminapi.Replay) error {
	const maxID = 256
	for _, m := range []struct {
		name  string
		value *string
		most  int
	}{{"source", req.Source, 4096}, {"code", req.Code, 64}, {"map", req.Map, 65536}, {"cursor", req.Cursor, maxID}} {
		if m.value != nil && utf8.RuneCountInString(*m.value) > m.most {
			return wire.Refuse("invalid_"+m.name, "%s has more than %d characters", m.name, m.most)
		}
	}
	if req.Ids == nil {
		return nil
	}
	if n := len(*req.Ids); n > wire.MaxLimit {
		return wire.Refuse("invalid_ids", "%d ids in one request, the most is %d", n, wire.MaxLimit)
	}
	for _, id := range *req.Ids {
		if id == "" || utf8.RuneCountInString(id) > maxID {
			return wire.Refuse("invalid_ids", "an id has 1 to %d characters, not %d", maxID, utf8.RuneCountInString(id))
		}
	}
	return nil
}

func deadLetter(l *Letter) adminapi.DeadLetter {
	d := adminapi.DeadLetter{
		ID: l.ID, Source: l.Source, Code: l.Code, Detail: l.Detail, TS: time.UnixMilli(l.Time).UTC(), Raw: l.Raw, Truncated: l.Truncated,
	}
	if l.Source != entities.Source { // a request has no place that could be looked up later
		d.Partition, d.Line, d.Offset = &l.Partition, &l.Line, &l.Offset
	}
	return d
}

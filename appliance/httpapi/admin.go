package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/httpapi/operate"
	"vitrine/appliance/httpapi/wire"
)

// defaultLetters is how many dead letters a page has when none is asked for.
const defaultLetters = 100

// maxText bounds the free text parameters; maxMap those that list columns.
const (
	maxText = 4096
	maxMap  = 16384
)

// admin answers the routes of the admin listener and the socket.
type admin struct {
	*Server
	*operate.Routes
}

// ImportFile is POST /v1/import.
func (a *admin) ImportFile(c echo.Context, params adminapi.ImportFileParams) error {
	if err := onlyParams(c, "name", "kind", "format", "map", "where", "remove_where", "ts_format", "tz"); err != nil {
		return err
	}
	req, err := importRequest(&params)
	if err != nil {
		return err
	}
	ctx, cancel := a.untilStop(c)
	defer cancel()
	res, err := a.deps.Importer.Import(ctx, c.Request().Body, req)
	if err == nil {
		return sendJSON(c, http.StatusOK, res)
	}
	if a.stopping.Err() != nil {
		err = ErrClosed
	}
	if p := wire.ToProblem(err); p != nil {
		// A copy: the problem may be the importer's own.
		q := *p
		q.Counts = &res
		switch q.Code {
		case "bus_full", "disk_full", "bus_unavailable", "outcome_unknown":
			q.Detail = "the log cannot take more now; the import stopped midway"
			q.Hint = "run the same import again later: what is kept already will not count twice"
		}
		return &q
	}
	return fmt.Errorf("import %s: %w", req.Name, err)
}

// importRequest holds the parameters against the document's bounds.
func importRequest(params *adminapi.ImportFileParams) (ImportRequest, error) {
	req := ImportRequest{Kind: string(adminapi.Events)}
	if params.Kind != nil {
		if !params.Kind.Valid() {
			return req, refuse("invalid_kind", "kind must be events, items or users, not %.64q", string(*params.Kind))
		}
		req.Kind = string(*params.Kind)
	}
	if params.Format != nil {
		if !params.Format.Valid() {
			return req, refuse("invalid_format", "format must be csv, tsv or ndjson, not %.64q", string(*params.Format))
		}
		req.Format = string(*params.Format)
	}
	for _, f := range []struct {
		name string
		from *string
		to   *string
		most int
	}{
		{"name", params.Name, &req.Name, maxText / 4},
		{"map", params.Map, &req.Map, maxMap},
		{"where", params.Where, &req.Where, maxText},
		{"remove_where", params.RemoveWhere, &req.RemoveWhere, maxText},
		{"ts_format", params.TSFormat, &req.TSFormat, wire.MaxID},
		{"tz", params.Tz, &req.TZ, wire.MaxID},
	} {
		if f.from == nil {
			continue
		}
		if len(*f.from) > f.most {
			return req, refuse("invalid_"+f.name, "%s has more than %d bytes", f.name, f.most)
		}
		*f.to = *f.from
	}
	return req, nil
}

// untilStop is the request's context, which also ends when the server is told
// to stop; a body that is being read is cut off then, because a read waits for
// the sender and not for a context.
func (a *admin) untilStop(c echo.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.Request().Context())
	conn := http.NewResponseController(c.Response().Writer)
	release := context.AfterFunc(a.stopping, func() {
		cancel()
		//nolint:errcheck // a connection without deadlines is cut off by Close
		conn.SetReadDeadline(time.Now())
	})
	return ctx, func() { release(); cancel() }
}

// ListDeadLetters is GET /v1/deadletters.
func (a *admin) ListDeadLetters(c echo.Context, params adminapi.ListDeadLettersParams) error {
	if err := onlyParams(c, "limit", "cursor"); err != nil {
		return err
	}
	limit, cursor := defaultLetters, ""
	if params.Limit != nil {
		if limit = *params.Limit; limit < 1 || limit > MaxLimit {
			return badLimit()
		}
	}
	if params.Cursor != nil {
		cursor = *params.Cursor
	}
	page, err := a.deps.DeadLetters.List(limit, cursor)
	if errors.Is(err, ErrNotFound) {
		return refuse("invalid_cursor", "the cursor is not one of this store").With("begin again without a cursor")
	}
	if err != nil {
		return fmt.Errorf("list dead letters: %w", err)
	}
	answer := adminapi.DeadLetterPage{Total: page.Total, NextCursor: page.Next, Items: make([]adminapi.DeadLetter, len(page.Letters))}
	for i := range page.Letters {
		answer.Items[i] = deadLetter(&page.Letters[i])
		answer.Items[i].Raw = nil
	}
	return sendJSON(c, http.StatusOK, answer)
}

// GetDeadLetter is GET /v1/deadletters/{id}.
func (a *admin) GetDeadLetter(c echo.Context, id string) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	letter, err := a.deps.DeadLetters.Get(id)
	if errors.Is(err, ErrNotFound) {
		return &Problem{Status: http.StatusNotFound, Code: "unknown_letter", Detail: fmt.Sprintf("there is no dead letter %.64q", id)}
	}
	if err != nil {
		return fmt.Errorf("read dead letter: %w", err)
	}
	return sendJSON(c, http.StatusOK, deadLetter(&letter))
}

// ReplayDeadLetters is POST /v1/deadletters:replay.
func (a *admin) ReplayDeadLetters(c echo.Context) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	var req adminapi.Replay
	if err := readJSON(c, &req); err != nil {
		return err
	}
	if req.Limit != nil && (*req.Limit < 1 || *req.Limit > MaxLimit) {
		return badLimit()
	}
	if err := checkReplay(&req); err != nil {
		return err
	}
	result, err := a.deps.DeadLetters.Replay(c.Request().Context(), req)
	if errors.Is(err, ErrNotFound) {
		return &Problem{Status: http.StatusNotFound, Code: "unknown_letter", Detail: "one of the ids is no dead letter's"}
	}
	if err != nil {
		return fmt.Errorf("replay dead letters: %w", err)
	}
	return sendJSON(c, http.StatusOK, result)
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
			return refuse("invalid_"+m.name, "%s has more than %d characters", m.name, m.most)
		}
	}
	if req.Ids == nil {
		return nil
	}
	if n := len(*req.Ids); n > MaxLimit {
		return refuse("invalid_ids", "%d ids in one request, the most is %d", n, MaxLimit)
	}
	for _, id := range *req.Ids {
		if id == "" || utf8.RuneCountInString(id) > maxID {
			return refuse("invalid_ids", "an id has 1 to %d characters, not %d", maxID, utf8.RuneCountInString(id))
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

// GetPipeline is GET /v1/pipeline.
func (a *admin) GetPipeline(c echo.Context) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	state, err := a.deps.Pipeline.Pipeline(c.Request().Context())
	if err != nil {
		return fmt.Errorf("read pipeline: %w", err)
	}
	return sendJSON(c, http.StatusOK, state)
}

// Metrics is GET /metrics.
func (a *admin) Metrics(c echo.Context) error {
	a.deps.Metrics.ServeHTTP(c.Response(), c.Request())
	return nil
}

// profiles serves /debug/pprof/, which is Go's own and not in the document.
func profiles(e *echo.Echo) {
	serve := func(h http.HandlerFunc) echo.HandlerFunc { return echo.WrapHandler(h) }
	e.GET("/debug/pprof/", serve(pprof.Index))
	e.GET("/debug/pprof/:name", serve(pprof.Index))
	e.GET("/debug/pprof/cmdline", serve(pprof.Cmdline))
	e.GET("/debug/pprof/profile", serve(pprof.Profile))
	e.GET("/debug/pprof/symbol", serve(pprof.Symbol))
	e.POST("/debug/pprof/symbol", serve(pprof.Symbol))
	e.GET("/debug/pprof/trace", serve(pprof.Trace))
}

package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/letters"
	"vitrine/appliance/httpapi/operate"
	"vitrine/appliance/httpapi/wire"
)

// maxText bounds the free text parameters; maxMap those that list columns.
const (
	maxText = 4096
	maxMap  = 16384
)

// Routes of packages of their own; see public.
type (
	operateRoutes = operate.Routes
	letterRoutes  = letters.Routes
)

// admin answers the routes of the admin listener and the socket.
type admin struct {
	*Server
	*operateRoutes
	letterRoutes
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

// GiveUpWanted is DELETE /v1/pipeline/wanted.
func (a *admin) GiveUpWanted(c echo.Context, params adminapi.GiveUpWantedParams) error {
	if err := onlyParams(c, "topic"); err != nil {
		return err
	}
	given, err := a.deps.Pipeline.GiveUp(c.Request().Context(), params.Topic)
	if err != nil {
		return fmt.Errorf("give up what is to be read again: %w", err)
	}
	return sendJSON(c, http.StatusOK, adminapi.PipelineGivenUp{GivenUp: given})
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

package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/wire"
	"vitrine/internal/logkey"
)

// Keys of log lines that only this package writes.
const (
	keyRequestID = "request_id"
	keyRoute     = "route"
	keyStack     = "stack"
	keyTrace     = "trace_id"
)

const (
	headerSource = "X-Vitrine-Source"
	headerReason = "X-Vitrine-Reason"
)

// newEcho is a router with the shell around every handler, and with errors
// answered as problems.
func (s *Server) newEcho() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = func(err error, c echo.Context) { s.fail(c, err) }
	e.Use(s.shell)
	return e
}

// shell is what every request passes through: it names the request, catches a
// panic, answers errors, and tells the observer.
func (s *Server) shell(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		name := wire.RequestID(c.Request().Header)
		id := name[0]
		c.Response().Header()[wire.HeaderRequestID] = name
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(p)
				}
				s.panicked(c, id, p)
			}
			s.deps.Observer.Request(route(c), c.Response().Status, time.Since(start))
		}()
		err := wire.CheckQuery(c.Request().URL.RawQuery)
		if err == nil {
			err = next(c)
		}
		if err != nil {
			s.fail(c, err)
		}
		return nil
	}
}

// route is the matched path template: bounded, so it can label a metric.
func route(c echo.Context) string {
	if p := c.Path(); p != "" {
		return strings.ReplaceAll(p, `\:`, ":") // the router's escape of a colon
	}
	return "unmatched"
}

// panicked logs a handler's panic once and answers 500 when there is still
// time to.
func (s *Server) panicked(c echo.Context, id string, p any) {
	s.log.Error("request handler panicked", slog.String(keyRoute, route(c)), slog.String(keyRequestID, id), slog.String(keyTrace, wire.Trace(c.Request().Header)),
		slog.String(logkey.Reason, fmt.Sprint(p)), slog.String(keyStack, string(debug.Stack())))
	if c.Response().Committed {
		// Half an answer must not look like a whole one.
		panic(http.ErrAbortHandler)
	}
	s.answer(c, internal())
}

func internal() *Problem {
	return &Problem{
		Status: http.StatusInternalServerError, Code: "internal",
		Detail: "vitrine failed on this request", Hint: "look the request id up in vitrine's log",
	}
}

// fail answers an error. One that is nobody's known state is logged, once,
// here; its text stays in the log.
func (s *Server) fail(c echo.Context, err error) {
	if c.Response().Committed {
		return // only the client's leaving fails a started answer
	}
	p := wire.NotRouted(c, err)
	if p == nil {
		p = wire.ToProblem(err)
	}
	if p == nil {
		s.log.Error("request failed", slog.String(keyRoute, route(c)),
			slog.String(keyRequestID, c.Response().Header().Get(wire.HeaderRequestID)),
			slog.String(keyTrace, wire.Trace(c.Request().Header)), slog.Any(logkey.Error, err))
		p = internal()
	}
	s.answer(c, p)
}

// answer sends a problem. A write that fails means that the client is gone.
func (s *Server) answer(c echo.Context, p *Problem) {
	if err := p.Write(c.Response(), c.Response().Header().Get(wire.HeaderRequestID)); err != nil {
		s.log.Debug("send problem", slog.String(logkey.Code, p.Code), slog.Any(logkey.Error, err))
	}
}

package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/internal/logkey"
)

// Keys of log lines that only this package writes.
const (
	keyRequestID = "request_id"
	keyRoute     = "route"
	keyStack     = "stack"
)

const (
	headerRequestID = "X-Request-Id" // canonical form of X-Request-ID
	headerSource    = "X-Vitrine-Source"
	headerReason    = "X-Vitrine-Reason"
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
		id := requestID(c.Request().Header)
		c.Response().Header()[headerRequestID] = []string{id}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(p)
				}
				s.panicked(c, id, p)
			}
			s.deps.Observer.Request(route(c), c.Response().Status, time.Since(start))
		}()
		err := checkQuery(c.Request().URL.RawQuery)
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
	s.log.Error("request handler panicked", slog.String(keyRoute, route(c)), slog.String(keyRequestID, id),
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
	p := toProblem(err)
	if p == nil {
		s.log.Error("request failed", slog.String(keyRoute, route(c)),
			slog.String(keyRequestID, c.Response().Header().Get(headerRequestID)), slog.Any(logkey.Error, err))
		p = internal()
	}
	s.answer(c, p)
}

// answer sends a problem. A write that fails means that the client is gone.
func (s *Server) answer(c echo.Context, p *Problem) {
	if err := p.write(c.Response(), c.Response().Header().Get(headerRequestID)); err != nil {
		s.log.Debug("send problem", slog.String(logkey.Code, p.Code), slog.Any(logkey.Error, err))
	}
}

// requestID keeps a sane id of the caller, else makes one.
func requestID(h http.Header) string {
	if v := h[headerRequestID]; len(v) == 1 && saneID(v[0]) {
		return v[0]
	}
	var buf [32]byte
	b := strconv.AppendUint(buf[:0], rand.Uint64()|1<<63, 36)
	b = strconv.AppendUint(b, rand.Uint64()|1<<63, 36)
	return string(b)
}

// saneID: short and without anything that could break a log line or a header.
func saneID(id string) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.:", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// checkQuery refuses a query string that net/url would silently drop parts of.
func checkQuery(raw string) error {
	if !strings.ContainsAny(raw, "%;") {
		return nil
	}
	if _, err := url.ParseQuery(raw); err != nil {
		return refuse("invalid_query", "the query string is malformed: %v", err)
	}
	return nil
}

// onlyParams refuses a query parameter that the route does not know: one that
// is misspelt would otherwise be silently without effect.
func onlyParams(c echo.Context, known ...string) error {
next:
	for name := range c.QueryParams() {
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		return refuse("unknown_parameter", "there is no parameter %q here", name).
			with("known are: " + strings.Join(known, ", "))
	}
	return nil
}

// headAsGet lets HEAD ask whatever GET can; net/http drops the body.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			// A copy: net/http looks at the original to leave the body out.
			get := *r
			get.Method = http.MethodGet
			r = &get
		}
		next.ServeHTTP(w, r)
	})
}

// isTooLarge tells a body over the limit from other read errors.
func isTooLarge(err error) bool {
	var tooBig *http.MaxBytesError
	return errors.As(err, &tooBig)
}

// Package wire is the form of requests and answers, whatever they are about:
// bodies with their limits and types, JSON, query parameters, request ids, and
// problem documents (RFC 9457).
//
// It owns no route. It imports nothing of this module but the generated types
// and bridge/event for the JSON form of texts.
package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
)

// Errors that the parts behind the handlers answer with. Any of them may also
// return a *Problem to choose the whole answer.
var (
	// ErrBusy says that the log cannot take more now and kept nothing of what
	// was given: 503 bus_full.
	ErrBusy = errors.New("the log cannot take more now")
	// ErrDiskFull is an ErrBusy: the disk has too little room. 503 disk_full.
	ErrDiskFull = fmt.Errorf("%w: the disk has too little room", ErrBusy)
	// ErrUnavailable says that the log is out of reach and kept nothing of what
	// was given: 503 bus_unavailable.
	ErrUnavailable = errors.New("the log is out of reach")
	// ErrUnsure says that the log broke midway: 503 outcome_unknown.
	ErrUnsure = errors.New("the log broke, and it is not known what it has kept")
	// ErrClosed says that the part is shutting down and kept nothing of what
	// was given: 503 shutting_down.
	ErrClosed = errors.New("shutting down")
	// ErrNotFound says that there is no such thing: 404.
	ErrNotFound = errors.New("not found")
)

// MaxLimit is the longest list that can be asked for.
const MaxLimit = 500

const problemType = "application/problem+json"

// retrySeconds is what callers are told to wait when the log is full: as long
// as the archive may need to take a roll of frames off the bus.
const retrySeconds = 5

// Problem is an error answer (RFC 9457). Code is stable and for programs;
// Detail and Hint are for people.
type Problem struct {
	Status       int
	Code         string
	Detail, Hint string
	// RetryAfter is in seconds; 0 sends no header.
	RetryAfter int
	// Position is where in a text of the request the fault is, in characters
	// from 1; 0 is nowhere.
	Position int
	// Faults are all that is wrong with a set of rules.
	Faults []adminapi.Fault
	// Counts are of an import that stopped midway.
	Counts *adminapi.ImportResult
}

// Error says what went wrong.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Code
	}
	return p.Code + ": " + p.Detail
}

// Refuse is a 400 problem.
func Refuse(code, format string, args ...any) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// With adds a hint.
func (p *Problem) With(hint string) *Problem {
	p.Hint = hint
	return p
}

// title is the code as words: it has to say the same each time the code occurs.
func (p *Problem) title() string {
	words := strings.NewReplacer("_", " ", "json", "JSON", "utf8", "UTF-8").Replace(p.Code)
	return strings.ToUpper(words[:1]) + words[1:]
}

// Write sends p.
func (p *Problem) Write(w http.ResponseWriter, requestID string) error {
	body, err := Encode(adminapi.Problem{
		Type: "urn:vitrine:problem:" + p.Code, Title: p.title(), Status: p.Status, Code: p.Code,
		Detail: p.Detail, Hint: p.Hint, RequestID: requestID, Position: p.Position, Faults: p.Faults, Counts: p.Counts,
	})
	if err != nil {
		return fmt.Errorf("encode problem %s: %w", p.Code, err)
	}
	h := w.Header()
	h.Set("Content-Type", problemType)
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	_, err = w.Write(body)
	return err
}

// ToProblem turns what a handler returned into the answer. nil means that the
// error is not the caller's doing and not a known state: an internal one.
func ToProblem(err error) *Problem {
	var (
		problem *Problem
		echoErr *echo.HTTPError
		tooBig  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &tooBig):
		return BodyTooLarge(tooBig.Limit)
	case errors.As(err, &echoErr):
		return fromEcho(echoErr)
	case errors.Is(err, ErrDiskFull):
		return unavailable("disk_full", "the disk has too little room; nothing of this request was kept",
			"send it again later; free space on the disk of the data folder")
	case errors.Is(err, ErrUnsure):
		return unavailable("outcome_unknown", "the log broke while it wrote; this request may have been kept or not",
			"send it again: events with an event_id count once; vitrine's log says what broke")
	case errors.Is(err, ErrUnavailable):
		return unavailable("bus_unavailable", "the log is out of reach; nothing of this request was kept",
			"send it again later; vitrine's log says what is wrong")
	case errors.Is(err, ErrBusy):
		return unavailable("bus_full", "the log cannot take more now; nothing of this request was kept",
			"send it again later; check the disk and vitrine's log if this lasts")
	case errors.Is(err, ErrClosed):
		return unavailable("shutting_down", "vitrine is stopping", "send it again when it runs")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Problem{
			Status: http.StatusServiceUnavailable, Code: "timeout", RetryAfter: 1,
			Detail: "the request was not done in time",
		}
	case errors.Is(err, ErrNotFound):
		return &Problem{Status: http.StatusNotFound, Code: "not_found", Detail: "there is no such thing here"}
	}
	return nil
}

// unavailable is a 503 problem that passes.
func unavailable(code, detail, hint string) *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Code: code, RetryAfter: retrySeconds, Detail: detail, Hint: hint}
}

// Overloaded is the 503 problem of a request that there is no time for.
func Overloaded() *Problem {
	return &Problem{
		Status: http.StatusServiceUnavailable, Code: "overloaded", RetryAfter: 1,
		Detail: "there are more requests than can be answered", Hint: "try again in a moment, or ask for less",
	}
}

// BodyTooLarge is a 413 problem.
func BodyTooLarge(limit int64) *Problem {
	p := &Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Detail: fmt.Sprintf("the body has more than %d bytes", limit),
		Hint:   "send smaller batches, use vitrine import for files, or raise http.max_body",
	}
	if limit == MaxDocument {
		p.Hint = "no route but /v1/events and /v1/items:batch takes more; send less at a time"
	}
	return p
}

// NotRouted is the problem of a request that no route takes, nil when err is
// another error than the router's.
func NotRouted(c echo.Context, err error) *Problem {
	r := c.Request()
	switch {
	case errors.Is(err, echo.ErrNotFound):
		return &Problem{
			Status: http.StatusNotFound, Code: "unknown_path", Detail: fmt.Sprintf("there is nothing at %.200q on this listener", r.URL.Path),
			Hint: pathHint(r.URL.Path),
		}
	case errors.Is(err, echo.ErrMethodNotAllowed):
		return &Problem{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: fmt.Sprintf("%.200q does not take %.20s", r.URL.Path, r.Method),
			Hint: "it takes " + c.Response().Header().Get(echo.HeaderAllow),
		}
	}
	return nil
}

// pathHint guesses what was meant by a path that is none.
func pathHint(path string) string {
	const all = "GET /openapi.json lists the paths"
	switch {
	case len(path) > 1 && strings.HasSuffix(path, "/"):
		return "leave out the slash at the end; " + all
	case strings.Count(path, "/") > 3 && (strings.HasPrefix(path, "/v1/items/") || strings.HasPrefix(path, "/v1/users/")):
		return "write a slash that is part of an id as %2F; " + all
	}
	return all + "; those with the tag admin are on the admin listener and admin.sock"
}

// fromEcho turns the framework's own errors (parameter binding) into problems.
func fromEcho(err *echo.HTTPError) *Problem {
	switch err.Code {
	case http.StatusBadRequest:
		return badParameter(fmt.Sprint(err.Message))
	}
	return &Problem{Status: err.Code, Code: "refused", Detail: fmt.Sprint(err.Message)}
}

// badParameter gives the generated binder's message, "Invalid format for
// parameter NAME: ...", a code of its own and plain words.
func badParameter(message string) *Problem {
	_, rest, _ := strings.Cut(message, "parameter ")
	name, why, _ := strings.Cut(rest, ":")
	switch name {
	case "":
		return Refuse("invalid_parameter", "%s", message)
	case "limit":
		return BadLimit()
	case "exclude_seen", "personalized", "check":
		return Refuse("invalid_"+name, "%s must be given once, as true or false", name)
	}
	switch {
	case strings.HasSuffix(why, "is required"):
		return Missing(name)
	case strings.Contains(why, "multiple values"):
		return Refuse("invalid_"+name, "%s must be given once", name)
	}
	return Refuse("invalid_"+name, "%s is malformed:%s", name, why)
}

// Missing is the problem of a parameter or member that has to be there.
func Missing(name string) *Problem { return Refuse("missing_"+name, "%s is missing", name) }

// BadLimit is the problem of a limit out of bounds.
func BadLimit() *Problem {
	return Refuse("invalid_limit", "limit must be a whole number from 1 to %d", MaxLimit)
}

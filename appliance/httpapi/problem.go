package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
)

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

// refuse is a 400 problem.
func refuse(code, format string, args ...any) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// with adds a hint.
func (p *Problem) with(hint string) *Problem {
	p.Hint = hint
	return p
}

// title is the code as words: it has to say the same each time the code occurs.
func (p *Problem) title() string {
	words := strings.ReplaceAll(p.Code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// write sends p.
func (p *Problem) write(w http.ResponseWriter, requestID string) error {
	body, err := json.Marshal(adminapi.Problem{
		Type: "urn:vitrine:problem:" + p.Code, Title: p.title(), Status: p.Status, Code: p.Code,
		Detail: p.Detail, Hint: p.Hint, RequestID: requestID, Position: p.Position, Counts: p.Counts,
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
	_, err = w.Write(append(body, '\n'))
	return err
}

// toProblem turns what a handler returned into the answer. nil means that the
// error is not the caller's doing and not a known state: an internal one.
func toProblem(err error) *Problem {
	var (
		problem *Problem
		echoErr *echo.HTTPError
		tooBig  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &tooBig):
		return bodyTooLarge(tooBig.Limit)
	case errors.As(err, &echoErr):
		return fromEcho(echoErr)
	case errors.Is(err, ErrBusy):
		return &Problem{
			Status: http.StatusServiceUnavailable, Code: "bus_full", RetryAfter: retrySeconds,
			Detail: "the log cannot take more now; nothing of this request was kept", Hint: "send it again later; check the disk and vitrine's log if this lasts",
		}
	case errors.Is(err, ErrClosed):
		return &Problem{
			Status: http.StatusServiceUnavailable, Code: "shutting_down", RetryAfter: retrySeconds,
			Detail: "vitrine is stopping", Hint: "send it again when it runs",
		}
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

func bodyTooLarge(limit int64) *Problem {
	return &Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Detail: fmt.Sprintf("the body has more than %d bytes", limit),
		Hint:   "send smaller batches, use vitrine import for files, or raise http.max_body",
	}
}

// fromEcho turns the framework's own errors (routing, parameter binding) into
// problems.
func fromEcho(err *echo.HTTPError) *Problem {
	switch err.Code {
	case http.StatusNotFound:
		return &Problem{
			Status: err.Code, Code: "unknown_path", Detail: "there is nothing at this path",
			Hint: "GET /openapi.json lists the paths",
		}
	case http.StatusMethodNotAllowed:
		return &Problem{
			Status: err.Code, Code: "method_not_allowed", Detail: "this path does not take that method",
			Hint: "the Allow header lists the methods",
		}
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
		return refuse("invalid_parameter", "%s", message)
	case "limit":
		return badLimit()
	case "exclude_seen", "personalized":
		return refuse("invalid_"+name, "%s must be given once, as true or false", name)
	}
	return refuse("invalid_"+name, "%s is malformed:%s", name, why)
}

func badLimit() *Problem {
	return refuse("invalid_limit", "limit must be a whole number from 1 to %d", MaxLimit)
}

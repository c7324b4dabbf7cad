package entities

import (
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/wire"
)

// tagOf is the strong entity tag of a representation: a hash of its bytes.
func tagOf(body []byte) string {
	h := fnv.New64a()
	h.Write(body) //nolint:errcheck // it never fails
	return `"` + strconv.FormatUint(h.Sum64(), 36) + `"`
}

// conditional says whether a request holds only under a condition.
func conditional(h http.Header) bool { return h.Get("If-Match") != "" || h.Get("If-None-Match") != "" }

// guarded does a write if its conditions (RFC 9110, section 13) hold for the
// representation as it is; current is nil where there is none. While it is
// under way no other conditional write of the same thing is let in: two that
// saw the same tag cannot both win.
func (r *Routes) guarded(c echo.Context, thing string, current func() []byte, write func() error) error {
	h := c.Request().Header
	if !conditional(h) {
		return write()
	}
	if _, busy := r.writing.LoadOrStore(thing, true); busy {
		return failed("another write under a condition is under way")
	}
	defer r.writing.Delete(thing)
	tag := ""
	if body := current(); body != nil {
		tag = tagOf(body)
	}
	if err := Holds(h, tag); err != nil {
		return err
	}
	return write()
}

// Holds is the problem of a write whose conditions do not hold for what has the
// tag; "" is the tag of nothing.
func Holds(h http.Header, tag string) error {
	if list := h.Get("If-Match"); list != "" && !matches(list, tag) {
		return failed("it is not as If-Match says any more")
	}
	if list := h.Get("If-None-Match"); list != "" && matches(list, tag) {
		return failed("it is as If-None-Match says it must not be")
	}
	return nil
}

func failed(detail string) *wire.Problem {
	return &wire.Problem{
		Status: http.StatusPreconditionFailed, Code: "precondition_failed", Detail: detail, Hint: "GET it, and try again with its ETag",
	}
}

// unchanged answers a GET whose If-None-Match names what there is.
func unchanged(c echo.Context, body []byte) bool {
	list := c.Request().Header.Get("If-None-Match")
	return list != "" && body != nil && matches(list, tagOf(body))
}

// matches says whether a list of entity tags, or "*", holds the tag of what
// there is.
func matches(list, tag string) bool {
	if tag == "" {
		return false
	}
	if strings.TrimSpace(list) == "*" {
		return true
	}
	for part := range strings.SplitSeq(list, ",") {
		if strings.TrimPrefix(strings.TrimSpace(part), "W/") == tag {
			return true
		}
	}
	return false
}

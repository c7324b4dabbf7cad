package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/admit"
)

// MaxDocument bounds the JSON bodies that describe one thing: the attributes
// of an item, the parameters of a request.
const MaxDocument = 1 << 20

// ReadBody appends the whole body to buf. A body that announces itself as too
// large is refused before it is read.
func ReadBody(c echo.Context, limit int64, buf []byte) ([]byte, error) {
	out, _, err := ReadHeld(c, limit, buf, nil)
	return out, err
}

// firstRead is what is made for a body at first, whatever it announces; more
// only as bytes come, or callers that send slowly would hold as much memory as
// they say. As many of them as there may be connections take half of the budget
// of bodies.
const firstRead = 16 << 10

// ReadHeld is ReadBody for bodies of which many at a time would fill the
// memory: what buf grows by is taken from the budget, and held says how much
// the caller has to give back, also after an error.
func ReadHeld(c echo.Context, limit int64, buf []byte, budget *admit.Budget) (out []byte, held int64, err error) {
	r := c.Request()
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return buf, 0, &Problem{
			Status: http.StatusUnsupportedMediaType, Code: "unsupported_encoding",
			Detail: fmt.Sprintf("the body is encoded as %q", enc), Hint: "send it uncompressed",
		}
	}
	if r.ContentLength > limit {
		return buf, 0, BodyTooLarge(limit)
	}
	body := http.MaxBytesReader(c.Response(), r.Body, limit)
	for {
		if len(buf) == cap(buf) {
			next := grown(cap(buf), r.ContentLength)
			if budget != nil && !budget.Take(int64(next-cap(buf))) {
				return buf, held, busy()
			}
			held += int64(next - cap(buf))
			buf = append(make([]byte, 0, next), buf...)
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF: //nolint:errorlint // io.Reader returns it bare
			return buf, held, nil
		case tooLarge(err):
			return buf, held, err
		case err != nil:
			return buf, held, Refuse("body_broken", "the body ended early: %v", err)
		}
	}
}

// grown is the next size of a buffer for a body of announced bytes, -1 when
// they are not known. One byte more than announced, so that the end is seen
// without growing.
func grown(size int, announced int64) int {
	next := max(firstRead, 2*size)
	if announced >= 0 && int64(next) > announced && int64(size) <= announced {
		next = int(announced) + 1
	}
	return next
}

func busy() *Problem {
	return &Problem{
		Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: 1,
		Detail: "too many large bodies are being read; nothing of this request was kept", Hint: "send it again in a moment, or in smaller batches",
	}
}

// MediaType checks the Content-Type against those a route takes. None at all
// is taken as JSON.
func MediaType(c echo.Context, allowed ...string) (string, error) {
	value := c.Request().Header.Get("Content-Type")
	if value == "" {
		return allowed[0], nil
	}
	media, _, err := mime.ParseMediaType(value)
	if err == nil {
		for _, a := range allowed {
			if media == a {
				return media, nil
			}
		}
	}
	return "", &Problem{
		Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
		Detail: fmt.Sprintf("the content type %q is not taken here", value),
		Hint:   "send the header Content-Type: " + strings.Join(allowed, " or "),
	}
}

// ReadJSON reads a body that is one JSON object into dst, and refuses keys
// that dst does not have: a misspelt one would be silently without effect.
func ReadJSON(c echo.Context, dst any) error { return ReadJSONUpTo(c, dst, MaxDocument) }

// ReadJSONUpTo is ReadJSON of a document with a limit of its own.
func ReadJSONUpTo(c echo.Context, dst any, limit int64) error {
	if _, err := MediaType(c, "application/json"); err != nil {
		return err
	}
	body, err := ReadBody(c, limit, nil)
	if err != nil {
		return err
	}
	if !utf8.Valid(body) {
		// The decoder would put replacement characters into ids, silently.
		return Refuse("invalid_utf8", "the body is not valid UTF-8")
	}
	if string(bytes.TrimSpace(body)) == "null" { // which the decoder takes for anything
		return Refuse("invalid_json", "the body must be a JSON object, not null")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		return BadJSON(err, dst)
	}
	if _, err := dec.Token(); err != io.EOF { //nolint:errorlint // Token returns it bare
		return Refuse("invalid_json", "there is more after the JSON object")
	}
	return nil
}

// jsonType is the Content-Type of every answer that is not a problem; shared,
// so never changed.
var jsonType = []string{"application/json"}

// countedByNetHTTP is how much of an answer waits in net/http's buffer for its
// length to be known; longer ones would be sent in chunks.
const countedByNetHTTP = 2048

// Send writes a JSON answer that was appended by hand.
func Send(c echo.Context, status int, body []byte) error {
	w := c.Response()
	h := w.Header()
	h["Content-Type"] = jsonType
	if len(body) > countedByNetHTTP {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// SendJSON encodes and writes an answer of a route that is not hot.
func SendJSON(c echo.Context, status int, v any) error {
	body, err := Encode(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return Send(c, status, body)
}

// Encode is v as a line of JSON, with <, > and & as they are: people read
// filters and hints in a terminal.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

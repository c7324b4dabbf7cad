package wire

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"vitrine/bridge/event"
)

// HeaderRequestID is X-Request-ID in its canonical form.
const HeaderRequestID = "X-Request-Id"

// MaxID is the most bytes of an id.
const MaxID = 256

// RequestID keeps a sane id of the caller, or that of the span that he traces
// the request by, else makes one. It comes as the one value of a header.
func RequestID(h http.Header) []string {
	if v := h[HeaderRequestID]; len(v) == 1 && saneID(v[0]) {
		return v[:1:1]
	}
	if v := h["Traceparent"]; len(v) == 1 {
		if trace, span, ok := parseTrace(v[0]); ok {
			return []string{trace + "-" + span}
		}
	}
	var buf [32]byte
	b := strconv.AppendUint(buf[:0], rand.Uint64()|1<<63, 36)
	b = strconv.AppendUint(b, rand.Uint64()|1<<63, 36)
	return []string{string(b)}
}

// Trace is the trace that a request belongs to (W3C Trace Context), "" where
// it names none.
func Trace(h http.Header) string {
	trace, _, _ := parseTrace(h.Get("Traceparent"))
	return trace
}

// parseTrace takes VERSION-TRACE-SPAN-FLAGS apart. Versions after 00 may go on
// behind the flags.
func parseTrace(text string) (trace, span string, ok bool) {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(text) < length || len(text) > length && (text[length] != '-' || text[:2] == "00") {
		return "", "", false
	}
	version, trace, span, flags := text[:2], text[3:35], text[36:52], text[53:55]
	if text[2] != '-' || text[35] != '-' || text[52] != '-' || version == "ff" ||
		!lowerHex(version) || !lowerHex(trace) || !lowerHex(span) || !lowerHex(flags) ||
		strings.Trim(trace, "0") == "" || strings.Trim(span, "0") == "" {
		return "", "", false
	}
	return trace, span, true
}

func lowerHex(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
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

// CheckQuery refuses a query string that net/url would silently drop parts of.
func CheckQuery(raw string) error {
	if plain(raw) {
		return nil
	}
	if _, err := url.ParseQuery(raw); err != nil {
		return Refuse("invalid_query", "the query string is malformed: %v", err)
	}
	return nil
}

// plain tells whether every escape of a query is one, and nothing in it divides
// pairs that net/url does not take for a divider: then it drops nothing.
func plain(raw string) bool {
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case ';':
			return false
		case '%':
			if i+2 >= len(raw) || !hexDigit(raw[i+1]) || !hexDigit(raw[i+2]) {
				return false
			}
			i += 2
		}
	}
	return true
}

func hexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// OnlyParams refuses a query parameter that the route does not know: one that
// is misspelt would otherwise be silently without effect.
func OnlyParams(c echo.Context, known ...string) error {
next:
	for name := range c.QueryParams() {
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		refused := Refuse("unknown_parameter", "there is no parameter %.100q here", name)
		if len(known) == 0 {
			return refused.With("this route takes none")
		}
		return refused.With("known are: " + strings.Join(known, ", "))
	}
	return nil
}

// HeadAsGet lets HEAD ask whatever GET can; net/http drops the body.
func HeadAsGet(next http.Handler) http.Handler {
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

// tooLarge tells a body over the limit from other read errors.
func tooLarge(err error) bool {
	var tooBig *http.MaxBytesError
	return errors.As(err, &tooBig)
}

// CheckID refuses what the log would not take as an id.
func CheckID(name, id string) error {
	if len(id) == 0 || len(id) > MaxID {
		return Refuse("invalid_"+name, "%s must have 1 to %d bytes, not %d", name, MaxID, len(id))
	}
	for _, r := range id {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			if !utf8.ValidString(id) {
				return Refuse("invalid_"+name, "%s is not valid UTF-8", name)
			}
			if r != utf8.RuneError {
				return Refuse("invalid_"+name, "%s holds a control character", name)
			}
		}
	}
	return nil
}

// AppendString appends a JSON text.
func AppendString(b []byte, s string) []byte {
	return event.AppendValueJSON(b, &event.Value{Kind: event.String, Str: s})
}

// AppendFloat writes the shortest form; JSON has no infinities, so a score
// that overflowed reads as the largest number.
func AppendFloat(b []byte, f float64, bits int) []byte {
	largest := math.MaxFloat64
	if bits == 32 {
		largest = math.MaxFloat32
	}
	return strconv.AppendFloat(b, min(max(f, -largest), largest), 'g', -1, bits)
}

// LooseID is an id, given as text or as an integer.
type LooseID string

// UnmarshalJSON takes a string, or an integer as its decimal text.
func (id *LooseID) UnmarshalJSON(raw []byte) error {
	var number json.Number
	if len(raw) > 0 && raw[0] != '"' && json.Unmarshal(raw, &number) == nil && !strings.ContainsAny(number.String(), ".eE") {
		*id = LooseID(number)
		return nil
	}
	return json.Unmarshal(raw, (*string)(id))
}

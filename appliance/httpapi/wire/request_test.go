package wire

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestTraces: a request id of the caller stands; without one that of his span
// does, if it is one; the trace is told apart from it.
func TestTraces(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	good := "00-" + trace + "-" + span + "-01"
	for _, g := range []struct{ parent, own, id, trace string }{
		{good, "", trace + "-" + span, trace},
		{good, "my-id", "my-id", trace},
		{"01-" + trace + "-" + span + "-00-more", "", trace + "-" + span, trace},
		{good + "-more", "", "", ""},
		{good + "x", "", "", ""},
		{"ff-" + trace + "-" + span + "-01", "", "", ""},
		{"00-" + strings.Repeat("0", 32) + "-" + span + "-01", "", "", ""},
		{"00-" + trace + "-" + strings.Repeat("0", 16) + "-01", "", "", ""},
		{strings.ToUpper(good), "", "", ""},
		{good[:54], "", "", ""},
		{"", "", "", ""},
		{strings.Repeat("-", 55), "", "", ""},
	} {
		h := http.Header{}
		h.Set("traceparent", g.parent)
		if g.own != "" {
			h.Set("X-Request-ID", g.own)
		}
		id := RequestID(h)[0]
		if g.id != "" && id != g.id || g.id == "" && (id == "" || strings.Contains(id, "-")) || Trace(h) != g.trace {
			t.Errorf("%q %q: id %q, trace %q", g.parent, g.own, id, Trace(h))
		}
	}
}

// FuzzCheckQuery: what is let through is what net/url understands.
func FuzzCheckQuery(f *testing.F) {
	for _, raw := range []string{"", "a=b&c=%20", "a=%2", "a=%zz", "%", "a;b", "a=%2Fb;", "%41=%e4&=", "a=+%", "a=%a"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := url.ParseQuery(raw); strings.Count(raw, "&") < 1000 && (err == nil) != (CheckQuery(raw) == nil) {
			t.Errorf("%q: %v, net/url says %v", raw, CheckQuery(raw), err)
		}
	})
}

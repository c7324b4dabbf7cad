package intake

import "testing"

// TestVisible: bytes of strangers do not steer the terminal that they are shown on.
func TestVisible(t *testing.T) {
	for raw, want := range map[string]string{
		`{"user_id":"用户"}`: `{"user_id":"用户"}`,
		"a\tb\nc":          "a\tb\nc",
		"\x1b]0;x\x07":     `\x1b]0;x\a`,
		"\xc9\xcc'":        `\xc9\xcc'`,
		"\u202eabc\x00":    `\u202eabc\x00`,
		"\ufeff{}":         `\ufeff{}`,
	} {
		if got := visible([]byte(raw)); got != want {
			t.Errorf("%q: %s, want %s", raw, got, want)
		}
	}
}

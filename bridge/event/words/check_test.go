package words

import "testing"

func TestCheck(t *testing.T) {
	for text, want := range map[string]Fault{
		"": Good, "a b~": Good, "\u00e9\u4e2d": Good, "a\x00": Control, "\x1f": Control, "\x7f": Control, "\u00e9\x7f": Control, "\u0085": Control, "a\xff": BadUTF8, "\xed\xa0\x80": BadUTF8,
	} {
		if got := Check(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

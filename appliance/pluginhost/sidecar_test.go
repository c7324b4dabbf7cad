package pluginhost

import (
	"testing"
	"time"
)

func TestWithEnabled(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "enabled = false\n"},
		{"enabled = true", "enabled = false"},
		{"enabled=true # yes\nbudget = \"1ms\"\n", "enabled=false # yes\nbudget = \"1ms\"\n"},
		{"\"enabled\" = true\n", "\"enabled\" = false\n"},
		{"# enabled = true\non_error = \"skip\"\n", "enabled = false\n# enabled = true\non_error = \"skip\"\n"},
		{"[config]\nenabled = true\n", "enabled = false\n[config]\nenabled = true\n"},
	} {
		got, err := withEnabled([]byte(c.in), false)
		if err != nil || string(got) != c.want {
			t.Errorf("%q gives %q, %v, want %q", c.in, got, err, c.want)
		}
	}
	if got, err := withEnabled([]byte("enabled = \n"), true); err == nil {
		t.Errorf("a file that does not parse gives %q", got)
	}
}

func FuzzSidecar(f *testing.F) {
	f.Add([]byte("enabled = true\non_error = \"deny\"\n[config]\nlow = 1\n"))
	f.Add([]byte("kinds = [\"scorer\"]\nbudget = \"1ms\"\n"))
	f.Add([]byte("enabled.x = true\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := parseSidecar(data, time.Second)
		if err != nil {
			return
		}
		for _, want := range []bool{true, false} {
			text, err := withEnabled(data, want)
			if err != nil {
				t.Fatalf("%q parses but cannot be changed: %v", data, err)
			}
			after, err := parseSidecar(text, time.Second)
			if len(text) > maxSidecar {
				continue
			}
			if err != nil || after.enabled() != want || after.OnError != before.OnError || len(after.Config) != len(before.Config) {
				t.Fatalf("%q became %q: %+v, %v", data, text, after, err)
			}
		}
	})
}

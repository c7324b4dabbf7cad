package realservers

import (
	"strings"
	"testing"
)

func TestRealRedisStarts(t *testing.T) {
	Require(t)
	s, err := Redis{Dir: t.TempDir()}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ command, want string }{
		{"SET user:2:recs 20,21,22", "+OK"}, {"GET user:2:recs", "$8\r\n20,21,22"}, {"GET user:3:recs", "$-1"},
	} {
		if got, err := s.Ask(step.command); err != nil || !strings.HasPrefix(got, step.want) {
			t.Errorf("%s: %q, %v, want %q", step.command, got, err, step.want)
		}
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ask("PING"); err == nil {
		t.Error("a killed server answers")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

package realservers

import (
	"context"
	"os"
	"testing"
)

// Variable names the environment variable that makes the tests with real
// servers run; `make test-real` sets it.
const Variable = "VITRINE_REAL"

// Require skips a test where real servers are not asked for.
func Require(t testing.TB) {
	t.Helper()
	if os.Getenv(Variable) == "" {
		t.Skip("real servers are for make test-real (" + Variable + "=1; needs java and mvn)")
	}
}

// During starts a server, such as HDFS{Dir: t.TempDir()}.Start does, and ends it with
// the test.
func During[S interface{ Stop() error }](t testing.TB, start func(context.Context) (S, error)) S {
	t.Helper()
	s, err := start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

package realservers

import (
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

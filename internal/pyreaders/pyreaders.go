// Package pyreaders lets pyarrow and DuckDB, the readers that shops have, read
// files that were written here. It is for tests.
//
// It is a leaf and imports nothing of this module.
package pyreaders

import (
	"os/exec"
	"strings"
	"testing"
)

// Find is a Python that has both. A test is skipped where there is none.
func Find(t *testing.T) Python {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("skipped: no python3 in the path")
	}
	if err := exec.CommandContext(t.Context(), path, "-c", "import pyarrow, duckdb").Run(); err != nil {
		t.Skip("skipped: python3 has no pyarrow and duckdb (pip install pyarrow duckdb)")
	}
	return Python{path}
}

// Python runs scripts.
type Python struct{ path string }

// Prints says what a script, whose argv[1] is dir, is to print.
func (p Python) Prints(t *testing.T, script, dir, want string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), p.path, "-c", script, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

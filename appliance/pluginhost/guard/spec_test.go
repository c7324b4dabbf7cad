package guard_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"vitrine/appliance/pluginhost/guard"
)

// specFiles finds the WebAssembly binaries that come with wazero's source: the
// official test suite and more.
func specFiles(t testing.TB) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Skipf("the source of wazero is not here: %v", err)
	}
	var files []string
	root := strings.TrimSpace(string(dir))
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".wasm" {
			files = append(files, path)
		}
		return nil
	})
	sort.Strings(files)
	return files
}

func TestSpec(t *testing.T) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer rt.Close(ctx)
	both, refused := 0, map[string]int{}
	for _, file := range specFiles(t) {
		wasm, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		mod, err := guard.Prepare(wasm, guard.Limits{Allowed: func(string, string) bool { return true }})
		_, errIn := rt.CompileModule(ctx, wasm)
		if err != nil {
			var r *guard.Refusal
			if !errors.As(err, &r) || strings.ContainsAny(r.Reason, "\r\n") || r.Reason == "" {
				t.Errorf("%s: %v is no refusal in one line", file, err)
			}
			if errIn == nil {
				refused[r.Reason]++
			}
			continue
		}
		_, errOut := rt.CompileModule(ctx, mod.Wasm)
		if (errIn == nil) != (errOut == nil) {
			t.Errorf("%s: engine says %v, of the rewritten module %v", file, errIn, errOut)
		}
		both++
	}
	t.Log(both, refused)
}

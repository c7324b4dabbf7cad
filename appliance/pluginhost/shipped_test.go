package pluginhost

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the modules that the benchmark embeds")

// TestBenchmarkModules keeps the files that "vitrine bench plugins" drops into
// a running appliance the same as the modules of these tests.
func TestBenchmarkModules(t *testing.T) {
	all := hostiles()
	good := scorer("bench-swap", scale(1))
	good.manifest.Version = "1.0.100"
	files := map[string][]byte{"good": good.wasm()}
	for file, name := range map[string]string{
		"traps": "traps", "loops": "spins", "start_loops": "starts for ever", "recurses": "recurses",
		"wants_4GiB": "4 GiB", "floods_log": "log flood", "returns_NaN": "NaN", "out_of_range": "out of range",
		"odd_import": "unknown import", "cut_in_half": "cut in half", "no_wasm": "no wasm",
	} {
		files[file] = all[name].wasm
	}
	for name, wasm := range files {
		path := filepath.Join("..", "bench", "pluginlive", "modules", name+moduleSuffix)
		if *update {
			if err := os.WriteFile(path, wasm, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, wasm) {
			t.Errorf("%s is another module than that of the tests (-update rewrites it)", path)
		}
	}
}

package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"vitrine/appliance/pluginhost/guard"
)

// specFiles gives the WebAssembly binaries that come with wazero's source: the
// official test suite and more. In short runs it gives every tenth.
func specFiles(t testing.TB) map[string][]byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Skipf("the source of wazero is not here: %v", err)
	}
	root := strings.TrimSpace(string(dir))
	if root == "" { // tests that were built elsewhere
		t.Skip("the source of wazero is not here")
	}
	var paths []string
	_ = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".wasm" {
			paths = append(paths, path)
		}
		return nil
	})
	files := map[string][]byte{}
	for i, path := range paths {
		if testing.Short() && i%10 != 0 {
			continue
		}
		wasm, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(path, root)] = wasm
	}
	return files
}

// TestSpec: what the engine takes and the guard does not refuse, the engine
// takes rewritten; what the engine refuses, it refuses still.
func TestSpec(t *testing.T) {
	ctx := context.Background()
	rt := testRuntime(t, ctx, wazero.NewRuntimeConfigInterpreter())
	taken, refused := 0, map[string]int{}
	for name, wasm := range specFiles(t) {
		mod, err := guard.Prepare(wasm, guard.Limits{Allowed: allowAll})
		_, before := rt.CompileModule(ctx, wasm)
		if err != nil {
			checkRefusal(t, name, err)
			if before == nil {
				refused[reason(err)]++
			}
			continue
		}
		if _, after := rt.CompileModule(ctx, mod.Wasm); (before == nil) != (after == nil) {
			t.Errorf("%s: the engine says %v, of the rewritten module %v", name, before, after)
		} else if before == nil {
			taken++
		}
	}
	t.Logf("%d modules taken; refused, though the engine takes them: %v", taken, refused)
	if taken < 100 {
		t.Errorf("only %d modules were taken", taken)
	}
}

func checkRefusal(t *testing.T, name string, err error) {
	t.Helper()
	var r *guard.Refusal
	if !errors.As(err, &r) || r.Reason == "" || strings.ContainsAny(r.Reason, "\r\n") || len(r.Reason) > 5000 {
		t.Errorf("%s: %q is no refusal in one line", name, err)
	}
}

// reason shortens a refusal to its kind.
func reason(err error) string {
	text := err.Error()
	for _, kind := range []string{"is a global", "is a memory", "is a table", "ends at entry", "ends at byte", "typed function", "br_table", "pages at the start", "unknown kind"} {
		if strings.Contains(text, kind) {
			return kind
		}
	}
	return text
}

// trio is a module as it was, metered, and metered instruction by instruction.
type trio struct{ plain, metered, naive api.Module }

// TestSpecResults runs the functions of all modules without imports and
// compares: results, traps and memory do not change by the rewriting, no run is
// cheaper than the sum of its instructions, and compiler and interpreter count
// the same. A third of the modules is enough for every day.
func TestSpecResults(t *testing.T) {
	ctx := context.Background()
	engines := []wazero.Runtime{
		testRuntime(t, ctx, wazero.NewRuntimeConfigCompiler()),
		testRuntime(t, ctx, wazero.NewRuntimeConfigInterpreter()),
	}
	calls, every := 0, os.Getenv("VITRINE_ALL_SPEC_RESULTS") != ""
	for name, wasm := range specFiles(t) {
		if !every && len(wasm)%3 != 0 {
			continue
		}
		mod, err := guard.Prepare(wasm, guard.Limits{MaxPages: 1 << 16})
		if err != nil || len(mod.Imports) > 0 || mod.Pages > 100 || len(wasm) > 100_000 {
			continue
		}
		naive, err := guard.Naive(wasm, guard.Limits{MaxPages: 1 << 16})
		if err != nil {
			t.Fatal(name, err)
		}
		var counts [2][]int64
		for i, rt := range engines {
			var m trio
			for _, part := range []struct {
				to   *api.Module
				wasm []byte
			}{{&m.plain, wasm}, {&m.metered, mod.Wasm}, {&m.naive, naive}} {
				*part.to, err = rt.InstantiateWithConfig(ctx, part.wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions())
			}
			if m.plain == nil || m.metered == nil || m.naive == nil {
				if (m.plain == nil) != (m.metered == nil) {
					t.Errorf("%s: only one of plain and metered can be instantiated: %v", name, err)
				}
				continue
			}
			counts[i] = m.compare(t, ctx, name)
			_, _, _ = m.plain.Close(ctx), m.metered.Close(ctx), m.naive.Close(ctx)
		}
		if !slices.Equal(counts[0], counts[1]) {
			t.Errorf("%s: fuel differs between compiler and interpreter: %v", name, counts)
		}
		calls += len(counts[0])
	}
	t.Logf("%d calls compared", calls)
}

// compare calls every function of the three modules with the same arguments and
// gives the fuel that the metered calls took.
func (m trio) compare(t *testing.T, ctx context.Context, name string) (counts []int64) {
	var exports []string
	for e := range m.plain.ExportedFunctionDefinitions() {
		exports = append(exports, e)
	}
	slices.Sort(exports)
	for _, export := range exports {
		args := make([]uint64, len(m.plain.ExportedFunction(export).Definition().ParamTypes()))
		for i, typ := range m.plain.ExportedFunction(export).Definition().ParamTypes() {
			if args[i] = uint64(i + 3); typ == api.ValueTypeExternref || typ == 0x70 {
				args[i] = 0
			}
		}
		const budget = 2_000_000
		fuel := m.metered.ExportedGlobal(guard.FuelGlobal).(api.MutableGlobal)
		fuel.Set(budget)
		results, err := m.metered.ExportedFunction(export).Call(ctx, args...)
		left := int64(fuel.Get())
		if left < 0 { // perhaps without end
			return counts
		}
		want, wantErr := m.plain.ExportedFunction(export).Call(ctx, args...)
		trueFuel := m.naive.ExportedGlobal(guard.FuelGlobal).(api.MutableGlobal)
		trueFuel.Set(budget)
		_, _ = m.naive.ExportedFunction(export).Call(ctx, args...)
		where := fmt.Sprintf("%s: %s%v", name, export, args)
		if (err == nil) != (wantErr == nil) || err == nil && !reference(m.plain, export) && !slices.Equal(results, want) {
			t.Errorf("%s = %v, %v; want %v, %v", where, results, err, want, wantErr)
		}
		if used, least := budget-left, budget-int64(trueFuel.Get()); err == nil && used < least {
			t.Errorf("%s: paid %d for work of %d", where, used, least)
		}
		if mem, wantMem := m.metered.Memory(), m.plain.Memory(); len(m.plain.ExportedMemoryDefinitions()) > 0 {
			a, _ := mem.Read(0, min(mem.Size(), 1<<16))
			b, _ := wantMem.Read(0, min(wantMem.Size(), 1<<16))
			if !bytes.Equal(a, b) || mem.Size() != wantMem.Size() {
				t.Errorf("%s: the memories differ", where)
			}
		}
		if err == nil { // the engines' stacks are not of the same depth
			counts = append(counts, left)
		}
	}
	return counts
}

// reference says whether a function returns a reference: an address in this
// process, another one in each instance.
func reference(mod api.Module, export string) bool {
	return slices.ContainsFunc(mod.ExportedFunction(export).Definition().ResultTypes(), func(t api.ValueType) bool {
		return t == api.ValueTypeExternref || t == 0x70
	})
}

package guard_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"vitrine/appliance/bench/process"
	"vitrine/appliance/pluginhost/guard"
)

//go:generate sh testdata/make.sh

// What happens to a hostile module: it is refused with a reason, or runs out of
// fuel, traps for another cause, or returns.
const (
	outOfFuel = "out of fuel"
	traps     = "trap"
	returns   = "returns"
)

// hostile says what is expected of each module in testdata/hostile.
var hostile = map[string]string{
	"infinite":            outOfFuel,
	"start_infinite":      outOfFuel,
	"calls":               outOfFuel,
	"fill":                outOfFuel,
	"copy":                outOfFuel,
	"init":                outOfFuel,
	"grow_memory":         outOfFuel,
	"grow_table":          outOfFuel,
	"grow_table_slowly":   outOfFuel,
	"fill_table":          outOfFuel,
	"recurse":             outOfFuel,
	"recurse_wide":        outOfFuel,
	"recurse_late":        outOfFuel,
	"recurse_late_else":   outOfFuel,
	"recurse_late_branch": outOfFuel,
	"recurse_table":       outOfFuel,
	"switch":              outOfFuel,
	"inner_exit":          outOfFuel,
	"locals":              outOfFuel,
	"divide":              outOfFuel,
	"references":          outOfFuel,
	"values":              outOfFuel,
	"log_flood":           outOfFuel,
	"chase":               outOfFuel,
	"oob_load":            traps,
	"div_zero":            traps,
	"not_a_number":        returns,

	"memory_min":       "memory section: a memory of 65536 pages at the start, the limit is 256",
	"table_min":        "table section: tables of 100000000 entries, the limit is 65536",
	"tables_min":       "table section: tables of 80000 entries, the limit is 65536",
	"import_unknown":   `import section: import "env"."system" is not offered`,
	"import_memory":    `import section: import "vitrine"."memory" is a memory, only functions can be imported`,
	"import_global":    `import section: import "vitrine"."fuel" is a global, only functions can be imported`,
	"import_table":     `import section: import "vitrine"."table" is a table, only functions can be imported`,
	"import_reserved":  `import section: import "vitrine"."__vitrine_fuel": names with __vitrine are reserved`,
	"forged":           `export section: export "__vitrine_fuel": names with __vitrine are reserved`,
	"forged_function":  `export section: export "__vitrine_x": names with __vitrine are reserved`,
	"data_outside":     "data section: segment 0 ends at byte 65540 of a memory of 1 pages",
	"elements_outside": "element section: segment 0 ends at entry 2 of a table of 1",
	"memory64":         "memory section: memory64 (a memory with 64-bit addresses) is not supported",
	"memories":         "memory section: multi-memory (2 memories) is not supported",
	"shared":           "memory section: threads (a shared memory) are not supported",
	"atomics":          "function 0: threads (atomic instructions) are not supported",
	"tail_call":        "function 0: tail calls are not supported",
	"exceptions":       "module: exceptions (tag section) are not supported",
	"relaxed":          "function 0: relaxed vector instructions are not supported",
	"extended":         "global section: extended constants are not supported",
	"fuel_read":        "function 0: global 1, there are 1",
	"fuel_write":       "function 0: global 0, there are 0",
	"local_write":      "function 0: local 1, there are 1",
	"branch_outside":   "function 0: a branch to label 1 of 1",
	"no_function":      "function 0: function 7, there are 1",
}

// A unit of fuel takes at most a nanosecond on the machines that the prices
// were measured on, except in loads that miss the caches. A run must end within
// twice the time of its budget, by that measure.
const (
	hostileBudget = 5_000_000
	hostileTime   = 2 * hostileBudget * time.Nanosecond
)

func TestHostile(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.wat")
	if err != nil || len(files) != len(hostile) {
		t.Fatalf("%d sources and %d expectations (%v)", len(files), len(hostile), err)
	}
	for name, want := range hostile {
		t.Run(name, func(t *testing.T) {
			wasm, err := os.ReadFile(filepath.Join("testdata", "hostile", name+".wasm"))
			if err != nil {
				t.Fatal(err)
			}
			mod, err := guard.Prepare(wasm, guard.Limits{
				StartFuel: hostileBudget,
				Allowed:   func(module, name string) bool { return module == "vitrine" },
			})
			if err != nil {
				var refusal *guard.Refusal
				if !errors.As(err, &refusal) || refusal.Reason != want {
					t.Fatalf("refused: %v; want %s", err, want)
				}
				return
			}
			runHostile(t, mod, want, name != "chase" && !testing.Short() && !raceEnabled)
		})
	}
}

// runHostile runs a module until it is out of fuel. The shortest of several runs
// counts: the others hold the collector's work. Short runs and those with the
// race detector, which the host's functions pay for, do not look at the time.
func runHostile(t *testing.T, mod *guard.Module, want string, timed bool) {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithMemoryCapacityFromMax(true))
	defer rt.Close(ctx)
	_, err := rt.NewHostModuleBuilder("vitrine").NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}), []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}, nil).
		Export("log").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := rt.CompileModule(ctx, mod.Wasm)
	if err != nil {
		t.Fatal(err)
	}
	best := time.Duration(1 << 60)
	for try := 0; try < 20 && (try < 2 || timed && best > hostileTime); try++ {
		var got string
		took := process.ThreadTime(func() { got = outcome(ctx, rt, compiled) })
		if best = min(best, took); got != want {
			t.Fatalf("%s; want %s", got, want)
		}
	}
	if timed && best > hostileTime {
		t.Errorf("stopped after %v; want at most %v", best, hostileTime)
	}
	t.Log(best)
}

func outcome(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule) string {
	mod, err := rt.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		if strings.Contains(err.Error(), "unreachable") {
			return outOfFuel // in the start function; no instance is there to tell
		}
		return err.Error()
	}
	defer mod.Close(ctx)
	fuel := mod.ExportedGlobal(guard.FuelGlobal).(api.MutableGlobal)
	fuel.Set(hostileBudget)
	_, err = mod.ExportedFunction("run").Call(ctx, 1)
	switch {
	case int64(fuel.Get()) < -guard.MaxDebt:
		return fmt.Sprint("went on to a fuel of ", int64(fuel.Get()))
	case int64(fuel.Get()) < 0:
		return outOfFuel
	case err != nil:
		return traps
	}
	return returns
}

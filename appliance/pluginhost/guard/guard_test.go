package guard_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"vitrine/appliance/bench/process"
	"vitrine/appliance/pluginhost/guard"
)

const header = "\x00asm\x01\x00\x00\x00"

// section gives an encoded section, whose parts are strings or counts.
func section(id byte, parts ...any) string {
	var body []byte
	for _, part := range parts {
		switch v := part.(type) {
		case string:
			body = append(body, v...)
		case int:
			body = putUleb(body, v)
		}
	}
	return string(id) + string(putUleb(nil, len(body))) + string(body)
}

// oneFunction is a module with one function () -> () of the given body.
func oneFunction(body string) string {
	return header + section(1, 1, "\x60\x00\x00") + section(3, 1, "\x00") + section(10, 1, len(body), body)
}

func TestRefusals(t *testing.T) {
	types := section(1, 1, "\x60\x00\x00")
	for _, c := range []struct{ name, wasm, want string }{
		{"empty", "", "module: empty"},
		{"text", "(module)", "module: not WebAssembly: it does not begin with \\0asm and a version"},
		{"magic alone", "\x00asm", "module: not WebAssembly: it does not begin with \\0asm and a version"},
		{"component", "\x00asm\x0d\x00\x01\x00", "module: version 0x1000d of the binary format, only 1 is supported (components are not)"},
		{"unknown section", header + section(77, "x"), "module: unknown section 77"},
		{"section twice", header + types + types, "module: type section twice or out of order"},
		{"sections in wrong order", header + section(3, 0) + types, "module: type section twice or out of order"},
		{"section too long", header + "\x01\x7f", "module: cut off at byte 10"},
		{"endless number", header + "\x01\xff\xff\xff\xff\xff\xff\x00", "module: a number at byte 14 is longer than 32 bits"},
		{"bytes left over", header + section(1, 0, "x"), "type section: 1 bytes too many at byte 11"},
		{"count beyond the section", header + section(1, 100), "type section: 100 entries cannot be in 0 bytes"},
		{"no code", header + types + section(3, 1, "\x00"), "module: cut off: 1 functions without code"},
		{"too little code", header + types + section(3, 1, "\x00") + section(10, 0), "code section: 0 bodies for 1 functions"},
		{"unknown type", header + section(1, 1, "\x60\x01\x42\x00"), "type section: type 0 has a value of unknown type 0x42"},
		{"many parameters", header + section(1, 1, "\x60", 300, strings.Repeat("\x7f", 300), 0), "type section: type 0 has 300 parameters or results, the limit is 256"},
		{"name not UTF-8", header + types + section(2, 1, "\x01\xff\x01a\x00\x00"), "import section: a name before byte 19 is not UTF-8"},
		{"long name", header + types + section(2, 1, 2000, strings.Repeat("a", 2000), "\x01a\x00\x00"), "import section: a name of 2000 bytes, the limit is 1000"},
		{"export twice", header + section(5, 1, "\x00\x01") + section(7, 2, "\x01m\x02\x00\x01m\x02\x00"), `export section: export "m" twice`},
		{"export of nothing", header + section(7, 1, "\x01m\x02\x00"), `export section: export "m" names a thing that does not exist (kind 2, index 0)`},
		{"memory shrinks", header + section(5, 1, "\x01\x02\x01"), "memory section: the memory begins with 2, above its maximum of 1"},
		{"start of nothing", header + section(8, 3), "start section: function 3 does not exist"},
		{"unbalanced", oneFunction("\x00\x02\x40\x0b"), "function 0: cut off at byte 26"},
		{"else alone", oneFunction("\x00\x05\x0b"), "function 0: an else without if at byte 24"},
		{"code after the end", oneFunction("\x00\x0b\x01"), "function 0: 1 bytes too many at byte 24"},
		{"unknown instruction", oneFunction("\x00\x27\x0b"), "function 0: unknown instruction"},
		{"instruction of an unknown block type", oneFunction("\x00\x02\x05\x0b\x0b"), "function 0: a block of type 5, which does not exist"},
		{"padded vector instruction", oneFunction("\x00\xfd\x8c\x02\x0b"), "function 0: relaxed vector instructions are not supported"},
		{"second memory", oneFunction("\x00\x3f\x01\x1a\x0b"), "function 0: multi-memory is not supported"},
		{"many locals", oneFunction("\x01\xff\xff\xff\xff\x0f\x7f\x0b"), "function 0: 4294967295 or more parameters and locals, the limit is 5000"},
		{"large body", oneFunction("\x00" + strings.Repeat("\x01", 600_000) + "\x0b"), "function 0: 600002 bytes of code, the limit is 524288"},
		{"many loops", oneFunction("\x00" + strings.Repeat("\x03\x40\x0b", 5_000) + "\x0b"), "function 0: more than 4096 blocks and branches, the limit of a function"},
		{"locals times branches", oneFunction("\x01\xd0\x0f\x7e" + strings.Repeat("\x02\x40\x0b", 1_000) + "\x0b"), "function 0: 2000 locals in code of 1000 branches, the limit of their product is 1048576"},
		{"large br_table", oneFunction("\x00\x41\x00\x0e\x88\x27" + strings.Repeat("\x00", 5_001) + "\x0b"), "function 0: a br_table of 5000 targets, the limit is 4096"},
		{"functions", header + types + section(3, 60_000, strings.Repeat("\x00", 60_000)), "function section: 60000 functions, the limit is 50000"},
		{"size", header + section(0, 1, "x", strings.Repeat("x", 9<<20)), "module: 9437199 bytes, the limit is 8388608"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := guard.Prepare([]byte(c.wasm), guard.Limits{Allowed: allowAll})
			if err == nil || err.Error() != c.want {
				t.Fatalf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestPaddedNumbers: an engine that reads the number of a vector instruction as
// one byte would see other instructions in a padded one. The rewritten module
// has none.
func TestPaddedNumbers(t *testing.T) {
	padded := oneFunction("\x00\xfd\x8c\x80\x00" + strings.Repeat("\x00", 16) + "\x1a\x0b")
	mod, err := guard.Prepare([]byte(padded), guard.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(mod.Wasm, []byte("\xfd\x0c\x00\x00")) || bytes.Contains(mod.Wasm, []byte("\xfd\x8c")) {
		t.Errorf("not written anew: %x", mod.Wasm)
	}
}

func TestModule(t *testing.T) {
	mod, err := guard.Prepare(guestFile(t, "work.wasm"), guard.Limits{MaxPages: 4, StartFuel: 7})
	if err != nil {
		t.Fatal(err)
	}
	if mod.Pages != 3 || mod.MaxPages != 4 || mod.StartFuel != 7 || mod.Start || len(mod.Imports) != 0 {
		t.Errorf("%+v", mod)
	}
	want := []guard.Export{{Name: "memory", Kind: guard.KindMemory}, {Name: "fib", Signature: "(i32) -> (i32)"}}
	if !reflect.DeepEqual(mod.Exports[:2], want) {
		t.Errorf("exports %+v, want %+v", mod.Exports[:2], want)
	}
	again, err := guard.Prepare(guestFile(t, "work.wasm"), guard.Limits{MaxPages: 4, StartFuel: 7})
	if err != nil || !reflect.DeepEqual(mod, again) {
		t.Errorf("a second Prepare gives something else: %v", err)
	}
}

// TestCut: no part of a module passes for a module, and none does harm.
func TestCut(t *testing.T) {
	for _, name := range []string{"work.wasm", "score.csimd.wasm"} {
		wasm := guestFile(t, name)
		for n := range len(wasm) - 1 {
			// What ends after the types, or before custom sections, is whole.
			if _, err := guard.Prepare(wasm[:n], guard.Limits{}); err != nil {
				checkRefusal(t, name, err)
			} else if n > len(header)+30 && n < len(wasm)*2/3 {
				t.Errorf("%s cut to %d of %d bytes is accepted", name, n, len(wasm))
			}
		}
	}
	noise := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := []byte(header)
		for range noise.IntN(100) {
			b = append(b, byte(noise.IntN(16)))
		}
		if _, err := guard.Prepare(b, guard.Limits{}); err != nil {
			checkRefusal(t, "noise", err)
		}
	}
}

// TestAllocation: what is allocated is a small multiple of the input and a constant
// for one function, whatever the input claims.
func TestAllocation(t *testing.T) {
	const million = 1 << 20
	for name, wasm := range map[string]string{
		"types":    header + section(1, 10_000, strings.Repeat("\x60\x00\x00", 10_000)),
		"claims":   header + section(1, million*1000, "\x60\x00\x00"),
		"exports":  header + section(5, 1, "\x00\x01") + section(7, 9_000, strings.Repeat("\x00\x02\x00", 9_000)),
		"imports":  header + section(1, 1, "\x60", 256, strings.Repeat("\x7b", 256), 0) + section(2, 1000, strings.Repeat("\x00\x00\x00\x00", 1000)),
		"loops":    oneFunction("\x00" + strings.Repeat("\x03\x40\x0b", 4_000) + "\x0b"),
		"ifs":      oneFunction("\x00" + strings.Repeat("\x41\x00\x04\x40\x0b", 4_000) + "\x0b"),
		"blocks":   oneFunction("\x00" + strings.Repeat("\x02\x40", 4_000) + strings.Repeat("\x0b", 4_001)),
		"calls":    oneFunction("\x00" + strings.Repeat("\x10\x00", 100_000) + "\x0b"),
		"segments": header + section(5, 1, "\x00\x01") + section(11, 90_000, strings.Repeat("\x01\x00", 90_000)),
		"go":       string(goGuest(t)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := guard.Prepare([]byte(wasm), guard.Limits{Allowed: allowAll})
		runtime.ReadMemStats(&after)
		got := after.TotalAlloc - before.TotalAlloc
		if limit := uint64(50*len(wasm) + 4<<20); got > limit {
			t.Errorf("%s: %d bytes are allocated for %d bytes of input (%v)", name, got, len(wasm), err)
		}
	}
}

// goGuest builds the guest that the plain Go toolchain makes.
func goGuest(t *testing.T) []byte {
	if testing.Short() {
		t.Skip("builds a Go guest")
	}
	return guestFile(t, "score.go.wasm")
}

func TestGoGuest(t *testing.T) {
	ctx := context.Background()
	wasm := goGuest(t)
	var mod *guard.Module
	var err error
	took := process.ThreadTime(func() { mod, err = guard.Prepare(wasm, guard.Limits{Allowed: allowAll}) })
	if err != nil {
		t.Fatal(err)
	}
	if took > time.Second {
		t.Errorf("Prepare took %v of a processor", took)
	}
	t.Logf("%d bytes became %d in %v", len(wasm), len(mod.Wasm), took)
	// One engine compiles while the budget is checked that its start needs.
	rt := testRuntime(t, ctx, wazero.NewRuntimeConfigInterpreter())
	g := start(t, ctx, rt, mod.Wasm, "guest_score", 16)
	t.Logf("initialisation took %d units", 1<<50-g.initLeft)
	if used := 1<<50 - g.initLeft; used > guard.DefaultStartFuel/4 {
		t.Errorf("initialisation took %d units of %d", used, guard.DefaultStartFuel)
	}
	g.call(t, ctx)
	first := g.used()
	g.call(t, ctx)
	if first != g.used() || first < 16*16*10 {
		t.Errorf("the same call took %d and %d units", first, g.used())
	}
}

// TestGuests: the guests of all languages do the same rewritten, and pay for
// all they do.
func TestGuests(t *testing.T) {
	ctx := context.Background()
	rt := testRuntime(t, ctx, wazero.NewRuntimeConfigCompiler())
	for _, w := range workloads {
		if w.file == "score.go.wasm" {
			continue
		}
		wasm := guestFile(t, w.file)
		mod, err := guard.Prepare(wasm, guard.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		naive, err := guard.Naive(wasm, guard.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var memories [2][]byte
		var used [2]int64
		for i, code := range [][]byte{mod.Wasm, naive} {
			g := start(t, ctx, rt, code, w.export, w.arg)
			g.call(t, ctx)
			used[i] = g.used()
			memories[i], _ = g.mod.Memory().Read(0, 1<<16)
		}
		if used[0] < used[1] || used[0] > used[1]*4 && w.export != "copy" {
			t.Errorf("%s %s paid %d for work of %d", w.file, w.export, used[0], used[1])
		}
		if !bytes.Equal(memories[0], memories[1]) {
			t.Errorf("%s %s: the memories differ", w.file, w.export)
		}
		t.Logf("%s %s paid %d for work of %d", w.file, w.export, used[0], used[1])
	}
}

// FuzzPrepare: no input makes Prepare panic; what it accepts, the engine takes
// if it took the original, and only then.
func FuzzPrepare(f *testing.F) {
	for _, pattern := range []string{"testdata/hostile/*.wasm", "testdata/guests/*.wasm"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if wasm, err := os.ReadFile(file); err == nil && len(wasm) < 10_000 {
				f.Add(wasm)
			}
		}
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 1<<16 {
			return
		}
		mod, err := guard.Prepare(wasm, guard.Limits{Allowed: allowAll})
		if err != nil {
			checkRefusal(t, "fuzz", err)
			return
		}
		if len(mod.Wasm) > 100*len(wasm)+1000 {
			t.Errorf("%d bytes became %d", len(wasm), len(mod.Wasm))
		}
		before, errBefore := rt.CompileModule(ctx, wasm)
		after, errAfter := rt.CompileModule(ctx, mod.Wasm)
		dropped := errBefore != nil && strings.Contains(errBefore.Error(), "custom section")
		if (errBefore == nil) != (errAfter == nil) && !dropped {
			t.Errorf("the engine says %v, of the rewritten module %v", errBefore, errAfter)
		}
		for _, c := range []wazero.CompiledModule{before, after} {
			if c != nil {
				_ = c.Close(ctx)
			}
		}
	})
}

package sandbox

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
)

// The engines that modules run on.
const (
	EngineCompiler    = "compiler"
	EngineInterpreter = "interpreter"
)

// maxPages bounds one instance's memory: 16 MiB.
const maxPages = 256

// runtimeConfig is how every module is compiled and run, in the child and
// here alike. The deadline switch stays off: it costs a factor of ten and
// does not stop every runaway; fuel does.
func runtimeConfig(engine string) wazero.RuntimeConfig {
	config := wazero.NewRuntimeConfigCompiler()
	if engine == EngineInterpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	return config.WithMemoryLimitPages(maxPages).WithMemoryCapacityFromMax(true).
		WithDebugInfoEnabled(false).WithCloseOnContextDone(false)
}

// ProbeEngine runs one function as native code. Where the system forbids new
// executable memory (execmem, MemoryDenyWriteExecute) or the processor lacks
// SSE4.1 it returns the interpreter and why.
func ProbeEngine(ctx context.Context) (engine string, why error) {
	defer func() {
		if r := recover(); r != nil { // wazero panics where it cannot map code
			engine, why = EngineInterpreter, fmt.Errorf("no native code on this system: %v", r)
		}
	}()
	rt := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(EngineCompiler))
	defer rt.Close(ctx) //nolint:errcheck // nothing in it
	module, err := rt.Instantiate(ctx, probeModule())
	if err == nil {
		_, err = module.ExportedFunction("f").Call(ctx)
	}
	if err != nil {
		return EngineInterpreter, fmt.Errorf("no native code on this system: %w", err)
	}
	return EngineCompiler, nil
}

// probeModule exports f: () -> ().
func probeModule() []byte {
	return []byte{
		0, 'a', 's', 'm', 1, 0, 0, 0,
		1, 4, 1, 0x60, 0, 0, // type () -> ()
		3, 2, 1, 0, // function 0
		7, 5, 1, 1, 'f', 0, 0, // export
		10, 4, 1, 2, 0, 0x0b, // code
	}
}

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"vitrine/appliance/pluginhost/guard"
	"vitrine/sdk/abi"
)

// firstRows is the room of a new instance's frame. It covers the usual number
// of candidates, and grows by factors of four.
const firstRows = 256

// setupFuel is the budget of each call that prepares an instance: about 30 ms.
const setupFuel = guard.DefaultStartFuel

// setupRate is what a unit of fuel is taken to cost, in nanoseconds, where an
// instance is prepared within a request: the most that was measured, as nothing
// has been learnt of that code.
const setupRate = 1.0

// errFuel says that a guest used up its budget.
var errFuel = errors.New("out of fuel")

// instance is one running copy of a module. It does one call at a time, and
// after a trap nothing but close.
type instance struct {
	version *Version
	module  api.Module
	memory  api.Memory
	fuel    api.MutableGlobal
	// ctx leads host functions back to the instance; made once, so that calls
	// allocate nothing.
	ctx   context.Context
	kinds [abi.Event + 1]api.Function
	stack [4]uint64

	frame  uint32
	layout abi.Layout

	// The current call's: its time and seed, what it may still log, and
	// whether it is vitrine_configure.
	now         int64
	random      uint64
	logLeft     int
	configuring bool
	lastError   string
	// written is what the guest wrote to standard output or error since the
	// end of a line, at that level; complaint the first line on standard error
	// in this call.
	written   []byte
	level     int32
	complaint string
	// spent is the fuel of the last call.
	spent int64
	// setupLeft is the budget of a call that prepares the instance.
	setupLeft int64
	// answers is version.answers when the instance was last configured.
	answers int64
}

// newInstance makes an instance that is ready for calls.
func newInstance(ctx context.Context, v *Version) (*instance, error) {
	in := &instance{version: v, logLeft: abi.MaxLog, answers: v.answers.Load(), setupLeft: setupFuel}
	in.ctx = context.WithValue(context.WithoutCancel(ctx), instanceKey{}, in)
	// The fuel global exists only after instantiation, but the start function
	// may call the host before: it pays into a stand-in.
	in.fuel = &startFuel{left: setupFuel}
	var memory experimental.LinearMemory
	allocate := func(capacity, limit uint64) experimental.LinearMemory {
		memory = allocateMapped(capacity, limit)
		return memory
	}
	module, err := v.runtime.InstantiateModule(
		experimental.WithMemoryAllocator(in.ctx, experimental.MemoryAllocatorFunc(allocate)),
		v.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		if memory != nil {
			memory.Free() // wazero keeps it when a start function fails
		}
		return nil, fmt.Errorf("instantiate: %w", trap(err)) // for lack of fuel it says unreachable
	}
	in.module, in.memory = module, module.Memory()
	if err := in.prepare(); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// prepare takes a new instance through the life that the ABI describes, up to
// the reserved frame.
func (in *instance) prepare() error {
	fuel, ok := in.module.ExportedGlobal(guard.FuelGlobal).(api.MutableGlobal)
	if !ok {
		return errors.New("module is not metered")
	}
	in.fuel = fuel
	if in.module.ExportedFunction(abi.ExportInitialize) != nil {
		if _, err := in.setup(abi.ExportInitialize); err != nil {
			return err
		}
	}
	number, err := in.setup(abi.ExportABI)
	if err != nil {
		return err
	}
	if uint32(number) != abi.Version {
		return fmt.Errorf("speaks ABI %d, this host ABI %d", uint32(number), abi.Version)
	}
	if err := in.describe(); err != nil {
		return err
	}
	if err := in.configure(); err != nil {
		return err
	}
	for _, k := range in.version.manifest.Kinds {
		if in.kinds[k] = in.module.ExportedFunction(k.Export()); in.kinds[k] == nil {
			return fmt.Errorf("names kind %s, but has no function %s", k, k.Export())
		}
	}
	return in.reserve(max(firstRows, int(in.version.rows.Load())))
}

// within prepares the instance in a request, which has so much time left. An
// errFuel says that it was not enough; the instance is lost then.
func (in *instance) within(left time.Duration, prepare func() error) error {
	in.setupLeft = min(max(int64(float64(left)/setupRate), 1), setupFuel)
	defer func() { in.setupLeft = setupFuel }()
	return prepare()
}

// setup calls a function that prepares the instance, with the budget for that.
func (in *instance) setup(name string, args ...uint64) (uint64, error) {
	f := in.module.ExportedFunction(name)
	if f == nil {
		return 0, fmt.Errorf("has no function %s", name)
	}
	clear(in.stack[:])
	copy(in.stack[:], args)
	if err := in.run(f, in.setupLeft); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return in.stack[0], nil
}

// run calls f with a budget; parameters and result are in in.stack. An error
// means that the instance must not be used again.
func (in *instance) run(f api.Function, budget int64) error {
	in.logLeft, in.complaint = abi.MaxLog, ""
	in.fuel.Set(uint64(budget))
	err := f.CallWithStack(in.ctx, in.stack[:])
	if len(in.written) > 0 {
		in.endLine()
	}
	left := int64(in.fuel.Get())
	in.spent = budget - max(left, 0)
	if err == nil {
		return nil
	}
	if left < 0 {
		return errFuel
	}
	if err = trap(err); in.complaint != "" { // a Go guest says why it panics
		err = fmt.Errorf("%w: %s", err, in.complaint)
	}
	return err
}

// trap is one line about what ended a call.
func trap(err error) error {
	if errors.Is(err, errFuel) {
		return errFuel
	}
	line := firstLine(err.Error())
	line = strings.Replace(line, "wasm error: ", "", 1)
	line, _, _ = strings.Cut(line, " (recovered by wazero)")
	return errors.New(line)
}

// describe reads the manifest. Every instance must give the one that the
// version was checked with.
func (in *instance) describe() error {
	packed, err := in.setup(abi.ExportDescribe)
	if err != nil {
		return err
	}
	address, length := uint32(packed>>32), uint32(packed)
	if length > abi.MaxManifest {
		return fmt.Errorf("manifest of %d bytes, at most %d", length, abi.MaxManifest)
	}
	view, ok := in.memory.Read(address, length)
	if !ok {
		return fmt.Errorf("manifest at %d+%d is outside the memory", address, length)
	}
	if in.version.manifestText == "" {
		return in.version.adopt(string(view))
	}
	if in.version.manifestText != string(view) {
		return errors.New("manifest differs from one instance to the next")
	}
	return nil
}

// configure hands the configuration over.
func (in *instance) configure() error {
	config := in.version.config
	address, err := in.setup(abi.ExportBuffer, uint64(len(config)))
	if err != nil {
		return err
	}
	if uint32(address) == 0 || !in.memory.Write(uint32(address), config) {
		return fmt.Errorf("%s gave no room for %d bytes of configuration", abi.ExportBuffer, len(config))
	}
	in.configuring, in.lastError = true, ""
	defer func() { in.configuring = false }()
	code, err := in.setup(abi.ExportConfigure, uint64(uint32(address)), uint64(len(config)))
	if err != nil {
		return err
	}
	if int32(code) >= 0 {
		return nil
	}
	if in.lastError != "" {
		return fmt.Errorf("refuses its configuration: %s", in.lastError)
	}
	return fmt.Errorf("refuses its configuration with code %d", int32(code))
}

// reserve gets a frame with room for rows rows and checks it.
func (in *instance) reserve(rows int) error {
	address, err := in.setup(abi.ExportReserve, uint64(rows))
	if err != nil {
		return err
	}
	if uint32(address) == 0 {
		return fmt.Errorf("%s(%d) has no memory", abi.ExportReserve, rows)
	}
	view, ok := in.memory.Read(0, in.memory.Size())
	if !ok {
		return errors.New("memory cannot be read")
	}
	layout, err := abi.ReadLayout(view, uint32(address), rows, in.version.columns)
	if err != nil {
		return fmt.Errorf("%s(%d): %w", abi.ExportReserve, rows, err)
	}
	in.frame, in.layout = uint32(address), layout
	return nil
}

// grow makes the frame's room at least rows. Instances that are made later
// have it from the start: where a request leaves no time for growing, the next
// ones need none.
func (in *instance) grow(rows int) error {
	room := max(int(in.layout.Cap), firstRows)
	for room < rows {
		room *= 4
	}
	room = min(room, abi.MaxRows)
	in.version.needRows(int64(room))
	return in.reserve(room)
}

func (in *instance) close() {
	if in.module != nil {
		_ = in.module.Close(in.ctx) // frees memory; nothing in it can fail
	}
}

// startFuel stands in for the fuel global while the start function runs.
type startFuel struct {
	api.MutableGlobal
	left int64
}

func (s *startFuel) Get() uint64  { return uint64(s.left) }
func (s *startFuel) Set(v uint64) { s.left = int64(v) }

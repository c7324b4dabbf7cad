package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"vitrine/appliance/frame"
	"vitrine/sdk/abi"
)

// What a call into the host costs in fuel, so that a guest cannot spend the
// daemon's time there for free.
const (
	callFuel   = 200
	byteFuel   = 4
	lookupFuel = 2000
)

// The error numbers of WASI that are answered.
const (
	wasiDone    = 0
	wasiBadFile = 8
	wasiInvalid = 28
)

// frozenClock is every clock but the request's own, in nanoseconds: not zero,
// because some guests take zero for "no clock".
const frozenClock = 1_000_000_000

// errExit is the trap of proc_exit.
var errExit = errors.New("plugin called proc_exit")

// instanceKey finds the calling instance in the context of a call.
type instanceKey struct{}

// hostFunc is a function that guests import: stack holds the parameters and
// takes the result. It panics to trap.
type hostFunc func(in *instance, stack []uint64)

// hostFuncs has an implementation for every import of the ABI.
func hostFuncs() map[string]hostFunc {
	none := func(_ *instance, stack []uint64) { stack[0] = wasiDone }
	return map[string]hostFunc{
		abi.HostModule + "." + abi.ImportLog:  hostLog,
		abi.HostModule + "." + abi.ImportDict: hostDict,
		abi.WASIModule + ".args_sizes_get":    wasiSizes,
		abi.WASIModule + ".args_get":          none,
		abi.WASIModule + ".environ_sizes_get": wasiSizes,
		abi.WASIModule + ".environ_get":       none,
		abi.WASIModule + ".clock_time_get":    wasiClock,
		abi.WASIModule + ".fd_write":          wasiWrite,
		abi.WASIModule + ".random_get":        wasiRandom,
		abi.WASIModule + ".poll_oneoff":       wasiPoll,
		abi.WASIModule + ".sched_yield":       func(_ *instance, stack []uint64) { stack[0] = wasiDone },
		abi.WASIModule + ".proc_exit":         func(*instance, []uint64) { panic(errExit) },
	}
}

// importable says whether guests may import the function.
func importable(module, name string) bool {
	for _, i := range abi.Imports() {
		if i.Module == module && i.Name == name {
			return true
		}
	}
	return false
}

// provideImports instantiates the host modules of the ABI in rt.
func provideImports(ctx context.Context, rt wazero.Runtime) error {
	funcs := hostFuncs()
	builders := map[string]wazero.HostModuleBuilder{}
	for _, i := range abi.Imports() {
		impl, ok := funcs[i.Module+"."+i.Name]
		if !ok {
			return fmt.Errorf("import %s.%s has no implementation", i.Module, i.Name)
		}
		if builders[i.Module] == nil {
			builders[i.Module] = rt.NewHostModuleBuilder(i.Module)
		}
		builders[i.Module].NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, module api.Module, stack []uint64) {
				in := ctx.Value(instanceKey{}).(*instance)
				if in.memory == nil { // the start function calls
					in.memory = module.Memory()
				}
				in.charge(callFuel)
				impl(in, stack)
			}), valueTypes(i.Params), valueTypes(i.Results)).
			Export(i.Name)
	}
	for name, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("provide imports of %s: %w", name, err)
		}
	}
	return nil
}

func valueTypes(letters string) []api.ValueType {
	types := []api.ValueType{}
	for _, l := range letters {
		if l == 'I' {
			types = append(types, api.ValueTypeI64)
		} else {
			types = append(types, api.ValueTypeI32)
		}
	}
	return types
}

// charge takes fuel for work done outside of the guest. It traps at once when
// none is left, since the guest itself checks only at its next loop or call.
func (in *instance) charge(units int64) {
	left := int64(in.fuel.Get()) - units
	in.fuel.Set(uint64(left))
	if left < 0 {
		panic(errFuel)
	}
}

// bytes is a view of the guest's memory; a range outside of it traps.
func (in *instance) bytes(address, length uint64) []byte {
	in.charge(int64(uint32(length)) * byteFuel)
	view, ok := in.memory.Read(uint32(address), uint32(length))
	if !ok {
		panic(fmt.Errorf("range %d+%d is outside the memory", uint32(address), uint32(length)))
	}
	return view
}

// put writes a number where the guest asked for it.
func (in *instance) put(address, value uint64, size int) {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], value)
	copy(in.bytes(address, uint64(size)), word[:size])
}

func hostLog(in *instance, stack []uint64) {
	in.say(int32(stack[0]), in.bytes(stack[1], stack[2]))
}

func hostDict(in *instance, stack []uint64) {
	text := in.bytes(stack[1], stack[2])
	in.charge(lookupFuel)
	column := uint64(uint32(stack[0]))
	stack[0] = 0
	if !in.configuring || column >= uint64(len(in.version.columns)) {
		return
	}
	if c := in.version.columns[column]; c.Type == abi.Code {
		stack[0] = uint64(in.version.lookUp(question{frame.Scope(c.Scope), c.Name, string(text)}))
	}
}

func wasiSizes(in *instance, stack []uint64) {
	in.put(stack[0], 0, 4)
	in.put(stack[1], 0, 4)
	stack[0] = wasiDone
}

func wasiClock(in *instance, stack []uint64) {
	ns := uint64(frozenClock)
	if uint32(stack[0]) == 0 && in.now > 0 {
		ns = uint64(in.now) * 1_000_000
	}
	in.put(stack[2], ns, 8)
	stack[0] = wasiDone
}

// wasiWrite takes fd, the list of pieces, their number, and where to write the
// number of bytes taken.
func wasiWrite(in *instance, stack []uint64) {
	fd, pieces := uint32(stack[0]), uint64(uint32(stack[2]))
	if fd != 1 && fd != 2 {
		stack[0] = wasiBadFile
		return
	}
	if pieces > 1024 {
		stack[0] = wasiInvalid
		return
	}
	list := in.bytes(stack[1], 8*pieces)
	var line []byte
	total := uint64(0)
	for i := range pieces {
		piece := in.bytes(uint64(binary.LittleEndian.Uint32(list[8*i:])), uint64(binary.LittleEndian.Uint32(list[8*i+4:])))
		total += uint64(len(piece))
		line = append(line, piece[:min(len(piece), abi.MaxLog-min(len(line), abi.MaxLog))]...)
	}
	in.put(stack[3], total, 4)
	level := int32(abi.LevelInfo)
	if fd == 2 {
		level = abi.LevelError
	}
	in.write(level, line)
	stack[0] = wasiDone
}

// write gathers what a guest writes piece by piece, as Go's runtime does, and
// says it line by line.
func (in *instance) write(level int32, text []byte) {
	if level != in.level {
		in.endLine()
		in.level = level
	}
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		in.written = append(in.written, line[:min(len(line), abi.MaxLog-len(in.written))]...)
		if ended {
			in.endLine()
		}
		text = rest
	}
}

// endLine says what has been gathered.
func (in *instance) endLine() {
	if in.level == abi.LevelError && in.complaint == "" {
		in.complaint = oneLine(in.written[:min(len(in.written), maxComplaint)])
	}
	in.say(in.level, in.written)
	in.written = in.written[:0]
}

// maxComplaint is the most of a guest's words that becomes part of a reason.
const maxComplaint = 200

// oneLine makes a line that may be printed of a guest's bytes.
func oneLine(text []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "\uFFFD")))
}

func wasiRandom(in *instance, stack []uint64) {
	view := in.bytes(stack[0], stack[1])
	for i := range view {
		if i%8 == 0 {
			in.random = splitMix(in.random)
		}
		view[i] = byte(mix(in.random) >> (8 * (i % 8)))
	}
	stack[0] = wasiDone
}

// splitMix and mix are the SplitMix64 generator: state, and output of a state.
func splitMix(state uint64) uint64 { return state + 0x9e3779b97f4a7c15 }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// wasiPoll reports every subscription as due: time stands still, so waiting
// for it would never end. Records are 48 bytes in and 32 bytes out.
func wasiPoll(in *instance, stack []uint64) {
	n := uint64(uint32(stack[2]))
	if n == 0 || n > 64 {
		stack[0] = wasiInvalid
		return
	}
	subscriptions, events := in.bytes(stack[0], 48*n), in.bytes(stack[1], 32*n)
	for i := range n {
		event := events[32*i : 32*i+32]
		userdata := [8]byte(subscriptions[48*i:])
		kind := subscriptions[48*i+8]
		clear(event)
		copy(event, userdata[:])
		event[10] = kind
	}
	in.put(stack[3], n, 4)
	stack[0] = wasiDone
}

// say logs a line of the guest: what fits into the call's allowance, at most
// as often as the plugin's limiter allows.
func (in *instance) say(level int32, text []byte) {
	text = text[:min(len(text), in.logLeft)]
	in.logLeft -= len(text)
	line := strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD"))
	if line == "" {
		return
	}
	if level >= abi.LevelError {
		in.lastError = line
	}
	in.version.logGuest(slogLevel(level), line)
}

func slogLevel(level int32) slog.Level {
	switch level {
	case abi.LevelDebug:
		return slog.LevelDebug
	case abi.LevelInfo:
		return slog.LevelInfo
	case abi.LevelWarn:
		return slog.LevelWarn
	}
	// A guest's error is its author's concern; the daemon itself is well.
	return slog.LevelWarn
}

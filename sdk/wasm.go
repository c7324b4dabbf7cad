//go:build wasip1

package sdk

import (
	"unsafe"

	"vitrine/sdk/abi"
)

// running is the plugin of this module: exports have no receiver, so it must
// be a package variable. Main sets it, once, before the host calls anything.
var running *Plugin

// Main registers the plugin. It runs while package variables are initialised:
// var _ = sdk.Main(define).
func Main(define func(p *Plugin)) struct{} {
	running = newPlugin(define, imports{})
	return struct{}{}
}

// imports is the real host.
type imports struct{}

func (imports) log(level int, text string) {
	hostLog(uint32(level), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

func (imports) dict(column int, text string) uint32 {
	return hostDict(uint32(column), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

//go:wasmimport vitrine log
func hostLog(level uint32, text unsafe.Pointer, length uint32)

//go:wasmimport vitrine dict
func hostDict(column uint32, text unsafe.Pointer, length uint32) uint32

//go:wasmexport vitrine_abi
func exportABI() uint32 { return abi.Version }

//go:wasmexport vitrine_describe
func exportDescribe() uint64 {
	if running == nil {
		return 0
	}
	text := running.described
	return uint64(uintptr(unsafe.Pointer(&text[0])))<<32 | uint64(len(text))
}

//go:wasmexport vitrine_buffer
func exportBuffer(length uint32) unsafe.Pointer {
	if length == 0 {
		length = 1
	}
	return unsafe.Pointer(&running.buffer(int(length))[0])
}

//go:wasmexport vitrine_configure
func exportConfigure(address unsafe.Pointer, length uint32) int32 {
	return running.setUp(unsafe.Slice((*byte)(address), length))
}

//go:wasmexport vitrine_reserve
func exportReserve(rows uint32) unsafe.Pointer {
	return unsafe.Pointer(running.reserve(int(rows)))
}

//go:wasmexport vitrine_feature
func exportFeature(frame unsafe.Pointer) int32 {
	return running.call(abi.Feature, (*abi.Header)(frame))
}

//go:wasmexport vitrine_scorer
func exportScorer(frame unsafe.Pointer) int32 {
	return running.call(abi.Scorer, (*abi.Header)(frame))
}

//go:wasmexport vitrine_filter
func exportFilter(frame unsafe.Pointer) int32 {
	return running.call(abi.Filter, (*abi.Header)(frame))
}

// Package sdk is what a Vitrine plugin written in Go imports.
//
// A plugin is package main with one function that declares what the plugin
// reads and does, and one line that registers it:
//
//	var _ = sdk.Main(define)
//
//	func main() {} // never called; the linker wants it
//
// Built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared it becomes a
// WebAssembly module; built for any other system the same code runs under go
// test through a Harness. docs/PLUGINS.md is the guide, package abi the
// contract with the host.
//
// In the functions that run per request: allocate nothing, start no goroutine,
// keep no state from one call to the next. Everywhere: fmt, encoding/json, log,
// time and os import functions that the host does not offer, so that it refuses
// the module; errors, strconv, strings and math are fine.
package sdk

import (
	"math"
	"unsafe"

	"vitrine/sdk/abi"
)

// Levels of Plugin.Log.
const (
	LevelDebug = abi.LevelDebug
	LevelInfo  = abi.LevelInfo
	LevelWarn  = abi.LevelWarn
	LevelError = abi.LevelError
)

// Plugin collects what a plugin declares: columns, configuration and the
// functions that do its kinds. All of it is declared in the define function.
type Plugin struct {
	manifest  abi.Manifest
	described []byte
	keys      []key
	configure func() error
	run       [abi.Filter + 1]func(*Batch)
	batch     Batch
	host      host
	memory    []byte // what buffer gave away
}

// host is what the plugin asks of whoever runs it.
type host interface {
	log(level int, text string)
	dict(column int, text string) uint32
}

// newPlugin runs define and writes the manifest.
func newPlugin(define func(*Plugin), h host) *Plugin {
	p := &Plugin{host: h}
	define(p)
	for k := abi.Feature; k <= abi.Filter; k++ {
		if p.run[k] != nil {
			p.manifest.Kinds = append(p.manifest.Kinds, k)
		}
	}
	p.batch.reads = len(p.manifest.Reads)
	p.described = p.manifest.AppendJSON(nil)
	return p
}

// Describe names the plugin: a name of a-z, 0-9 and -, a semantic version, and
// one line for listings.
func (p *Plugin) Describe(name, version, summary string) {
	p.manifest.Name, p.manifest.Version, p.manifest.Summary = name, version, summary
}

// Fuel declares what a call of n candidates costs at most: base + perItem x n.
// Without it the host measures.
func (p *Plugin) Fuel(base, perItem int64) {
	p.manifest.Fuel = abi.Fuel{Base: base, PerItem: perItem}
}

// Scorer sets the function that changes Batch.Scores.
func (p *Plugin) Scorer(f func(b *Batch)) { p.run[abi.Scorer] = f }

// Filter sets the function that drops candidates with Batch.Drop.
func (p *Plugin) Filter(f func(b *Batch)) { p.run[abi.Filter] = f }

// Feature sets the function that fills the columns declared with WriteF32,
// WriteI32 and WriteU8: every row of every one of them.
func (p *Plugin) Feature(f func(b *Batch)) { p.run[abi.Feature] = f }

// OnConfigure sets a function that runs whenever the configuration values have
// been set: check them and look up codes here. An error refuses the
// configuration and is shown to the operator.
func (p *Plugin) OnConfigure(f func() error) { p.configure = f }

// Code is the code of a text in a column of codes, 0 while no item or user has
// that text. Call it in OnConfigure, which runs again when the text appears.
func (p *Plugin) Code(column CodeColumn, text string) uint32 {
	return p.host.dict(column.tableIndex(), text)
}

// Log writes a line into the host's log, where it is rate limited.
func (p *Plugin) Log(level int, text string) { p.host.log(level, text) }

// Absent is the value of a number that is not there.
func Absent() float32 { return float32(math.NaN()) }

// IsAbsent says whether a number is not there. Every comparison with an absent
// number is false, so many plugins need not ask.
func IsAbsent(x float32) bool { return x != x }

// buffer is memory for the host to write into.
func (p *Plugin) buffer(length int) []byte {
	if cap(p.memory) < length {
		p.memory = make([]byte, length)
	}
	p.memory = p.memory[:length]
	return p.memory
}

// setUp reads the configuration and hands it to the plugin.
func (p *Plugin) setUp(config []byte) int32 {
	err := readConfig(config, p.keys)
	if err == nil && p.configure != nil {
		err = p.configure()
	}
	if err != nil {
		p.Log(LevelError, err.Error())
		return abi.BadConfig
	}
	return abi.OK
}

// reserve makes the frame for so many rows.
func (p *Plugin) reserve(rows int) *abi.Header {
	if rows <= 0 || rows > abi.MaxRows {
		return nil
	}
	columns := p.manifest.Columns()
	layout := abi.NewLayout(columns, rows)
	block := make([]byte, int(layout.Size)+abi.Align-1)
	skip := -uintptr(unsafe.Pointer(&block[0])) % abi.Align
	frame := block[skip:][:layout.Size]
	layout.Write(frame, columns)
	p.batch.layout = layout
	p.batch.header = (*abi.Header)(unsafe.Pointer(&frame[0]))
	return p.batch.header
}

// call does one kind on the frame.
func (p *Plugin) call(kind abi.Kind, frame *abi.Header) int32 {
	if p.run[kind] == nil {
		return abi.NoSuchKind
	}
	b := &p.batch
	if frame == nil || frame != b.header || frame.N > b.layout.Cap {
		return abi.NotReady
	}
	b.n = int(frame.N)
	p.run[kind](b)
	return abi.OK
}

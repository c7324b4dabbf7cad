package pluginhost

import (
	"encoding/binary"
	"math"

	"vitrine/sdk/abi"
)

// A small encoder of WebAssembly modules, so that each test can say what its
// guest does in a line.

// code is a function body without its locals.
type code []byte

func cat(parts ...code) code {
	var out code
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func uleb(n uint64) code { return binary.AppendUvarint(nil, n) }

func sleb(n int64) code {
	var out code
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func i32(n int32) code     { return cat(code{0x41}, sleb(int64(n))) }
func i64(n int64) code     { return cat(code{0x42}, sleb(n)) }
func f32(x float32) code   { return binary.LittleEndian.AppendUint32(code{0x43}, math.Float32bits(x)) }
func get(local byte) code  { return code{0x20, local} }
func set(local byte) code  { return code{0x21, local} }
func call(f byte) code     { return code{0x10, f} }
func load(at uint32) code  { return cat(code{0x28, 2}, uleb(uint64(at))) }
func store(at uint32) code { return cat(code{0x36, 2}, uleb(uint64(at))) }
func loop(body ...code) code {
	return cat(code{0x03, 0x40}, cat(body...), code{0x0b})
}

func when(body ...code) code { return cat(code{0x04, 0x40}, cat(body...), code{0x0b}) }

// opcodes without operands
var (
	unreachable = code{0x00}
	drop        = code{0x1a}
	again       = code{0x0c, 0} // br 0
	againIf     = code{0x0d, 0} // br_if 0
	add         = code{0x6a}
	mul         = code{0x6c}
	eq          = code{0x46}
	less        = code{0x49} // unsigned
	f32load     = code{0x2a, 2, 0}
	f32store    = code{0x38, 2, 0}
	f32mul      = code{0x94}
	f32add      = code{0x92}
	toF32       = code{0xb3} // f32.convert_i32_u
	store8      = code{0x3a, 0, 0}
	grow        = code{0x40, 0}
	memFill     = code{0xfc, 11, 0}
	ok          = i32(0)
)

// forRows runs body with the row in local 1, the number of rows in local 2 and
// the frame in local 0. Locals 3 and up are free.
func forRows(body ...code) code {
	return cat(get(0), load(abi.OffN), set(2), i32(0), set(1),
		get(2), when(loop(cat(body...), get(1), i32(1), add, set(1), get(1), get(2), less, againIf)), ok)
}

// at is the address of the row's value in an array whose offset is in the
// header at off.
func at(off uint32) code { return cat(get(0), load(off), get(0), add, get(1), i32(4), mul, add) }

// column is the address of the row's value in column c.
func column(c uint32) code {
	return cat(get(0), get(0), load(abi.OffTable), add, load(abi.ColumnSize*c+4), get(0), add, get(1), i32(4), mul, add)
}

// scale multiplies every score.
func scale(by float32) code {
	return forRows(at(abi.OffScore), at(abi.OffScore), f32load, f32(by), f32mul, f32store)
}

// guest describes a module. The zero value with a name is a scorer that does
// nothing.
type guest struct {
	manifest abi.Manifest
	text     string // manifest as it is, when not ""
	// Functions; nil is the honest one.
	abi, describe, configure, reserve code
	initialize, start                 code
	kinds                             map[abi.Kind]code
	imports                           []abi.Import
	importTypes                       []code // of each import: parameters, results
	pages                             uint32
	without                           string // export to leave out
	extra                             []code // exports as they are
}

const (
	textAt   = 1024
	bufferAt = 16 << 10
	blobAt   = 32 << 10
	frameAt  = 64 << 10
)

func scorer(name string, body code) guest {
	return guest{manifest: manifest(name, abi.Scorer), kinds: map[abi.Kind]code{abi.Scorer: body}}
}

func filter(name string, body code) guest {
	return guest{manifest: manifest(name, abi.Filter), kinds: map[abi.Kind]code{abi.Filter: body}}
}

func manifest(name string, kinds ...abi.Kind) abi.Manifest {
	return abi.Manifest{Name: name, Version: "1.0.0", Kinds: kinds}
}

func section(id byte, body code) code { return cat(code{id}, uleb(uint64(len(body))), body) }

func vector(items []code) code { return cat(uleb(uint64(len(items))), cat(items...)) }

func text(s string) code { return cat(uleb(uint64(len(s))), code(s)) }

// roomsOf are the numbers of rows that a guest can reserve.
var roomsOf = []int{firstRows, 4 * firstRows, abi.MaxRows}

// reserveOf is the honest vitrine_reserve of a guest with those columns.
func reserveOf(columns []abi.Column) code {
	reserve := i32(frameAt)
	blob, length := blobAt, abi.HeaderSize+abi.ColumnSize*len(columns)
	for _, rows := range roomsOf {
		copyIt := cat(i32(frameAt), i32(int32(blob)), i32(int32(length)), code{0xfc, 10, 0, 0})
		reserve = cat(get(0), i32(int32(rows)), eq, when(copyIt), reserve)
		blob += length
	}
	return reserve
}

// wasm encodes the module.
func (g guest) wasm() []byte {
	description := g.text
	if description == "" {
		description = string(g.manifest.AppendJSON(nil))
	}
	types := []code{{0x60, 0, 0}, {0x60, 0, 1, 0x7f}, {0x60, 0, 1, 0x7e}, {0x60, 1, 0x7f, 1, 0x7f}, {0x60, 2, 0x7f, 0x7f, 1, 0x7f}}
	const none, toI32, toI64, oneArg, twoArgs = 0, 1, 2, 3, 4
	var imports, functions, exports, bodies []code
	for i, im := range g.imports {
		imports = append(imports, cat(text(im.Module), text(im.Name), code{0}, uleb(uint64(len(types)))))
		types = append(types, g.importTypes[i])
	}
	define := func(name string, kind byte, body, honest code) {
		if body == nil {
			body = honest
		}
		if name != g.without && name != "" {
			exports = append(exports, cat(text(name), code{0}, uleb(uint64(len(imports)+len(functions)))))
		}
		functions = append(functions, code{kind})
		locals := code{1, 4, 0x7f} // four i32
		full := cat(locals, body, code{0x0b})
		bodies = append(bodies, cat(uleb(uint64(len(full))), full))
	}
	columns := g.manifest.Columns()
	blobs := []code{}
	blob := blobAt
	for _, rows := range roomsOf {
		layout := abi.NewLayout(columns, rows)
		head := make([]byte, abi.HeaderSize+abi.ColumnSize*len(columns))
		layout.Write(head, columns)
		blobs = append(blobs, cat(code{0}, i32(int32(blob)), code{0x0b}, uleb(uint64(len(head))), head))
		blob += len(head)
	}
	define(abi.ExportABI, toI32, g.abi, i32(abi.Version))
	define(abi.ExportDescribe, toI64, g.describe, i64(textAt<<32|int64(len(description))))
	define(abi.ExportBuffer, oneArg, nil, i32(bufferAt))
	define(abi.ExportConfigure, twoArgs, g.configure, ok)
	define(abi.ExportReserve, oneArg, g.reserve, reserveOf(columns))
	for k := abi.Feature; k <= abi.Event; k++ {
		if body, has := g.kinds[k]; has {
			define(k.Export(), oneArg, body, nil)
		}
	}
	if g.initialize != nil {
		define(abi.ExportInitialize, none, g.initialize, nil)
	}
	var start code
	if g.start != nil {
		start = section(8, uleb(uint64(len(imports)+len(functions))))
		define("", none, g.start, nil)
	}
	if g.without != abi.ExportMemory {
		exports = append(exports, cat(text(abi.ExportMemory), code{2, 0}))
	}
	pages := max(g.pages, 16)
	data := append([]code{cat(code{0}, i32(textAt), code{0x0b}, text(description))}, blobs...)
	out := cat(code("\x00asm\x01\x00\x00\x00"), section(1, vector(types)))
	if len(imports) > 0 {
		out = cat(out, section(2, vector(imports)))
	}
	return cat(out, section(3, vector(functions)),
		section(5, cat(code{1, 0}, uleb(uint64(pages)))),
		section(7, vector(append(exports, g.extra...))), start,
		section(10, vector(bodies)), section(11, vector(data)))
}

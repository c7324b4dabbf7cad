package guard

// Opcodes that the code names. Prefixed ones are prefix<<8 | number.
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opI32LeU       = 0x4d
	opI64LtS       = 0x53
	opI64Add       = 0x7c
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMemoryInit   = 0xfc08
	opDataDrop     = 0xfc09
	opMemoryCopy   = 0xfc0a
	opMemoryFill   = 0xfc0b
	opTableInit    = 0xfc0c
	opElemDrop     = 0xfc0d
	opTableCopy    = 0xfc0e
	opTableGrow    = 0xfc0f
	opTableSize    = 0xfc10
	opTableFill    = 0xfc11
	opV128Const    = 0xfd0c
	opI8x16Shuffle = 0xfd0d

	blockEmpty = 0x40 // block type without results
)

// shape says which immediates follow an opcode.
type shape uint8

const (
	shapeNone    shape = iota
	shapeIndex         // one number
	shapePair          // two numbers
	shapeBlock         // block type
	shapeI32           // signed number of 32 bits
	shapeI64           // signed number of 64 bits
	shapeRaw           // bytes as they are
	shapeMemory        // the index of the one memory, 0
	shapeMemarg        // alignment and offset
	shapeLane          // memarg and a lane
	shapeTable         // br_table
	shapeSelect        // types of a select
	shapeRefused       // refused by name
)

// instr is one decoded instruction.
type instr struct {
	op    int
	shape shape
	a, b  uint32 // indexes; alignment and offset of a memory access
	value int64  // constants and block types
	raw   []byte // bytes as they are, or the targets of br_table
	end   int    // offset in the body after the instruction
}

// next decodes an instruction strictly: what append writes for it is its
// shortest encoding, which leaves a second decoder no room to see anything else
// in the bytes.
func (r *reader) next(in *instr) {
	*in = instr{op: int(r.byte())}
	if in.op >= 0xfb && in.op <= 0xfe {
		sub := r.u32()
		if sub > 0xff {
			r.fail("%s", refusedName(in.op, sub))
			return
		}
		in.op = in.op<<8 | int(sub)
	}
	var n uint32
	in.shape, n = shapeOf(in.op)
	switch in.shape {
	case shapeIndex:
		in.a = r.u32()
	case shapePair:
		in.a, in.b = r.u32(), r.u32()
	case shapeBlock:
		in.value = r.signed(33)
	case shapeI32:
		in.value = r.signed(32)
	case shapeI64:
		in.value = r.signed(64)
	case shapeRaw:
		in.raw = r.bytes(n)
	case shapeMemory:
		r.memories(in, n)
	case shapeMemarg, shapeLane:
		in.a, in.b = r.u32(), r.u32()
		if in.a > 4 {
			r.fail("multi-memory or an alignment above 16 bytes is not supported")
		}
		if in.shape == shapeLane {
			in.raw = r.bytes(1)
		}
	case shapeTable, shapeSelect:
		in.a = r.u32()
		r.vector(in)
	case shapeRefused:
		r.fail("%s", refusedName(in.op>>8, uint32(in.op&0xff)))
	}
	in.end = r.p
}

// memories reads the n memory indexes of an instruction after its own index.
func (r *reader) memories(in *instr, n uint32) {
	if in.op == opMemoryInit {
		in.a = r.u32()
	}
	in.raw = r.bytes(n)
	for _, b := range in.raw {
		if b != 0 {
			r.fail("multi-memory is not supported")
		}
	}
}

// vector steps over the in.a targets of a br_table (and its default) or types
// of a select.
func (r *reader) vector(in *instr) {
	start := r.p
	if in.shape == shapeSelect {
		in.raw = r.bytes(in.a)
		return
	}
	for i := uint64(0); i <= uint64(in.a) && r.err == nil; i++ {
		r.u32()
	}
	if r.err == nil {
		in.raw = r.b[start:r.p]
	}
}

// targets calls fn for each label of a br_table.
func (in *instr) targets(fn func(label uint32)) {
	q := reader{b: in.raw}
	for !q.done() {
		fn(q.u32())
	}
}

// append writes the instruction in its shortest form.
func (in *instr) append(dst []byte) []byte {
	if in.op > 0xff {
		dst = append(dst, byte(in.op>>8))
		dst = appendUint(dst, uint64(in.op&0xff))
	} else {
		dst = append(dst, byte(in.op))
	}
	switch in.shape {
	case shapeIndex:
		dst = appendUint(dst, uint64(in.a))
	case shapePair:
		dst = appendUint(dst, uint64(in.a))
		dst = appendUint(dst, uint64(in.b))
	case shapeBlock, shapeI32, shapeI64:
		dst = appendInt(dst, in.value)
	case shapeRaw:
		dst = append(dst, in.raw...)
	case shapeMemory:
		if in.op == opMemoryInit {
			dst = appendUint(dst, uint64(in.a))
		}
		dst = append(dst, in.raw...)
	case shapeMemarg, shapeLane:
		dst = appendUint(dst, uint64(in.a))
		dst = appendUint(dst, uint64(in.b))
		dst = append(dst, in.raw...)
	case shapeTable:
		dst = appendUint(dst, uint64(in.a))
		in.targets(func(label uint32) { dst = appendUint(dst, uint64(label)) })
	case shapeSelect:
		dst = appendUint(dst, uint64(in.a))
		dst = append(dst, in.raw...)
	}
	return dst
}

// shapeOf gives the immediates of an opcode, and how many bytes they are where
// the shape leaves that open.
func shapeOf(op int) (shape, uint32) {
	switch {
	case op >= 0xfe00:
		return shapeRefused, 0
	case op >= 0xfd00:
		return shapeOfVector(op & 0xff)
	case op >= 0xfc00:
		return shapeOfMisc(op)
	case op >= 0x45 && op <= 0xc4, op == 0xd1, op == 0x1a, op == 0x1b, op == opReturn, op == opElse, op == opEnd, op <= opNop:
		return shapeNone, 0
	case op >= opLocalGet && op <= opTableSet, op == opBr, op == opBrIf, op == opCall, op == opRefFunc:
		return shapeIndex, 0
	case op >= 0x28 && op <= 0x3e:
		return shapeMemarg, 0
	case op >= opBlock && op <= opIf:
		return shapeBlock, 0
	}
	switch op {
	case opI32Const:
		return shapeI32, 0
	case opI64Const:
		return shapeI64, 0
	case 0x43: // f32.const
		return shapeRaw, 4
	case 0x44: // f64.const
		return shapeRaw, 8
	case opBrTable:
		return shapeTable, 0
	case opCallIndirect:
		return shapePair, 0
	case opSelectTyped:
		return shapeSelect, 0
	case opMemorySize, opMemoryGrow:
		return shapeMemory, 1
	case opRefNull:
		return shapeRaw, 1
	}
	return shapeRefused, 0
}

func shapeOfMisc(op int) (shape, uint32) {
	switch {
	case op < opMemoryInit: // saturating truncations
		return shapeNone, 0
	case op == opMemoryInit, op == opMemoryFill:
		return shapeMemory, 1
	case op == opMemoryCopy:
		return shapeMemory, 2
	case op == opTableInit, op == opTableCopy:
		return shapePair, 0
	case op <= opTableFill:
		return shapeIndex, 0
	}
	return shapeRefused, 0
}

func shapeOfVector(sub int) (shape, uint32) {
	switch {
	case sub <= 11, sub == 92, sub == 93:
		return shapeMemarg, 0
	case sub <= 13: // v128.const, i8x16.shuffle
		return shapeRaw, 16
	case sub >= 21 && sub <= 34: // lanes
		return shapeRaw, 1
	case sub >= 84 && sub <= 91:
		return shapeLane, 0
	}
	switch sub { // numbers that the vector instructions leave out
	case 0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6,
		0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee:
		return shapeRefused, 0
	}
	return shapeNone, 0
}

// refusedName says what a module wants when it holds an opcode that is not
// supported. prefix is 0 for a plain one.
func refusedName(prefix int, sub uint32) string {
	switch {
	case prefix == 0xfe:
		return "threads (atomic instructions) are not supported"
	case prefix == 0xfb:
		return "garbage collected types are not supported"
	case prefix == 0xfd && sub > 0xff:
		return "relaxed vector instructions are not supported"
	case prefix != 0:
		return "unknown instruction"
	}
	switch sub {
	case 0x06, 0x07, 0x08, 0x09, 0x0a, 0x18, 0x19, 0x1f:
		return "exceptions are not supported"
	case 0x12, 0x13, 0x15:
		return "tail calls are not supported"
	case 0x14, 0xd3, 0xd4, 0xd5, 0xd6:
		return "typed function references are not supported"
	}
	return "unknown instruction"
}

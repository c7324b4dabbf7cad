package guard

// Prices in units of fuel. An instruction costs one unit, but for those below;
// marks of structure cost nothing.
const (
	costDivide   = 10     // integer division
	costRoot     = 6      // division and square root of floats
	costVector   = 2      // vector instructions
	costSlow     = 8      // vector instructions that are many on the machine
	costTable    = 4      // table access with its bounds check
	costCall     = 4      // call of a function of the module
	costIndirect = 10     // call through a table
	costImport   = 100    // call of the host
	costEntry    = 4      // entry of a function
	costBulk     = 60     // bulk operation, and one for every bulkBytes or table entry
	costGrow     = 1_000  // growing, successful or not
	costPage     = 16_384 // a page that is grown: the machine clears it, in small pieces
	costEntryNew = 16     // a table entry that is grown
	bulkShift    = 4      // log2 of the bytes that a unit pays for in a bulk operation
)

// Group sizes. A charge point costs about as much time as two or three
// instructions. A part of the code smaller than groupFold gets none: it is paid
// at the point before it, whether it runs or not. At most groupFolded units are
// paid at one point for such parts.
const (
	groupFold   = 64
	groupFolded = 512
	leafCost    = 256 // a function without loops and calls of at most this cost has one group
)

// StackPrice is what a byte of stack costs while it is in use.
const StackPrice = 8

// frameBytes estimates the machine stack of one call of a function: saved
// registers, return address, and a slot for everything that may have to be
// kept over a call.
func frameBytes(locals, ops int) int64 {
	return 64 + 8*int64(locals) + int64(ops)/4
}

// costOf gives the static price of an instruction.
func (m *module) costOf(in *instr) int64 {
	switch op := in.op; {
	case op >= 0xfd00:
		return costOfVector(op & 0xff)
	case op >= opMemoryInit:
		return costOfMisc(op)
	case op >= 0xfc00:
		return 2 // saturating truncation
	case op == opBlock, op == opLoop, op == opElse, op == opEnd, op == opNop:
		return 0
	case op == opCall:
		if int(in.a) < m.importedFuncs {
			return costImport
		}
		return costCall
	case op == opCallIndirect:
		return costIndirect
	case op == opTableGet, op == opTableSet:
		return costTable
	case op == opMemoryGrow:
		return costGrow
	case op >= 0x6d && op <= 0x70, op >= 0x7f && op <= 0x82: // i32, i64: div, rem
		return costDivide
	case op == 0x91, op == 0x95, op == 0x9f, op == 0xa3: // f32, f64: sqrt, div
		return costRoot
	case op == opBrTable:
		return 3
	}
	return 1
}

func costOfMisc(op int) int64 {
	switch op {
	case opTableGrow:
		return costGrow
	case opDataDrop, opElemDrop:
		return costTable
	case opTableSize:
		return 1
	}
	return costBulk
}

func costOfVector(sub int) int64 {
	switch sub {
	case 0xe3, 0xe7, 0xef, 0xf3: // f32x4, f64x2: sqrt, div
		return costSlow
	case 0x62, 0x6b, 0x6c, 0x6d, 0xcb, 0xcc, 0xcd, 0xd5: // popcnt, shifts of bytes and i64x2, i64x2.mul
		return costSlow
	}
	return costVector
}

package guard

// Prices in units of fuel. They follow what instructions take in machine code
// made by wazero: what costs nothing there, because it only names a value,
// costs nothing here, so that a unit stands for a similar time in the code of
// all compilers. Measured on a Zen 4 core a unit is 0.1 to 0.7 ns, for every
// instruction that a loop was made of. The exception is memory: loads that miss
// all caches take up to 10 ns per unit.
const (
	costLoad     = 3
	costStore    = 2
	costFloat    = 2   // add, sub, mul, comparison, conversion from integers
	costRound    = 4   // min, max, ceil, floor, trunc, nearest, copysign
	costTruncate = 6   // conversion of floats to integers
	costDivide   = 10  // division, remainder, square root
	costVector   = 2   // vector instructions
	costSlow     = 8   // vector instructions that are many on the machine
	costTable    = 4   // table access with its bounds check
	costCall     = 5   // call of a function of the module; parameters and results cost one each
	costIndirect = 8   // call through a table, likewise
	costImport   = 100 // call of the host, likewise
	costEntry    = 3   // entry of a function
	costHelper   = 150 // what the engine does outside of machine code
	costBulk     = 40  // bulk operation, and one for every 1<<bulkShift bytes or table entry
	costPage     = 16_384
	costNew      = 16 // a table entry that is grown
	bulkShift    = 4
)

// Where paths meet, the machine moves every local that has another place on
// another path: locals beyond freeLocals cost half a unit each there.
const freeLocals = 48

// Group sizes. A charge point costs about as much time as two or three
// instructions. A part of the code smaller than groupFold gets none: it is paid
// at the point before it, whether it runs or not. At most groupFolded units are
// paid at one point for such parts.
const (
	groupFold   = 12
	groupFolded = 32
	unrolled    = 256    // units that one round of an unrolled loop may cost
	maxCopies   = 4      // rounds of an unrolled loop
	maxDebt     = 16_384 // units that a function may go below zero before it looks
	maxUnroll   = 1_000  // branches of a function whose loops are still unrolled
	leafCost    = 128    // a function without loops and calls of at most this cost has one group
)

// StackPrice is what a byte of stack costs while it is in use.
const StackPrice = 8

// frameBytes estimates the machine stack of one call of a function: saved
// registers and return address, parameters and results passed in memory, a slot
// for each local, and slots for values that wait on the operand stack. Measured
// frames are between a quarter of it and twice of it.
func (p *plan) frameBytes(results int) int64 {
	return 64 + 8*int64(p.params+p.locals+p.wide) + 8*int64(p.params) + 16*int64(results) + int64(p.ops)
}

// joinCost is what a place costs where paths meet.
func (p *plan) joinCost() int64 {
	return max(int64(p.params+p.locals)-freeLocals, 0) / 2
}

// costOf gives the static price of an instruction.
func (m *module) costOf(in *instr) int64 {
	switch op := in.op; {
	case op >= 0xfd00:
		return costOfVector(op & 0xff)
	case op >= opMemoryInit:
		return costOfMisc(op)
	case op >= 0xfc00:
		return costTruncate
	case op == opCall && int(in.a) < m.importedFuncs:
		return costImport + m.costOfPassing(m.funcs[in.a])
	case op == opCall:
		return costCall + m.costOfPassing(m.funcs[in.a])
	case op == opCallIndirect:
		return costIndirect + m.costOfPassing(in.a)
	case op >= 0x28 && op <= 0x35:
		return costLoad
	case op >= 0x36 && op <= 0x3e:
		return costStore
	case op >= 0x41:
		return costOfNumeric(op)
	}
	switch in.op {
	case opNop, opBlock, opLoop, opElse, opEnd, opDrop, opLocalGet:
		return 0
	case opTableGet, opTableSet:
		return costTable
	case opMemoryGrow:
		return costHelper
	case opBrTable:
		return 3
	}
	return 1
}

// costOfPassing is the price of the parameters and results of a type.
func (m *module) costOfPassing(typ uint32) int64 {
	t := &m.types[typ]
	return int64(len(t.params) + len(t.results))
}

// costOfNumeric prices constants, arithmetic and references.
func costOfNumeric(op int) int64 {
	switch {
	case op <= 0x44, op == opRefNull: // constants
		return 0
	case op == opRefFunc:
		return costHelper
	case op <= 0x5a: // integer comparisons
		return 1
	case op <= 0x66: // float comparisons
		return costFloat
	case op >= 0x6d && op <= 0x70, op >= 0x7f && op <= 0x82: // i32, i64: div, rem
		return costDivide
	case op <= 0x8a: // integer arithmetic
		return 1
	}
	switch op {
	case 0x8b, 0x8c, 0x99, 0x9a: // f32, f64: abs, neg
		return 1
	case 0x8d, 0x8e, 0x8f, 0x90, 0x96, 0x97, 0x98, 0x9b, 0x9c, 0x9d, 0x9e, 0xa4, 0xa5, 0xa6: // ceil to nearest, min, max, copysign
		return costRound
	case 0x91, 0x95, 0x9f, 0xa3: // sqrt, div
		return costDivide
	case 0xa8, 0xa9, 0xaa, 0xab, 0xae, 0xaf, 0xb0, 0xb1: // truncations to integers
		return costTruncate
	case 0x92, 0x93, 0x94, 0xa0, 0xa1, 0xa2: // add, sub, mul
		return costFloat
	}
	if op >= 0xb2 && op <= 0xbb { // conversions to floats
		return costFloat
	}
	return 1
}

func costOfMisc(op int) int64 {
	switch op {
	case opTableGrow:
		return costHelper
	case opDataDrop, opElemDrop:
		return costTable
	case opTableSize:
		return 1
	}
	return costBulk
}

func costOfVector(sub int) int64 {
	switch {
	case sub <= 11, sub == 92, sub == 93, sub >= 84 && sub <= 87: // loads
		return costLoad
	case sub == 0x62, // popcnt
		sub >= 0x6b && sub <= 0x6d, sub >= 0xcb && sub <= 0xcd, // shifts of bytes and i64x2
		sub == 0xd5, sub >= 0xdc && sub <= 0xdf, // i64x2: mul, extmul
		sub >= 0x7c && sub <= 0x7f, // extadd
		sub >= 0xe3 && sub <= 0xf5, // f32x4, f64x2 from sqrt on: div, min, max
		sub >= 0xf8:                // conversions
		return costSlow
	}
	return costVector
}

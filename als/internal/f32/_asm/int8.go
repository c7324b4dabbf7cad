package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The int8 scans read blocks of 64 rows: for each group of 4 columns the 4
// bytes of row 0, of row 1, and so on, 256 bytes in all, then the next group.
const (
	blockRows  = 64
	groupBytes = 4 * blockRows
	zmmBytes   = 64
	zmmRows    = 16
	batch      = 8
	atLeast    = 29 // VCMPPS: greater or equal, quiet
	above      = 30 // VCMPPS: greater, quiet
)

// Offsets of the fields of int8Args and int8BatchArgs in the package; a test
// holds them against the types.
const (
	offCodes = 8 * iota
	offScales
	offBounds
	offShown
	offQuery
	offAt
	offValues
	offBlocks
	offGroups
	offBlockBytes
	offBase
	offStart  // of one query
	offTheta  = offStart + 4
	offSpread = offTheta + 4
	offLength = offSpread + 4
	offReach  = offLength + 4

	offRoom        = offStart // of a batch: how many hits fit for each query
	offCounts      = offRoom + 8
	offStarts      = offCounts + 8*batch
	offThetas      = offStarts + 4*batch
	offSpreads     = offThetas + 4*batch
	offLengths     = offSpreads + 4*batch
	offReaches     = offLengths + 4*batch
	scanDoc        = "takes the blocks of args and returns how many rows it found; see Int8Pass."
	scanSignature  = "func(args *byte) uintptr"
	batchSignature = "func(args *byte)"
)

// cursor is what moves from block to block.
type cursor struct {
	args, codes, scales, bounds, shown reg.GPVirtual
	base                               reg.GPVirtual // position of the block's first row
}

func field(args reg.Register, offset int) Mem { return Mem{Base: args, Disp: offset} }

func load64(args reg.Register, offset int) reg.GPVirtual {
	r := GP64()
	MOVQ(field(args, offset), r)
	return r
}

func newCursor() *cursor {
	args := GP64()
	Load(Param("args"), args)
	c := &cursor{args: args}
	c.codes, c.scales = load64(args, offCodes), load64(args, offScales)
	c.bounds, c.shown = load64(args, offBounds), load64(args, offShown)
	c.base = GP32()
	MOVL(field(args, offBase), c.base)
	return c
}

// next goes on to the next block; codes is moved by the one who read them.
func (c *cursor) next(shownBytes int) {
	ADDQ(U32(4*blockRows), c.scales)
	ADDQ(Imm(8), c.bounds)
	ADDQ(Imm(uint64(shownBytes)), c.shown)
	ADDL(Imm(blockRows), c.base)
	DECQ(field(c.args, offBlocks))
	JNZ(LabelRef("block"))
}

// need leaves in the low lane what a row of the block must reach,
//
//	theta - bounds[0]*spread - bounds[1]*length
//
// and jumps to skip when no row of the block can: what it can reach is
// bounds[0]*reach.
func (c *cursor) need(skip string) reg.VecVirtual {
	need, norm, residual := XMM(), XMM(), XMM()
	VMOVSS(field(c.args, offTheta), need)
	VMOVSS(Mem{Base: c.bounds}, norm)
	VMOVSS(Mem{Base: c.bounds, Disp: 4}, residual)
	VFNMADD231SS(field(c.args, offSpread), norm, need)
	VFNMADD231SS(field(c.args, offLength), residual, need)
	VMULSS(field(c.args, offReach), norm, norm)
	VUCOMISS(norm, need)
	JA(LabelRef(skip))
	return need
}

// counted are 0 to 15.
func counted() Mem {
	m := GLOBL("counted", RODATA|NOPTR)
	for i := range zmmRows {
		DATA(4*i, U32(i))
	}
	return m
}

// emit writes the rows of v whose bit is set in k, and their places from base
// on, behind the count hits that are there.
func emit(v, places, base reg.VecVirtual, k, at, values, count reg.Register) {
	packed := ZMM()
	VCOMPRESSPS_Z(v, k, packed)
	VMOVUPS(packed, Mem{Base: values, Index: count, Scale: 4})
	VPADDD(places, base, packed)
	VPCOMPRESSD_Z(packed, k, packed)
	VMOVDQU32(packed, Mem{Base: at, Index: count, Scale: 4})
	n := GP64()
	KMOVW(k, n.As32())
	POPCNTL(n.As32(), n.As32())
	ADDQ(n, count)
}

// scanVNNI: one query, four vectors of 16 rows at a time, even and odd groups
// in sums of their own: eight chains hide the latency of the instruction (5
// cycles). Rows that do not lie in the first-level cache cost two cycles each
// to fetch on the CPUs measured, more than their arithmetic.
func scanVNNI(iota16 Mem) {
	TEXT("scanVNNI", NOSPLIT, scanSignature)
	Doc("scanVNNI " + scanDoc)
	Pragma("noescape")
	c := newCursor()
	at, values := load64(c.args, offAt), load64(c.args, offValues)
	count := GP64()
	XORQ(count, count)
	places, start := ZMM(), ZMM()
	VMOVDQU32(iota16, places)
	VPBROADCASTD(field(c.args, offStart), start)

	Label("block")
	CMPQ(Mem{Base: c.shown}, Imm(0))
	JE(LabelRef("skip"))
	low := c.need("skip")
	need := ZMM()
	VBROADCASTSS(low, need)
	var sums, odd [4]reg.VecVirtual
	for a := range sums {
		sums[a], odd[a] = ZMM(), ZMM()
		VMOVDQA32(start, sums[a])
		VPXORD(odd[a], odd[a], odd[a])
	}
	q, left := load64(c.args, offQuery), load64(c.args, offGroups)
	Label("groups")
	for half, into := range [][4]reg.VecVirtual{sums, odd} {
		four := ZMM()
		VPBROADCASTD(Mem{Base: q, Disp: 4 * half}, four)
		for a := range into {
			rows := ZMM()
			VMOVDQU32(Mem{Base: c.codes, Disp: half*groupBytes + a*zmmBytes}, rows)
			VPDPBUSD(four, rows, into[a])
		}
	}
	ADDQ(U32(2*groupBytes), c.codes)
	ADDQ(Imm(8), q)
	SUBQ(Imm(2), left)
	JNZ(LabelRef("groups"))
	var hit [4]reg.Register
	for a := range sums {
		VPADDD(odd[a], sums[a], sums[a])
		VCVTDQ2PS(sums[a], sums[a])
		VMULPS(Mem{Base: c.scales, Disp: a * zmmBytes}, sums[a], sums[a])
		shown := K()
		KMOVW(Mem{Base: c.shown, Disp: 2 * a}, shown)
		hit[a] = K()
		VCMPPS(Imm(atLeast), need, sums[a], shown, hit[a])
	}
	any, more := K(), K()
	KORW(hit[0], hit[1], any)
	KORW(hit[2], hit[3], more)
	KORTESTW(any, more)
	JNZ(LabelRef("hit"))
	Label("next")
	c.next(8)
	Store(count, ReturnIndex(0))
	VZEROUPPER()
	RET()

	Label("skip")
	ADDQ(field(c.args, offBlockBytes), c.codes)
	JMP(LabelRef("next"))

	Label("hit")
	first := GP32()
	MOVL(c.base, first)
	for a := range sums {
		none := fmt.Sprintf("none%d", a)
		KORTESTW(hit[a], hit[a])
		JZ(LabelRef(none))
		base := ZMM()
		VPBROADCASTD(first, base)
		emit(sums[a], places, base, hit[a], at, values, count)
		Label(none)
		ADDL(Imm(zmmRows), first)
	}
	JMP(LabelRef("next"))
}

// scanInt8AVX2: one query, eight vectors of 8 rows at a time. Without the dot
// product instruction it takes three: bytes to pairs, pairs to fours, and the
// sum. The query's codes are at most 64, so no pair exceeds 16 bits.
func scanInt8AVX2() {
	TEXT("scanInt8AVX2", NOSPLIT, scanSignature)
	Doc("scanInt8AVX2 " + scanDoc)
	Pragma("noescape")
	c := newCursor()
	count := GP64()
	XORQ(count, count)
	spill := AllocLocal(4 * blockRows)
	ones := YMM()
	VPCMPEQW(ones, ones, ones)
	VPSRLW(Imm(15), ones, ones)

	Label("block")
	CMPQ(Mem{Base: c.shown}, Imm(0))
	JE(LabelRef("skip"))
	low := c.need("skip")
	need := YMM()
	VBROADCASTSS(low, need)
	var sums [8]reg.VecVirtual
	for a := range sums {
		sums[a] = YMM()
		VPBROADCASTD(field(c.args, offStart), sums[a])
	}
	q, left := load64(c.args, offQuery), load64(c.args, offGroups)
	Label("groups")
	four := YMM()
	VPBROADCASTD(Mem{Base: q}, four)
	for a := range sums {
		rows := YMM()
		VMOVDQU(Mem{Base: c.codes, Disp: a * vecBytes}, rows)
		VPMADDUBSW(four, rows, rows)
		VPMADDWD(ones, rows, rows)
		VPADDD(rows, sums[a], sums[a])
	}
	ADDQ(U32(groupBytes), c.codes)
	ADDQ(Imm(4), q)
	DECQ(left)
	JNZ(LabelRef("groups"))
	hits := GP64()
	XORQ(hits, hits)
	for a := len(sums) - 1; a >= 0; a-- {
		VCVTDQ2PS(sums[a], sums[a])
		VMULPS(Mem{Base: c.scales, Disp: a * vecBytes}, sums[a], sums[a])
		reached, bits := YMM(), GP64()
		VCMPPS(Imm(atLeast), need, sums[a], reached)
		VMOVMSKPS(reached, bits.As32())
		SHLQ(Imm(8), hits)
		ORQ(bits, hits)
	}
	ANDQ(Mem{Base: c.shown}, hits)
	JNZ(LabelRef("hit"))
	Label("next")
	c.next(8)
	Store(count, ReturnIndex(0))
	VZEROUPPER()
	RET()

	Label("skip")
	ADDQ(field(c.args, offBlockBytes), c.codes)
	JMP(LabelRef("next"))

	Label("hit")
	for a := range sums {
		VMOVUPS(sums[a], spill.Offset(a*vecBytes))
	}
	at, values := load64(c.args, offAt), load64(c.args, offValues)
	Label("each")
	row, v := GP64(), GP32()
	BSFQ(hits, row)
	MOVL(spill.Idx(row, 4), v)
	MOVL(v, Mem{Base: values, Index: count, Scale: 4})
	ADDL(c.base, row.As32())
	MOVL(row.As32(), Mem{Base: at, Index: count, Scale: 4})
	INCQ(count)
	LEAQ(Mem{Base: hits, Disp: -1}, row)
	ANDQ(row, hits)
	JNZ(LabelRef("each"))
	JMP(LabelRef("next"))
}

// scanBatchVNNI: eight queries, two vectors of 16 rows at a time: 16 sums, and
// each vector of rows is fetched once for all queries.
func scanBatchVNNI(iota16 Mem) {
	TEXT("scanBatchVNNI", NOSPLIT, batchSignature)
	Doc("scanBatchVNNI takes the blocks of args for 8 queries and leaves in its counts how many rows it found for",
		"each; see Int8Batch.")
	Pragma("noescape")
	c := newCursor()
	needs := AllocLocal(4 * batch)
	places := ZMM()
	VMOVDQU32(iota16, places)

	Label("block")
	need, norm, residual := YMM(), YMM(), YMM()
	VMOVUPS(field(c.args, offThetas), need)
	VBROADCASTSS(Mem{Base: c.bounds}, norm)
	VBROADCASTSS(Mem{Base: c.bounds, Disp: 4}, residual)
	VFNMADD231PS(field(c.args, offSpreads), norm, need)
	VFNMADD231PS(field(c.args, offLengths), residual, need)
	VMULPS(field(c.args, offReaches), norm, norm)
	VMOVUPS(need, needs)
	out, all := YMM(), GP32()
	VCMPPS(Imm(above), norm, need, out)
	VMOVMSKPS(out, all)
	CMPL(all, Imm(0xff))
	JE(LabelRef("skip"))
	half := GP64()
	XORQ(half, half)
	Label("half")
	var sums [2][batch]reg.VecVirtual
	for u := range batch {
		sums[0][u], sums[1][u] = ZMM(), ZMM()
		VPBROADCASTD(field(c.args, offStarts+4*u), sums[0][u])
		VMOVDQA32(sums[0][u], sums[1][u])
	}
	q, left, codes := load64(c.args, offQuery), load64(c.args, offGroups), GP64()
	LEAQ(Mem{Base: c.codes, Index: half, Scale: 2}, codes)
	Label("groups")
	rows := [2]reg.VecVirtual{ZMM(), ZMM()}
	for a := range rows {
		VMOVDQU32(Mem{Base: codes, Disp: a * zmmBytes}, rows[a])
	}
	for u := range batch {
		four := ZMM()
		VPBROADCASTD(Mem{Base: q, Disp: 4 * u}, four)
		for a := range rows {
			VPDPBUSD(four, rows[a], sums[a][u])
		}
	}
	ADDQ(U32(groupBytes), codes)
	ADDQ(Imm(4*batch), q)
	DECQ(left)
	JNZ(LabelRef("groups"))
	scales := [2]reg.VecVirtual{ZMM(), ZMM()}
	for a := range scales {
		VMOVUPS(Mem{Base: c.scales, Index: half, Scale: 2, Disp: a * zmmBytes}, scales[a])
	}
	shift := GP64()
	MOVQ(half, shift)
	SHRQ(Imm(4), shift) // 64 for the second half makes 4 bytes of shown
	ADDQ(c.shown, shift)
	var hit [2]reg.Register
	for a := range hit {
		hit[a] = K()
	}
	for u := range batch {
		reach := ZMM()
		VBROADCASTSS(needs.Offset(4*u), reach)
		for a := range hit {
			VCVTDQ2PS(sums[a][u], sums[a][u])
			VMULPS(scales[a], sums[a][u], sums[a][u])
			shown := K()
			KMOVW(Mem{Base: shift, Disp: 8*u + 2*a}, shown)
			VCMPPS(Imm(atLeast), reach, sums[a][u], shown, hit[a])
		}
		KORTESTW(hit[0], hit[1])
		JNZ(LabelRef(fmt.Sprintf("hit%d", u)))
		Label(fmt.Sprintf("back%d", u))
	}
	ADDQ(Imm(64), half)
	CMPQ(half, Imm(128))
	JNE(LabelRef("half"))
	Label("skip")
	ADDQ(field(c.args, offBlockBytes), c.codes)
	c.next(8 * batch)
	VZEROUPPER()
	RET()

	for u := range batch {
		Label(fmt.Sprintf("hit%d", u))
		count, room := load64(c.args, offCounts+8*u), load64(c.args, offRoom)
		IMUL3Q(Imm(uint64(4*u)), room, room)
		at, values := load64(c.args, offAt), load64(c.args, offValues)
		ADDQ(room, at)
		ADDQ(room, values)
		first := GP64()
		MOVQ(half, first)
		SHRQ(Imm(1), first)
		ADDL(c.base, first.As32())
		for a := range hit {
			base := ZMM()
			VPBROADCASTD(first.As32(), base)
			emit(sums[a][u], places, base, hit[a], at, values, count)
			ADDL(Imm(zmmRows), first.As32())
		}
		MOVQ(count, field(c.args, offCounts+8*u))
		JMP(LabelRef(fmt.Sprintf("back%d", u)))
	}
}

// countAtLeast: how many of 8*n floats are not below t.
func countAtLeast() {
	TEXT("countAtLeastAVX2", NOSPLIT, "func(v *float32, n uintptr, t float32) uintptr")
	Doc("countAtLeastAVX2 returns how many of 8*n floats are at least t.")
	Pragma("noescape")
	v, n := Load(Param("v"), GP64()), Load(Param("n"), GP64())
	limit := YMM()
	t := Load(Param("t"), XMM())
	VBROADCASTSS(t, limit)
	sums := [2]reg.VecVirtual{zero(YMM()), zero(YMM())}
	step := func(a int) {
		reached := YMM()
		VMOVUPS(Mem{Base: v, Disp: a * vecBytes}, reached)
		VCMPPS(Imm(atLeast), limit, reached, reached)
		VPSUBD(reached, sums[a], sums[a])
	}
	Label("two")
	CMPQ(n, Imm(2))
	JB(LabelRef("one"))
	step(0)
	step(1)
	ADDQ(Imm(2*vecBytes), v)
	SUBQ(Imm(2), n)
	JMP(LabelRef("two"))
	Label("one")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	step(0)
	Label("done")
	VPADDD(sums[1], sums[0], sums[0])
	high, low, total := XMM(), sums[0].AsX(), GP64()
	VEXTRACTI128(Imm(1), sums[0], high)
	VPADDD(high, low, low)
	VPSHUFD(Imm(0x4e), low, high)
	VPADDD(high, low, low)
	VPSHUFD(Imm(0xb1), low, high)
	VPADDD(high, low, low)
	VMOVD(low, total.As32())
	Store(total, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

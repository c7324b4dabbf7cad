package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// cacheLine is what one prefetch asks for.
const cacheLine = 64

// rowsOf makes the loop over n rows, rowBytes apart: it finds each by its index
// in idx and hands body its address and that of the row that comes ahead rows
// later, and what to multiply the row by. An index that is not below limit ends
// the loop.
func rowsOf(base, rowBytes reg.Register, body func(row, far reg.Register, factor reg.VecVirtual)) {
	factors := Load(Param("factors"), GP64())
	idx, n := Load(Param("idx"), GP64()), Load(Param("n"), GP64())
	ahead, limit := Load(Param("ahead"), GP64()), Load(Param("limit"), GP64())
	left := GP64()
	MOVQ(n, left)
	Label("loop")
	TESTQ(left, left)
	JZ(LabelRef("done"))
	far, row := GP64(), GP64()
	MOVL(Mem{Base: idx}, row.As32())
	CMPQ(row, limit)
	JAE(LabelRef("done"))
	MOVL(Mem{Base: idx, Index: ahead, Scale: 4}, far.As32())
	IMULQ(rowBytes, far)
	ADDQ(base, far)
	IMULQ(rowBytes, row)
	ADDQ(base, row)
	factor := YMM()
	VBROADCASTSS(Mem{Base: factors}, factor)
	body(row, far, factor)
	ADDQ(Imm(4), idx)
	ADDQ(Imm(4), factors)
	DECQ(left)
	JMP(LabelRef("loop"))
	Label("done")
	SUBQ(left, n)
	Store(n, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// gather: dst[r] = factors[r] * base[idx[r]], 8*nv floats of it.
func gather() {
	TEXT("gatherAVX2", NOSPLIT, "func(dst, base *float32, idx *uint32, factors *float32, n, nv, stride, ahead, limit uintptr) uintptr")
	Doc("gatherAVX2 sets dst[r] = factors[r]*base[idx[r]] for the first 8*nv floats of n rows, and asks the memory",
		"for row idx[r+ahead]; rows of base are stride bytes apart, and idx must be readable up to n+ahead. It stops",
		"before an index that is not below limit and returns the number of rows set.")
	Pragma("noescape")
	dst, base := Load(Param("dst"), GP64()), Load(Param("base"), GP64())
	rowBytes, stride := Load(Param("nv"), GP64()), Load(Param("stride"), GP64())
	SHLQ(Imm(5), rowBytes)
	rowsOf(base, stride, func(row, far reg.Register, factor reg.VecVirtual) {
		off := GP64()
		XORQ(off, off)
		Label("vector")
		t := YMM()
		PREFETCHT0(Mem{Base: far, Index: off, Scale: 1})
		VMULPS(Mem{Base: row, Index: off, Scale: 1}, factor, t)
		VMOVUPS(t, Mem{Base: dst, Index: off, Scale: 1})
		ADDQ(Imm(vecBytes), off)
		CMPQ(off, rowBytes)
		JB(LabelRef("vector"))
		ADDQ(rowBytes, dst)
	})
}

// gatherHalf: dst[r] = factors[r] * base[idx[r]], widened from half precision.
func gatherHalf() {
	TEXT("gatherHalfAVX2", NOSPLIT, "func(dst *float32, base *uint16, idx *uint32, factors *float32, n, nv, ahead, limit uintptr) uintptr")
	Doc("gatherHalfAVX2 is gatherAVX2 from whole rows of half-precision numbers.")
	Pragma("noescape")
	dst, base := Load(Param("dst"), GP64()), Load(Param("base"), GP64())
	rowBytes := Load(Param("nv"), GP64())
	SHLQ(Imm(4), rowBytes)
	rowsOf(base, rowBytes, func(row, far reg.Register, factor reg.VecVirtual) {
		widen := func(vectors int) {
			PREFETCHT0(Mem{Base: far})
			for i := range vectors {
				t := YMM()
				VCVTPH2PS(Mem{Base: row, Disp: i * vecBytes / 2}, t)
				VMULPS(factor, t, t)
				VMOVUPS(t, Mem{Base: dst, Disp: i * vecBytes})
			}
			ADDQ(Imm(uint64(vectors*vecBytes/2)), far)
			ADDQ(Imm(uint64(vectors*vecBytes/2)), row)
			ADDQ(Imm(uint64(vectors*vecBytes)), dst)
		}
		left := GP64()
		MOVQ(rowBytes, left)
		Label("line")
		CMPQ(left, Imm(cacheLine))
		JB(LabelRef("vector"))
		widen(cacheLine / (vecBytes / 2))
		SUBQ(Imm(cacheLine), left)
		JMP(LabelRef("line"))
		Label("vector")
		TESTQ(left, left)
		JZ(LabelRef("next"))
		widen(1)
		SUBQ(Imm(vecBytes/2), left)
		JMP(LabelRef("vector"))
		Label("next")
	})
}

// ask: the memory is asked for rows that are wanted later.
func ask() {
	TEXT("askAVX2", NOSPLIT, "func(base *uint16, idx *uint32, n, rowBytes uintptr)")
	Doc("askAVX2 asks the memory for n > 0 rows of base, rowBytes > 0 long, into the second-level cache.")
	Pragma("noescape")
	base, idx := Load(Param("base"), GP64()), Load(Param("idx"), GP64())
	n, rowBytes := Load(Param("n"), GP64()), Load(Param("rowBytes"), GP64())
	Label("row")
	at, left := GP64(), GP64()
	MOVL(Mem{Base: idx}, at.As32())
	IMULQ(rowBytes, at)
	ADDQ(base, at)
	MOVQ(rowBytes, left)
	Label("line")
	PREFETCHT1(Mem{Base: at})
	ADDQ(Imm(cacheLine), at)
	SUBQ(Imm(cacheLine), left)
	JA(LabelRef("line"))
	ADDQ(Imm(4), idx)
	DECQ(n)
	JNZ(LabelRef("row"))
	RET()
}

// toHalf: dst = src in half precision over 8*n floats.
func toHalf() {
	TEXT("toHalfAVX2", NOSPLIT, "func(dst *uint16, src *float32, n uintptr) float32")
	Doc("toHalfAVX2 rounds 8*n floats to half precision and returns the largest magnitude among them.")
	Pragma("noescape")
	dst, src, n := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("n"), GP64())
	largest, sign := zero(YMM()), YMM()
	VPCMPEQD(sign, sign, sign)
	VPSLLD(Imm(31), sign, sign)
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	v := YMM()
	VMOVUPS(Mem{Base: src}, v)
	VCVTPS2PH(Imm(0), v, Mem{Base: dst})
	VANDNPS(v, sign, v)
	VMAXPS(v, largest, largest)
	ADDQ(Imm(vecBytes), src)
	ADDQ(Imm(vecBytes/2), dst)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	hi, s := XMM(), XMM()
	VEXTRACTF128(Imm(1), largest, hi)
	VMAXPS(largest.AsX(), hi, s)
	t := XMM()
	VMOVHLPS(s, s, t)
	VMAXPS(s, t, s)
	VMOVSHDUP(s, t)
	VMAXSS(s, t, s)
	Store(s, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// dotsAt: d[r] = base[idx[r]] . q over 8*nv columns, each added up exactly as
// dot does it.
func dotsAt() {
	TEXT("dotsAtAVX2", NOSPLIT, "func(d, base *float32, idx *uint32, q *float32, n, nv, ahead, limit uintptr) uintptr")
	Doc("dotsAtAVX2 sets d[r] = base[idx[r]] . q for n rows of 8*nv floats, equal to dotAVX2, and asks the memory for",
		"row idx[r+ahead]; idx must be readable up to n+ahead. It stops before an index that is not below limit and",
		"returns the number of products set.")
	Pragma("noescape")
	d, base := Load(Param("d"), GP64()), Load(Param("base"), GP64())
	idx, q := Load(Param("idx"), GP64()), Load(Param("q"), GP64())
	n, rowBytes := Load(Param("n"), GP64()), Load(Param("nv"), GP64())
	ahead, limit := Load(Param("ahead"), GP64()), Load(Param("limit"), GP64())
	SHLQ(Imm(5), rowBytes)
	left := GP64()
	MOVQ(n, left)
	Label("loop")
	TESTQ(left, left)
	JZ(LabelRef("done"))
	row, far := GP64(), GP64()
	MOVL(Mem{Base: idx}, row.As32())
	CMPQ(row, limit)
	JAE(LabelRef("done"))
	IMULQ(rowBytes, row)
	ADDQ(base, row)
	MOVL(Mem{Base: idx, Index: ahead, Scale: 4}, far.As32())
	IMULQ(rowBytes, far)
	ADDQ(base, far)
	var acc [4]reg.VecVirtual
	for i := range acc {
		acc[i] = zero(YMM())
	}
	off, wide := GP64(), GP64()
	XORQ(off, off)
	MOVQ(rowBytes, wide)
	ANDQ(I32(-4*vecBytes), wide)
	JZ(LabelRef("narrow"))
	Label("wide")
	PREFETCHT0(Mem{Base: far, Index: off, Scale: 1})
	PREFETCHT0(Mem{Base: far, Index: off, Scale: 1, Disp: cacheLine})
	for i := range acc {
		t := YMM()
		VMOVUPS(Mem{Base: row, Index: off, Scale: 1, Disp: i * vecBytes}, t)
		VFMADD231PS(Mem{Base: q, Index: off, Scale: 1, Disp: i * vecBytes}, t, acc[i])
	}
	ADDQ(Imm(4*vecBytes), off)
	CMPQ(off, wide)
	JB(LabelRef("wide"))
	Label("narrow")
	CMPQ(off, rowBytes)
	JAE(LabelRef("sum"))
	PREFETCHT0(Mem{Base: far, Index: off, Scale: 1})
	t := YMM()
	VMOVUPS(Mem{Base: row, Index: off, Scale: 1}, t)
	VFMADD231PS(Mem{Base: q, Index: off, Scale: 1}, t, acc[0])
	ADDQ(Imm(vecBytes), off)
	JMP(LabelRef("narrow"))
	Label("sum")
	VADDPS(acc[2], acc[0], acc[0])
	VADDPS(acc[3], acc[1], acc[1])
	VADDPS(acc[1], acc[0], acc[0])
	VMOVSS(sum8(acc[0]), Mem{Base: d})
	ADDQ(Imm(4), idx)
	ADDQ(Imm(4), d)
	DECQ(left)
	JMP(LabelRef("loop"))
	Label("done")
	SUBQ(left, n)
	Store(n, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

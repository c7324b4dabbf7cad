// Command asm writes the kernels of package f32:
//
//	go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg f32
//
// The float kernels are AVX2 and work on whole vectors of 8 floats; the Go
// callers do the tails. The int8 scans are AVX2 and AVX-512 VNNI.
// FMA throughput (two a cycle) is the limit of the register tiles, and loads
// (two a cycle) that of the rest.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const vecBytes = 32

func main() {
	ConstraintExpr("!noasm")
	dot()
	axpy()
	xpby()
	subtract()
	root()
	band()
	for nv := 1; nv <= maxColumns; nv++ {
		dots(nv)
		combine(nv)
	}
	for nv := 1; nv <= 3; nv++ {
		tile(nv, false)
		tile(nv, true)
		times(nv)
	}
	factor()
	panel()
	gather()
	gatherHalf()
	ask()
	toHalf()
	iota16 := counted()
	scanVNNI(iota16)
	scanBatchVNNI(iota16)
	scanInt8AVX2()
	countAtLeast()
	dotsAt()
	for nv := 1; nv <= maxWide; nv++ {
		applyWide(nv, false)
		applyWide(nv, true)
		quadraticWide(nv)
		combineWide(nv)
	}
	Generate()
}

func zero(v reg.VecVirtual) reg.VecVirtual {
	VXORPS(v, v, v)
	return v
}

// sum8 adds the 8 lanes of v: halves, then pairs.
func sum8(v reg.VecVirtual) reg.VecVirtual {
	hi, s := XMM(), XMM()
	VEXTRACTF128(Imm(1), v, hi)
	VADDPS(v.AsX(), hi, s)
	t := XMM()
	VMOVHLPS(s, s, t)
	VADDPS(s, t, s)
	VMOVSHDUP(s, t)
	VADDSS(s, t, s)
	return s
}

// dot: x . y over 8*n floats, four running vectors.
func dot() {
	TEXT("dotAVX2", NOSPLIT, "func(x, y *float32, n uintptr) float32")
	Doc("dotAVX2 returns sum_i x[i]*y[i] over 8*n floats.")
	Pragma("noescape")
	x, y, n := Load(Param("x"), GP64()), Load(Param("y"), GP64()), Load(Param("n"), GP64())
	var acc [4]reg.VecVirtual
	for i := range acc {
		acc[i] = zero(YMM())
	}
	Label("wide")
	CMPQ(n, Imm(4))
	JB(LabelRef("narrow"))
	for i := range acc {
		t := YMM()
		VMOVUPS(Mem{Base: x, Disp: i * vecBytes}, t)
		VFMADD231PS(Mem{Base: y, Disp: i * vecBytes}, t, acc[i])
	}
	ADDQ(Imm(4*vecBytes), x)
	ADDQ(Imm(4*vecBytes), y)
	SUBQ(Imm(4), n)
	JMP(LabelRef("wide"))
	Label("narrow")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	t := YMM()
	VMOVUPS(Mem{Base: x}, t)
	VFMADD231PS(Mem{Base: y}, t, acc[0])
	ADDQ(Imm(vecBytes), x)
	ADDQ(Imm(vecBytes), y)
	DECQ(n)
	JMP(LabelRef("narrow"))
	Label("done")
	VADDPS(acc[2], acc[0], acc[0])
	VADDPS(acc[3], acc[1], acc[1])
	VADDPS(acc[1], acc[0], acc[0])
	Store(sum8(acc[0]), ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// elementwise makes a loop over the vectors of x and y; body changes v, the
// vector of y, given the address of that of x.
func elementwise(x, y, n reg.Register, body func(at Mem, v reg.VecVirtual)) {
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	v := YMM()
	VMOVUPS(Mem{Base: y}, v)
	body(Mem{Base: x}, v)
	VMOVUPS(v, Mem{Base: y})
	ADDQ(Imm(vecBytes), x)
	ADDQ(Imm(vecBytes), y)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

// axpy: y += alpha*x over 8*n floats.
func axpy() {
	TEXT("axpyAVX2", NOSPLIT, "func(alpha float32, x, y *float32, n uintptr)")
	Doc("axpyAVX2 adds y += alpha*x over 8*n floats.")
	Pragma("noescape")
	factor := Load(Param("alpha"), XMM())
	x, y, n := Load(Param("x"), GP64()), Load(Param("y"), GP64()), Load(Param("n"), GP64())
	av := YMM()
	VBROADCASTSS(factor, av)
	elementwise(x, y, n, func(at Mem, v reg.VecVirtual) { VFMADD231PS(at, av, v) })
}

// xpby: y = x + beta*y over 8*n floats.
func xpby() {
	TEXT("xpbyAVX2", NOSPLIT, "func(beta float32, x, y *float32, n uintptr)")
	Doc("xpbyAVX2 sets y = x + beta*y over 8*n floats.")
	Pragma("noescape")
	factor := Load(Param("beta"), XMM())
	x, y, n := Load(Param("x"), GP64()), Load(Param("y"), GP64()), Load(Param("n"), GP64())
	bv := YMM()
	VBROADCASTSS(factor, bv)
	elementwise(x, y, n, func(at Mem, v reg.VecVirtual) { VFMADD213PS(at, bv, v) })
}

// subtract: y = x - y over 8*n floats.
func subtract() {
	TEXT("subtractAVX2", NOSPLIT, "func(x, y *float32, n uintptr)")
	Doc("subtractAVX2 sets y = x - y over 8*n floats.")
	Pragma("noescape")
	x, y, n := Load(Param("x"), GP64()), Load(Param("y"), GP64()), Load(Param("n"), GP64())
	elementwise(x, y, n, func(at Mem, v reg.VecVirtual) {
		t := YMM()
		VMOVUPS(at, t)
		VSUBPS(v, t, v)
	})
}

// root: y = sqrt(x) over 8*n floats.
func root() {
	TEXT("rootAVX2", NOSPLIT, "func(x, y *float32, n uintptr)")
	Doc("rootAVX2 sets y = sqrt(x) over 8*n floats.")
	Pragma("noescape")
	x, y, n := Load(Param("x"), GP64()), Load(Param("y"), GP64()), Load(Param("n"), GP64())
	elementwise(x, y, n, func(at Mem, v reg.VecVirtual) { VSQRTPS(at, v) })
}

// band: y += a tridiagonal matrix times x, over 8*n floats.
func band() {
	TEXT("bandAVX2", NOSPLIT, "func(y, below, diag, above, x *float32, n uintptr)")
	Doc("bandAVX2 adds y[i] += below[i]*x[i] + diag[i]*x[i+1] + above[i]*x[i+2] for i < 8*n.")
	Pragma("noescape")
	y, n := Load(Param("y"), GP64()), Load(Param("n"), GP64())
	var factors [3]reg.Register
	for i, name := range []string{"below", "diag", "above"} {
		factors[i] = Load(Param(name), GP64())
	}
	x, off := Load(Param("x"), GP64()), GP64()
	XORQ(off, off)
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	sum := YMM()
	VMOVUPS(Mem{Base: y, Index: off, Scale: 1}, sum)
	for i, factor := range factors {
		v := YMM()
		VMOVUPS(Mem{Base: x, Index: off, Scale: 1, Disp: 4 * i}, v)
		VFMADD231PS(Mem{Base: factor, Index: off, Scale: 1}, v, sum)
	}
	VMOVUPS(sum, Mem{Base: y, Index: off, Scale: 1})
	ADDQ(Imm(vecBytes), off)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile: a 4 x 8*nv block of a Gram update, in registers; with down it is
// subtracted.
func tile(nv int, down bool) {
	const mr = 4
	name, verb := "tile%dAVX2", "adds c[i][j] += "
	if down {
		name, verb = "down%dAVX2", "subtracts c[i][j] -= "
	}
	TEXT(fmt.Sprintf(name, nv), NOSPLIT, "func(c *float32, ldc uintptr, a, b *float32, n uintptr)")
	Doc(fmt.Sprintf(name+" "+verb+"sum_r a[r][i]*b[r][j] for i < 4 and j < %d over n rows;", nv, 8*nv),
		"rows of a, b and c are ldc bytes apart.")
	Pragma("noescape")
	c, ldc := Load(Param("c"), GP64()), Load(Param("ldc"), GP64())
	a, b := Load(Param("a"), GP64()), Load(Param("b"), GP64())
	n := Load(Param("n"), GP64())
	var acc [mr][]reg.VecVirtual
	for i := range acc {
		for range nv {
			acc[i] = append(acc[i], zero(YMM()))
		}
	}
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("loop")
	var bv []reg.VecVirtual
	for j := range nv {
		v := YMM()
		VMOVUPS(Mem{Base: b, Disp: j * vecBytes}, v)
		bv = append(bv, v)
	}
	t := YMM()
	for i := range acc {
		VBROADCASTSS(Mem{Base: a, Disp: 4 * i}, t)
		for j := range nv {
			VFMADD231PS(t, bv[j], acc[i][j])
		}
	}
	ADDQ(ldc, a)
	ADDQ(ldc, b)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	for i := range acc {
		for j := range nv {
			if down {
				VMOVUPS(Mem{Base: c, Disp: j * vecBytes}, t)
				VSUBPS(acc[i][j], t, acc[i][j])
			} else {
				VADDPS(Mem{Base: c, Disp: j * vecBytes}, acc[i][j], acc[i][j])
			}
			VMOVUPS(acc[i][j], Mem{Base: c, Disp: j * vecBytes})
		}
		if i+1 < mr {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

// times: a 4 x 8*nv block of a product, in registers.
func times(nv int) {
	const mr = 4
	name := fmt.Sprintf("times%dAVX2", nv)
	TEXT(name, NOSPLIT, "func(c, a, b *float32, stride, n uintptr)")
	Doc(fmt.Sprintf("%s sets c[i][j] = sum_r a[i][r]*b[r][j] for i < 4 and j < %d over n > 0 columns of a;", name, 8*nv),
		"rows of a, b and c are stride bytes apart.")
	Pragma("noescape")
	c, a, b := Load(Param("c"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64())
	stride, n := Load(Param("stride"), GP64()), Load(Param("n"), GP64())
	stride3 := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	left := [mr]Mem{{Base: a}, {Base: a, Index: stride, Scale: 1}, {Base: a, Index: stride, Scale: 2}, {Base: a, Index: stride3, Scale: 1}}
	var acc [mr][]reg.VecVirtual
	for i := range acc {
		for range nv {
			acc[i] = append(acc[i], zero(YMM()))
		}
	}
	Label("loop")
	var bv []reg.VecVirtual
	for j := range nv {
		v := YMM()
		VMOVUPS(Mem{Base: b, Disp: j * vecBytes}, v)
		bv = append(bv, v)
	}
	t := YMM()
	for i := range acc {
		VBROADCASTSS(left[i], t)
		for j := range nv {
			VFMADD231PS(t, bv[j], acc[i][j])
		}
	}
	ADDQ(Imm(4), a)
	ADDQ(stride, b)
	DECQ(n)
	JNZ(LabelRef("loop"))
	for i := range acc {
		for j := range nv {
			VMOVUPS(acc[i][j], Mem{Base: c, Disp: j * vecBytes})
		}
		if i+1 < mr {
			ADDQ(stride, c)
		}
	}
	VZEROUPPER()
	RET()
}

// factor: the Cholesky factor of an 8 x 8 block. The rows stay in registers; a
// finished row goes to memory, where its numbers are picked up for the rows
// below.
func factor() {
	TEXT("factorAVX2", NOSPLIT, "func(a *float32, stride uintptr) float32")
	Doc("factorAVX2 replaces the upper triangle of the 8 x 8 block a, rows stride bytes apart, by U with",
		"U^T U = a and 1/U[i][i] in the diagonal. It returns the least number that a root was taken of, or",
		"NaN; what stands below the diagonal afterwards is not defined.")
	Pragma("noescape")
	a, stride := Load(Param("a"), GP64()), Load(Param("stride"), GP64())
	at := GP64()
	MOVQ(a, at)
	var rows [8]reg.VecVirtual
	for i := range rows {
		rows[i] = YMM()
		VMOVUPS(Mem{Base: at}, rows[i])
		ADDQ(stride, at)
	}
	one, least := XMM(), XMM()
	bits := GP32()
	MOVL(U32(0x3f800000), bits)
	MOVD(bits, one)
	MOVL(U32(0x7f800000), bits)
	MOVD(bits, least)
	for i := range rows {
		VMOVUPS(rows[i], Mem{Base: a})
		d, inverse := XMM(), YMM()
		VMOVSS(Mem{Base: a, Disp: 4 * i}, d)
		// The second source of a minimum is kept when one of them is NaN.
		VMINSS(d, least, least)
		VSQRTSS(d, d, d)
		VDIVSS(d, one, d)
		VBROADCASTSS(d, inverse)
		VMULPS(inverse, rows[i], rows[i])
		VMOVUPS(rows[i], Mem{Base: a})
		for j := i + 1; j < 8; j++ {
			t := YMM()
			VBROADCASTSS(Mem{Base: a, Disp: 4 * j}, t)
			VFNMADD231PS(rows[i], t, rows[j])
		}
		VMOVSS(d, Mem{Base: a, Disp: 4 * i})
		ADDQ(stride, a)
	}
	Store(least, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// panel: what factor's block does to the columns right of it.
func panel() {
	TEXT("panelAVX2", NOSPLIT, "func(a *float32, stride, n uintptr)")
	Doc("panelAVX2 solves U^T X = B in place: U is the 8 x 8 block a that factorAVX2 left, rows stride bytes",
		"apart, and B the 8*n columns right of it.")
	Pragma("noescape")
	a, stride, n := Load(Param("a"), GP64()), Load(Param("stride"), GP64()), Load(Param("n"), GP64())
	u, at, b := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: a, Disp: vecBytes}, b)
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	var rows [8]reg.VecVirtual
	MOVQ(b, at)
	for i := range rows {
		rows[i] = YMM()
		VMOVUPS(Mem{Base: at}, rows[i])
		ADDQ(stride, at)
	}
	MOVQ(a, u)
	MOVQ(b, at)
	for i := range rows {
		t := YMM()
		VBROADCASTSS(Mem{Base: u, Disp: 4 * i}, t)
		VMULPS(t, rows[i], rows[i])
		VMOVUPS(rows[i], Mem{Base: at})
		for j := i + 1; j < 8; j++ {
			c := YMM()
			VBROADCASTSS(Mem{Base: u, Disp: 4 * j}, c)
			VFNMADD231PS(rows[i], c, rows[j])
		}
		ADDQ(stride, u)
		ADDQ(stride, at)
	}
	ADDQ(Imm(vecBytes), b)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

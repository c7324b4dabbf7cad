// Command asm writes the AVX2 kernels of package f32:
//
//	go run . -out ../kernels_amd64.s -stubs ../kernels_amd64.go -pkg f32
//
// All of them work on whole vectors of 8 floats; the Go callers do the tails.
// FMA throughput (two a cycle) is the limit of the register tiles, loads (two
// a cycle) that of the rest.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const vecBytes = 32

func main() {
	ConstraintExpr("!noasm")
	dot()
	axpy()
	dot4()
	axpy4()
	for nv := 1; nv <= 3; nv++ {
		tile(nv)
	}
	gather()
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

// axpy: y += alpha*x over 8*n floats.
func axpy() {
	TEXT("axpyAVX2", NOSPLIT, "func(alpha float32, x, y *float32, n uintptr)")
	Doc("axpyAVX2 adds y += alpha*x over 8*n floats.")
	Pragma("noescape")
	al := Load(Param("alpha"), XMM())
	x, y, n := Load(Param("x"), GP64()), Load(Param("y"), GP64()), Load(Param("n"), GP64())
	av := YMM()
	VBROADCASTSS(al, av)
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	t := YMM()
	VMOVUPS(Mem{Base: y}, t)
	VFMADD231PS(Mem{Base: x}, av, t)
	VMOVUPS(t, Mem{Base: y})
	ADDQ(Imm(vecBytes), x)
	ADDQ(Imm(vecBytes), y)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

// rowPointers are four row addresses, stride bytes apart.
func rowPointers(rows, stride reg.Register) [4]reg.GPVirtual {
	var p [4]reg.GPVirtual
	for i := range p {
		p[i] = GP64()
		if i == 0 {
			MOVQ(rows, p[0])
			continue
		}
		MOVQ(p[i-1], p[i])
		ADDQ(stride, p[i])
	}
	return p
}

// dot4: out[r] = q . row_r over 8*n floats, two running vectors a row.
func dot4() {
	TEXT("dot4AVX2", NOSPLIT, "func(out, q, rows *float32, stride, n uintptr)")
	Doc("dot4AVX2 writes out[r] = q . row_r over 8*n floats for four rows, stride bytes apart.")
	Pragma("noescape")
	out, q := Load(Param("out"), GP64()), Load(Param("q"), GP64())
	rows := Load(Param("rows"), GP64())
	stride, n := Load(Param("stride"), GP64()), Load(Param("n"), GP64())
	p := rowPointers(rows, stride)
	var acc [8]reg.VecVirtual
	for i := range acc {
		acc[i] = zero(YMM())
	}
	off := GP64()
	XORQ(off, off)
	Label("wide")
	CMPQ(n, Imm(2))
	JB(LabelRef("narrow"))
	for half := range 2 {
		t := YMM()
		VMOVUPS(Mem{Base: q, Index: off, Scale: 1, Disp: half * vecBytes}, t)
		for r := range p {
			VFMADD231PS(Mem{Base: p[r], Index: off, Scale: 1, Disp: half * vecBytes}, t, acc[2*r+half])
		}
	}
	ADDQ(Imm(2*vecBytes), off)
	SUBQ(Imm(2), n)
	JMP(LabelRef("wide"))
	Label("narrow")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	t := YMM()
	VMOVUPS(Mem{Base: q, Index: off, Scale: 1}, t)
	for r := range p {
		VFMADD231PS(Mem{Base: p[r], Index: off, Scale: 1}, t, acc[2*r])
	}
	Label("done")
	// Transpose while adding: lane r of the sum is row r's.
	for r := range p {
		VADDPS(acc[2*r+1], acc[2*r], acc[2*r])
	}
	a, b := YMM(), YMM()
	VHADDPS(acc[2], acc[0], a)
	VHADDPS(acc[6], acc[4], b)
	VHADDPS(b, a, a)
	hi := XMM()
	VEXTRACTF128(Imm(1), a, hi)
	VADDPS(a.AsX(), hi, hi)
	VMOVUPS(hi, Mem{Base: out})
	VZEROUPPER()
	RET()
}

// axpy4: y += sum_r c[r] * row_r over 8*n floats.
func axpy4() {
	TEXT("axpy4AVX2", NOSPLIT, "func(y, c, rows *float32, stride, n uintptr)")
	Doc("axpy4AVX2 adds y += sum_r c[r]*row_r over 8*n floats for four rows, stride bytes apart.")
	Pragma("noescape")
	y, c := Load(Param("y"), GP64()), Load(Param("c"), GP64())
	rows := Load(Param("rows"), GP64())
	stride, n := Load(Param("stride"), GP64()), Load(Param("n"), GP64())
	p := rowPointers(rows, stride)
	var cv [4]reg.VecVirtual
	for r := range cv {
		cv[r] = YMM()
		VBROADCASTSS(Mem{Base: c, Disp: 4 * r}, cv[r])
	}
	off := GP64()
	XORQ(off, off)
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	// Two chains, so that the four additions do not wait for each other.
	t, u := YMM(), YMM()
	VMOVUPS(Mem{Base: y, Index: off, Scale: 1}, t)
	VMULPS(Mem{Base: p[1], Index: off, Scale: 1}, cv[1], u)
	VFMADD231PS(Mem{Base: p[0], Index: off, Scale: 1}, cv[0], t)
	VFMADD231PS(Mem{Base: p[3], Index: off, Scale: 1}, cv[3], u)
	VFMADD231PS(Mem{Base: p[2], Index: off, Scale: 1}, cv[2], t)
	VADDPS(u, t, t)
	VMOVUPS(t, Mem{Base: y, Index: off, Scale: 1})
	ADDQ(Imm(vecBytes), off)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

// tile: a 4 x 8*nv block of the weighted Gram update, in registers.
func tile(nv int) {
	const mr = 4
	TEXT(fmt.Sprintf("tile%dAVX2", nv), NOSPLIT, "func(c *float32, ldc uintptr, a, b, w *float32, n uintptr)")
	Doc(fmt.Sprintf("tile%dAVX2 adds c[i][j] += sum_r w[r]*a[r][i]*b[r][j] for i < 4 and j < %d over n rows;", nv, 8*nv),
		"rows of a, b and c are ldc bytes apart.")
	Pragma("noescape")
	c, ldc := Load(Param("c"), GP64()), Load(Param("ldc"), GP64())
	a, b, w := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("w"), GP64())
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
	// The row of b is weighted once, not each of the 4 numbers of a.
	wv, t := YMM(), YMM()
	VBROADCASTSS(Mem{Base: w}, wv)
	var bv []reg.VecVirtual
	for j := range nv {
		v := YMM()
		VMULPS(Mem{Base: b, Disp: j * vecBytes}, wv, v)
		bv = append(bv, v)
	}
	for i := range acc {
		VBROADCASTSS(Mem{Base: a, Disp: 4 * i}, t)
		for j := range nv {
			VFMADD231PS(t, bv[j], acc[i][j])
		}
	}
	ADDQ(ldc, a)
	ADDQ(ldc, b)
	ADDQ(Imm(4), w)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("done")
	for i := range acc {
		for j := range nv {
			VADDPS(Mem{Base: c, Disp: j * vecBytes}, acc[i][j], acc[i][j])
			VMOVUPS(acc[i][j], Mem{Base: c, Disp: j * vecBytes})
		}
		if i+1 < mr {
			ADDQ(ldc, c)
		}
	}
	VZEROUPPER()
	RET()
}

// gather: dst[r] = base[idx[r]], rows of 8*nv floats, prefetching ahead rows.
func gather() {
	TEXT("gatherAVX2", NOSPLIT, "func(dst, base *float32, idx *uint32, n, nv, ahead uintptr)")
	Doc("gatherAVX2 copies n rows of 8*nv floats, dst[r] = base[idx[r]], and asks the memory for row idx[r+ahead];",
		"idx must be readable up to n+ahead.")
	Pragma("noescape")
	dst, base := Load(Param("dst"), GP64()), Load(Param("base"), GP64())
	idx, n := Load(Param("idx"), GP64()), Load(Param("n"), GP64())
	nv, ahead := Load(Param("nv"), GP64()), Load(Param("ahead"), GP64())
	rowBytes := GP64()
	MOVQ(nv, rowBytes)
	SHLQ(Imm(5), rowBytes)
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	far, row, off := GP64(), GP64(), GP64()
	MOVL(Mem{Base: idx, Index: ahead, Scale: 4}, far.As32())
	IMULQ(rowBytes, far)
	ADDQ(base, far)
	MOVL(Mem{Base: idx}, row.As32())
	IMULQ(rowBytes, row)
	ADDQ(base, row)
	XORQ(off, off)
	Label("vector")
	t := YMM()
	PREFETCHT0(Mem{Base: far, Index: off, Scale: 1})
	VMOVUPS(Mem{Base: row, Index: off, Scale: 1}, t)
	VMOVUPS(t, Mem{Base: dst, Index: off, Scale: 1})
	ADDQ(Imm(vecBytes), off)
	CMPQ(off, rowBytes)
	JB(LabelRef("vector"))
	ADDQ(rowBytes, dst)
	ADDQ(Imm(4), idx)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	VZEROUPPER()
	RET()
}

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The AVX-512 kernels exist for their 32 registers: p, q and a few rows fit
// beside each other, so that a row is fetched once for its product and for
// what is added of it. Their vectors of 16 floats need not be whole: a mask
// tells how much there is of the last one.
const (
	maxWide = 8 // vectors of a row
	// together is how many rows share one addition of lanes, where there are
	// registers for them.
	together    = 4
	maxTogether = 4 // vectors of a row then
)

// wideKernel is the frame of a kernel that passes over n rows of nv vectors.
type wideKernel struct {
	nv        int
	row, n    reg.Register
	stride    reg.Register
	mask      reg.Register
	p         []reg.VecVirtual
	rowStride [together]reg.Register
}

func newWide(nv int) *wideKernel {
	w := &wideKernel{nv: nv}
	w.row, w.stride = Load(Param("rows"), GP64()), Load(Param("stride"), GP64())
	w.n = Load(Param("n"), GP64())
	bits := Load(Param("mask"), GP32())
	w.mask = K()
	KMOVW(bits, w.mask)
	return w
}

// fetch loads nv vectors; the numbers beyond a last one that is not whole are 0.
func (w *wideKernel) fetch(at reg.Register) []reg.VecVirtual {
	v := make([]reg.VecVirtual, w.nv)
	for i := range v {
		v[i] = ZMM()
		if i < w.nv-1 {
			VMOVUPS(Mem{Base: at, Disp: i * zmmBytes}, v[i])
			continue
		}
		VMOVUPS_Z(Mem{Base: at, Disp: i * zmmBytes}, w.mask, v[i])
	}
	return v
}

// put stores what fetch loads.
func (w *wideKernel) put(v []reg.VecVirtual, at reg.Register) {
	for i := range v {
		if i < w.nv-1 {
			VMOVUPS(v[i], Mem{Base: at, Disp: i * zmmBytes})
			continue
		}
		VMOVUPS(v[i], w.mask, Mem{Base: at, Disp: i * zmmBytes})
	}
}

// passes makes the loops over the rows: four for four rows at a time, one for
// a single row. Both find the rows from w.row on and need not move it.
func (w *wideKernel) passes(four, one func()) {
	if w.nv <= maxTogether {
		stride4 := GP64()
		MOVQ(w.stride, stride4)
		SHLQ(Imm(2), stride4)
		w.rowStride[1] = w.stride
		w.rowStride[2], w.rowStride[3] = GP64(), GP64()
		LEAQ(Mem{Base: w.stride, Index: w.stride, Scale: 1}, w.rowStride[2])
		LEAQ(Mem{Base: w.rowStride[2], Index: w.stride, Scale: 1}, w.rowStride[3])
		Label("four")
		CMPQ(w.n, Imm(together))
		JB(LabelRef("one"))
		four()
		ADDQ(stride4, w.row)
		SUBQ(Imm(together), w.n)
		JMP(LabelRef("four"))
	}
	Label("one")
	TESTQ(w.n, w.n)
	JZ(LabelRef("done"))
	one()
	ADDQ(w.stride, w.row)
	DECQ(w.n)
	JMP(LabelRef("one"))
	Label("done")
}

// product returns the lane-wise sums of v*p, in two chains.
func (w *wideKernel) product(v []reg.VecVirtual) reg.VecVirtual {
	var acc [2]reg.VecVirtual
	for i := range v {
		if i < 2 {
			acc[i] = ZMM()
			VMULPS(v[i], w.p[i], acc[i])
			continue
		}
		VFMADD231PS(v[i], w.p[i], acc[i%2])
	}
	if len(v) > 1 {
		VADDPS(acc[1], acc[0], acc[0])
	}
	return acc[0]
}

// fourRows fetches four rows and leaves their products with p in each quarter
// of the last result.
func (w *wideKernel) fourRows() (rows [together][]reg.VecVirtual, dots reg.VecVirtual) {
	var s [together]reg.VecVirtual
	for r := range rows {
		at := GP64()
		if r == 0 {
			MOVQ(w.row, at)
		} else {
			LEAQ(Mem{Base: w.row, Index: w.rowStride[r], Scale: 1}, at)
		}
		rows[r] = w.fetch(at)
		s[r] = w.product(rows[r])
	}
	pair := func(a, b reg.VecVirtual) reg.VecVirtual {
		lo := ZMM()
		VUNPCKLPS(b, a, lo)
		VUNPCKHPS(b, a, a)
		VADDPS(a, lo, lo)
		return lo
	}
	a, b := pair(s[0], s[1]), pair(s[2], s[3])
	dots = ZMM()
	VUNPCKLPD(b, a, dots)
	VUNPCKHPD(b, a, a)
	VADDPS(a, dots, dots)
	sumQuarters(dots)
	return rows, dots
}

// sumQuarters adds the four quarters of v, lane by lane, in each of them.
func sumQuarters(v reg.VecVirtual) {
	for _, order := range []uint64{0x4e, 0xb1} {
		t := ZMM()
		VSHUFF32X4(Imm(order), v, v, t)
		VADDPS(t, v, v)
	}
}

// oneRow fetches a row and leaves its product with p in every lane.
func (w *wideKernel) oneRow() (row []reg.VecVirtual, dot reg.VecVirtual) {
	row = w.fetch(w.row)
	dot = w.product(row)
	sumQuarters(dot)
	for _, order := range []uint64{0x4e, 0xb1} {
		t := ZMM()
		VPERMILPS(Imm(order), dot, t)
		VADDPS(t, dot, dot)
	}
	return row, dot
}

// add adds factor times a row to q.
func (w *wideKernel) add(q, row []reg.VecVirtual, factor reg.VecVirtual) {
	for i := range q {
		VFMADD231PS(row[i], factor, q[i])
	}
}

// applyWide: q += sum_r (row_r . p) * row_r, or with residual the targets minus
// these products.
func applyWide(nv int, residual bool) {
	name, params, what := "apply%dAVX512", "", "(row_r . p)*row_r"
	if residual {
		name, params, what = "residual%dAVX512", "t, ", "(t[r] - row_r . p)*row_r"
	}
	name = fmt.Sprintf(name, nv)
	TEXT(name, NOSPLIT, "func(q, p, "+params+"rows *float32, stride, n uintptr, mask uint32)")
	Doc(fmt.Sprintf("%s adds q += sum_r %s over %d vectors of 16, the last one masked, for n rows, stride bytes apart.", name, what, nv))
	Pragma("noescape")
	w := newWide(nv)
	to, p := Load(Param("q"), GP64()), Load(Param("p"), GP64())
	var t reg.Register
	if residual {
		t = Load(Param("t"), GP64())
	}
	w.p = w.fetch(p)
	q := w.fetch(to)
	w.passes(func() {
		rows, dots := w.fourRows()
		if residual {
			targets := ZMM()
			VBROADCASTF32X4(Mem{Base: t}, targets)
			VSUBPS(dots, targets, dots)
			ADDQ(Imm(4*together), t)
		}
		for r, row := range rows {
			factor := ZMM()
			VPERMILPS(Imm(uint64(0x55*r)), dots, factor)
			w.add(q, row, factor)
		}
	}, func() {
		row, dot := w.oneRow()
		if residual {
			target := ZMM()
			VBROADCASTSS(Mem{Base: t}, target)
			VSUBPS(dot, target, dot)
			ADDQ(Imm(4), t)
		}
		w.add(q, row, dot)
	})
	w.put(q, to)
	VZEROUPPER()
	RET()
}

// quadraticWide: sum_r (row_r . p)^2.
func quadraticWide(nv int) {
	name := fmt.Sprintf("quadratic%dAVX512", nv)
	TEXT(name, NOSPLIT, "func(p, rows *float32, stride, n uintptr, mask uint32) float32")
	Doc(fmt.Sprintf("%s returns sum_r (row_r . p)^2 over %d vectors of 16, the last one masked, for n rows, stride bytes apart.", name, nv))
	Pragma("noescape")
	w := newWide(nv)
	w.p = w.fetch(Load(Param("p"), GP64()))
	sum := zero(XMM())
	w.passes(func() {
		_, dots := w.fourRows()
		VFMADD231PS(dots.AsX(), dots.AsX(), sum)
	}, func() {
		_, dot := w.oneRow()
		VFMADD231SS(dot.AsX(), dot.AsX(), sum)
	})
	t := XMM()
	VMOVHLPS(sum, sum, t)
	VADDPS(t, sum, sum)
	VMOVSHDUP(sum, t)
	VADDSS(t, sum, sum)
	Store(sum, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// combineWide: q += sum_r c[r] * row_r, two rows in sums of their own.
func combineWide(nv int) {
	name := fmt.Sprintf("combine%dAVX512", nv)
	TEXT(name, NOSPLIT, "func(q, rows, c *float32, stride, n uintptr, mask uint32)")
	Doc(fmt.Sprintf("%s adds q += sum_r c[r]*row_r over %d vectors of 16, the last one masked, for n rows, stride bytes apart.", name, nv))
	Pragma("noescape")
	w := newWide(nv)
	to, c := Load(Param("q"), GP64()), Load(Param("c"), GP64())
	q := w.fetch(to)
	other := make([]reg.VecVirtual, nv)
	for i := range other {
		other[i] = zero(ZMM())
	}
	row := func(sums []reg.VecVirtual) {
		factor := ZMM()
		VBROADCASTSS(Mem{Base: c}, factor)
		w.add(sums, w.fetch(w.row), factor)
		ADDQ(Imm(4), c)
		ADDQ(w.stride, w.row)
	}
	Label("two")
	CMPQ(w.n, Imm(2))
	JB(LabelRef("one"))
	row(q)
	row(other)
	SUBQ(Imm(2), w.n)
	JMP(LabelRef("two"))
	Label("one")
	TESTQ(w.n, w.n)
	JZ(LabelRef("done"))
	row(q)
	Label("done")
	for i := range q {
		VADDPS(other[i], q[i], q[i])
	}
	w.put(q, to)
	VZEROUPPER()
	RET()
}

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// maxColumns is the widest column block, in vectors, whose share of a vector
// stays in registers while rows stream past.
const maxColumns = 8

// dots: d[r] += row_r . p over 8*nv columns. p stays in registers, so a row
// costs its own loads only. Four rows at a time keep enough sums running to
// hide the latency of the multiply-add.
func dots(nv int) {
	TEXT(fmt.Sprintf("dots%dAVX2", nv), NOSPLIT, "func(d, rows, p *float32, stride, n uintptr)")
	Doc(fmt.Sprintf("dots%dAVX2 adds d[r] += row_r . p over %d columns for n rows, stride bytes apart.", nv, 8*nv))
	Pragma("noescape")
	d, row := Load(Param("d"), GP64()), Load(Param("rows"), GP64())
	p := Load(Param("p"), GP64())
	stride, n := Load(Param("stride"), GP64()), Load(Param("n"), GP64())
	pv := make([]reg.VecVirtual, nv)
	for i := range pv {
		pv[i] = YMM()
		VMOVUPS(Mem{Base: p, Disp: i * vecBytes}, pv[i])
	}
	var rows [4]reg.Register
	rows[0] = row
	for r := 1; r < 4; r++ {
		rows[r] = GP64()
		LEAQ(Mem{Base: rows[r-1], Index: stride, Scale: 1}, rows[r])
	}
	stride4 := GP64()
	MOVQ(stride, stride4)
	SHLQ(Imm(2), stride4)
	Label("four")
	CMPQ(n, Imm(4))
	JB(LabelRef("one"))
	sums := rowSums(rows[:], pv)
	total := transposedSum(sums)
	VADDPS(Mem{Base: d}, total, total)
	VMOVUPS(total, Mem{Base: d})
	for _, r := range rows {
		ADDQ(stride4, r)
	}
	ADDQ(Imm(16), d)
	SUBQ(Imm(4), n)
	JMP(LabelRef("four"))
	Label("one")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	single := sum8(rowSums(rows[:1], pv)[0])
	VADDSS(Mem{Base: d}, single, single)
	VMOVSS(single, Mem{Base: d})
	ADDQ(stride, rows[0])
	ADDQ(Imm(4), d)
	DECQ(n)
	JMP(LabelRef("one"))
	Label("done")
	VZEROUPPER()
	RET()
}

// rowSums returns for every row the lane-wise sums of its products with p, in
// two chains a row where there are enough vectors.
func rowSums(rows []reg.Register, pv []reg.VecVirtual) []reg.VecVirtual {
	chains := min(2, len(pv))
	acc := make([][]reg.VecVirtual, len(rows))
	for i, v := range pv {
		for r, at := range rows {
			if i < chains {
				acc[r] = append(acc[r], YMM())
				VMULPS(Mem{Base: at, Disp: i * vecBytes}, v, acc[r][i])
				continue
			}
			VFMADD231PS(Mem{Base: at, Disp: i * vecBytes}, v, acc[r][i%chains])
		}
	}
	sums := make([]reg.VecVirtual, len(rows))
	for r := range rows {
		sums[r] = acc[r][0]
		if chains == 2 {
			VADDPS(acc[r][1], sums[r], sums[r])
		}
	}
	return sums
}

// transposedSum adds the lanes of four vectors: lane r of the result is the
// sum of vector r.
func transposedSum(v []reg.VecVirtual) reg.VecVirtual {
	VHADDPS(v[1], v[0], v[0])
	VHADDPS(v[3], v[2], v[2])
	VHADDPS(v[2], v[0], v[0])
	VEXTRACTF128(Imm(1), v[0], v[1].AsX())
	total := XMM()
	VADDPS(v[0].AsX(), v[1].AsX(), total)
	return total
}

// combine: q += sum_r c[r] * row_r over 8*nv columns. q stays in registers;
// narrow blocks take two rows at a time in separate sums, because few chains
// would wait for the latency of the multiply-add.
func combine(nv int) {
	TEXT(fmt.Sprintf("combine%dAVX2", nv), NOSPLIT, "func(q, rows, c *float32, stride, n uintptr)")
	Doc(fmt.Sprintf("combine%dAVX2 adds q += sum_r c[r]*row_r over %d columns for n rows, stride bytes apart.", nv, 8*nv))
	Pragma("noescape")
	q, row := Load(Param("q"), GP64()), Load(Param("rows"), GP64())
	c := Load(Param("c"), GP64())
	stride, n := Load(Param("stride"), GP64()), Load(Param("n"), GP64())
	together := 1
	if nv <= 4 {
		together = 2
	}
	acc := make([][]reg.VecVirtual, together)
	for t := range acc {
		for i := range nv {
			v := YMM()
			if t == 0 {
				VMOVUPS(Mem{Base: q, Disp: i * vecBytes}, v)
			} else {
				zero(v)
			}
			acc[t] = append(acc[t], v)
		}
	}
	add := func(t int, at reg.Register) {
		cv := YMM()
		VBROADCASTSS(Mem{Base: c, Disp: 4 * t}, cv)
		for i, v := range acc[t] {
			VFMADD231PS(Mem{Base: at, Disp: i * vecBytes}, cv, v)
		}
	}
	if together == 2 {
		Label("two")
		CMPQ(n, Imm(2))
		JB(LabelRef("one"))
		add(0, row)
		ADDQ(stride, row)
		add(1, row)
		ADDQ(stride, row)
		ADDQ(Imm(8), c)
		SUBQ(Imm(2), n)
		JMP(LabelRef("two"))
	}
	Label("one")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	add(0, row)
	ADDQ(stride, row)
	ADDQ(Imm(4), c)
	DECQ(n)
	JMP(LabelRef("one"))
	Label("done")
	for i := range nv {
		if together == 2 {
			VADDPS(acc[1][i], acc[0][i], acc[0][i])
		}
		VMOVUPS(acc[0][i], Mem{Base: q, Disp: i * vecBytes})
	}
	VZEROUPPER()
	RET()
}

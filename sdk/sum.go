package sdk

import "unsafe"

// unrolledRows is how many rows AddWeighted takes at once, unrolledColumns how
// many columns.
const (
	unrolledRows    = 4
	unrolledColumns = 4
)

// AddWeighted adds a weighted sum of columns to every value of dst, which has
// one per candidate, as Batch.Scores or a column that is written:
//
//	dst[i] += weights[0]*columns[0].Of(b)[i] + weights[1]*columns[1].Of(b)[i] + ...
//
// An absent number makes the sum NaN, as it would in Go. It takes half the time
// of a loop per column. A turn of a loop is dear in WebAssembly: Go's compiler
// has it go through a jump table, and the host counts it. So a turn here is
// sixteen products.
func (b *Batch) AddWeighted(dst []float32, columns []Column[float32], weights []float32) {
	if len(dst) != b.n || len(weights) != len(columns) {
		panic("sdk: AddWeighted wants a value per candidate, and a weight per column")
	}
	for ; len(columns) >= unrolledColumns; columns, weights = columns[unrolledColumns:], weights[unrolledColumns:] {
		b.addFour(dst, (*[unrolledColumns]Column[float32])(columns), (*[unrolledColumns]float32)(weights))
	}
	for i, c := range columns {
		w := weights[i]
		values := c.Of(b)[:len(dst)]
		for row := range dst {
			dst[row] += w * values[row]
		}
	}
}

// addFour is AddWeighted for four columns. Pointers take the place of slices,
// whose bounds the compiler would check at every use; all of them have b.n rows.
func (b *Batch) addFour(dst []float32, columns *[unrolledColumns]Column[float32], weights *[unrolledColumns]float32) {
	v0, v1, v2, v3 := columns[0].Of(b), columns[1].Of(b), columns[2].Of(b), columns[3].Of(b)
	w0, w1, w2, w3 := weights[0], weights[1], weights[2], weights[3]
	p, p0, p1, p2, p3 := first(dst), first(v0), first(v1), first(v2), first(v3)
	whole := len(dst) - len(dst)%unrolledRows
	const size, step = 4, 4 * unrolledRows
	for at := uintptr(0); at < size*uintptr(whole); at += step {
		d := (*[unrolledRows]float32)(unsafe.Add(p, at))
		c0, c1 := (*[unrolledRows]float32)(unsafe.Add(p0, at)), (*[unrolledRows]float32)(unsafe.Add(p1, at))
		c2, c3 := (*[unrolledRows]float32)(unsafe.Add(p2, at)), (*[unrolledRows]float32)(unsafe.Add(p3, at))
		d[0] += w0*c0[0] + w1*c1[0] + w2*c2[0] + w3*c3[0]
		d[1] += w0*c0[1] + w1*c1[1] + w2*c2[1] + w3*c3[1]
		d[2] += w0*c0[2] + w1*c1[2] + w2*c2[2] + w3*c3[2]
		d[3] += w0*c0[3] + w1*c1[3] + w2*c2[3] + w3*c3[3]
	}
	for row := whole; row < len(dst); row++ {
		dst[row] += w0*v0[row] + w1*v1[row] + w2*v2[row] + w3*v3[row]
	}
}

func first(values []float32) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(values)) }

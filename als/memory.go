package als

import "vitrine/als/internal/f32"

// Shape is the size of a training problem.
type Shape struct {
	Users, Items, Cells int
}

// transposeWorkers is how many goroutines transpose a matrix at most.
const transposeWorkers = 8

// Bytes estimates the memory that training a matrix of the given shape needs,
// the matrix itself included, so that a caller can refuse before he starts. It
// counts what is held at the same time and leaves a twentieth for the rest.
// Weights further apart than 2^58 to 1, with the scales of their users, take two
// bytes a cell more; Train counts them.
func Bytes(s Shape, opt Options) int64 {
	if opt.complete() != nil {
		return 0
	}
	return bytesOf(s, &opt, opt.halves())
}

// halves reports whether the items' side may keep its weights in half precision:
// gradients of the implicit loss fetch the factors that they multiply in half
// precision as well.
func (o *Options) halves() bool {
	return !o.explicit() && o.Solver == SolverCG && f32.HasHalf()
}

// bytesOf is Bytes of complete options; halves tells what the weights of the
// items' side are.
func bytesOf(s Shape, opt *Options, halves bool) int64 {
	const index, weight, pointer, factor, half = 4, 4, 8, 4, 2
	// The panel of the longest rows, and what it grew from.
	const scratch = 12 << 20
	columns, rows := int64(opt.columns()), int64(s.Users)+int64(s.Items)
	padded := (columns + 7) / 8 * 8
	// Both directions of the matrix.
	need := 2*int64(s.Cells)*(index+weight) + rows*pointer
	if halves {
		need -= int64(s.Cells) * (weight - half)
	}
	// Factors and scales, and the copies that the half-steps read.
	need += rows * (columns*factor + factor)
	if opt.Solver == SolverCG {
		need += rows * padded * half
	}
	if padded != columns || opt.Biases {
		need += rows * padded * factor
	}
	// Positions while transposing, one set per worker.
	need += int64(min(opt.Workers, transposeWorkers)) * int64(s.Items) * pointer
	need += rows * pointer // the masses of the rows
	// The partial sums of a Gram matrix, and the matrices of the workers.
	need += min(64*padded*padded, max(1<<24, 4*padded*padded))*factor + int64(opt.Workers)*(padded*padded*factor+scratch)
	return need + need/20
}

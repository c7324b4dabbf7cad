//go:build !noasm

package f32

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// BestKernels is the fastest set that may run here: x/sys/cpu also checks that the
// kernel saves the wide registers.
func BestKernels() Kernels {
	switch {
	case vector && cpu.X86.HasAVX512F && cpu.X86.HasAVX512VNNI:
		return VNNI
	case vector:
		return AVX2
	default:
		return Generic
	}
}

// int8Common is what the scans read of any pass, in the order that _asm knows.
// They count blocks down.
type int8Common struct {
	codes      *uint8
	scales     *float32
	bounds     *float32
	shown      *uint64
	query      *int8
	at         *uint32
	values     *float32
	blocks     uintptr
	groups     uintptr
	blockBytes uintptr
	base       uint32
	_          uint32
}

type int8Args struct {
	int8Common
	start                        int32 // -128 times the sum of the query's codes
	theta, spread, length, reach float32
}

type int8BatchArgs struct {
	int8Common
	room                         uintptr
	counts                       [Int8Batch]int
	start                        [Int8Batch]int32
	theta, spread, length, reach [Int8Batch]float32
}

func scanInt8Vector(l Kernels, p *Int8Pass, hits *Int8Hits) int {
	args := int8Args{
		int8Common: int8Common{
			codes: &p.Codes[0], scales: &p.Scales[0], bounds: &p.Bounds[0], shown: &p.Shown[0], query: &p.Query[0],
			at: &hits.At[0], values: &hits.Values[0], blocks: uintptr(len(p.Shown)), groups: uintptr(len(p.Query) / int8Group),
			blockBytes: uintptr(len(p.Query) * Int8Rows), base: p.Base,
		},
		start: -128 * p.Sum, theta: p.Theta, spread: p.Spread, length: p.Length, reach: p.Reach,
	}
	if l == VNNI {
		return int(scanVNNI((*byte)(unsafe.Pointer(&args))))
	}
	return int(scanInt8AVX2((*byte)(unsafe.Pointer(&args))))
}

func scanBatchVector(p *Int8BatchPass, hits *Int8Hits) [Int8Batch]int {
	blocks, width := len(p.Shown)/Int8Batch, len(p.Query)/Int8Batch
	args := int8BatchArgs{
		int8Common: int8Common{
			codes: &p.Codes[0], scales: &p.Scales[0], bounds: &p.Bounds[0], shown: &p.Shown[0], query: &p.Query[0],
			at: &hits.At[0], values: &hits.Values[0], blocks: uintptr(blocks), groups: uintptr(width / int8Group),
			blockBytes: uintptr(width * Int8Rows), base: p.Base,
		},
		room: uintptr(Int8Room(blocks)), theta: p.Theta, spread: p.Spread, length: p.Length, reach: p.Reach,
	}
	for u, sum := range p.Sums {
		args.start[u] = -128 * sum
	}
	scanBatchVNNI((*byte)(unsafe.Pointer(&args)))
	return args.counts
}

// dotsAtVector sets dst[r] to the product of row idx[r] with q.
func dotsAtVector(dst, base []float32, idx []uint32, q []float32) {
	n, k := len(dst), len(q)
	hinted := max(0, n-prefetchDots)
	for _, part := range [2][2]int{{0, hinted}, {hinted, n}} {
		lo, hi := part[0], part[1]
		if lo == hi {
			continue
		}
		ahead := 0
		if hi < n {
			ahead = prefetchDots
		}
		rows := len(base) / k
		done := int(dotsAtAVX2(&dst[lo], unsafe.SliceData(base), &idx[lo], &q[0], uintptr(hi-lo), uintptr(k/lanes), uintptr(ahead), uintptr(rows)))
		if lo+done < hi {
			panic(outside(idx[lo+done], rows))
		}
	}
}

func countAtLeastVector(v []float32, t float32) int {
	return int(countAtLeastAVX2(unsafe.SliceData(v), uintptr(len(v)/lanes), t))
}

// prefetchDots is how many rows ahead DotsAt asks the memory for.
const prefetchDots = 8

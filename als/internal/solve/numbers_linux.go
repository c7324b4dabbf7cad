package solve

import (
	"syscall"
	"unsafe"
)

// hugePage is the size of a large memory page.
const hugePage = 2 << 20

// Numbers returns n zeros that are read row by row in any order: the kernel is
// asked to lay them out in large pages, so that finding a row's page costs
// little. It is a hint; where it is refused, nothing is lost but speed.
func Numbers[T uint16 | float32](n int) []T {
	v := make([]T, n)
	if n == 0 {
		return v
	}
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), n*int(unsafe.Sizeof(v[0])))
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(data))) % hugePage)
	if whole := (len(data) - skip) / hugePage * hugePage; whole > 0 {
		_ = syscall.Madvise(data[skip:skip+whole], syscall.MADV_HUGEPAGE)
	}
	return v
}

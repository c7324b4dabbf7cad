package sandbox

import (
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// mapped is guest memory outside of Go's heap: the whole range is reserved at
// once, so growing moves nothing, pages cost only once touched, and freeing
// gives them back to the system at once instead of at some later collection.
type mapped struct{ reserved []byte }

func allocateMapped(_, limit uint64) experimental.LinearMemory {
	reserved, err := syscall.Mmap(-1, 0, int(max(limit, 1)), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		reserved = nil // Reallocate then refuses, which the guest's start sees as a failure
	}
	return &mapped{reserved: reserved}
}

// Reallocate gives the first size bytes, or nil beyond the limit.
func (m *mapped) Reallocate(size uint64) []byte {
	if size > uint64(len(m.reserved)) {
		return nil
	}
	return m.reserved[:size:len(m.reserved)]
}

// Free gives the memory back. Nothing may use a view of it afterwards.
func (m *mapped) Free() {
	if m.reserved != nil {
		_ = syscall.Munmap(m.reserved)
		m.reserved = nil
	}
}

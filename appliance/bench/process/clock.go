package process

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// tick is the unit of processor time in /proc, fixed for all user programs.
const tick = 10 * time.Millisecond

// Used is the processor time of another process so far and its memory in MiB;
// what cannot be read is 0.
func Used(pid int) (used time.Duration, rssMiB float64) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
	// The program's name, in brackets, may hold blanks.
	_, rest, _ := strings.Cut(string(stat), ") ")
	const utime, stime, rss = 11, 12, 21
	if fields := strings.Fields(rest); len(fields) > rss {
		u, _ := strconv.ParseInt(fields[utime], 10, 64)
		s, _ := strconv.ParseInt(fields[stime], 10, 64)
		used = time.Duration(u+s) * tick
		pages, _ := strconv.ParseInt(fields[rss], 10, 64)
		rssMiB = float64(pages*int64(os.Getpagesize())) / (1 << 20)
	}
	return used, rssMiB
}

// ThreadTime is what do uses of a processor, on a thread of its own: unlike
// the time that passes, it does not grow when others use the machine.
func ThreadTime(do func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadClock()
	do()
	return threadClock() - start
}

// threadClock is the processor time of the calling thread. Unlike getrusage,
// which counts ticks of some milliseconds, it is exact.
func threadClock() time.Duration {
	const clockThreadCPU = 3
	var now syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&now)), 0) // every Linux has it
	return time.Duration(now.Nano())
}

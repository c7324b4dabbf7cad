package child

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What compiling one module may take. The largest honest module so far, a
// plain-Go guest of 1.8 MB, takes about 2 s and 300 MiB.
const (
	processorTime = 20 * time.Second
	wall          = 60 * time.Second
	memory        = 1 << 30
	// nice leaves the requests the first choice of the processors.
	nice = 5
)

// limitProcess bounds what this process may use from here on.
func limitProcess() error {
	// A failure only means that compiling competes with serving.
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice)
	if err := lowerLimit(syscall.RLIMIT_CPU, uint64(processorTime/time.Second)); err != nil {
		return fmt.Errorf("limit processor time: %w", err)
	}
	// Address space is counted from what the process has reserved already: a
	// Go program reserves far more than it uses.
	reserved, err := addressSpace()
	if err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	if err := lowerLimit(syscall.RLIMIT_AS, reserved+memory); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	if err := lowerLimit(syscall.RLIMIT_CORE, 0); err != nil {
		return fmt.Errorf("limit core files: %w", err)
	}
	debug.SetMemoryLimit(memory / 2)
	return nil
}

func lowerLimit(which int, limit uint64) error {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(which, &old); err != nil {
		return err
	}
	limit = min(limit, old.Max)
	return syscall.Setrlimit(which, &syscall.Rlimit{Cur: limit, Max: limit})
}

func addressSpace() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	pages, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read /proc/self/statm: %w", err)
	}
	return pages * uint64(os.Getpagesize()), nil
}

package appliance

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestNothingIsLeftRunning: an appliance that has stopped leaves no goroutine
// and no open file, however much went through it.
func TestNothingIsLeftRunning(t *testing.T) {
	dir := shortDir(t)
	life := func() {
		r := run(t, dir, nil)
		r.post(shopEvents(60, 2000, "")...)
		r.trained()
		r.recommend("user_id=u1")
		r.close()
	}
	life() // what is made once and kept
	goroutines, files := runtime.NumGoroutine(), openFiles()
	for range 3 {
		life()
	}
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines || openFiles() > files; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			t.Fatalf("%d goroutines after %d, %d open files after %d\n%s", runtime.NumGoroutine(), goroutines, openFiles(), files, stacks)
		}
	}
}

// openFiles counts the descriptors that name files of the disk; the runtime's
// own come and go.
func openFiles() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	n := 0
	for _, e := range entries {
		if path, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/proc/") {
			n++
		}
	}
	return n
}

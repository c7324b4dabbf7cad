package yield

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain plays a process that yields where the environment says so: it prints
// the policies of its threads, and whether it is still idle, once its input
// ends.
func TestMain(m *testing.M) {
	if os.Getenv("VITRINE_TEST_YIELD") == "" {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ToRequests(ctx)
	// Threads that are made later are as those before.
	var begun, wg sync.WaitGroup
	hold := make(chan struct{})
	for range 3 {
		begun.Add(1)
		wg.Go(func() {
			runtime.LockOSThread()
			begun.Done()
			<-hold
		})
	}
	begun.Wait()
	threads, _ := os.ReadDir(tasks)
	for _, thread := range threads {
		id, _ := strconv.Atoi(thread.Name())
		p, _, _ := syscall.RawSyscall(syscall.SYS_SCHED_GETSCHEDULER, uintptr(id), 0, 0)
		nice, _, _ := syscall.RawSyscall(syscall.SYS_GETPRIORITY, syscall.PRIO_PROCESS, uintptr(id), 0)
		os.Stdout.WriteString(strconv.Itoa(int(p)) + "/" + strconv.Itoa(20-int(nice)) + "\n")
	}
	close(hold)
	wg.Wait()
}

func TestToRequests(t *testing.T) {
	if _, err := look(); err != nil {
		t.Skip("no account here:", err)
	}
	for group, want := range map[bool]policy{true: idle, false: normal} {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), "VITRINE_TEST_YIELD=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: group}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Fields(string(out))
		if len(lines) < 4 {
			t.Errorf("a group of its own: %v: %d threads", group, len(lines))
		}
		for _, line := range lines {
			p, nice, _ := strings.Cut(line, "/")
			if n, _ := strconv.Atoi(nice); p != strconv.Itoa(int(want)) || group && n < niceness {
				t.Errorf("a group of its own: %v: a thread with policy/niceness %s, want %d/%d", group, line, want, niceness)
			}
		}
	}
}

// TestWatch: a process that gets little of what it wants competes for a while,
// then yields again; one that wants little goes on yielding.
func TestWatch(t *testing.T) {
	const s = time.Second
	var w watch
	for _, calm := range []turns{{}, {ran: 2 * s}, {ran: s / 5, waited: s}, {ran: 1, waited: s / 3}} {
		if got := w.next(calm); got != idle {
			t.Errorf("after %+v: %v", calm, got)
		}
	}
	starving := turns{ran: s / 20, waited: s}
	for n := range spell {
		if got := w.next(starving); got != normal {
			t.Errorf("look %d of a process that starves: %v", n, got)
		}
	}
	if got := w.next(turns{ran: s, waited: s}); got != idle {
		t.Errorf("after a spell of competing: %v", got)
	}
	if got := w.next(starving); got != normal {
		t.Errorf("starving again: %v", got)
	}
}

func TestLook(t *testing.T) {
	before, err := look()
	if err != nil {
		t.Skip("no account here:", err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		now, err := look()
		if err != nil {
			t.Fatal(err)
		}
		if now.since(before).ran > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute of work: %+v, before %+v", now, before)
		}
	}
}

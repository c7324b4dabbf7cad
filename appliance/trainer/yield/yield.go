// Package yield makes a process give way to the requests that another one
// answers, without ever standing still for them.
//
// It owns priorities and the watch on what they leave. Of this
// module it imports internal/pause only.
package yield

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"vitrine/internal/pause"
)

// niceness of the whole process: where all processors are wanted by others it
// gets about a tenth of each.
const niceness = 10

const (
	// lookEvery is how often it is asked what the process got.
	lookEvery = time.Second
	// starved is the part of the time that its threads wanted to run, and did,
	// below which the process no longer waits for idle processors.
	starved = 0.1
	// spell is for how many looks it then competes, before it tries again to do
	// with what is idle.
	spell = 10
)

// policy is a scheduling policy of Linux.
type policy uintptr

const (
	normal policy = 0 // SCHED_OTHER
	idle   policy = 5 // SCHED_IDLE
)

// ToRequests lowers the priority of this process, which must lead a process
// group of its own, until ctx ends. By niceness alone a thread that answers and
// wakes up waits for the end of a turn of the one that trains, some
// milliseconds of every processor; one of the policy idle is sent away at once.
// That policy gets next to nothing where processors are never idle, so that
// there niceness takes over. A kernel that does not let it, or does not tell
// how long threads wait, leaves niceness alone.
func ToRequests(ctx context.Context) {
	if syscall.Getpgrp() != syscall.Getpid() {
		return
	}
	// By the group, for that is every thread: alone, the call would slow down
	// the one it is made on. A failure only means that training competes with
	// serving.
	_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, niceness)
	before, err := look()
	if err != nil || set(idle) != nil {
		return
	}
	go func() {
		var w watch
		current := idle
		for pause.For(ctx, lookEvery) == nil {
			now, err := look()
			if err != nil {
				continue
			}
			if want := w.next(now.since(before)); want != current {
				current = want
				_ = set(want) // it was let do so before
			}
			before = now
		}
	}()
}

// watch decides by which policy to run.
type watch struct {
	competing int // looks for which it still does
}

// next is the policy after a look at what the process got since the last one.
func (w *watch) next(got turns) policy {
	switch wanted := got.ran + got.waited; {
	case w.competing > 0:
		w.competing--
	case got.waited > lookEvery/2 && float64(got.ran) < starved*float64(wanted):
		w.competing = spell
	}
	if w.competing > 0 {
		return normal
	}
	return idle
}

// turns are how long the threads of the process ran, and how long they waited
// for a processor.
type turns struct{ ran, waited time.Duration }

// since is what came after b; a thread that has ended takes its times with it.
func (t turns) since(b turns) turns {
	return turns{max(0, t.ran-b.ran), max(0, t.waited-b.waited)}
}

// tasks are the threads of this process.
const tasks = "/proc/self/task"

// errNoTurns says that the kernel keeps no account.
var errNoTurns = errors.New("the kernel does not tell how long threads wait")

// look reads the account of all threads.
func look() (turns, error) {
	var sum turns
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return sum, err
	}
	for _, thread := range threads {
		text, err := os.ReadFile(filepath.Join(tasks, thread.Name(), "schedstat"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has just ended, or there is none of any: errNoTurns
		}
		if err != nil {
			return sum, err
		}
		fields := strings.Fields(string(text)) // ns run, ns waited, turns
		if len(fields) < 2 {
			return sum, errNoTurns
		}
		ran, err1 := strconv.ParseInt(fields[0], 10, 64)
		waited, err2 := strconv.ParseInt(fields[1], 10, 64)
		if err1 != nil || err2 != nil {
			return sum, errNoTurns
		}
		sum.ran, sum.waited = sum.ran+time.Duration(ran), sum.waited+time.Duration(waited)
	}
	if sum.ran == 0 {
		return sum, errNoTurns
	}
	return sum, nil
}

// set gives every thread a policy. Threads inherit it from the one that makes
// them: it looks again until it has met no new one.
func set(p policy) error {
	done := map[string]bool{}
	for {
		threads, err := os.ReadDir(tasks)
		if err != nil {
			return err
		}
		fresh := false
		for _, thread := range threads {
			if done[thread.Name()] {
				continue
			}
			done[thread.Name()], fresh = true, true
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			var priority int32 // sched_param: 0 for both policies
			_, _, e := syscall.RawSyscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(id), uintptr(p), uintptr(unsafe.Pointer(&priority)))
			if e != 0 && e != syscall.ESRCH { // one that has ended needs none
				return e
			}
		}
		if !fresh {
			return nil
		}
	}
}

// Command enosys runs a program as on the kernel of RHEL 7: every system call
// that is newer than 3.10's answers ENOSYS. It is a launcher for tests, on
// amd64, where numbers grew with time: the newest of 3.10 are finit_module
// (313) and the backports renameat2 (316) and kexec_file_load (320).
//
//	go run ./rpm/enosys vitrine serve --demo
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"
)

// Numbers of prctl(2), seccomp(2) and its filter programs.
const (
	setNoNewPrivileges = 38
	setSeccomp         = 22
	modeFilter         = 2
	load               = 0x20 // a word of the call's description
	jumpEqual          = 0x15
	jumpGreater        = 0x25
	answer             = 0x06
	allow              = 0x7fff0000
	fail               = 0x00050000

	last3_10      = 313
	renameat2     = 316
	kexecFileLoad = 320
)

type instruction struct {
	code     uint16
	yes, no  uint8
	argument uint32
}

type program struct {
	length uint16
	first  *instruction
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "enosys: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || runtime.GOARCH != "amd64" {
		return fmt.Errorf("needs a program to run, and amd64")
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	filter := []instruction{
		{code: load, argument: 0}, // the call's number
		{code: jumpEqual, yes: 3, argument: renameat2},
		{code: jumpEqual, yes: 2, argument: kexecFileLoad},
		{code: jumpGreater, no: 1, argument: last3_10},
		{code: answer, argument: fail | uint32(syscall.ENOSYS)},
		{code: answer, argument: allow},
	}
	runtime.LockOSThread() // the filter is this thread's, which becomes the program
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivileges, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("give up privileges: %w", errno)
	}
	p := program{length: uint16(len(filter)), first: &filter[0]}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setSeccomp, modeFilter, uintptr(unsafe.Pointer(&p))); errno != 0 {
		return fmt.Errorf("install filter: %w", errno)
	}
	return syscall.Exec(path, args, os.Environ())
}

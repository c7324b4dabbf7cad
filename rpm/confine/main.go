// Command confine runs a program as a stricter machine would. It is a launcher
// for tests, on amd64:
//
//	confine kernel PROGRAM...   as on RHEL 7: each system call that is newer than kernel 3.10's answers ENOSYS
//	confine execmem PROGRAM...  as under SELinux's deny_execmem: no new memory may hold code, EACCES
//
// Numbers of calls grew with time: the newest of 3.10 are finit_module (313)
// and the backports renameat2 (316) and kexec_file_load (320).
package main

import (
	"errors"
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
	jumpSet            = 0x45 // any of these bits
	answer             = 0x06
	allow              = 0x7fff0000
	fail               = 0x00050000

	callNumber    = 0        // where a call's description has its number
	thirdArgument = 16 + 2*8 // and the lower half of its third argument
	mmap          = 9
	mprotect      = 10
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

// filters are the programs that the kernel asks at each call.
func filters(name string) []instruction {
	switch name {
	case "kernel":
		return []instruction{
			{code: load, argument: callNumber},
			{code: jumpEqual, yes: 3, argument: renameat2},
			{code: jumpEqual, yes: 2, argument: kexecFileLoad},
			{code: jumpGreater, no: 1, argument: last3_10},
			{code: answer, argument: fail | uint32(syscall.ENOSYS)},
			{code: answer, argument: allow},
		}
	case "execmem":
		return []instruction{
			{code: load, argument: callNumber},
			{code: jumpEqual, yes: 1, argument: mmap},
			{code: jumpEqual, no: 3, argument: mprotect},
			{code: load, argument: thirdArgument}, // of both the protection
			{code: jumpSet, no: 1, argument: syscall.PROT_EXEC},
			{code: answer, argument: fail | uint32(syscall.EACCES)},
			{code: answer, argument: allow},
		}
	}
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "confine: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 || runtime.GOARCH != "amd64" {
		return errors.New("needs kernel or execmem, a program to run, and amd64")
	}
	filter := filters(args[0])
	if filter == nil {
		return fmt.Errorf("there is no %q: kernel or execmem", args[0])
	}
	path, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the filter is this thread's, which becomes the program
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivileges, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("give up privileges: %w", errno)
	}
	p := program{length: uint16(len(filter)), first: &filter[0]}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setSeccomp, modeFilter, uintptr(unsafe.Pointer(&p))); errno != 0 {
		return fmt.Errorf("install filter: %w", errno)
	}
	return syscall.Exec(path, args[1:], os.Environ())
}

package preflight

import (
	"os"
	"syscall"

	"vitrine/installer/words"
)

// protection is what guards the machine. It stays on: nothing here asks for
// less of it.
func (h *host) protection() []Row {
	mode := Row{ID: "selinux", Value: "disabled", Want: words.New("enforcing"), Severity: Info}
	switch h.read("sys/fs/selinux/enforce") {
	case "1":
		mode.Value, mode.Severity = "enforcing", OK
	case "0":
		mode.Value = "permissive"
	}
	if mode.Severity != OK {
		mode.Why = words.New("Vitrine does not need SELinux to be off")
	}
	code := Row{ID: "execmem", Value: "allowed", Want: words.New("allowed"), Severity: OK}
	if err := executableMemory(); err != nil {
		code.Value, code.Severity = err.Error(), Warn
		code.Why = words.New("plugins cannot be compiled to native code here: they run on an interpreter, many times slower")
		code.Fix = words.New("setsebool -P deny_execmem off, or no MemoryDenyWriteExecute in a drop-in")
	}
	fips := Row{ID: "fips", Value: "off", Want: words.New("any"), Severity: OK}
	if h.read("proc/sys/crypto/fips_enabled") == "1" {
		fips.Value = "on"
	}
	return []Row{mode, code, fips}
}

// executableMemory does what compiling a plugin does: a page is written, then
// made executable.
func executableMemory() error {
	page, err := syscall.Mmap(-1, 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	page[0] = 0xc3
	err = syscall.Mprotect(page, syscall.PROT_READ|syscall.PROT_EXEC)
	_ = syscall.Munmap(page)
	return err
}

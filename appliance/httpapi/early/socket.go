package early

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// socket reads and writes a connection by the system's own calls. A net.Conn is
// read once more than there are requests, to learn that nothing is there yet, and
// tells the scheduler of each call that its processor may be needed meanwhile. A
// socket that is empty is only waited for, as whatever comes next wakes the
// poller; and no call on a socket that does not block waits for anything, so its
// processor stays what it was given: another thread would only be one more to
// compete with the clients of this machine.
type socket struct {
	raw syscall.RawConn
	// fd holds while raw has called back.
	fd uintptr
	// into is where to read, n and err what came of it.
	into []byte
	n    int
	err  error
	// step is conn.step, made once.
	step func(fd uintptr) (done bool)
}

// open finds the socket of a connection; one that has none is read as it is.
func (s *socket) open(c net.Conn, step func(uintptr) bool) {
	has, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := has.SyscallConn(); err == nil {
		s.raw, s.step = raw, step
	}
}

// read waits for what the server is to have.
func (s *socket) read(b []byte) (int, error) {
	s.into, s.n, s.err = b, 0, nil
	err := s.raw.Read(s.step)
	s.into = nil
	if err != nil {
		return 0, asRead(err)
	}
	return s.n, s.err
}

// asRead names an error as net.Conn does, by which the server knows that there
// is nobody to be told.
func asRead(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		op.Op = "read"
	}
	return err
}

// take reads what is there. It reports false where that is nothing.
func (s *socket) take() (n int, some bool, err error) {
	for {
		got, _, errno := syscall.RawSyscall(syscall.SYS_READ, s.fd, uintptr(unsafe.Pointer(unsafe.SliceData(s.into))), uintptr(len(s.into)))
		switch {
		case errno == syscall.EAGAIN:
			return 0, false, nil
		case errno == syscall.EINTR:
			continue
		case errno != 0:
			return 0, true, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", errno)}
		case got == 0:
			return 0, true, io.EOF
		}
		return int(got), true, nil
	}
}

// give writes as much as there is room for, which is all of it for a client that
// reads its answers.
func (s *socket) give(b []byte) int {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, s.fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0 // who writes the rest finds out why
	}
	return int(n)
}

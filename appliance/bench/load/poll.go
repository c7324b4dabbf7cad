package load

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// poller waits for readable connections with timers finer than a millisecond,
// which the runtime's own network poller does not have. It is select on one
// epoll descriptor: both are in every kernel since 2.6.
type poller struct {
	fd     int
	events []syscall.EpollEvent
	ready  []int32
}

// selectMax is the largest descriptor select takes.
const selectMax = 1024

func newPoller(size int) (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make poller: %w", err)
	}
	if fd >= selectMax {
		_ = syscall.Close(fd) // never used
		return nil, fmt.Errorf("make poller: descriptor %d is beyond %d: too many files are open", fd, selectMax)
	}
	return &poller{fd: fd, events: make([]syscall.EpollEvent, size), ready: make([]int32, 0, size)}, nil
}

func (p *poller) add(fd, index int) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(index)})
}

func (p *poller) close() { _ = syscall.Close(p.fd) }

// wait returns the indexes of the connections that have something to read,
// after at most d.
func (p *poller) wait(d time.Duration) ([]int32, error) {
	n, err := syscall.EpollWait(p.fd, p.events, 0)
	if n == 0 && err == nil && d > 0 {
		var set syscall.FdSet
		const wordBits = 64
		set.Bits[p.fd/wordBits] |= 1 << (p.fd % wordBits)
		timeout := syscall.NsecToTimeval(int64(d))
		if _, err := syscall.Select(p.fd+1, &set, nil, nil, &timeout); err != nil && !errors.Is(err, syscall.EINTR) {
			return nil, err
		}
		n, err = syscall.EpollWait(p.fd, p.events, 0)
	}
	if errors.Is(err, syscall.EINTR) {
		n, err = 0, nil
	}
	if err != nil {
		return nil, err
	}
	p.ready = p.ready[:0]
	for _, e := range p.events[:n] {
		p.ready = append(p.ready, e.Fd)
	}
	return p.ready, nil
}

// dial connects and makes the socket non-blocking.
func dial(address netip.AddrPort) (fd int, err error) {
	var to syscall.Sockaddr
	domain := syscall.AF_INET
	if address.Addr().Is4() || address.Addr().Is4In6() {
		to = &syscall.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().Unmap().As4()}
	} else {
		domain = syscall.AF_INET6
		to = &syscall.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()}
	}
	fd, err = syscall.Socket(domain, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		syscall.Connect(fd, to),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetNonblock(fd, true),
	)
	if err != nil {
		_ = syscall.Close(fd) // never used
		return -1, err
	}
	return fd, nil
}

// exactTimers makes the kernel wake the calling thread on time and not up to
// 50 us later.
func exactTimers() {
	const prSetTimerSlack = 29
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0) // without it the lag shows
}

// threadCPU is the processor time of the calling thread.
func threadCPU() time.Duration {
	const rusageThread = 1
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package door

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// bounded is a listener with a bound on its open connections.
type bounded struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

// bound lets n connections be open at a time.
func bound(l net.Listener, n int) net.Listener {
	return &bounded{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

// Accept waits for a free slot, then for a connection.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &slot{Conn: c, slots: b.slots}, nil
}

// Close ends waiting, too.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// slot is a connection that gives its slot back once.
type slot struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

// SyscallConn is that of the connection.
func (s *slot) SyscallConn() (syscall.RawConn, error) {
	c, ok := s.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return c.SyscallConn()
}

// Close closes the connection.
func (s *slot) Close() error {
	err := s.Conn.Close()
	s.once.Do(func() { <-s.slots })
	return err
}

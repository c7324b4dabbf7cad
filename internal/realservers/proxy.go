package realservers

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is what a Proxy does to connections.
type Fault int32

// The faults.
const (
	// None passes everything on.
	None Fault = iota
	// Refused accepts no connection and ends those that are there.
	Refused
	// Silent accepts and keeps everything to itself.
	Silent
	// Slow passes on what comes 200 ms later.
	Slow
	// Reset breaks a connection in the middle of an answer.
	Reset
)

// String names the fault.
func (f Fault) String() string {
	return [...]string{"none", "refused", "silent", "slow by 200 ms", "reset in mid-answer"}[f]
}

// slowBy is the delay of Slow.
const slowBy = 200 * time.Millisecond

// Proxy stands before a server and can go wrong as networks do.
type Proxy struct {
	// Address is its own, Target the server's.
	Address, Target string

	fault atomic.Int32
	mu    sync.Mutex
	// listener is nil while connections are refused.
	listener net.Listener
	conns    map[net.Conn]struct{}
	closed   bool
	pumps    sync.WaitGroup
}

// NewProxy starts a proxy on a free port of 127.0.0.1.
func NewProxy(target string) (*Proxy, error) {
	p := &Proxy{Target: target, conns: map[net.Conn]struct{}{}}
	l, err := listenBelow()
	if err != nil {
		return nil, fmt.Errorf("start a proxy before %s: %w", target, err)
	}
	p.serveOn(l)
	return p, nil
}

func (p *Proxy) serveOn(l net.Listener) {
	p.mu.Lock()
	p.listener, p.Address = l, l.Addr().String()
	p.mu.Unlock()
	p.pumps.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.pumps.Go(func() { p.serve(c) })
		}
	})
}

// Set makes a fault begin, or end with None.
func (p *Proxy) Set(f Fault) error {
	was := Fault(p.fault.Swap(int32(f)))
	if f == Refused {
		p.mu.Lock()
		l := p.listener
		p.listener = nil
		p.mu.Unlock()
		if l != nil {
			_ = l.Close() // what it says of itself does not matter any more
		}
		p.cut()
	} else if was == Refused {
		l, err := net.Listen("tcp4", p.Address)
		if err != nil {
			return fmt.Errorf("end a fault of the proxy before %s: %w", p.Target, err)
		}
		p.serveOn(l)
	}
	return nil
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.Set(Refused) // closes the listener, which cannot fail
	p.pumps.Wait()
}

// cut ends all connections.
func (p *Proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// keep notes a connection, to be cut; it closes one that comes too late.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || Fault(p.fault.Load()) == Refused {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}

func (p *Proxy) serve(client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	server, err := net.Dial("tcp4", p.Target)
	if err != nil || !p.keep(server) {
		return
	}
	defer p.drop(server)
	var both sync.WaitGroup
	both.Go(func() { p.pump(server, client, false) })
	both.Go(func() { p.pump(client, server, true) })
	both.Wait()
}

// pump passes on what comes from src; answer says that it comes from the server.
func (p *Proxy) pump(dst, src net.Conn, answer bool) {
	defer func() {
		_ = dst.Close()
		_ = src.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && !p.pass(dst, buf[:n], answer) {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) pass(dst net.Conn, data []byte, answer bool) bool {
	for Fault(p.fault.Load()) == Silent {
		time.Sleep(10 * time.Millisecond)
	}
	switch Fault(p.fault.Load()) {
	case Refused:
		return false
	case Slow:
		time.Sleep(slowBy)
	case Reset:
		if answer {
			_, _ = dst.Write(data[:len(data)/2])
			if tcp, ok := dst.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // so that it is a reset, not an end
			}
			return false
		}
	}
	_, err := dst.Write(data)
	return err == nil
}

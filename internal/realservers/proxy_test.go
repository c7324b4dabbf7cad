package realservers

import (
	"bufio"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// echo answers each line with itself.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// call sends a line and waits for it to come back.
func call(address string, within time.Duration) (string, error) {
	c, err := net.Dial("tcp4", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return "", err
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

func TestProxy(t *testing.T) {
	p, err := NewProxy(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, test := range []struct {
		fault Fault
		want  error
		least time.Duration
	}{
		{None, nil, 0},
		{Refused, syscall.ECONNREFUSED, 0},
		{Silent, errTimeout, time.Second},
		{Slow, nil, 2 * slowBy},
		{Reset, syscall.ECONNRESET, 0},
		{None, nil, 0},
	} {
		if err := p.Set(test.fault); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		within := time.Minute
		if test.want == errTimeout {
			within = test.least
		}
		answer, err := call(p.Address, within)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			err = errTimeout
		}
		if !errors.Is(err, test.want) || err == nil && answer != "hello\n" || time.Since(begin) < test.least {
			t.Errorf("%s: %q, %v after %v", test.fault, answer, err, time.Since(begin))
		}
	}
}

var errTimeout = errors.New("timeout")

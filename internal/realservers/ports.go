package realservers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports of servers lie below those that Linux gives to outgoing connections
// (32768 and up): a server that is down for a while must find its port free when
// it comes back.
const firstPort, lastPort = 10_000, 32_000

// freePorts gives addresses of 127.0.0.1 that nobody listens on.
func freePorts(n int) ([]string, error) {
	out := make([]string, 0, n)
	for range n {
		l, err := listenBelow()
		if err != nil {
			return nil, err
		}
		// Closed at the end only, so that the ports differ.
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().String())
	}
	return out, nil
}

// listenBelow listens on a free port within the bounds.
func listenBelow() (net.Listener, error) {
	const tries = 100
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		return l, nil
	}
	return nil, fmt.Errorf("find a free port: %d of %d to %d are taken", tries, firstPort, lastPort)
}

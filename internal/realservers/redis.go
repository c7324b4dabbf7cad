package realservers

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"
)

// Redis says which Redis to start.
type Redis struct {
	// Dir is an empty folder for everything that the server writes.
	Dir string
	// Password is asked for; "" lets everybody in.
	Password string
}

// RedisServer is one running Redis. It keeps nothing on disk, so a start after a
// kill begins empty.
type RedisServer struct {
	// Address is host:port.
	Address string

	process process
}

// Start returns when the server answers.
func (r Redis) Start(ctx context.Context) (*RedisServer, error) {
	server, err := program("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(ports[0])
	if err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	args := []string{server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", r.Dir}
	if r.Password != "" {
		args = append(args, "--requirepass", r.Password)
	}
	s := &RedisServer{Address: ports[0], process: process{name: "redis", args: args, dir: r.Dir, log: filepath.Join(r.Dir, "redis.log")}}
	return s, s.Restart(ctx)
}

// Restart starts a server that was stopped or killed, on its old port.
func (s *RedisServer) Restart(ctx context.Context) error {
	return s.process.start(ctx, func() (bool, string) {
		answer, err := s.Ask("PING")
		if err != nil {
			return false, err.Error()
		}
		return len(answer) > 0, answer // +PONG, or that it wants a password
	})
}

// askTimeout ends what is stuck, also on a machine with much else to do.
const askTimeout = 30 * time.Second

// Ask sends one command without spaces in its words and returns the first line
// of the answer.
func (s *RedisServer) Ask(command string) (string, error) {
	c, err := net.DialTimeout("tcp4", s.Address, askTimeout)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }() // everything was read
	if err := c.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		return "", err
	}
	buf := make([]byte, 512)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

// Stop ends the server cleanly.
func (s *RedisServer) Stop() error { return s.process.stop() }

// Kill ends the server as a power cut would end its process.
func (s *RedisServer) Kill() error { return s.process.kill() }

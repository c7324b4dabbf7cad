// Package door opens the addresses that the HTTP handlers answer on, TCP and
// the admin socket, and closes them in good order.
//
// It owns listeners, timeouts and the stop; what is answered behind a door is
// the caller's. It imports nothing of this module but internal/logkey.
package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"vitrine/internal/logkey"
)

const (
	// maxHeader bounds what a connection may send before it is known; the
	// longest sane query string (500 session items) fits.
	maxHeader = 256 << 10
	// HeaderTimeout and bodyTimeout bound a slow sender; a body of 32 MiB then
	// needs 9 Mbit/s.
	HeaderTimeout = 3 * time.Second
	bodyTimeout   = 30 * time.Second
	answerTimeout = 60 * time.Second
	// IdleTimeout is longer than what balancers keep (60 s), so that they close
	// first and no request meets a closing connection.
	IdleTimeout = 120 * time.Second
	// maxConnections bounds what clients that send nothing can hold of memory and
	// descriptors: beyond it new ones wait in the kernel's queue until one goes.
	maxConnections = 8192
	// stopTimeout is how long running requests may take when the server stops.
	stopTimeout = 8 * time.Second
	// maxSocketPath is what the kernel takes, with a byte for its end; the
	// socket is made under a name with socketTemp and then renamed.
	maxSocketPath = 107
	socketTemp    = "~"
	// socketMode lets the owner's group use the command line.
	socketMode = 0o660
)

// Door is an address and what answers behind it.
type Door struct {
	// Key is the configuration key of the address, for hints.
	Key string
	// Address is host:port, or the path of a socket when Socket is set.
	Address string
	Socket  bool
	Handler http.Handler
	// Certificate, when set, makes it HTTPS.
	Certificate *Certificate
	// Guard, when set, looks at the connections; not at those of HTTPS, and not at
	// those of a socket.
	Guard Guard
}

// Guard looks at connections before the server does.
type Guard interface {
	// Watch looks at those of l, of which the server then tells it.
	Watch(server *http.Server, l net.Listener) net.Listener
	// Wait waits for answers of its own that a stop has found under way, until ctx
	// ends.
	Wait(ctx context.Context)
}

// Doors are open ones.
type Doors struct {
	log       *slog.Logger
	listeners []listener
	sockets   []string
	guards    []Guard
}

// listener is an open door and its server.
type listener struct {
	net.Listener
	server *http.Server
}

// serve answers until the server is shut down.
func (l *listener) serve() error {
	if l.server.TLSConfig != nil {
		return l.server.ServeTLS(l.Listener, "", "")
	}
	return l.server.Serve(l.Listener)
}

// ListenError says which address could not be had.
type ListenError struct {
	// Key is the configuration key of the address.
	Key, Address string
	Err          error
}

// Error names the address and why it could not be had.
func (e *ListenError) Error() string { return fmt.Sprintf("listen on %s: %v", e.Address, e.Err) }

// Unwrap gives the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// Hint says what to type next.
func (e *ListenError) Hint() string {
	switch {
	case e.Key == "data.dir":
		return "choose a shorter or writable data folder: --data DIR"
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("another program listens there (another vitrine?); choose a free port: --set %s=127.0.0.1:PORT", e.Key)
	case errors.Is(e.Err, syscall.EACCES):
		return fmt.Sprintf("ports below 1024 need rights; choose another: --set %s=127.0.0.1:PORT", e.Key)
	}
	return fmt.Sprintf("choose an address of this machine: --set %s=127.0.0.1:PORT", e.Key)
}

// Open opens the doors, all or none.
func Open(ctx context.Context, doors []Door, log *slog.Logger) (*Doors, error) {
	d := &Doors{log: log}
	for _, door := range doors {
		if err := d.open(ctx, door); err != nil {
			for _, l := range d.listeners {
				l.Close() //nolint:errcheck // nothing was accepted yet
			}
			return nil, &ListenError{Key: door.Key, Address: door.Address, Err: cause(err)}
		}
	}
	return d, nil
}

func (d *Doors) open(ctx context.Context, door Door) error {
	server := &http.Server{
		Handler: door.Handler, ReadHeaderTimeout: HeaderTimeout, IdleTimeout: IdleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	if door.Socket {
		// No timeouts: an import takes as long as it takes.
		l, err := listenSocket(ctx, door.Address)
		if err == nil {
			d.listeners, d.sockets = append(d.listeners, listener{l, server}), append(d.sockets, door.Address)
		}
		return err
	}
	server.ReadTimeout, server.WriteTimeout = bodyTimeout, answerTimeout
	if door.Certificate != nil {
		server.TLSConfig = door.Certificate.config()
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", door.Address)
	if err != nil {
		return err
	}
	l = bound(l, maxConnections)
	if door.Guard != nil && door.Certificate == nil {
		l = door.Guard.Watch(server, l)
		d.guards = append(d.guards, door.Guard)
	}
	d.listeners = append(d.listeners, listener{l, server})
	return nil
}

// cause leaves out what ListenError says itself.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// listenSocket makes the socket under a temporary name, so that it is never
// open to others than its mode says, and moves it over one that a killed
// process has left. The data folder's lock says that there is no living one.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	temp := path + socketTemp
	if len(temp) > maxSocketPath {
		return nil, fmt.Errorf("the path has %d bytes, a socket's may have %d", len(path), maxSocketPath-len(socketTemp))
	}
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", temp)
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(temp, socketMode), os.Rename(temp, path)); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(temp))
	}
	return l, nil
}

// Addr is the address that door number i got, with the port that the system
// chose where 0 was asked for.
func (d *Doors) Addr(i int) net.Addr { return d.listeners[i].Addr() }

// Serve answers until ctx ends, calls stopping, and lets running requests
// finish for a while. It returns nil after a clean stop.
func (d *Doors) Serve(ctx context.Context, stopping func()) error {
	for _, path := range d.sockets {
		defer os.Remove(path) //nolint:errcheck // the next start replaces it
	}
	failed := make(chan error, len(d.listeners))
	for _, l := range d.listeners {
		d.log.Info("listening", slog.String(logkey.Address, strings.TrimSuffix(l.Addr().String(), socketTemp)))
		go func() { failed <- l.serve() }()
	}
	var err error
	running := len(d.listeners)
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
		running--
	}
	stopping()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, l := range d.listeners {
		all.Go(func() {
			if l.server.Shutdown(grace) != nil {
				l.server.Close() //nolint:errcheck // it is late: cut off
			}
		})
	}
	all.Wait()
	for _, g := range d.guards {
		g.Wait(grace)
	}
	for range running {
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

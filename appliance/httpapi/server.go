package httpapi

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

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/publicapi"
	"vitrine/internal/logkey"
)

// Defaults of a zero Config.
const (
	DefaultListen      = "127.0.0.1:8080"
	DefaultAdminListen = "127.0.0.1:8081"
	DefaultMaxBody     = 32 << 20
	DefaultLimit       = 20
)

const (
	// maxHeader bounds what a connection may send before it is known; the
	// longest sane query string (500 session items) fits.
	maxHeader = 256 << 10
	// headerTimeout and bodyTimeout bound a slow sender; a body of 32 MiB then
	// needs 9 Mbit/s. idleTimeout is longer than what balancers keep (60 s), so
	// that they close first and no request meets a closing connection.
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	answerTimeout = 60 * time.Second
	idleTimeout   = 120 * time.Second
	// stopTimeout is how long running requests may take when the server stops.
	stopTimeout = 8 * time.Second
	// maxSocketPath is what the kernel takes, with a byte for its end; the
	// socket is made under a name with socketTemp and then renamed.
	maxSocketPath = 107
	socketTemp    = "~"
	// socketMode lets the owner's group use the command line.
	socketMode = 0o660
)

// Config says where to listen and how to answer. The zero value means the
// defaults above, no socket, and neither switch on.
type Config struct {
	// Listen and AdminListen are host:port.
	Listen, AdminListen string
	// Socket is the path of the admin socket; empty means none.
	Socket string
	// MaxBody is the most bytes of a body of events.
	MaxBody int64
	// Limit is how many items a list has when none is asked for.
	Limit int
	// EmptyForUnknown answers /recommend for users without events with {}.
	EmptyForUnknown bool
	// ExcludeSeen is what exclude_seen is when it is not given.
	ExcludeSeen bool
}

func (c *Config) fill() error {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.AdminListen == "" {
		c.AdminListen = DefaultAdminListen
	}
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	var errs []error
	if c.MaxBody < 0 {
		errs = append(errs, fmt.Errorf("httpapi: max body is %d", c.MaxBody))
	}
	if c.Limit < 1 || c.Limit > MaxLimit {
		errs = append(errs, fmt.Errorf("httpapi: limit is %d, must be 1 to %d", c.Limit, MaxLimit))
	}
	return errors.Join(errs...)
}

// Server answers on the three listeners. Make one with New.
type Server struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	api, admin, socket http.Handler

	// stopping ends when Run's context does: long requests watch it.
	stopping context.Context
	stop     context.CancelFunc

	listeners []listener
}

// listener is an open door and what answers behind it.
type listener struct {
	net.Listener
	server *http.Server
}

// New checks what it is given and builds the handlers. Nothing listens yet.
func New(cfg Config, deps Deps, log *slog.Logger) (*Server, error) {
	if err := errors.Join(cfg.fill(), deps.missing()); err != nil {
		return nil, err
	}
	if deps.Observer == nil {
		deps.Observer = silent{}
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Server{cfg: cfg, deps: deps, log: log}
	s.stopping, s.stop = context.WithCancel(context.Background())
	pub, adm := newPublic(s), &admin{s}

	api := s.newEcho()
	publicapi.RegisterHandlers(api, pub)
	s.api = headAsGet(api)

	guarded := s.newEcho()
	guarded.Use(s.guard)
	health := publicapi.ServerInterfaceWrapper{Handler: pub}
	guarded.GET("/livez", health.Live)
	guarded.GET("/readyz", health.Ready)
	guarded.GET("/openapi.json", health.Openapi)
	adminapi.RegisterHandlers(guarded, adm)
	profiles(guarded)
	s.admin = headAsGet(guarded)

	all := s.newEcho()
	publicapi.RegisterHandlers(all, pub)
	adminapi.RegisterHandlers(all, adm)
	profiles(all)
	s.socket = headAsGet(all)
	return s, nil
}

// API is what the API listener answers with.
func (s *Server) API() http.Handler { return s.api }

// Admin is what the admin listener answers with.
func (s *Server) Admin() http.Handler { return s.admin }

// Socket is what the admin socket answers with: every route, without a key.
func (s *Server) Socket() http.Handler { return s.socket }

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

// Listen opens the doors, all or none. Run does it when it was not done.
func (s *Server) Listen(ctx context.Context) error {
	var lc net.ListenConfig
	for _, door := range []struct {
		key, address string
		handler      http.Handler
	}{{"http.listen", s.cfg.Listen, s.api}, {"http.admin_listen", s.cfg.AdminListen, s.admin}} {
		l, err := lc.Listen(ctx, "tcp", door.address)
		if err != nil {
			s.closeListeners()
			return &ListenError{Key: door.key, Address: door.address, Err: cause(err)}
		}
		server := s.httpServer(door.handler)
		server.ReadTimeout, server.WriteTimeout = bodyTimeout, answerTimeout
		s.listeners = append(s.listeners, listener{l, server})
	}
	if s.cfg.Socket == "" {
		return nil
	}
	l, err := listenSocket(ctx, s.cfg.Socket)
	if err != nil {
		s.closeListeners()
		return &ListenError{Key: "data.dir", Address: s.cfg.Socket, Err: cause(err)}
	}
	// No timeouts: an import takes as long as it takes.
	s.listeners = append(s.listeners, listener{l, s.httpServer(s.socket)})
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

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.Close() //nolint:errcheck // nothing was accepted yet
	}
	s.listeners = nil
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
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

// Addresses are those that Listen got, with the port that the system chose
// where 0 was asked for.
func (s *Server) Addresses() (api, admin net.Addr) {
	if len(s.listeners) < 2 {
		return nil, nil
	}
	return s.listeners[0].Addr(), s.listeners[1].Addr()
}

// Run answers until ctx ends, then lets running requests finish, imports
// excepted: these stop and say so. It returns nil after a clean stop.
func (s *Server) Run(ctx context.Context) error {
	if s.listeners == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	if s.cfg.Socket != "" {
		defer os.Remove(s.cfg.Socket) //nolint:errcheck // the next start replaces it
	}
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		s.log.Info("listening", slog.String(logkey.Address, strings.TrimSuffix(l.Addr().String(), socketTemp)))
		go func() { failed <- l.server.Serve(l.Listener) }()
	}
	var err error
	running := len(s.listeners)
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
		running--
	}
	s.stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, l := range s.listeners {
		all.Go(func() {
			if l.server.Shutdown(grace) != nil {
				l.server.Close() //nolint:errcheck // it is late: cut off
			}
		})
	}
	all.Wait()
	for range running {
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/door"
	"vitrine/appliance/httpapi/early"
	"vitrine/appliance/httpapi/gate"
	"vitrine/appliance/httpapi/letters"
	"vitrine/appliance/httpapi/operate"
	"vitrine/appliance/httpapi/publicapi"
	"vitrine/appliance/httpapi/wire"
)

// Defaults of a zero Config.
const (
	DefaultListen      = "127.0.0.1:8080"
	DefaultAdminListen = "127.0.0.1:8081"
	DefaultMaxBody     = 32 << 20
	DefaultLimit       = 20
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
	// TLSCert and TLSKey are PEM files of the API listener; both or none.
	TLSCert, TLSKey string
	// AdminTLS has the admin listener use them too.
	AdminTLS bool
	// RateLimit is how many requests a second each key, or address where there
	// are no keys, may make of the API; 0 is no limit.
	RateLimit float64
	// ExcludeSeen is what exclude_seen is when it is not given.
	ExcludeSeen bool
}

// bodiesAtOnce is how many bodies of the largest size may be in memory.
const bodiesAtOnce = 8

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
	// bodies is the memory that large bodies may take together.
	bodies *admit.Budget

	// stopping ends when Run's context does: long requests watch it.
	stopping context.Context
	stop     context.CancelFunc

	doors *door.Doors
}

// New checks what it is given and builds the handlers. Nothing listens yet.
func New(cfg Config, deps Deps, log *slog.Logger) (*Server, error) {
	if err := errors.Join(cfg.fill(), deps.missing()); err != nil {
		return nil, err
	}
	if deps.Observer == nil {
		deps.Observer = silent{}
	}
	if deps.Served == nil {
		deps.Served = silent{}
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Server{cfg: cfg, deps: deps, log: log, bodies: admit.NewBudget(bodiesAtOnce * cfg.MaxBody)}
	guards, err := gate.New(gate.Options{
		Document: document, Keys: deps.Keys, AdminListen: cfg.AdminListen, Rates: admit.NewRates(cfg.RateLimit), Now: deps.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	pub, adm := newPublic(s), &admin{
		s, operate.New(operate.Deps{Jobs: deps.Jobs, Models: deps.Models, Plugins: deps.Plugins, Keys: deps.Keys}), letters.New(deps.DeadLetters),
	}

	api := s.newEcho()
	api.Use(guards.API)
	publicapi.RegisterHandlers(api, pub)
	s.api = wire.HeadAsGet(pub.quickly(func(h echo.HandlerFunc) echo.HandlerFunc { return s.shell(guards.API(h)) }, api))

	guarded := s.newEcho()
	guarded.Use(guards.Admin)
	health := publicapi.ServerInterfaceWrapper{Handler: pub}
	guarded.GET("/livez", health.Live)
	guarded.GET("/readyz", health.Ready)
	guarded.GET("/openapi.json", health.Openapi)
	adminapi.RegisterHandlers(guarded, adm)
	profiles(guarded)
	s.admin = wire.HeadAsGet(guarded)

	all := s.newEcho()
	publicapi.RegisterHandlers(all, pub)
	adminapi.RegisterHandlers(all, adm)
	profiles(all)
	s.socket = wire.HeadAsGet(all)
	return s, nil
}

// API is what the API listener answers with.
func (s *Server) API() http.Handler { return s.api }

// Admin is what the admin listener answers with.
func (s *Server) Admin() http.Handler { return s.admin }

// Socket is what the admin socket answers with: every route, without a key.
func (s *Server) Socket() http.Handler { return s.socket }

// Listen opens the doors, all or none. Run does it when it was not done.
func (s *Server) Listen(ctx context.Context) error {
	guard, err := s.early()
	if err != nil {
		return err
	}
	doors := []door.Door{
		{Key: "http.listen", Address: s.cfg.Listen, Handler: s.api, Guard: guard},
		{Key: "http.admin_listen", Address: s.cfg.AdminListen, Handler: s.admin},
	}
	if s.cfg.TLSCert != "" {
		certificate, err := door.LoadCertificate(s.cfg.TLSCert, s.cfg.TLSKey, s.log)
		if err != nil {
			return err
		}
		doors[0].Certificate = certificate
		if s.cfg.AdminTLS {
			doors[1].Certificate = certificate
		}
	}
	if s.cfg.Socket != "" {
		doors = append(doors, door.Door{Key: "data.dir", Address: s.cfg.Socket, Socket: true, Handler: s.socket})
	}
	open, err := door.Open(ctx, doors, s.log)
	s.doors = open
	return err
}

// early is what answers requests for lists at the API's door, and turns them
// away there; nil where nobody says which.
func (s *Server) early() (door.Guard, error) {
	if s.deps.Client == nil {
		return nil, nil
	}
	return early.New(early.Options{
		Client: s.deps.Client, Paths: []string{pathList, pathArticle}, Handler: s.api, Problem: wire.Overloaded(), Idle: door.IdleTimeout, Head: door.HeaderTimeout,
		Told: func(path string) { s.deps.Observer.Request(path, http.StatusServiceUnavailable, 0) },
	})
}

// Addresses are those that Listen got, with the port that the system chose
// where 0 was asked for.
func (s *Server) Addresses() (api, admin net.Addr) {
	if s.doors == nil {
		return nil, nil
	}
	return s.doors.Addr(0), s.doors.Addr(1)
}

// Run answers until ctx ends, then lets running requests finish, imports
// excepted: these stop and say so. It returns nil after a clean stop.
func (s *Server) Run(ctx context.Context) error {
	if s.doors == nil {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	return s.doors.Serve(ctx, s.stop)
}

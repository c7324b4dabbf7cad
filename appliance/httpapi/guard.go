package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// open lists the routes of the admin listener that need no key. Whatever is
// not in it is guarded, so a new route cannot be forgotten.
func open(path string) bool {
	switch path {
	case "/livez", "/readyz", "/openapi.json", "/metrics":
		return true
	}
	return path == "" // no such route: the answer is 404
}

// guard keeps strangers out of the admin listener: web pages first (a browser
// on this machine may be made to send requests here under a foreign name), then
// everyone without a key. There are no keys, so that is everyone; the socket
// is the way in.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if open(c.Path()) {
			return next(c)
		}
		r := c.Request()
		if !s.ownHost(r) {
			return &Problem{
				Status: http.StatusForbidden, Code: "foreign_host",
				Detail: fmt.Sprintf("the Host %.256q is not this listener", r.Host), Hint: "use the address that the admin listener is bound to",
			}
		}
		if origin := r.Header.Get("Origin"); origin != "" && !sameOrigin(origin, r.Host) {
			return &Problem{
				Status: http.StatusForbidden, Code: "foreign_origin",
				Detail: fmt.Sprintf("the Origin %.256q is not this listener", origin),
			}
		}
		c.Response().Header().Set("WWW-Authenticate", "Bearer")
		return &Problem{
			Status: http.StatusUnauthorized, Code: "key_required",
			Detail: "admin routes need a key here", Hint: "use the vitrine command on this machine: it goes through the admin socket",
		}
	}
}

// ownHost tells whether the Host header names this listener: this machine's
// loopback names, the configured host, or the address that the connection came
// in on.
func (s *Server) ownHost(r *http.Request) bool {
	host := hostOnly(r.Host)
	if host == "localhost" || host == hostOnly(s.cfg.AdminListen) {
		return host != ""
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	bound, err := netip.ParseAddrPort(local.String())
	return err == nil && bound.Addr().Unmap() == ip.Unmap()
}

// hostOnly takes the port and the brackets off.
func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// sameOrigin tells whether a page of origin is served by host itself.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

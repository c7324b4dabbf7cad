package gate

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/access"
	"vitrine/appliance/httpapi/wire"
)

// Admin keeps strangers out of the admin listener: web pages first (a browser
// on this machine may be made to send requests here under a foreign name), then
// everyone without an admin key. What the document does not have, such as
// Go's profiles, is guarded too.
func (g *Gate) Admin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		scope, known := g.scopes[route(c)]
		if !known {
			scope = access.Admin
		}
		if scope == open || c.Path() == "" { // without a path the answer is 404
			return next(c)
		}
		r := c.Request()
		if !g.ownHost(r) {
			return &wire.Problem{
				Status: http.StatusForbidden, Code: "foreign_host",
				Detail: fmt.Sprintf("the Host %.256q is not this listener", r.Host), Hint: "use the address that the admin listener is bound to",
			}
		}
		if origin := r.Header.Get("Origin"); origin != "" && !sameOrigin(origin, r.Host) {
			return &wire.Problem{
				Status: http.StatusForbidden, Code: "foreign_origin",
				Detail: fmt.Sprintf("the Origin %.256q is not this listener", origin),
			}
		}
		if _, err := g.key(c, scope); err != nil {
			return err
		}
		return next(c)
	}
}

// ownHost tells whether the Host header names this listener: this machine's
// loopback names, the configured host, or the address that the connection came
// in on.
func (g *Gate) ownHost(r *http.Request) bool {
	host := hostOnly(r.Host)
	if host == "localhost" || host == hostOnly(g.opt.AdminListen) {
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

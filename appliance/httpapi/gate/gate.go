// Package gate decides who may call a route: by the key's scope on the API, by
// key, host and origin on the admin listener, and how often.
//
// Which scope a route wants is read from the OpenAPI document that is served,
// so that what is written there is what is enforced; a route that says nothing
// wants an admin key. It owns no key: these are access's.
package gate

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/access"
	"vitrine/appliance/admit"
	"vitrine/appliance/httpapi/wire"
)

// open is the scope of routes that want no key.
const open access.Scope = ""

// Keys finds the key that a caller sent.
type Keys interface {
	// Required says whether callers of the API need a key at all.
	Required() bool
	Check(sent string) (*access.Key, bool)
}

// Options are what a gate needs.
type Options struct {
	// Document is the OpenAPI document as JSON.
	Document []byte
	Keys     Keys
	// AdminListen is the configured address of the admin listener.
	AdminListen string
	// Rates may be nil: then nobody is held back.
	Rates *admit.Rates
	Now   func() time.Time
}

// Gate checks requests. It is safe for concurrent use.
type Gate struct {
	opt    Options
	scopes map[operation]access.Scope
}

// operation is a route as the router names it.
type operation struct{ method, path string }

// New reads the scopes out of the document.
func New(opt Options) (*Gate, error) {
	scopes, err := readScopes(opt.Document)
	if err != nil {
		return nil, fmt.Errorf("read scopes of the OpenAPI document: %w", err)
	}
	return &Gate{opt: opt, scopes: scopes}, nil
}

// requirement is an entry of a security list: scopes by scheme.
type requirement struct {
	Key []access.Scope `json:"key"`
}

func scopeOf(list []requirement) (access.Scope, error) {
	switch {
	case len(list) == 0:
		return open, nil
	case len(list) == 1 && len(list[0].Key) == 1:
		return list[0].Key[0], nil
	}
	return open, fmt.Errorf("%v is not one scope of the scheme key", list)
}

// readScopes has an entry for every operation of the document.
func readScopes(document []byte) (map[operation]access.Scope, error) {
	var doc struct {
		Security []requirement                         `json:"security"`
		Paths    map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	usual, err := scopeOf(doc.Security)
	if err != nil {
		return nil, err
	}
	parameter := regexp.MustCompile(`\{([^}]+)\}`)
	out := map[operation]access.Scope{}
	for path, methods := range doc.Paths {
		for method, raw := range methods {
			var op struct {
				Security *[]requirement `json:"security"`
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			scope := usual
			if op.Security != nil {
				if scope, err = scopeOf(*op.Security); err != nil {
					return nil, fmt.Errorf("%s %s: %w", method, path, err)
				}
			}
			escaped := strings.ReplaceAll(path, ":", `\:`)
			out[operation{strings.ToUpper(method), parameter.ReplaceAllString(escaped, ":$1")}] = scope
		}
	}
	return out, nil
}

// route is the matched operation.
func route(c echo.Context) operation { return operation{c.Request().Method, c.Path()} }

// API lets those in whose key has the scope of the route, and not more often
// than they may.
func (g *Gate) API(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		scope, known := g.scopes[route(c)]
		if !known {
			// Only what is in the document is served here: the answer is 404 or 405.
			return next(c)
		}
		if scope == open {
			return next(c)
		}
		caller := ""
		if g.opt.Keys.Required() {
			key, err := g.key(c, scope)
			if err != nil {
				return err
			}
			caller = key.ID
		}
		if err := g.pace(c, caller); err != nil {
			return err
		}
		return next(c)
	}
}

// pace holds back who comes too often.
func (g *Gate) pace(c echo.Context, caller string) error {
	if g.opt.Rates == nil {
		return nil
	}
	if caller == "" {
		// The address of the connection: a header that names another is anybody's
		// to write.
		caller, _, _ = net.SplitHostPort(c.Request().RemoteAddr)
	}
	wait, ok := g.opt.Rates.Allow(caller, g.opt.Now())
	if ok {
		return nil
	}
	return &wire.Problem{
		Status: http.StatusTooManyRequests, Code: "rate_limited", RetryAfter: int(math.Ceil(wait.Seconds())),
		Detail: "more requests than http.rate_limit allows", Hint: "send fewer, or put more events into one request",
	}
}

// key is the caller's, if it has the scope.
func (g *Gate) key(c echo.Context, scope access.Scope) (*access.Key, error) {
	sent := bearer(c.Request().Header)
	key, ok := g.opt.Keys.Check(sent)
	if !ok {
		p := &wire.Problem{
			Status: http.StatusUnauthorized, Code: "key_required", Detail: "this route needs a key",
			Hint: "send the header Authorization: Bearer KEY; make a key with: vitrine key new NAME --scope " + string(scope),
		}
		challenge := "Bearer"
		if sent != "" {
			p.Code, p.Detail = "invalid_key", "the key is not known here"
			challenge = `Bearer error="invalid_token"`
		}
		c.Response().Header().Set("WWW-Authenticate", challenge)
		return nil, p
	}
	if key.Scope != scope {
		return nil, &wire.Problem{
			Status: http.StatusForbidden, Code: "wrong_scope",
			Detail: fmt.Sprintf("the key %s has the scope %s, this route wants %s", key.Name, key.Scope, scope),
			Hint:   "make a key with: vitrine key new NAME --scope " + string(scope),
		}
	}
	return key, nil
}

// bearer is the key in the Authorization header, "" where there is none.
func bearer(h http.Header) string {
	scheme, key, ok := strings.Cut(h.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(key)
}

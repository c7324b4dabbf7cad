package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// Live is GET /livez.
func (p *public) Live(c echo.Context) error {
	return health(c, "not_live", p.deps.Readiness.Live())
}

// Ready is GET /readyz.
func (p *public) Ready(c echo.Context) error {
	return health(c, "not_ready", p.deps.Readiness.Ready())
}

func health(c echo.Context, code string, err error) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if err != nil {
		return &Problem{Status: http.StatusServiceUnavailable, Code: code, Detail: err.Error(), RetryAfter: 1}
	}
	return send(c, http.StatusOK, []byte("{\"status\":\"ok\"}\n"))
}

// Openapi is GET /openapi.json.
func (p *public) Openapi(c echo.Context) error {
	return send(c, http.StatusOK, document)
}

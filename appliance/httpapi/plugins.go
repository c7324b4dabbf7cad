package httpapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/wire"
)

// maxInstall is the most bytes of an install's body: a module of 8 MiB, which
// is more than the host takes, in base64.
const maxInstall = 12 << 20

// append appends the call as JSON.
func (p *PluginCall) append(b []byte) []byte {
	for _, field := range [...][2]string{{`{"name":`, p.Name}, {`,"version":`, p.Version}, {`,"stage":`, p.Stage}, {`,"status":`, p.Status}} {
		b = appendString(append(b, field[0]...), field[1])
	}
	b = strconv.AppendInt(append(b, `,"micros":`...), p.Micros, 10)
	return append(b, '}')
}

// ListPlugins is GET /v1/plugins.
func (a *admin) ListPlugins(c echo.Context) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	return sendJSON(c, http.StatusOK, adminapi.PluginList{Plugins: a.deps.Plugins.List()})
}

// InstallPlugin is POST /v1/plugins.
func (a *admin) InstallPlugin(c echo.Context) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	var body adminapi.PluginInstall
	if err := wire.ReadJSONUpTo(c, &body, maxInstall); err != nil {
		return err
	}
	if body.Name == "" || len(body.Name) > 64 {
		return refuse("invalid_name", "name must have 1 to 64 bytes, not %d", len(body.Name))
	}
	plugin, err := a.deps.Plugins.Install(c.Request().Context(), body)
	if err != nil {
		return fmt.Errorf("install plugin %s: %w", body.Name, err)
	}
	return sendJSON(c, http.StatusOK, plugin)
}

// EnablePlugin is POST /v1/plugins/{name}/enable.
func (a *admin) EnablePlugin(c echo.Context, name string) error { return a.setPlugin(c, name, true) }

// DisablePlugin is POST /v1/plugins/{name}/disable.
func (a *admin) DisablePlugin(c echo.Context, name string) error { return a.setPlugin(c, name, false) }

func (a *admin) setPlugin(c echo.Context, name string, enabled bool) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	plugin, err := a.deps.Plugins.SetEnabled(c.Request().Context(), name, enabled)
	if err != nil {
		return fmt.Errorf("switch plugin %s: %w", name, err)
	}
	return sendJSON(c, http.StatusOK, plugin)
}

// RemovePlugin is DELETE /v1/plugins/{name}.
func (a *admin) RemovePlugin(c echo.Context, name string) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	if err := a.deps.Plugins.Remove(c.Request().Context(), name); err != nil {
		return fmt.Errorf("remove plugin %s: %w", name, err)
	}
	return c.NoContent(http.StatusNoContent)
}

package operate

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/wire"
)

// maxInstall is the most bytes of an install's body: a module of 8 MiB, which
// is more than the host takes, in base64.
const maxInstall = 12 << 20

// ListPlugins is GET /v1/plugins.
func (r *Routes) ListPlugins(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	return wire.SendJSON(c, http.StatusOK, adminapi.PluginList{Plugins: r.deps.Plugins.List()})
}

// InstallPlugin is POST /v1/plugins.
func (r *Routes) InstallPlugin(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	var body adminapi.PluginInstall
	if err := wire.ReadJSONUpTo(c, &body, maxInstall); err != nil {
		return err
	}
	if body.Name == "" || len(body.Name) > 64 {
		return wire.Refuse("invalid_name", "name must have 1 to 64 bytes, not %d", len(body.Name))
	}
	plugin, err := r.deps.Plugins.Install(c.Request().Context(), body)
	if err != nil {
		return fmt.Errorf("install plugin %s: %w", body.Name, err)
	}
	return wire.SendJSON(c, http.StatusOK, plugin)
}

// EnablePlugin is POST /v1/plugins/{name}/enable.
func (r *Routes) EnablePlugin(c echo.Context, name string) error { return r.setPlugin(c, name, true) }

// DisablePlugin is POST /v1/plugins/{name}/disable.
func (r *Routes) DisablePlugin(c echo.Context, name string) error { return r.setPlugin(c, name, false) }

func (r *Routes) setPlugin(c echo.Context, name string, enabled bool) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	plugin, err := r.deps.Plugins.SetEnabled(c.Request().Context(), name, enabled)
	if err != nil {
		return fmt.Errorf("switch plugin %s: %w", name, err)
	}
	return wire.SendJSON(c, http.StatusOK, plugin)
}

// RemovePlugin is DELETE /v1/plugins/{name}.
func (r *Routes) RemovePlugin(c echo.Context, name string) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	if err := r.deps.Plugins.Remove(c.Request().Context(), name); err != nil {
		return fmt.Errorf("remove plugin %s: %w", name, err)
	}
	return c.NoContent(http.StatusNoContent)
}

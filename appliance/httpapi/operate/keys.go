package operate

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/access"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/wire"
)

// ListKeys is GET /v1/keys.
func (r *Routes) ListKeys(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	answer := adminapi.KeyList{Keys: []adminapi.KeyInfo{}}
	for _, k := range r.deps.Keys.List() {
		answer.Keys = append(answer.Keys, adminapi.KeyInfo{Name: k.Name, Scope: adminapi.KeyScope(k.Scope), ID: k.ID, CreatedAt: k.Created})
	}
	return wire.SendJSON(c, http.StatusOK, answer)
}

// NewKey is POST /v1/keys.
func (r *Routes) NewKey(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	var body adminapi.KeyRequest
	if err := wire.ReadJSON(c, &body); err != nil {
		return err
	}
	secret, err := r.deps.Keys.New(body.Name, access.Scope(body.Scope))
	if err != nil {
		return keyProblem(err)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return wire.SendJSON(c, http.StatusCreated, adminapi.NewKey{Name: body.Name, Key: secret})
}

// RevokeKey is DELETE /v1/keys/{name}.
func (r *Routes) RevokeKey(c echo.Context, name string) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	if err := r.deps.Keys.Revoke(name); err != nil {
		return keyProblem(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func keyProblem(err error) error {
	switch {
	case errors.Is(err, access.ErrExists):
		return &wire.Problem{Status: http.StatusConflict, Code: "key_exists", Detail: err.Error(), Hint: "choose another name, or revoke that key first"}
	case errors.Is(err, access.ErrUnknown):
		return &wire.Problem{Status: http.StatusNotFound, Code: "unknown_key", Detail: err.Error(), Hint: "vitrine key list shows them"}
	case errors.Is(err, access.ErrInvalid):
		return wire.Refuse("invalid_key", "%v", err)
	}
	return fmt.Errorf("change keys: %w", err)
}

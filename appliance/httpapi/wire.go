package httpapi

import (
	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/wire"
)

// Problem is an error answer (RFC 9457); parts behind the handlers return one
// to choose the whole answer.
type Problem = wire.Problem

// Errors that the parts behind the handlers answer with; see wire.
var (
	ErrBusy        = wire.ErrBusy
	ErrDiskFull    = wire.ErrDiskFull
	ErrUnavailable = wire.ErrUnavailable
	ErrUnsure      = wire.ErrUnsure
	ErrClosed      = wire.ErrClosed
	ErrNotFound    = wire.ErrNotFound
)

// MaxLimit is the longest list that can be asked for.
const MaxLimit = wire.MaxLimit

// What handlers say often, in fewer letters.

func refuse(code, format string, args ...any) *Problem { return wire.Refuse(code, format, args...) }

func badLimit() *Problem { return wire.BadLimit() }

func onlyParams(c echo.Context, known ...string) error { return wire.OnlyParams(c, known...) }

func checkID(name, id string) error { return wire.CheckID(name, id) }

func readJSON(c echo.Context, dst any) error { return wire.ReadJSON(c, dst) }

func send(c echo.Context, status int, body []byte) error { return wire.Send(c, status, body) }

func sendJSON(c echo.Context, status int, v any) error { return wire.SendJSON(c, status, v) }

func appendString(b []byte, s string) []byte { return wire.AppendString(b, s) }

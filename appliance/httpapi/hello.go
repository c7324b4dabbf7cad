package httpapi

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// helloItems is how many ids the reference answers, the default of a list.
const helloItems = DefaultLimit

// Hello answers GET / with a list of item ids that is always the same, in the
// plainest way the web framework has: what a benchmark holds the appliance's
// own answers against, since no handler on this framework can be cheaper by
// much.
func Hello() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	ids := make([]string, helloItems)
	for i := range ids {
		ids[i] = "i" + strconv.Itoa(10000+i)
	}
	e.GET("/", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string][]string{"recommendations": ids})
	})
	return e
}

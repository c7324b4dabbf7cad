package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/listquery"
	"vitrine/appliance/httpapi/publicapi"
)

// The routes that nearly all requests are for.
const (
	pathList    = "/v1/recommend"
	pathArticle = "/recommend"
)

// quickly answers the routes of lists by GET before the router: with what is
// around a handler composed once, not for each request, and with their query
// read into memory that is used again. What the document says of a parameter
// stays the generated code's to enforce: a query that is unusual in any way goes
// there.
func (p *public) quickly(around echo.MiddlewareFunc, e *echo.Echo) http.Handler {
	generated := publicapi.ServerInterfaceWrapper{Handler: p}
	list, article := around(p.quickList(generated.Recommend)), around(p.quickArticle(generated.ArticleRecommend))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler := list
		switch {
		case r.Method != http.MethodGet || r.URL.RawPath != "":
			handler = nil
		case r.URL.Path == pathArticle:
			handler = article
		case r.URL.Path != pathList:
			handler = nil
		}
		if handler == nil {
			e.ServeHTTP(w, r)
			return
		}
		c := e.AcquireContext()
		c.Reset(r, w)
		c.SetPath(r.URL.Path)
		if err := handler(c); err != nil {
			e.HTTPErrorHandler(err, c)
		}
		e.ReleaseContext(c)
	})
}

func (p *public) quickList(otherwise echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		l := p.get(c)
		defer p.pool.Put(l)
		if !l.read.Query(c.Request().URL.RawQuery) {
			return otherwise(c)
		}
		listquery.Spread(&l.read.Body, p.deps.Items)
		if err := p.ask(c, l, &l.read.Body, &l.read.Fields); err != nil {
			return err
		}
		return p.sendList(c, l, "user_id", l.query.UserID)
	}
}

func (p *public) quickArticle(otherwise echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		l := p.get(c)
		defer p.pool.Put(l)
		// A parameter other than these two has no effect here.
		if !l.read.Query(c.Request().URL.RawQuery) {
			return otherwise(c)
		}
		params := publicapi.ArticleRecommendParams{Limit: l.read.Body.Limit}
		if l.read.Body.UserID != "" {
			params.UserID = &l.read.Body.UserID
		}
		return p.ArticleRecommend(c, params)
	}
}

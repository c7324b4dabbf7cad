package httpapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

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
		if !l.read(c.Request().URL.RawQuery) {
			return otherwise(c)
		}
		if err := p.ask(c, l, &l.body, &l.names); err != nil {
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
		if !l.read(c.Request().URL.RawQuery) {
			return otherwise(c)
		}
		params := publicapi.ArticleRecommendParams{Limit: l.body.Limit}
		if l.body.UserID != "" {
			params.UserID = &l.body.UserID
		}
		return p.ArticleRecommend(c, params)
	}
}

// read takes a query apart; false when there is anything in it that the generated
// code could mean otherwise, or refuse.
func (l *listing) read(query string) bool {
	l.body = publicapi.RecommendRequest{Session: l.body.Session[:0], Exclude: l.body.Exclude[:0]}
	l.names = l.names[:0]
	for more := query != ""; more; {
		var pair string
		pair, query, more = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if strings.ContainsAny(value, "%+;") {
			var err error
			if value, err = url.QueryUnescape(value); err != nil {
				return false
			}
		}
		if value == "" || !l.take(name, value) {
			return false
		}
	}
	return true
}

// take takes one parameter that is not empty.
func (l *listing) take(name, value string) bool {
	b := &l.body
	switch name {
	case "user_id":
		return once(&b.UserID, value)
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil || b.Limit != nil {
			return false
		}
		l.limit = n
		b.Limit = &l.limit
	case "session":
		b.Session = append(b.Session, value)
	case "exclude":
		b.Exclude = append(b.Exclude, value)
	case "fields":
		l.names = append(l.names, value)
	case "filter":
		return once(&b.Filter, value)
	case "scene":
		return once(&b.Scene, value)
	case "after":
		return once(&b.After, value)
	case "explain":
		return once(&b.Explain, value)
	case "exclude_seen":
		return l.flag(&b.ExcludeSeen, &l.flags[0], value)
	case "personalized":
		return l.flag(&b.Personalized, &l.flags[1], value)
	default:
		return false
	}
	return true
}

// once sets a text that may be given once.
func once(field *string, value string) bool {
	if *field != "" {
		return false
	}
	*field = value
	return true
}

// flag sets a truth value that may be given once, in the given memory.
func (l *listing) flag(field **bool, memory *bool, value string) bool {
	if *field != nil || value != "true" && value != "false" {
		return false
	}
	*memory = value == "true"
	*field = memory
	return true
}

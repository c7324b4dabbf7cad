package httpapi

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/publicapi"
)

// ListQuery asks for a list that is the same for everybody.
type ListQuery struct {
	Limit int
	// Filter and Category are conditions on attributes that both hold; empty
	// means none.
	Filter, Category string
	// Window is how far back to look; 0 is without end.
	Window time.Duration
	// Now is Unix milliseconds.
	Now int64
}

// Lists makes the lists that are the same for everybody. They may be asked for
// concurrently.
type Lists interface {
	Popular(ctx context.Context, q *ListQuery, list *List) error
	Trending(ctx context.Context, q *ListQuery, list *List) error
	Latest(ctx context.Context, q *ListQuery, list *List) error
}

// PopularItems is GET /v1/popular.
func (p *public) PopularItems(c echo.Context, params publicapi.PopularItemsParams) error {
	l := p.get(c)
	defer p.pool.Put(l)
	q, err := l.recent(c, commonParams{params.Limit, params.Fields, params.Filter, params.Category}, (*string)(params.Window))
	if err != nil {
		return err
	}
	l.kind = "popular"
	if err := p.deps.Recommender.Popular(c.Request().Context(), &q, &l.list); err != nil {
		return fmt.Errorf("list popular items: %w", err)
	}
	if l.list.Source != SourceLive && l.list.Reason == "" {
		l.list.Reason = "not_personalized"
	}
	return p.sendList(c, l, "", "")
}

// TrendingItems is GET /v1/trending.
func (p *public) TrendingItems(c echo.Context, params publicapi.TrendingItemsParams) error {
	l := p.get(c)
	defer p.pool.Put(l)
	q, err := l.recent(c, commonParams{params.Limit, params.Fields, params.Filter, params.Category}, (*string)(params.Window))
	if err != nil {
		return err
	}
	l.kind = "trending"
	if err := p.deps.Recommender.Trending(c.Request().Context(), &q, &l.list); err != nil {
		return fmt.Errorf("list trending items: %w", err)
	}
	return p.sendList(c, l, "", "")
}

// LatestItems is GET /v1/latest.
func (p *public) LatestItems(c echo.Context, params publicapi.LatestItemsParams) error {
	l := p.get(c)
	defer p.pool.Put(l)
	q, err := l.common(c, commonParams{params.Limit, params.Fields, params.Filter, params.Category}, "window")
	if err != nil {
		return err
	}
	if params.Window != nil {
		if q.Window, err = parseWindow(*params.Window); err != nil {
			return err
		}
	}
	l.kind = "latest"
	if err := p.deps.Recommender.Latest(c.Request().Context(), &q, &l.list); err != nil {
		return fmt.Errorf("list the latest items: %w", err)
	}
	return p.sendList(c, l, "", "")
}

// commonParams are what every such list takes.
type commonParams struct {
	limit            *int
	fields           *[]string
	filter, category *string
}

// common checks them; further names the route's other parameters.
func (l *listing) common(c echo.Context, in commonParams, further ...string) (ListQuery, error) {
	if err := onlyParams(c, append([]string{"limit", "fields", "filter", "category"}, further...)...); err != nil {
		return ListQuery{}, err
	}
	if in.filter != nil {
		l.query.Filter = *in.filter
	}
	category := ""
	if in.category != nil {
		var err error
		if category, err = categoryFilter(*in.category); err != nil {
			return ListQuery{}, err
		}
	}
	if err := l.query.check(in.limit); err != nil {
		return ListQuery{}, err
	}
	if err := l.setFields(in.fields); err != nil {
		return ListQuery{}, err
	}
	return ListQuery{Limit: l.query.Limit, Filter: l.query.Filter, Category: category, Now: l.query.Now}, nil
}

// recent is common for lists of what was done within a window of events.
func (l *listing) recent(c echo.Context, in commonParams, window *string) (q ListQuery, err error) {
	if q, err = l.common(c, in, "window"); err != nil {
		return q, err
	}
	q.Window, err = eventWindow(window)
	return q, err
}

// categoryFilter is the condition that an item is of a category.
func categoryFilter(category string) (string, error) {
	if category == "" || len(category) > 256 || !utf8.ValidString(category) {
		return "", refuse("invalid_category", "category must be UTF-8 of 1 to 256 bytes")
	}
	return "category == " + strconv.Quote(category), nil
}

// eventWindow is one of the windows of events that the document has; nil is
// none. They are few, because each takes a look at every history.
func eventWindow(text *string) (time.Duration, error) {
	if text == nil {
		return 0, nil
	}
	known := []string{"1h", "6h", "12h", "1d", "3d", "7d", "14d", "30d", "90d"}
	if !slices.Contains(known, *text) {
		return 0, refuse("invalid_window", "window must be one of %s, not %.20q", strings.Join(known, ", "), *text)
	}
	return parseWindow(*text)
}

// parseWindow reads a whole number of seconds, minutes, hours or days.
func parseWindow(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	if n := len(text) - 1; n > 0 && n <= 5 && text[0] != '0' {
		number, err := strconv.ParseUint(text[:n], 10, 32)
		if unit, ok := units[text[n]]; ok && err == nil {
			return time.Duration(number) * unit, nil
		}
	}
	return 0, refuse("invalid_window", "window must be a whole number of s, m, h or d").With("such as window=12h or window=7d")
}

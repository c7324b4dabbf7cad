package httpapi

import (
	"context"
	"io"
	"strconv"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
)

// headerRows says how many rows to expect of an export.
const headerRows = "X-Vitrine-Rows"

// ExportRequest says which table is wanted.
type ExportRequest struct {
	Kind adminapi.ExportKind
	// Limit is the length of lists; 0 is the configured one.
	Limit int
}

// Exporter writes tables of what the appliance has.
type Exporter interface {
	// Export writes the rows and the last line. It calls begin before the first
	// of them, with how many to expect. It gives up when ctx ends.
	Export(ctx context.Context, req ExportRequest, w io.Writer, begin func(rows int64)) error
}

// Export is GET /v1/export/{kind}.
func (a *admin) Export(c echo.Context, kind adminapi.ExportKind, params adminapi.ExportParams) error {
	if err := onlyParams(c, "limit"); err != nil {
		return err
	}
	req := ExportRequest{Kind: kind}
	switch {
	case !kind.Valid():
		return refuse("invalid_kind", "kind must be events, items, users, model or recommendations, not %.64q", string(kind))
	case params.Limit == nil:
	case *params.Limit < 1 || *params.Limit > MaxLimit:
		return badLimit()
	case kind != adminapi.ExportRecommendations:
		return refuse("invalid_limit", "only lists have a limit, %s have none", kind)
	default:
		req.Limit = *params.Limit
	}
	return a.stream(c, "export "+string(kind), "application/x-ndjson", func(ctx context.Context, w io.Writer) error {
		return a.deps.Exporter.Export(ctx, req, w, func(rows int64) {
			c.Response().Header().Set(headerRows, strconv.FormatInt(rows, 10))
		})
	})
}

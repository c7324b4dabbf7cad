package intake

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/event"
)

// maxItems is the most items of one POST /v1/items:batch.
const maxItems = 10_000

// PutItems is POST /v1/items:batch.
func (r *Routes) PutItems(c echo.Context) error {
	return r.ingest(c, &route{path: "/v1/items:batch", media: []string{mediaJSON}, check: checkItems, parse: (*batch).parseItem, context: []byte("Path: /v1/items:batch\r\n")})
}

// checkItems refuses a body that is no array, or too long a one, before
// anything of it is kept.
func checkItems(body []byte) error {
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte{'['}) {
		return wire.Refuse("invalid_json", "the body must be an array of items").With(`send [{"item_id":"i1","attributes":{"price":9.5}}]`)
	}
	count := 0
	//nolint:errcheck // nothing in it fails
	event.SplitBatch(mediaJSON, body, func(int, []byte) error { count++; return nil })
	if count > maxItems {
		return &wire.Problem{
			Status: http.StatusRequestEntityTooLarge, Code: "too_many_items",
			Detail: fmt.Sprintf("%d items in one request, the most is %d", count, maxItems), Hint: "send them in several requests",
		}
	}
	return nil
}

// parseItem reads one element of the batch.
func (b *batch) parseItem(raw []byte, r *event.Record) *event.Invalid {
	return entities.ParseItem(raw, b.now.UnixMilli(), r)
}

package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/publicapi"
	"vitrine/bridge/event"
)

// sourceHTTP is the source of records and letters that came by this package.
const sourceHTTP = "http"

// itemWrite is the body of PUT /v1/items/{id} with its values still raw: the
// attributes are typed by bridge/event, as those of imported files are.
type itemWrite struct {
	Attributes json.RawMessage `json:"attributes"`
	ExpiresAt  json.RawMessage `json:"expires_at"`
}

// PutItem is PUT /v1/items/{id}.
func (p *public) PutItem(c echo.Context, id publicapi.ItemID) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	if err := checkID("id", id); err != nil {
		return err
	}
	var body itemWrite
	if err := readJSON(c, &body); err != nil {
		return fmt.Errorf("read item: %w", err)
	}
	if len(body.Attributes) == 0 {
		return refuse("missing_attributes", "the body has no attributes").with(`send {"attributes":{"category":"books","price":9.5}}`)
	}
	record := event.Record{Kind: event.KindItemPut, Source: event.Source{Name: sourceHTTP}}
	record.Item.ID, record.Item.Time = id, p.deps.Now().UnixMilli()
	var inv *event.Invalid
	if record.Item.Attributes, inv = event.ParseAttributes(body.Attributes); inv != nil {
		return refuse(inv.Code, "%s", inv.Detail)
	}
	var err error
	if record.Item.ExpiresAt, err = expiry(body.ExpiresAt); err != nil {
		return err
	}
	ctx, cancel := p.submitContext(c)
	defer cancel()
	item := record.Item
	if _, err := p.deps.Ingester.Submit(ctx, []event.Record{record}); err != nil {
		return fmt.Errorf("put item: %w", err)
	}
	return send(c, http.StatusOK, appendItem(nil, &item))
}

// GetItem is GET /v1/items/{id}.
func (p *public) GetItem(c echo.Context, id publicapi.ItemID) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	if err := checkID("id", id); err != nil {
		return err
	}
	item, ok := p.deps.Items.Item(id)
	if !ok {
		return unknownItem(ErrNotFound, id)
	}
	item.ID = id
	return send(c, http.StatusOK, appendItem(nil, &item))
}

// expiry reads expires_at: RFC 3339 text, Unix milliseconds, or nothing.
func expiry(raw json.RawMessage) (int64, error) {
	bad := refuse("invalid_expires_at", "expires_at must be RFC 3339 text or Unix milliseconds, not %.64s", string(raw))
	switch {
	case len(raw) == 0, bytes.Equal(raw, []byte("null")):
		return 0, nil
	case raw[0] == '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, bad
		}
		if ms, ok := event.ParseTime(text, time.UTC); ok && ms > 0 {
			return ms, nil
		}
	default:
		if ms, err := strconv.ParseInt(string(raw), 10, 64); err == nil && ms > 0 && time.UnixMilli(ms).Year() <= 9999 {
			return ms, nil
		}
	}
	return 0, bad
}

func appendItem(b []byte, item *event.Item) []byte {
	b = appendString(append(b, `{"item_id":`...), item.ID)
	b = event.AppendAttributesJSON(append(b, `,"attributes":`...), item.Attributes)
	if item.ExpiresAt != 0 {
		b = append(b, `,"expires_at":"`...)
		b = time.UnixMilli(item.ExpiresAt).UTC().AppendFormat(b, "2006-01-02T15:04:05.999Z07:00")
		b = append(b, '"')
	}
	return append(b, "}\n"...)
}

func unknownItem(err error, id string) error {
	if errors.Is(err, ErrNotFound) {
		return &Problem{Status: http.StatusNotFound, Code: "unknown_item", Detail: fmt.Sprintf("there is no item %q", id)}
	}
	return fmt.Errorf("look up item: %w", err)
}

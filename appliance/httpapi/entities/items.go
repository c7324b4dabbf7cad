package entities

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
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/event"
)

// itemWrite is the body of PUT and PATCH /v1/items/{id} with its values still
// raw: the attributes are typed by bridge/event, as those of imported files
// are.
type itemWrite struct {
	Attributes json.RawMessage `json:"attributes"`
	ExpiresAt  json.RawMessage `json:"expires_at"`
}

// PutItem is PUT /v1/items/{id}.
func (r *Routes) PutItem(c echo.Context, id publicapi.ItemID, _ publicapi.PutItemParams) error {
	var body itemWrite
	if err := readWrite(c, id, &body); err != nil {
		return err
	}
	it := event.Item{ID: id, Time: r.deps.Now().UnixMilli()}
	var err error
	if it.Attributes, err = putAttributes(body.Attributes); err != nil {
		return err
	}
	if err := complete(&it, body.ExpiresAt); err != nil {
		return err
	}
	return r.writeItem(c, id, func() error {
		if err := r.submit(c, event.Record{Kind: event.KindItemPut, Item: it}); err != nil {
			return fmt.Errorf("put item: %w", err)
		}
		return answer(c, appendItem(nil, &it))
	})
}

// PatchItem is PATCH /v1/items/{id}.
func (r *Routes) PatchItem(c echo.Context, id publicapi.ItemID, _ publicapi.PatchItemParams) error {
	var body itemWrite
	if err := readWrite(c, id, &body); err != nil {
		return err
	}
	it := event.Item{ID: id, Time: r.deps.Now().UnixMilli()}
	var err error
	switch {
	case bytes.Equal(body.ExpiresAt, []byte("null")):
		return wire.Refuse("invalid_expires_at", "a patch cannot take expires_at away").With("PUT the item without it")
	case len(body.Attributes) > 0 || len(body.ExpiresAt) == 0:
		known, _ := r.deps.Items.Item(id)
		if it.Attributes, err = patchAttributes(known.Attributes, body.Attributes); err != nil {
			return err
		}
	}
	if err := complete(&it, body.ExpiresAt); err != nil {
		return err
	}
	return r.writeItem(c, id, func() error {
		if err := r.submit(c, event.Record{Kind: event.KindItemPatch, Item: it}); err != nil {
			return fmt.Errorf("patch item: %w", err)
		}
		return r.sendItem(c, id)
	})
}

// DeleteItem is DELETE /v1/items/{id}.
func (r *Routes) DeleteItem(c echo.Context, id publicapi.ItemID, _ publicapi.DeleteItemParams) error {
	if err := checkRead(c, id); err != nil {
		return err
	}
	return r.writeItem(c, id, func() error {
		if !r.deps.Items.Seen(id) {
			return unknownItem(id)
		}
		it := event.Item{ID: id, Time: r.deps.Now().UnixMilli()}
		if err := r.submit(c, event.Record{Kind: event.KindItemDelete, Item: it}); err != nil {
			return fmt.Errorf("delete item: %w", err)
		}
		return c.NoContent(http.StatusNoContent)
	})
}

func (r *Routes) writeItem(c echo.Context, id string, write func() error) error {
	return r.guarded(c, "item "+id, func() []byte { return r.item(id) }, write)
}

// GetItem is GET /v1/items/{id}.
func (r *Routes) GetItem(c echo.Context, id publicapi.ItemID, _ publicapi.GetItemParams) error {
	if err := checkRead(c, id); err != nil {
		return err
	}
	return r.sendItem(c, id)
}

// item is what is known of an item, nil where nothing is.
func (r *Routes) item(id string) []byte {
	item, ok := r.deps.Items.Item(id)
	if !ok {
		return nil
	}
	item.ID = id
	return appendItem(nil, &item)
}

// sendItem answers with what is known of an item.
func (r *Routes) sendItem(c echo.Context, id string) error {
	body := r.item(id)
	switch {
	case body == nil:
		return unknownItem(id).With("PUT it first; one known by events alone has no attributes to show")
	case c.Request().Method == http.MethodGet && unchanged(c, body):
		c.Response().Header().Set("ETag", tagOf(body))
		return c.NoContent(http.StatusNotModified)
	}
	return answer(c, body)
}

// ParseItem reads one element of a batch of items; at is Unix milliseconds.
func ParseItem(raw []byte, at int64, r *event.Record) *event.Invalid {
	// The id is read as that of an event: text, or an integer kept as text.
	var id event.Event
	if _, inv := event.ParseEvent(raw, &id); inv != nil {
		return inv
	}
	var body struct {
		ItemID json.RawMessage `json:"item_id"`
		itemWrite
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		return invalid(wire.BadJSON(err, &body))
	}
	r.Kind = event.KindItemPut
	r.Item.ID, r.Item.Time = id.ItemID, at
	var err error
	if r.Item.Attributes, err = putAttributes(body.Attributes); err != nil {
		return invalid(err)
	}
	if err := complete(&r.Item, body.ExpiresAt); err != nil {
		return invalid(err)
	}
	return nil
}

// invalid makes the fault of one element out of what would be the answer to a
// request of its own.
func invalid(err error) *event.Invalid {
	var p *wire.Problem
	if errors.As(err, &p) {
		return &event.Invalid{Code: p.Code, Detail: p.Detail}
	}
	return &event.Invalid{Code: event.CodeInvalidJSON, Detail: err.Error()}
}

// complete reads expires_at into the item, which is whole then, and checks it.
func complete(it *event.Item, raw json.RawMessage) error {
	var err error
	if it.ExpiresAt, err = expiry(raw); err != nil {
		return err
	}
	if inv := it.Validate(); inv != nil {
		return wire.Refuse(inv.Code, "%s", inv.Detail)
	}
	return nil
}

// expiry reads expires_at: RFC 3339 text, Unix milliseconds, or nothing.
func expiry(raw json.RawMessage) (int64, error) {
	switch {
	case len(raw) == 0, bytes.Equal(raw, []byte("null")):
		return 0, nil
	case raw[0] == '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			break
		}
		if ms, ok := event.ParseTime(text, time.UTC); ok && ms > 0 {
			return ms, nil
		}
	default:
		if ms, err := strconv.ParseInt(string(raw), 10, 64); err == nil && ms > 0 && time.UnixMilli(ms).Year() <= 9999 {
			return ms, nil
		}
	}
	return 0, wire.Refuse("invalid_expires_at", "expires_at must be RFC 3339 text or Unix milliseconds, not %.64s", string(raw))
}

func appendItem(b []byte, item *event.Item) []byte {
	b = wire.AppendString(append(b, `{"item_id":`...), item.ID)
	b = event.AppendAttributesJSON(append(b, `,"attributes":`...), item.Attributes)
	if item.ExpiresAt != 0 {
		b = event.AppendTimeJSON(append(b, `,"expires_at":`...), item.ExpiresAt)
	}
	return append(b, "}\n"...)
}

// UnknownItem is the answer to a look-up that failed.
func UnknownItem(err error, id string) error {
	if errors.Is(err, wire.ErrNotFound) {
		return unknownItem(id).With("PUT it, or send an event of it")
	}
	return fmt.Errorf("look up item: %w", err)
}

func unknownItem(id string) *wire.Problem {
	return &wire.Problem{Status: http.StatusNotFound, Code: "unknown_item", Detail: fmt.Sprintf("there is no item %q", id)}
}

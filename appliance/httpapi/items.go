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
	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/event"
)

// sourceHTTP is the source of records and letters that came by this package.
const sourceHTTP = "http"

// itemWrite is the body of PUT and PATCH /v1/items/{id} with its values still
// raw: the attributes are typed by bridge/event, as those of imported files
// are.
type itemWrite struct {
	Attributes json.RawMessage `json:"attributes"`
	ExpiresAt  json.RawMessage `json:"expires_at"`
}

// PutItem is PUT /v1/items/{id}.
func (p *public) PutItem(c echo.Context, id publicapi.ItemID) error {
	var body itemWrite
	if err := readWrite(c, id, &body); err != nil {
		return err
	}
	it := event.Item{ID: id, Time: p.deps.Now().UnixMilli()}
	var err error
	if it.Attributes, err = putAttributes(body.Attributes); err != nil {
		return err
	}
	if it.ExpiresAt, err = expiry(body.ExpiresAt); err != nil {
		return err
	}
	if err := p.submitOne(c, event.Record{Kind: event.KindItemPut, Item: it}); err != nil {
		return fmt.Errorf("put item: %w", err)
	}
	return send(c, http.StatusOK, appendItem(nil, &it))
}

// PatchItem is PATCH /v1/items/{id}.
func (p *public) PatchItem(c echo.Context, id publicapi.ItemID) error {
	var body itemWrite
	if err := readWrite(c, id, &body); err != nil {
		return err
	}
	it := event.Item{ID: id, Time: p.deps.Now().UnixMilli()}
	var err error
	switch {
	case bytes.Equal(body.ExpiresAt, []byte("null")):
		return refuse("invalid_expires_at", "a patch cannot take expires_at away").With("PUT the item without it")
	case len(body.Attributes) > 0 || len(body.ExpiresAt) == 0:
		known, _ := p.deps.Items.Item(id)
		if it.Attributes, err = patchAttributes(known.Attributes, body.Attributes); err != nil {
			return err
		}
	}
	if it.ExpiresAt, err = expiry(body.ExpiresAt); err != nil {
		return err
	}
	if err := p.submitOne(c, event.Record{Kind: event.KindItemPatch, Item: it}); err != nil {
		return fmt.Errorf("patch item: %w", err)
	}
	return p.sendItem(c, id)
}

// GetItem is GET /v1/items/{id}.
func (p *public) GetItem(c echo.Context, id publicapi.ItemID) error {
	if err := onlyParams(c); err != nil {
		return err
	}
	if err := checkID("id", id); err != nil {
		return err
	}
	return p.sendItem(c, id)
}

// sendItem answers with what is known of an item.
func (p *public) sendItem(c echo.Context, id string) error {
	item, ok := p.deps.Items.Item(id)
	if !ok {
		return unknownItem(ErrNotFound, id)
	}
	item.ID = id
	return send(c, http.StatusOK, appendItem(nil, &item))
}

// maxItems is the most items of one POST /v1/items:batch.
const maxItems = 10_000

// PutItems is POST /v1/items:batch.
func (p *public) PutItems(c echo.Context) error {
	return p.ingest(c, &intake{route: "/v1/items:batch", media: []string{mediaJSON}, check: checkItems, parse: (*batch).parseItem})
}

// checkItems refuses a body that is no array, or too long a one, before
// anything of it is kept.
func checkItems(body []byte) error {
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte{'['}) {
		return refuse("invalid_json", "the body must be an array of items").With(`send [{"item_id":"i1","attributes":{"price":9.5}}]`)
	}
	count := 0
	//nolint:errcheck // nothing in it fails
	event.SplitBatch(mediaJSON, body, func(int, []byte) error { count++; return nil })
	if count > maxItems {
		return &Problem{
			Status: http.StatusRequestEntityTooLarge, Code: "too_many_items",
			Detail: fmt.Sprintf("%d items in one request, the most is %d", count, maxItems), Hint: "send them in several requests",
		}
	}
	return nil
}

// parseItem reads one element of the batch.
func (b *batch) parseItem(raw []byte, r *event.Record) *event.Invalid {
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
		return invalid(wire.BadJSON(err))
	}
	r.Kind = event.KindItemPut
	r.Item.ID, r.Item.Time = id.ItemID, b.now.UnixMilli()
	var err error
	if r.Item.Attributes, err = putAttributes(body.Attributes); err != nil {
		return invalid(err)
	}
	if r.Item.ExpiresAt, err = expiry(body.ExpiresAt); err != nil {
		return invalid(err)
	}
	return r.Item.Validate()
}

// invalid makes the fault of one element out of what would be the answer to a
// request of its own.
func invalid(err error) *event.Invalid {
	var p *Problem
	if errors.As(err, &p) {
		return &event.Invalid{Code: p.Code, Detail: p.Detail}
	}
	return &event.Invalid{Code: event.CodeInvalidJSON, Detail: err.Error()}
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

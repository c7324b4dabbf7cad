// Package entities answers the routes of single items and users: their
// attributes, written and read under conditions (ETag), their end, and a
// user's history.
//
// It owns these routes' behaviour; what is known of items and users, and the
// log that changes go into, come through interfaces. It imports nothing of
// this module but the canonical records, the form of requests and answers, and
// the generated parameters.
package entities

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/wire"
	"vitrine/bridge/event"
)

// Source is the source of records that came by HTTP.
const Source = "http"

// submitTimeout is how long a request waits for the log before it is told to
// come again.
const submitTimeout = 10 * time.Second

// Result is what became of submitted records.
type Result struct{ Accepted, Duplicate int }

// Ingester puts records into the durable log; see httpapi.
type Ingester interface {
	Submit(ctx context.Context, records []event.Record) (Result, error)
}

// Items looks attributes up; false means that none are known.
type Items interface {
	Item(id string) (event.Item, bool)
	// Attributes appends those of an item to dst, sorted by name.
	Attributes(id string, dst []event.Attribute) []event.Attribute
	// Seen says whether there are events or attributes of an item, and it was
	// not deleted since.
	Seen(id string) bool
}

// Users looks attributes up; false means that none are known.
type Users interface {
	User(id string) (event.User, bool)
	// Erased tells of a user's newest erasure.
	Erased(id string) (Erasure, bool)
	// History appends the events that count of a user, newest first.
	History(id string, dst []Past) []Past
}

// Erasure is how far the erasure of a user is; times are Unix milliseconds.
type Erasure struct {
	At int64
	// Done is when the files held nothing of him any more; 0 while they do.
	Done int64
	// Events, Places and Changes are rows of the archive that were taken out,
	// Letters dead letters, Models versions that named him.
	Events, Places, Changes, Letters, Models int64
}

// Past is one event of a history.
type Past struct {
	ItemID, Type string
	// Time is Unix milliseconds.
	Time     int64
	Value    float32
	HasValue bool
}

// Deps are the parts behind the routes.
type Deps struct {
	Ingester Ingester
	Items    Items
	Users    Users
	Now      func() time.Time
}

// Routes answers them.
type Routes struct {
	deps Deps
	// writing are the ids that a write under a condition is under way for.
	writing sync.Map
}

// New returns the routes over the parts.
func New(deps Deps) *Routes { return &Routes{deps: deps} }

// readWrite reads the body of a request that writes one item or user.
func readWrite(c echo.Context, id string, body any) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	if err := wire.CheckID("id", id); err != nil {
		return err
	}
	if err := wire.ReadJSON(c, body); err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	return nil
}

// checkRead holds the parameters of a request without a body.
func checkRead(c echo.Context, id string, known ...string) error {
	if err := wire.OnlyParams(c, known...); err != nil {
		return err
	}
	return wire.CheckID("id", id)
}

// putAttributes reads the attributes of a put.
func putAttributes(raw json.RawMessage) ([]event.Attribute, error) {
	if len(raw) == 0 {
		return nil, noAttributes()
	}
	list, inv := event.ParseAttributes(raw)
	if inv != nil {
		return nil, wire.Refuse(inv.Code, "%s", inv.Detail)
	}
	return list, nil
}

// patchAttributes reads the attributes of a patch and refuses one that would
// make too many of those known.
func patchAttributes(known []event.Attribute, raw json.RawMessage) ([]event.Attribute, error) {
	if len(raw) == 0 {
		return nil, noAttributes()
	}
	list, inv := event.ParsePatch(raw)
	if inv != nil {
		return nil, wire.Refuse(inv.Code, "%s", inv.Detail)
	}
	if n := len(event.MergeAttributes(known, list)); n > event.MaxAttributes {
		return nil, wire.Refuse(event.CodeInvalidAttribute, "with these there would be %d attributes, the most is %d", n, event.MaxAttributes).
			With("take others away with null")
	}
	return list, nil
}

func noAttributes() *wire.Problem {
	return wire.Refuse("missing_attributes", "the body has no attributes").With(`send {"attributes":{"category":"books","price":9.5}}`)
}

// submit puts one record into the log.
func (r *Routes) submit(c echo.Context, record event.Record) error {
	record.Source.Name = Source
	ctx, cancel := context.WithTimeout(c.Request().Context(), submitTimeout)
	defer cancel()
	_, err := r.deps.Ingester.Submit(ctx, []event.Record{record})
	return err
}

// answer sends a representation with its tag.
func answer(c echo.Context, body []byte) error {
	c.Response().Header().Set("ETag", tagOf(body))
	return wire.Send(c, http.StatusOK, body)
}

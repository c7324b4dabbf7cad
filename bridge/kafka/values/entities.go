package values

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
)

// decodeItem reads an upsert of an item, or, without a value, its removal.
func decodeItem(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
	*dst = event.Record{Source: dst.Source}
	e, inv := readEntity(r, "item_id")
	if inv != nil {
		return 0, inv
	}
	dst.Kind = event.KindItemPut
	if e.gone {
		dst.Kind = event.KindItemDelete
	}
	dst.Item = event.Item{ID: e.id, Time: max(r.Time, 0), Attributes: e.attributes, ExpiresAt: e.expires}
	return 0, dst.Item.Validate()
}

// decodeUser reads an upsert of a user, or, without a value, an erasure.
func decodeUser(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
	*dst = event.Record{Source: dst.Source}
	e, inv := readEntity(r, "user_id")
	if inv != nil {
		return 0, inv
	}
	dst.Kind = event.KindUserPut
	if e.gone {
		dst.Kind = event.KindUserErase
	}
	dst.User = event.User{ID: e.id, Time: max(r.Time, 0), Attributes: e.attributes}
	return 0, dst.User.Validate()
}

// entity is what a record of the items' or users' topic says.
type entity struct {
	id         string
	gone       bool
	expires    int64
	attributes []event.Attribute
}

// notObject is the fault of a value that is no JSON, where err is a syntax error, or
// another kind of it.
func notObject(err error) *event.Invalid {
	detail := "expected a JSON object of attributes"
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		detail = fmt.Sprintf("invalid JSON at byte %d: %v", syntax.Offset, syntax)
	}
	return &event.Invalid{Code: event.CodeInvalidJSON, Detail: detail}
}

// readEntity reads an object: the id, or else the record's key; expires_at; and
// the attributes, in an object of that name or as all that is left.
func readEntity(r *fetch.Record, idField string) (entity, *event.Invalid) {
	e := entity{id: string(r.Key)}
	if len(r.Value) == 0 {
		e.gone = true
		return e, nil
	}
	if len(r.Value) > event.MaxJSON {
		return e, tooLarge(len(r.Value))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(r.Value, &fields); err != nil || fields == nil {
		return e, notObject(err)
	}
	if raw, ok := fields[idField]; ok {
		var own event.Event
		if _, inv := event.ParseEvent(slices.Concat([]byte(`{"item_id":`), raw, []byte("}")), &own); inv != nil {
			return e, &event.Invalid{Code: inv.Code, Detail: strings.Replace(inv.Detail, "item_id", idField, 1)}
		}
		e.id = own.ItemID
		delete(fields, idField)
	}
	if raw, ok := fields["expires_at"]; ok {
		var own event.Event
		if _, inv := event.ParseEvent(slices.Concat([]byte(`{"ts":`), raw, []byte("}")), &own); inv != nil {
			return e, &event.Invalid{Code: event.CodeInvalidTime, Detail: "expires_at must be an RFC 3339 time or Unix milliseconds"}
		}
		e.expires = own.Time
		delete(fields, "expires_at")
	}
	object, ok := fields["attributes"]
	if !ok {
		var err error
		if object, err = json.Marshal(fields); err != nil {
			return e, &event.Invalid{Code: event.CodeInvalidJSON, Detail: err.Error()}
		}
	}
	var inv *event.Invalid
	e.attributes, inv = event.ParseAttributes(object)
	return e, inv
}

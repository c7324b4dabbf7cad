package event

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"vitrine/bridge/event/clock"
	"vitrine/bridge/event/words"
)

// Limits of one event. They bound what a hostile sender can make us keep.
const (
	// MaxID is the most bytes of any id.
	MaxID = 256
	// MaxType is the most bytes of an event type.
	MaxType = 64
	// MaxProps is the most bytes of the raw props object.
	MaxProps = 64 << 10
	// MaxJSON is the most bytes of one event or attribute object in JSON.
	MaxJSON = 1 << 20
	// MaxAhead is how far in the future an event may lie; beyond it the time
	// is clamped, because a wrong clock must not outlive every real event.
	MaxAhead = 5 * time.Minute
)

// maxTime: a later date does not fit the four-digit partitions of the archive.
const maxTime = clock.Last

// TypeRemove is the one event type with a meaning of its own: it takes back
// earlier interactions, and its value counts without the sign.
const TypeRemove = "remove"

// Codes of Invalid. They are part of the HTTP API and of the dead letters:
// never rename one.
const (
	CodeMissingUser      = "missing_user_id"
	CodeMissingItem      = "missing_item_id"
	CodeMissingType      = "missing_event_type"
	CodeUnknownType      = "unknown_event_type"
	CodeInvalidID        = "invalid_id"
	CodeInvalidType      = "invalid_event_type"
	CodeInvalidTime      = "invalid_ts"
	CodeInvalidValue     = "invalid_value"
	CodeInvalidJSON      = "invalid_json"
	CodeInvalidUTF8      = "invalid_utf8"
	CodeTooLarge         = "too_large"
	CodeInvalidAttribute = "invalid_attribute"
)

// Invalid says why a record is refused: a stable code for machines and a
// detail for people.
type Invalid struct{ Code, Detail string }

// Error returns the detail.
func (e *Invalid) Error() string { return e.Detail }

// Types knows which event types are configured.
type Types interface{ Known(eventType string) bool }

// Validate checks the fields of e and returns nil when it may enter the log.
// With nil types every well-formed event type passes. Call it before or after
// Normalize.
func (e *Event) Validate(types Types) *Invalid {
	switch {
	case e.UserID == "":
		return &Invalid{CodeMissingUser, "user_id is missing"}
	case e.ItemID == "":
		return &Invalid{CodeMissingItem, "item_id is missing"}
	case e.Type == "":
		return &Invalid{CodeMissingType, "event_type is missing"}
	}
	if inv := checkID("user_id", e.UserID); inv != nil {
		return inv
	}
	if inv := checkID("item_id", e.ItemID); inv != nil {
		return inv
	}
	if inv := e.checkType(types); inv != nil {
		return inv
	}
	if e.Time < 0 || e.Time > maxTime {
		return &Invalid{CodeInvalidTime, "ts must lie in the years 1970 to 9999"}
	}
	if e.HasValue && !amount(e.Value, e.Type == TypeRemove) {
		return &Invalid{CodeInvalidValue, fmt.Sprintf("value must be a finite number and not negative, not %v", e.Value)}
	}
	return e.checkOptional()
}

// checkType checks the event type and, with types, that it is configured.
func (e *Event) checkType(types Types) *Invalid {
	if len(e.Type) > MaxType {
		return &Invalid{CodeInvalidType, fmt.Sprintf("event_type has %d bytes, the limit is %d", len(e.Type), MaxType)}
	}
	switch words.Check(e.Type) {
	case words.BadUTF8:
		return &Invalid{CodeInvalidUTF8, "event_type is not valid UTF-8"}
	case words.Control:
		return &Invalid{CodeInvalidType, "event_type holds a control character"}
	}
	if types != nil && !types.Known(e.Type) {
		return &Invalid{CodeUnknownType, fmt.Sprintf("event_type %q is not configured; add it with its weight under [ingest.types]", e.Type)}
	}
	return nil
}

// checkOptional checks the fields that an event may leave out.
func (e *Event) checkOptional() *Invalid {
	for _, f := range [...]struct{ name, text string }{
		{"event_id", e.EventID},
		{"session_id", e.SessionID},
		{"request_id", e.RequestID},
		{"scene", e.Scene},
		{"currency", e.Currency},
	} {
		if f.text == "" {
			continue
		}
		if inv := checkID(f.name, f.text); inv != nil {
			return inv
		}
	}
	switch {
	case e.HasPrice && !amount(e.Price, true):
		return &Invalid{CodeInvalidValue, "price must be a finite number"}
	case e.Position < 0:
		return &Invalid{CodeInvalidValue, "position must not be negative"}
	case len(e.Props) > MaxProps:
		return &Invalid{CodeTooLarge, fmt.Sprintf("props has %d bytes, the limit is %d", len(e.Props), MaxProps)}
	}
	return nil
}

// Normalize fills and bends what may be filled and bent: a missing time
// becomes now, one too far ahead is clamped (and reported), the amount of a
// remove loses its sign.
func (e *Event) Normalize(now time.Time) (clamped bool) {
	ms := now.UnixMilli()
	switch limit := ms + MaxAhead.Milliseconds(); {
	case e.Time == 0:
		e.Time = ms
	case e.Time > limit:
		e.Time, clamped = limit, true
	}
	if e.Type == TypeRemove {
		e.Value = math.Abs(e.Value)
	}
	return clamped
}

// Validate checks the id and the attributes of an attribute change.
func (it *Item) Validate() *Invalid {
	if inv := checkChange("item_id", CodeMissingItem, it.ID, it.Attributes, it.Time, it.ExpiresAt); inv != nil {
		return inv
	}
	for i := range it.Attributes {
		a := &it.Attributes[i]
		if a.Name != AvailableFrom || a.Value.Kind == Removed {
			continue
		}
		if _, ok := a.Value.Moment(); !ok {
			return &Invalid{CodeInvalidAttribute, "attribute " + AvailableFrom + " must be a time, such as \"2026-12-01T08:00:00Z\" or Unix milliseconds"}
		}
	}
	return nil
}

// Validate checks the id and the attributes of an attribute change.
func (u *User) Validate() *Invalid {
	return checkChange("user_id", CodeMissingUser, u.ID, u.Attributes, u.Time)
}

// checkChange checks what changes of items and users have alike; name is the
// field of the id, missing the code where there is none.
func checkChange(name, missing, id string, list []Attribute, times ...int64) *Invalid {
	if id == "" {
		return &Invalid{missing, name + " is missing"}
	}
	if inv := checkID(name, id); inv != nil {
		return inv
	}
	for _, at := range times {
		if at < 0 || at > maxTime {
			return &Invalid{CodeInvalidTime, "a time of an item or a user must lie in the years 1970 to 9999"}
		}
	}
	return checkAttributes(list, true)
}

// amount tells whether v may count: finite, and negative only if allowed.
func amount(v float64, negative bool) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (negative || v >= 0)
}

// checkID checks a non-empty id; name is the field it came in.
func checkID(name, id string) *Invalid {
	if len(id) > MaxID {
		return &Invalid{CodeInvalidID, name + " has " + strconv.Itoa(len(id)) + " bytes, the limit is " + strconv.Itoa(MaxID)}
	}
	switch words.Check(id) {
	case words.BadUTF8:
		return &Invalid{CodeInvalidUTF8, name + " is not valid UTF-8"}
	case words.Control:
		return &Invalid{CodeInvalidID, name + " holds a control character"}
	}
	return nil
}

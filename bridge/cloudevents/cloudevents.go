// Package cloudevents reads interactions out of CloudEvents 1.0: structured
// ones (JSON), of which a batch is an array, and binary ones (headers).
//
// The data of a CloudEvent is an interaction as POST /v1/events takes it. What
// it leaves out is taken from the envelope: event_id from source and id, ts
// from time, event_type from the last part of type, user_id and item_id from
// the extensions userid and itemid, and item_id from subject. It imports
// nothing of this module but bridge/event.
package cloudevents

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"vitrine/bridge/event"
)

// The media types of structured CloudEvents.
const (
	Structured = "application/cloudevents+json"
	Batched    = "application/cloudevents-batch+json"
)

// CodeInvalid is the code of an envelope that is none.
const CodeInvalid = "invalid_cloudevent"

// headerPrefix begins the attributes of a binary CloudEvent.
const headerPrefix = "Ce-"

// Binary says whether a request carries a CloudEvent in its headers.
func Binary(h http.Header) bool { return h.Get(headerPrefix+"Specversion") != "" }

// envelope is what counts of a CloudEvent.
type envelope struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Time        string          `json:"time"`
	ContentType string          `json:"datacontenttype"`
	UserID      json.RawMessage `json:"userid"`
	ItemID      json.RawMessage `json:"itemid"`
	Data        json.RawMessage `json:"data"`
	Base64      *string         `json:"data_base64"`
}

// Parse reads a structured CloudEvent into dst, as event.ParseEvent reads an
// interaction.
func Parse(raw []byte, dst *event.Event) (unknownFields int, inv *event.Invalid) {
	*dst = event.Event{}
	if len(raw) > event.MaxJSON {
		return 0, &event.Invalid{Code: event.CodeTooLarge, Detail: fmt.Sprintf("the CloudEvent has %d bytes, the limit is %d", len(raw), event.MaxJSON)}
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return 0, invalid("the CloudEvent is not understood: %v", err)
	}
	if e.Base64 != nil {
		if e.Data != nil {
			return 0, invalid("it has both data and data_base64")
		}
		data, err := base64.StdEncoding.DecodeString(*e.Base64)
		if err != nil {
			return 0, invalid("data_base64 is not base64")
		}
		e.Data = data
	}
	return e.into(dst)
}

// ParseBinary reads a CloudEvent whose attributes are headers and whose data
// is the body.
func ParseBinary(h http.Header, body []byte, dst *event.Event) (unknownFields int, inv *event.Invalid) {
	*dst = event.Event{}
	get := func(name string) string {
		text := h.Get(headerPrefix + name)
		// Header values are percent-encoded where they are not printable ASCII.
		if plain, err := url.PathUnescape(text); err == nil {
			return plain
		}
		return text
	}
	quoted := func(name string) json.RawMessage {
		text := get(name)
		if text == "" {
			return nil
		}
		raw, err := json.Marshal(text)
		if err != nil {
			return nil
		}
		return raw
	}
	e := envelope{
		SpecVersion: get("Specversion"), ID: get("Id"), Source: get("Source"), Type: get("Type"), Subject: get("Subject"),
		Time: get("Time"), UserID: quoted("Userid"), ItemID: quoted("Itemid"), Data: body,
	}
	return e.into(dst)
}

func invalid(format string, args ...any) *event.Invalid {
	return &event.Invalid{Code: CodeInvalid, Detail: fmt.Sprintf(format, args...)}
}

// into reads the data, and from the envelope what that leaves out.
func (e *envelope) into(dst *event.Event) (unknownFields int, inv *event.Invalid) {
	switch {
	case e.SpecVersion != "1.0":
		return 0, invalid("specversion must be 1.0, not %.32q", e.SpecVersion)
	case e.ID == "" || e.Source == "" || e.Type == "":
		return 0, invalid("id, source and type must be there")
	case !isJSON(e.ContentType):
		return 0, invalid("the data is %.64q; only JSON is understood", e.ContentType)
	}
	if len(bytes.TrimSpace(e.Data)) > 0 && !bytes.Equal(e.Data, []byte("null")) {
		if unknownFields, inv = event.ParseEvent(e.Data, dst); inv != nil {
			return unknownFields, inv
		}
	}
	return unknownFields, e.complete(dst)
}

// complete fills what the data has left out.
func (e *envelope) complete(dst *event.Event) *event.Invalid {
	// The envelope's own members, in the form and with the checks of an
	// interaction's.
	rest := map[string]json.RawMessage{}
	if dst.UserID == "" && e.UserID != nil {
		rest["user_id"] = e.UserID
	}
	if dst.ItemID == "" && e.ItemID != nil {
		rest["item_id"] = e.ItemID
	}
	if dst.Time == 0 && e.Time != "" {
		rest["ts"] = quote(e.Time)
	}
	if len(rest) > 0 {
		raw, err := json.Marshal(rest)
		if err != nil {
			return invalid("the envelope is not understood: %v", err)
		}
		var own event.Event
		if _, inv := event.ParseEvent(raw, &own); inv != nil {
			return inv
		}
		dst.UserID, dst.ItemID, dst.Time = or(dst.UserID, own.UserID), or(dst.ItemID, own.ItemID), max(dst.Time, own.Time)
	}
	dst.ItemID = or(dst.ItemID, e.Subject)
	dst.Type = or(dst.Type, e.Type[strings.LastIndexByte(e.Type, '.')+1:])
	dst.EventID = or(dst.EventID, e.eventID())
	return nil
}

// eventID is unique where the pair of source and id is, which the
// specification asks of producers.
func (e *envelope) eventID() string {
	id := e.Source + "#" + e.ID
	if len(id) <= event.MaxID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func quote(text string) json.RawMessage {
	raw, _ := json.Marshal(text) //nolint:errcheck // texts always marshal
	return raw
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"

	"vitrine/bridge/cloudevents"
	"vitrine/bridge/event"
	"vitrine/bridge/file"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/schema"
)

// The formats of record values.
const (
	// JSON is an interaction as POST /v1/events takes it.
	JSON = "json"
	// CSV is a line without a header.
	CSV = "csv"
	// CloudEvents are structured or, by the headers of the record, binary.
	CloudEvents = "cloudevents"
	// Avro values are read by the schema of a registry or a file, Protobuf ones
	// by a descriptor set.
	Avro     = "avro"
	Protobuf = "protobuf"
)

// Formats lists the formats of interactions.
func Formats() []string { return []string{JSON, CSV, CloudEvents, Avro, Protobuf} }

// CheckMap says what is wrong with a map of a format; an empty map is right.
func CheckMap(format, mapping string) error {
	if mapping == "" {
		return nil
	}
	if format == Avro || format == Protobuf {
		format = JSON // which it is applied to
	}
	_, _, err := newDecoder(&Options{Format: format, Map: mapping})
	return err
}

// decoder reads the value of a record into dst, whose Source is set, and checks
// it. It empties what its kind of record has of dst. The strings of dst may be
// parts of the record, which nobody changes. It says how many fields it did not
// know.
type decoder func(r *fetch.Record, dst *event.Record) (unknown int, inv *event.Invalid)

// maxReaders is how many batches are decoded at a time at most: the one
// committer of the log takes no more than some three decoders give.
const maxReaders = 4

// reader decodes the records of the topics; it is for one goroutine at a time.
type reader struct {
	decode map[string]decoder
	// prepare fetches what decoding these values of the interactions needs; nil when
	// that is nothing.
	prepare preparer
}

// preparer fetches what decoding values needs, and has all of that until it is called
// again.
type preparer func(ctx context.Context, values iter.Seq[[]byte]) error

func newReader(opt *Options) (*reader, error) {
	r := &reader{decode: map[string]decoder{}}
	if opt.Topic != "" {
		d, prepare, err := newDecoder(opt)
		if err != nil {
			return nil, err
		}
		r.decode[opt.Topic], r.prepare = d, prepare
	}
	if opt.ItemsTopic != "" {
		r.decode[opt.ItemsTopic] = opt.headless(decodeItem)
	}
	if opt.UsersTopic != "" {
		r.decode[opt.UsersTopic] = opt.headless(decodeUser)
	}
	return r, nil
}

// newDecoder makes the decoder of interactions, and what it has to fetch before.
func newDecoder(opt *Options) (decode decoder, prepare preparer, err error) {
	switch opt.Format {
	case JSON:
		if opt.Map == "" {
			return opt.headless(newJSON(opt.Types)), nil, nil
		}
	case CSV:
	case CloudEvents:
		if opt.Map != "" {
			return nil, nil, fmt.Errorf("a map does not apply to CloudEvents, whose fields have their names")
		}
		return checked(decodeCloudEvent, opt.Types), nil, nil
	case Avro, Protobuf:
		return newBinary(opt)
	default:
		return nil, nil, fmt.Errorf("unknown format %q; there are %s", opt.Format, strings.Join(Formats(), ", "))
	}
	values, err := file.NewValues(opt.Format == CSV, opt.Map)
	if err != nil {
		return nil, nil, err
	}
	decode = checked(func(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
		dst.Kind = event.KindEvent
		return 0, values.Event(r.Value, &dst.Event)
	}, opt.Types)
	if opt.Format == JSON {
		decode = opt.headless(decode)
	}
	return decode, nil, nil
}

// headless makes a decoder of JSON pass over the header of a schema registry, where
// there is one: serializers of JSON with a schema write it.
func (o *Options) headless(decode decoder) decoder {
	if o.Registry.URL == "" {
		return decode
	}
	return func(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
		whole := r.Value
		r.Value = schema.Headless(whole)
		unknown, inv := decode(r, dst)
		r.Value = whole // which a letter keeps
		return unknown, inv
	}
}

// checked makes a decoder of interactions check what it has read.
func checked(decode decoder, types event.Types) decoder {
	return func(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
		unknown, inv := decode(r, dst)
		if inv == nil {
			inv = dst.Event.Validate(types)
		}
		return unknown, inv
	}
}

// newBinary makes the decoder of a format that becomes JSON first.
func newBinary(opt *Options) (decode decoder, prepare preparer, err error) {
	as := *opt
	as.Format, as.Registry = JSON, schema.Registry{}
	then, _, err := newDecoder(&as)
	if err != nil {
		return nil, nil, err
	}
	var text func(value []byte) ([]byte, *event.Invalid)
	by := schema.Options{File: opt.Schema, Message: opt.Message, Registry: opt.Registry, AskAll: opt.again, Now: opt.Now}
	if opt.Format == Protobuf {
		p, err := schema.NewProtobuf(by)
		if err != nil {
			return nil, nil, err
		}
		text = p.JSON
	} else {
		if opt.avro == nil {
			if opt.avro, err = schema.NewAvro(by); err != nil {
				return nil, nil, err
			}
		}
		a := opt.avro.Reader()
		text, prepare = a.JSON, a.Prepare
	}
	return func(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
		switch {
		case len(r.Value) > event.MaxJSON:
			return 0, tooLarge(len(r.Value))
		case len(r.Value) == 0:
			return 0, tombstone()
		}
		value, inv := text(r.Value)
		if inv != nil {
			return 0, inv
		}
		as := *r
		as.Value = value
		return then(&as, dst)
	}, prepare, nil
}

func tooLarge(n int) *event.Invalid {
	return &event.Invalid{Code: event.CodeTooLarge, Detail: fmt.Sprintf("the record has %d bytes, the limit is %d", n, event.MaxJSON)}
}

// tombstone is the fault of an interaction without a value.
func tombstone() *event.Invalid {
	return &event.Invalid{Code: event.CodeInvalidJSON, Detail: "the record has no value; interactions are taken back by events of type " + event.TypeRemove}
}

// newJSON makes the decoder of JSON under the fields' own names.
func newJSON(types event.Types) decoder {
	parser := new(event.Parser)
	return func(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
		if len(r.Value) == 0 {
			return 0, tombstone()
		}
		dst.Kind = event.KindEvent
		unknown, inv := parser.Event(r.Value, &dst.Event)
		if inv == nil {
			inv = parser.Validate(types, &dst.Event)
		}
		return unknown, inv
	}
}

func decodeCloudEvent(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
	dst.Kind = event.KindEvent
	// The Kafka binding's header names: ce_ and the attribute, content-type.
	var h http.Header
	for key, value := range r.Headers.All() {
		if name, ok := strings.CutPrefix(key, "ce_"); ok {
			if h == nil {
				h = http.Header{}
			}
			h.Set("Ce-"+name, string(value))
		}
	}
	if h != nil && cloudevents.Binary(h) {
		return cloudevents.ParseBinary(h, r.Value, &dst.Event)
	}
	if len(r.Value) == 0 {
		return 0, tombstone()
	}
	return cloudevents.Parse(r.Value, &dst.Event)
}

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
	if err := json.Unmarshal(r.Value, &fields); err != nil {
		return e, &event.Invalid{Code: event.CodeInvalidJSON, Detail: err.Error()}
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

package values

import (
	"fmt"
	"net/http"
	"strings"

	"vitrine/bridge/cloudevents"
	"vitrine/bridge/event"
	"vitrine/bridge/file"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/schema"
)

// decoding reads the value of a record into dst, whose Source is set, and checks
// it. It empties what its kind of record has of dst. The strings of dst may be
// parts of the record, which nobody changes. It says how many fields it did not
// know.
type decoding func(r *fetch.Record, dst *event.Record) (unknown int, inv *event.Invalid)

// interactions makes the decoder of interactions.
func (m *maker) interactions() (*Decoder, error) {
	switch m.Format {
	case JSON:
		if m.Map == "" {
			return &Decoder{decode: m.headless(newJSON(m.Types))}, nil
		}
	case CSV:
	case CloudEvents:
		if m.Map != "" {
			return nil, fmt.Errorf("a map does not apply to CloudEvents, whose fields have their names")
		}
		return &Decoder{decode: checked(decodeCloudEvent, m.Types)}, nil
	case Avro, Protobuf:
		return m.binary()
	default:
		return nil, fmt.Errorf("unknown format %q; there are %s", m.Format, strings.Join(Formats(), ", "))
	}
	values, err := file.NewValues(m.Format == CSV, m.Map)
	if err != nil {
		return nil, err
	}
	decode := checked(func(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
		dst.Kind = event.KindEvent
		return 0, values.Event(r.Value, &dst.Event)
	}, m.Types)
	if m.Format == JSON {
		decode = m.headless(decode)
	}
	return &Decoder{decode: decode}, nil
}

// headless makes a decoder of JSON pass over the header of a schema registry, where
// there is one: serializers of JSON with a schema write it.
func (m *maker) headless(decode decoding) decoding {
	if m.Registry.URL == "" {
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
func checked(decode decoding, types event.Types) decoding {
	return func(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
		unknown, inv := decode(r, dst)
		if inv == nil {
			inv = dst.Event.Validate(types)
		}
		return unknown, inv
	}
}

// binary makes the decoder of a format that becomes JSON first.
func (m *maker) binary() (*Decoder, error) {
	as := *m
	as.Format, as.Registry = JSON, schema.Registry{}
	then, err := as.interactions()
	if err != nil {
		return nil, err
	}
	d := &Decoder{}
	var text func(value []byte) ([]byte, *event.Invalid)
	by := schema.Options{File: m.Schema, Message: m.Message, Registry: m.Registry, AskAll: m.again, Now: m.Now}
	if m.Format == Protobuf {
		p, err := schema.NewProtobuf(by)
		if err != nil {
			return nil, err
		}
		text = p.JSON
	} else {
		if m.avro == nil {
			if m.avro, err = schema.NewAvro(by); err != nil {
				return nil, err
			}
		}
		a := m.avro.Reader()
		text, d.Prepare = a.JSON, a.Prepare
	}
	d.decode = func(r *fetch.Record, dst *event.Record) (int, *event.Invalid) {
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
		return then.decode(&as, dst)
	}
	return d, nil
}

func tooLarge(n int) *event.Invalid {
	return &event.Invalid{Code: event.CodeTooLarge, Detail: fmt.Sprintf("the record has %d bytes, the limit is %d", n, event.MaxJSON)}
}

// tombstone is the fault of an interaction without a value.
func tombstone() *event.Invalid {
	return &event.Invalid{Code: event.CodeInvalidJSON, Detail: "the record has no value; interactions are taken back by events of type " + event.TypeRemove}
}

// newJSON makes the decoder of JSON under the fields' own names.
func newJSON(types event.Types) decoding {
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

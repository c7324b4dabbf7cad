package kafka

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
)

// The header of values that were written with a schema registry: a zero byte
// and the schema's number.
const (
	registryMark   = 0
	registryHeader = 5
)

// codeNoSchema is the code of a value whose schema cannot be had.
const codeNoSchema = "unknown_schema"

// maxSchemas bounds the schemas of a registry that are kept: a shop has a
// few, but a hostile producer can name four billion.
const maxSchemas = 256

// schemas reads Avro by its schema: the registry's, for values with its header,
// or else the one of a file.
type schemas struct {
	registry *sr.Client
	// own is the file's schema, nil without.
	own *avro.Schema
	// known are the registry's; a nil one is not there, or is not Avro.
	known map[uint32]*avro.Schema
	rest  decoder
}

// newSchemas reads the file and makes the registry's client; then reads the
// JSON that the values become.
func newSchemas(opt *Options, then decoder) (*schemas, error) {
	s := &schemas{known: map[uint32]*avro.Schema{}, rest: then}
	if opt.Schema != "" {
		text, err := os.ReadFile(opt.Schema)
		if err != nil {
			return nil, fmt.Errorf("read the schema: %w", err)
		}
		if s.own, err = avro.Parse(string(text)); err != nil {
			return nil, fmt.Errorf("read the schema %s: %w", opt.Schema, err)
		}
	}
	if opt.Registry != "" {
		var err error
		if s.registry, err = sr.NewClient(sr.URLs(opt.Registry), sr.UserAgent("vitrine"), sr.HTTPClient(&http.Client{Timeout: 5 * time.Second})); err != nil {
			return nil, fmt.Errorf("make the schema registry's client: %w", err)
		}
	}
	if s.own == nil && s.registry == nil {
		return nil, errors.New("avro needs a schema file or a schema registry")
	}
	return s, nil
}

// number is the schema's number in a value with a registry's header.
func (s *schemas) number(value []byte) (id uint32, ok bool) {
	if s.registry == nil || len(value) < registryHeader || value[0] != registryMark {
		return 0, false
	}
	return binary.BigEndian.Uint32(value[1:]), true
}

// prepare asks the registry for a value's schema when it is not known yet. An
// error means that the registry does not answer, which is no fault of the value.
func (s *schemas) prepare(ctx context.Context, value []byte) error {
	id, ok := s.number(value)
	if !ok {
		return nil
	}
	if _, known := s.known[id]; known {
		return nil
	}
	if len(s.known) >= maxSchemas {
		clear(s.known)
	}
	got, err := s.registry.SchemaByID(ctx, int(id))
	var refused *sr.ResponseError
	switch {
	case errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound:
		s.known[id] = nil
		return nil
	case err != nil:
		return &fault{fmt.Sprintf("the schema registry does not give schema %d: %v", id, err), "check kafka.schema_registry"}
	case got.Type != sr.TypeAvro:
		s.known[id] = nil
		return nil
	}
	if s.known[id], err = avro.Parse(got.Schema); err != nil {
		s.known[id] = nil
	}
	return nil
}

// decode reads one value.
func (s *schemas) decode(r *fetch.Record, dst *event.Record) (unknown int, inv *event.Invalid) {
	if len(r.Value) > event.MaxJSON {
		return 0, tooLarge(len(r.Value))
	}
	schema, value := s.own, r.Value
	if id, ok := s.number(value); ok {
		if schema = s.known[id]; schema == nil {
			return 0, &event.Invalid{Code: codeNoSchema, Detail: fmt.Sprintf("the schema registry has no Avro schema %d", id)}
		}
		value = value[registryHeader:]
	} else if schema == nil {
		return 0, &event.Invalid{Code: codeNoSchema, Detail: "the value has no schema registry's header, and there is no kafka.schema"}
	}
	var fields map[string]any
	left, err := schema.Decode(value, &fields)
	if err != nil || len(left) > 0 {
		return 0, &event.Invalid{Code: codeInvalidValue, Detail: fmt.Sprintf("the value is not of its Avro schema: %v (%d bytes too many)", err, len(left))}
	}
	return through(r, dst, fields, s.rest)
}

// codeInvalidValue is the code of a value that is not of its schema.
const codeInvalidValue = "invalid_schema_value"

func tooLarge(n int) *event.Invalid {
	return &event.Invalid{Code: event.CodeTooLarge, Detail: fmt.Sprintf("the record has %d bytes, the limit is %d", n, event.MaxJSON)}
}

// through gives fields to the decoder of JSON; those that are null are absent.
func through(r *fetch.Record, dst *event.Record, fields map[string]any, rest decoder) (int, *event.Invalid) {
	text, err := json.Marshal(fields)
	if err != nil {
		return 0, &event.Invalid{Code: codeInvalidValue, Detail: "a field has no form in JSON: " + err.Error()}
	}
	as := *r
	as.Value = text
	return rest(&as, dst)
}

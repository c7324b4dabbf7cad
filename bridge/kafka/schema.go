package kafka

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strings"
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
	// known are the registry's.
	known map[uint32]schema
	now   func() time.Time
	rest  decoder
}

// schema is one of the registry's.
type schema struct {
	// avro is nil where there is none, and then fault says why.
	avro  *avro.Schema
	fault string
	// until is when it is asked for again; zero is never.
	until time.Time
}

// askAgain is how soon a schema is asked for again that the registry did not have: a
// record may come before all of a registry's servers know its schema, or be replayed
// when somebody has brought it there.
const askAgain = 5 * time.Second

// newSchemas reads the file and makes the registry's client; then reads the
// JSON that the values become.
func newSchemas(opt *Options, then decoder) (*schemas, error) {
	s := &schemas{known: map[uint32]schema{}, now: time.Now, rest: then}
	if opt.Now != nil {
		s.now = opt.Now
	}
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
	if k, known := s.known[id]; known && (k.until.IsZero() || s.now().Before(k.until)) {
		return nil
	}
	if len(s.known) >= maxSchemas {
		clear(s.known)
	}
	got, err := s.registry.SchemaByID(ctx, int(id))
	switch {
	case missingThere(err):
		s.known[id] = schema{fault: fmt.Sprintf("the schema registry has no schema %d", id), until: s.now().Add(askAgain)}
		return nil
	case err != nil:
		return &fault{fmt.Sprintf("the schema registry does not give schema %d: %v", id, err), "check kafka.schema_registry"}
	case got.Type != sr.TypeAvro:
		s.known[id] = schema{fault: fmt.Sprintf("schema %d of the registry is %s, and no Avro", id, got.Type)}
		return nil
	}
	left := maxReferences
	parsed, err := s.parse(ctx, new(avro.SchemaCache), got, &left)
	var unanswered *fault
	switch {
	case errors.As(err, &unanswered):
		return err
	case err != nil:
		s.known[id] = schema{fault: fmt.Sprintf("schema %d of the registry cannot be used: %v", id, err)}
	default:
		s.known[id] = schema{avro: parsed}
	}
	return nil
}

// missingThere says that a registry has answered, and has not what it was asked for.
func missingThere(err error) bool {
	var refused *sr.ResponseError
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}

// maxReferences bounds how many others a schema refers to, and those in turn.
const maxReferences = 64

// parse reads a schema behind those that it refers to, of which so many are left.
func (s *schemas) parse(ctx context.Context, known *avro.SchemaCache, got sr.Schema, left *int) (*avro.Schema, error) {
	if *left -= len(got.References); *left < 0 {
		return nil, fmt.Errorf("it refers to more than %d others", maxReferences)
	}
	for _, ref := range got.References {
		other, err := s.registry.SchemaByVersion(ctx, ref.Subject, ref.Version)
		switch {
		case missingThere(err):
			return nil, fmt.Errorf("it refers to version %d of %s, which is not there", ref.Version, ref.Subject)
		case err != nil:
			return nil, &fault{fmt.Sprintf("the schema registry does not give version %d of schema %s: %v", ref.Version, ref.Subject, err), "check kafka.schema_registry"}
		}
		if _, err := s.parse(ctx, known, other.Schema, left); err != nil {
			return nil, err
		}
	}
	return known.Parse(got.Schema)
}

// decode reads one value.
func (s *schemas) decode(r *fetch.Record, dst *event.Record) (unknown int, inv *event.Invalid) {
	if len(r.Value) > event.MaxJSON {
		return 0, tooLarge(len(r.Value))
	}
	of, value := s.own, r.Value
	if len(value) == 0 {
		return 0, tombstone()
	}
	if id, ok := s.number(value); ok {
		k := s.known[id]
		if of = k.avro; of == nil {
			return 0, &event.Invalid{Code: codeNoSchema, Detail: k.fault}
		}
		value = value[registryHeader:]
	} else if of == nil {
		return 0, &event.Invalid{Code: codeNoSchema, Detail: "the value has no schema registry's header, and there is no kafka.schema"}
	}
	var fields map[string]any
	left, err := of.Decode(value, &fields)
	if err != nil {
		return 0, &event.Invalid{Code: codeInvalidValue, Detail: "the value is not of its Avro schema: " + reason(err)}
	}
	if len(left) > 0 {
		return 0, &event.Invalid{Code: codeInvalidValue, Detail: fmt.Sprintf("the value is not of its Avro schema: %d bytes are left behind it", len(left))}
	}
	decimals(fields)
	return through(r, dst, fields, s.rest)
}

// reason is what is wrong with a value, without the types that it was read into.
func reason(err error) string {
	where := ""
	var at *avro.SemanticError
	for errors.As(err, &at) && at.Err != nil {
		if at.Field != "" {
			where = "field " + at.Field + ": "
		}
		err = at.Err
	}
	return where + strings.TrimPrefix(err.Error(), "avro: ")
}

// decimal makes a decimal, as prices are, the number that JSON has for it; ok is false
// for everything else. What is below a value is looked through.
func decimal(v any) (n json.Number, ok bool) {
	switch v := v.(type) {
	case *big.Rat:
		if places, exact := v.FloatPrec(); exact {
			return json.Number(v.FloatString(places)), true
		}
	case map[string]any:
		decimals(v)
	case []any:
		for i := range v {
			if n, ok := decimal(v[i]); ok {
				v[i] = n
			}
		}
	}
	return "", false
}

// decimals does it for the values of a map.
func decimals(fields map[string]any) {
	for name, v := range fields {
		if n, ok := decimal(v); ok {
			fields[name] = n
		}
	}
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

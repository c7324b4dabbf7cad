package schema

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/twmb/avro"

	"vitrine/bridge/event"
)

// Avro reads values by their schema: the registry's, for those with its header, or
// else the one of a file. Any goroutine may make readers of it.
type Avro struct {
	// registry is nil without one.
	registry *schemas
	// own is the file's schema, nil without.
	own *avro.Schema
}

// NewAvro reads the file and makes the registry's client; nothing is connected yet.
func NewAvro(opt Options) (*Avro, error) {
	a := &Avro{}
	if opt.File != "" {
		text, err := os.ReadFile(opt.File)
		if err != nil {
			return nil, fmt.Errorf("read the schema: %w", err)
		}
		if a.own, err = avro.Parse(string(text)); err != nil {
			return nil, fmt.Errorf("read the schema %s: %w", opt.File, err)
		}
	}
	if opt.Registry.URL != "" {
		now := opt.Now
		if now == nil {
			now = time.Now
		}
		var err error
		if a.registry, err = newSchemas(opt.Registry, now); err != nil {
			return nil, err
		}
		a.registry.askAll = opt.AskAll
	}
	if a.own == nil && a.registry == nil {
		return nil, errors.New("avro needs a schema file or a schema registry")
	}
	return a, nil
}

// AvroReader reads values. It is for one goroutine at a time.
type AvroReader struct {
	*Avro
	// these are the schemas of the values that were prepared last.
	these map[uint32]*registered
}

// Reader makes one. What one has asked the registry for, all have.
func (a *Avro) Reader() *AvroReader { return &AvroReader{a, map[uint32]*registered{}} }

// number is the schema's number in a value with a registry's header.
func (a *Avro) number(value []byte) (id uint32, ok bool) {
	if a.registry == nil || len(value) < registryHeader || value[0] != registryMark {
		return 0, false
	}
	return binary.BigEndian.Uint32(value[1:]), true
}

// Prepare asks the registry for the schemas of values that are not known yet; all
// of them are there until the next call, however many they are. An error means that
// the registry does not answer or does not give one, which is no fault of the values.
func (a *AvroReader) Prepare(ctx context.Context, values iter.Seq[[]byte]) error {
	clear(a.these)
	for value := range values {
		id, ok := a.number(value)
		if !ok || a.these[id].settled() {
			continue
		}
		k, err := a.registry.get(ctx, id, a.these[id] != nil)
		if err != nil {
			return err
		}
		a.these[id] = k
	}
	return nil
}

// JSON is what a value says, whose schema Prepare has asked for.
func (a *AvroReader) JSON(value []byte) ([]byte, *event.Invalid) {
	of := a.own
	if id, ok := a.number(value); ok {
		k := a.these[id]
		if of = k.avro; of == nil {
			return nil, &event.Invalid{Code: CodeUnknown, Detail: k.fault}
		}
		value = value[registryHeader:]
	} else if of == nil {
		return nil, &event.Invalid{Code: CodeUnknown, Detail: "the value has no schema registry's header, and there is no kafka.schema"}
	}
	var fields map[string]any
	left, err := of.Decode(value, &fields)
	if err != nil {
		return nil, &event.Invalid{Code: CodeInvalid, Detail: fmt.Sprintf("the value is not of its Avro schema: %.300s", reason(err))}
	}
	if len(left) > 0 {
		return nil, &event.Invalid{Code: CodeInvalid, Detail: fmt.Sprintf("the value is not of its Avro schema: %d bytes are left behind it", len(left))}
	}
	return text(fields, len(value))
}

// reason is what is wrong with a value, without the types that it was read into. It may
// be as long as a name in the schema, which whoever has registered that has chosen.
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

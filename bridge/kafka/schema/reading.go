package schema

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/avro"
)

// version names a schema that another one refers to.
type version struct {
	subject string
	number  int
}

// reading is a schema that is read behind those that it refers to.
type reading struct {
	*schemas
	id    uint32
	cache avro.SchemaCache
	// of are those that it refers to; one that is not read to its end is true.
	of   map[version]bool
	size int
}

// unusable is why a schema cannot be used.
type unusable struct{ error }

func cannot(format string, args ...any) error { return &unusable{fmt.Errorf(format, args...)} }

// read asks for the schema and reads it. An error is an unusable, or one of ask.
func (r *reading) read(ctx context.Context) (*avro.Schema, error) {
	number := strconv.FormatUint(uint64(r.id), 10)
	got, err := r.ask(ctx, "schema "+number, "schemas", "ids", number)
	switch {
	case missing(err):
		r.misses++
		if r.id == 0 {
			return nil, cannot("the schema registry has no schema 0; Apicurio's serializers write numbers of 8 bytes, unless apicurio.registry.as-confluent is true")
		}
		return nil, cannot("the schema registry has no schema %d", r.id)
	case err == nil && got.Type != "" && got.Type != "AVRO":
		return nil, cannot("schema %d of the registry is %.32s, and no Avro", r.id, got.Type)
	}
	var parsed *avro.Schema
	if err == nil {
		parsed, err = r.parse(ctx, got)
	}
	if err == nil {
		err = bearable(parsed)
	}
	var none *unusable
	if errors.As(err, &none) || errors.Is(err, errHeavy) || errors.Is(err, errLong) {
		return nil, cannot("schema %d of the registry cannot be used: %.300v", r.id, err) // of some depth errors are long
	}
	return parsed, err
}

// parse reads a schema. An error is an unusable, or one of ask.
func (r *reading) parse(ctx context.Context, got answer) (*avro.Schema, error) {
	if r.size += len(got.Schema); r.size > maxAnswer {
		return nil, cannot("it has more than %d MiB with those that it refers to", maxAnswer>>20)
	}
	for _, ref := range got.References {
		if err := r.refer(ctx, version{ref.Subject, ref.Version}); err != nil {
			return nil, err
		}
	}
	parsed, err := r.cache.Parse(got.Schema)
	if err != nil {
		return nil, &unusable{err}
	}
	return parsed, nil
}

// refer reads a schema that another one refers to, once.
func (r *reading) refer(ctx context.Context, v version) error {
	name := fmt.Sprintf("version %d of %s", v.number, v.subject)
	switch open, known := r.of[v]; {
	case open:
		return cannot("%s refers to itself", name)
	case known:
		return nil
	case len(r.of) == maxReferences:
		return cannot("it refers to more than %d others", maxReferences)
	}
	r.of[v] = true
	got, err := r.ask(ctx, fmt.Sprintf("%s, which schema %d refers to", name, r.id), "subjects", v.subject, "versions", strconv.Itoa(v.number))
	switch {
	case missing(err):
		return cannot("it refers to %s, which is not there", name)
	case errors.Is(err, errLong):
		return cannot("it refers to %s, and %w", name, err)
	case err != nil:
		return err
	}
	if _, err := r.parse(ctx, got); err != nil {
		return err
	}
	r.of[v] = false
	return nil
}

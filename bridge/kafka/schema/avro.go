package schema

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"vitrine/bridge/event"
)

// maxSchemas bounds the schemas of a registry that are kept beside those that are
// needed: a shop has a few, but a hostile producer can name four billion.
const maxSchemas = 256

// Avro reads values by their schema: the registry's, for those with its header, or
// else the one of a file. It is for one goroutine at a time.
type Avro struct {
	// registry is nil without one.
	registry *connection
	// own is the file's schema, nil without.
	own *avro.Schema
	// known are the registry's.
	known map[uint32]registered
	// turn counts the calls of Prepare.
	turn uint64
	now  func() time.Time
}

// registered is a schema of the registry.
type registered struct {
	// avro is nil where there is none, and then fault says why.
	avro  *avro.Schema
	fault string
	// until is when it is asked for again; zero is never.
	until time.Time
	// turn is the last one that needed it.
	turn uint64
}

// askAgain is how soon a schema is asked for again that the registry did not have: a
// record may come before all of a registry's servers know its schema, or be replayed
// when somebody has brought it there.
const askAgain = 5 * time.Second

// NewAvro reads the file and makes the registry's client; nothing is connected yet.
func NewAvro(opt Options) (*Avro, error) {
	a := &Avro{known: map[uint32]registered{}, now: time.Now}
	if opt.Now != nil {
		a.now = opt.Now
	}
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
		a.registry = &connection{Registry: opt.Registry, now: a.now}
		if err := a.registry.open(); err != nil {
			return nil, err
		}
	}
	if a.own == nil && a.registry == nil {
		return nil, errors.New("avro needs a schema file or a schema registry")
	}
	return a, nil
}

// number is the schema's number in a value with a registry's header.
func (a *Avro) number(value []byte) (id uint32, ok bool) {
	if a.registry == nil || len(value) < registryHeader || value[0] != registryMark {
		return 0, false
	}
	return binary.BigEndian.Uint32(value[1:]), true
}

// Prepare asks the registry for the schemas of values that are not known yet; all
// of them are there until the next call, however many they are. An error means that
// the registry does not answer, which is no fault of the values.
func (a *Avro) Prepare(ctx context.Context, values iter.Seq[[]byte]) error {
	a.turn++
	defer a.forget()
	for value := range values {
		id, ok := a.number(value)
		if !ok {
			continue
		}
		k, known := a.known[id]
		if known && k.turn == a.turn {
			continue
		}
		if !known || !k.until.IsZero() && !a.now().Before(k.until) {
			var err error
			if k, err = a.ask(ctx, id); err != nil {
				return err
			}
		}
		k.turn = a.turn
		a.known[id] = k
	}
	return nil
}

// forget drops the schemas that were not needed for longest, as many as are too many,
// but none of this turn.
func (a *Avro) forget() {
	if len(a.known) <= maxSchemas {
		return
	}
	old := make([]uint32, 0, len(a.known))
	for id, k := range a.known {
		if k.turn < a.turn {
			old = append(old, id)
		}
	}
	slices.SortFunc(old, func(x, y uint32) int { return cmp.Or(cmp.Compare(a.known[x].turn, a.known[y].turn), cmp.Compare(x, y)) })
	for _, id := range old[:min(len(old), len(a.known)-maxSchemas)] {
		delete(a.known, id)
	}
}

// ask asks the registry for a schema.
func (a *Avro) ask(ctx context.Context, id uint32) (registered, error) {
	got, err := a.registry.schema(ctx, id)
	switch {
	case missingThere(err):
		return registered{fault: fmt.Sprintf("the schema registry has no schema %d", id), until: a.now().Add(askAgain)}, nil
	case err != nil:
		return registered{}, err
	case got.Type != sr.TypeAvro:
		return registered{fault: fmt.Sprintf("schema %d of the registry is %s, and no Avro", id, got.Type)}, nil
	}
	left := maxReferences
	parsed, err := a.parse(ctx, new(avro.SchemaCache), got, &left)
	var unanswered *Fault
	switch {
	case errors.As(err, &unanswered):
		return registered{}, err
	case err != nil:
		return registered{fault: fmt.Sprintf("schema %d of the registry cannot be used: %v", id, err)}, nil
	}
	return registered{avro: parsed}, nil
}

// maxReferences bounds how many others a schema refers to, and those in turn.
const maxReferences = 64

// parse reads a schema behind those that it refers to, of which so many are left.
func (a *Avro) parse(ctx context.Context, known *avro.SchemaCache, got sr.Schema, left *int) (*avro.Schema, error) {
	if *left -= len(got.References); *left < 0 {
		return nil, fmt.Errorf("it refers to more than %d others", maxReferences)
	}
	for _, ref := range got.References {
		other, err := a.registry.version(ctx, ref.Subject, ref.Version)
		switch {
		case missingThere(err):
			return nil, fmt.Errorf("it refers to version %d of %s, which is not there", ref.Version, ref.Subject)
		case err != nil:
			return nil, err
		}
		if _, err := a.parse(ctx, known, other, left); err != nil {
			return nil, err
		}
	}
	return known.Parse(got.Schema)
}

// JSON is what a value says, whose schema Prepare has asked for.
func (a *Avro) JSON(value []byte) ([]byte, *event.Invalid) {
	of := a.own
	if id, ok := a.number(value); ok {
		k := a.known[id]
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
		return nil, &event.Invalid{Code: CodeInvalid, Detail: "the value is not of its Avro schema: " + reason(err)}
	}
	if len(left) > 0 {
		return nil, &event.Invalid{Code: CodeInvalid, Detail: fmt.Sprintf("the value is not of its Avro schema: %d bytes are left behind it", len(left))}
	}
	decimals(fields)
	return text(fields)
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

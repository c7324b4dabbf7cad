package schema

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/avro"

	"vitrine/bridge/kafka/fault"
)

// Registry is a schema registry, and how it is entered; without a URL there is none.
// The files are read anew when it has failed, so that they may be replaced.
type Registry struct {
	// URL is http:// or https://.
	URL string
	// User logs in with the password in the first line of PasswordFile; "" is nobody.
	User, PasswordFile string
	// CAFile is a PEM file of authorities that are trusted instead of the system's;
	// CertFile and KeyFile are our own, for a registry that asks for a certificate.
	CAFile, CertFile, KeyFile string
	// Skip are the numbers of schemas that it is not asked for.
	Skip []uint32
}

// schemas are those of a registry, for all who read by them; any goroutine may ask.
type schemas struct {
	at     Registry
	now    func() time.Time
	askAll bool
	// turn is taken by who asks: one at a time, so that who waited finds what the one
	// before has got, be it a schema or a refusal.
	turn chan struct{}

	// These are of whoever has the turn. client is nil behind a failure.
	client *client
	// fault is what went wrong last; until after nobody asks again.
	fault *fault.Error
	after time.Time
	// misses are the numbers that the registry did not have, until lull.
	misses int
	lull   time.Time

	mu    sync.Mutex
	known map[uint32]*registered
	// size is that of all that are known.
	size int
	// uses counts what was asked for, to tell what is old.
	uses uint64
}

// registered is a schema of the registry. But for used it does not change.
type registered struct {
	// avro is nil where there is none that can be used, and then fault says why, or
	// denied why the registry does not give this one.
	avro   *avro.Schema
	fault  string
	denied *fault.Error
	// until is when one that cannot be used is asked for again: a record may come
	// before all of a registry's servers know its schema, or be replayed when somebody
	// has mended it there.
	until time.Time
	// unasked is one that was not asked for, as too many others were not there.
	unasked bool
	// size is that of its text, with those that it refers to.
	size int
	used uint64
}

const (
	// maxSchemas bounds the schemas that are kept: a shop has a few, but a hostile
	// producer can name four billion. maxText bounds their texts in bytes; a schema
	// that was read takes 20 to 35 times as much.
	maxSchemas = 256
	maxText    = 2 * maxAnswer
	// maxMisses is how many numbers within askAgain the registry may not have before
	// others that are not known are not asked for: bytes that are no Avro may look like
	// any number, and each would cost its topic a question. They seldom look like one
	// twice, as the values of a schema do that is new just then, so a number that comes
	// again is asked for, until twice as many are not there.
	maxMisses = 256
	// maxReferences bounds how many others a schema refers to, and those in turn;
	// maxAnswer bounds their texts together.
	maxReferences = 64
	// fetchTime bounds a schema with all of those.
	fetchTime = 4 * answerTime
	// failPause is how long a registry is left alone at least that does not answer, and
	// askAgain one that refuses the user, as many wrong passwords in a row lock users
	// out. A schema that cannot be used is asked for again after askAgain, too.
	failPause = time.Second
	askAgain  = 5 * time.Second
)

// newSchemas reads the files of a registry; nothing is connected yet.
func newSchemas(at Registry, now func() time.Time) (*schemas, error) {
	c, err := newClient(&at)
	if err != nil {
		return nil, err
	}
	return &schemas{at: at, now: now, client: c, turn: make(chan struct{}, 1), known: map[uint32]*registered{}}, nil
}

// Check asks a registry for the kinds of schemas that it has; "" where it does not
// say. An error is a fault.Error, as Avro's are.
func Check(ctx context.Context, r Registry) (kinds string, err error) {
	c, err := newClient(&r)
	if err != nil {
		return "", err
	}
	defer c.close()
	var names []string
	if err = c.get(ctx, &names, "schemas", "types"); status(err) == http.StatusNotFound {
		// Confluent's before 5.5, and Cloudera's, do not know the question.
		if _, err = c.schema(ctx, "schemas", "ids", "0"); missing(err) {
			err = nil
		}
	}
	if err != nil {
		return "", c.explain(err)
	}
	return strings.Join(names, ", "), nil
}

// get is a schema by its number, of those that are known or else of the registry; again
// tells that the number has come before. An error is a fault.Error, which means that the
// registry does not answer or does not give this one, or that of ctx.
func (s *schemas) get(ctx context.Context, id uint32, again bool) (*registered, error) {
	if why := s.unasked(id); why != "" {
		return &registered{fault: why}, nil
	}
	if k := s.look(id); k.settled() {
		return k.given()
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the schema registry: %w", ctx.Err())
	}
	k := s.look(id)
	if k.settled() {
		return k.given() // the one before has asked
	}
	k, err := s.fetch(ctx, id, again || k != nil)
	if err != nil {
		return nil, err
	}
	s.keep(id, k)
	return k.given()
}

// unasked says why the registry is not asked for a number at all, "" where it is.
func (s *schemas) unasked(id uint32) string {
	switch {
	case id > math.MaxInt32:
		// Registries count in Java's int, and know no path with a larger number.
		return fmt.Sprintf("there is no schema %d: registries count to %d", id, math.MaxInt32)
	case slices.Contains(s.at.Skip, id):
		return fmt.Sprintf("schema %d is not asked for: it is in kafka.schema_registry_skip", id)
	}
	return ""
}

// given is what comes of a question, now and until it is asked again.
func (k *registered) given() (*registered, error) {
	if k.denied != nil {
		return nil, k.denied
	}
	return k, nil
}

// settled tells whether it is known what the registry says of a schema.
func (k *registered) settled() bool { return k != nil && !k.unasked }

// look is a schema that is known, or nil.
func (s *schemas) look(id uint32) *registered {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[id]
	if k == nil || k.avro == nil && !s.now().Before(k.until) {
		return nil
	}
	s.uses++
	k.used = s.uses
	return k
}

// keep makes a schema known, and forgets as many as are too many: those first that
// cannot be used, and then those that were not needed for longest.
func (s *schemas) keep(id uint32, k *registered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(id)
	for len(s.known) > 0 && (len(s.known) >= maxSchemas || s.size+k.size > maxText) {
		s.forget(s.oldest())
	}
	s.uses++
	k.used = s.uses
	s.known[id] = k
	s.size += k.size
}

// forget drops a schema, if it is known; mu is held.
func (s *schemas) forget(id uint32) {
	if k := s.known[id]; k != nil {
		s.size -= k.size
		delete(s.known, id)
	}
}

// oldest is the one to forget first; mu is held.
func (s *schemas) oldest() (id uint32) {
	var first *registered
	for other, k := range s.known {
		if first == nil || before(k, first) {
			id, first = other, k
		}
	}
	return id
}

func before(a, b *registered) bool {
	if bad := a.avro == nil; bad != (b.avro == nil) {
		return bad
	}
	return a.used < b.used
}

// fetch asks for a schema and for those that it refers to, by whoever has the turn.
// again tells that its number has come before.
func (s *schemas) fetch(ctx context.Context, id uint32, again bool) (*registered, error) {
	if !s.mayAsk(again) {
		why := fmt.Sprintf("schema %d is not known, and was not asked for: the registry has just had none of %d others", id, s.misses)
		return &registered{fault: why, until: s.lull, unasked: !again}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	r := reading{schemas: s, id: id, of: map[version]bool{}}
	parsed, err := r.read(ctx)
	if err == nil {
		return &registered{avro: parsed, size: r.size}, nil
	}
	k := &registered{until: s.now().Add(askAgain)}
	var none *unusable
	var alone *denial
	switch {
	case errors.As(err, &none):
		k.fault = none.Error()
	case errors.As(err, &alone):
		k.denied = fault.New(alone.why.Error(), fmt.Sprintf("%s; where it gives others, kafka.schema_registry_skip = [%d] makes dead letters of its records, "+
			"which vitrine deadletters replay reads when it is given and stands there no more", alone.why.Hint(), id))
	default:
		return nil, err
	}
	return k, nil
}

// mayAsk tells whether to ask for a number that is not known, again for one that has
// come before.
func (s *schemas) mayAsk(again bool) bool {
	if now := s.now(); !now.Before(s.lull) {
		s.misses, s.lull = 0, now.Add(askAgain)
	}
	most := maxMisses
	if again {
		most *= 2
	}
	return s.misses < most || s.askAll
}

// ask asks for a schema, if there was no failure just before. What is not there is told
// by missing, what is too long by errLong, and one that is not given, where others may
// be, by a denial.
func (s *schemas) ask(ctx context.Context, what string, path ...string) (out answer, err error) {
	if s.fault != nil && s.now().Before(s.after) {
		return out, notGiven(what, s.fault)
	}
	if s.client == nil {
		if s.client, err = newClient(&s.at); err != nil {
			return out, err
		}
	}
	asked := s.now()
	out, err = s.client.schema(ctx, path...)
	switch {
	case err == nil, missing(err), errors.Is(err, errLong):
		s.fault = nil
		return out, err
	case errors.Is(ctx.Err(), context.Canceled): // which is no fault of the registry
		return out, fmt.Errorf("ask the schema registry for %s: %w", what, ctx.Err())
	}
	why, alone := s.client.explain(err), s.client.alone(err)
	s.client.close()
	s.client = nil
	if alone {
		s.fault = nil
		return out, &denial{notGiven(what, why)}
	}
	// Other topics wait for a question, so a silent registry gets half of the time at most.
	s.fault, s.after = why, s.now().Add(max(failPause, s.now().Sub(asked)))
	if refuses(err) {
		s.after = s.now().Add(askAgain)
	}
	return out, notGiven(what, why)
}

// denial is that one schema is not given, which says nothing of others.
type denial struct{ why *fault.Error }

func (d *denial) Error() string { return d.why.Error() }

// notGiven is the fault of a schema that records wait for.
func notGiven(what string, why *fault.Error) *fault.Error {
	return fault.New(fmt.Sprintf("the schema registry does not give %s: %v", what, why), why.Hint())
}

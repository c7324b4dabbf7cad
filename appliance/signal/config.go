package signal

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Config says what events weigh. The zero value is the default.
type Config struct {
	// Types are weights by event type. They add to and override the defaults:
	// view 1, click 1, favorite 2, cart 4, purchase 8, impression 0 and
	// rating 1 (times its value). A type of weight 0 is taken and archived but
	// says nothing about taste. The type remove takes back and has no weight.
	Types map[string]float64
	// HalfLife is the age at which an event counts half; 0 is DefaultHalfLife.
	HalfLife time.Duration
	// MaxItems and MaxEvents cap a user's history at so many distinct items
	// and so many events; 0 is DefaultMaxItems and DefaultMaxEvents.
	MaxItems, MaxEvents int
	// Measure says what a weight is; "" is Confidence.
	Measure Measure
	// Alpha is how soon confidence saturates as an item's sum of weights grows:
	// small is nearly linear, large nearly flat; 0 is DefaultAlpha.
	Alpha float64
}

// Measure is what the weights of a history say.
type Measure string

// The measures.
const (
	// Confidence says how sure it is that the user likes the item: what models
	// that rank are trained on.
	Confidence Measure = "confidence"
	// Ratings says how the user rates the item: the value of his newest rating
	// event, and where there is none how many events he has of it. Neither age
	// nor type weighs.
	Ratings Measure = "ratings"
	// Counts says how many events the user has of the item, whatever their
	// type and age.
	Counts Measure = "counts"
)

// Bounds of a Config. A weight above maxWeight is a slip of the pen; a history
// above maxHistory would make one user's fold-in take seconds.
const (
	maxTypes    = 256
	maxTypeName = 64
	maxWeight   = 1e6
	maxAlpha    = 1e6
	maxHistory  = 1 << 20
)

// The codes of the types that have a meaning beyond their weight. Further
// configured types follow in the order of their names.
const (
	viewCode   = 0
	ratingCode = 6
	removeCode = 7
)

// standard are the built-in types, indexed by code.
var standard = [...]struct {
	name   string
	weight float64
}{
	viewCode:   {"view", 1},
	1:          {"click", 1},
	2:          {"favorite", 2},
	3:          {"cart", 4},
	4:          {"purchase", 8},
	5:          {"impression", 0},
	ratingCode: {"rating", 1},
	removeCode: {"remove", 0},
}

// Validate returns all faults of the configuration, joined.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(c.Types)) {
		w := c.Types[name]
		switch {
		case name == "remove":
			fault("event type remove takes interactions back and has no weight of its own")
		case name == "" || len(name) > maxTypeName:
			fault("event type %.80q: a name has 1 to %d bytes", name, maxTypeName)
		case math.IsNaN(w) || w < 0 || w > maxWeight:
			fault("event type %q: weight %v is not between 0 and %g", name, w, float64(maxWeight))
		}
	}
	if n := len(c.Types) + len(standard); n > maxTypes {
		fault("%d event types: at most %d can be configured", len(c.Types), maxTypes-len(standard))
	}
	if c.HalfLife < 0 || c.HalfLife > 0 && c.HalfLife < time.Millisecond {
		fault("half-life %v is not a positive time of at least 1ms", c.HalfLife)
	}
	if c.MaxItems < 0 || c.MaxItems > maxHistory {
		fault("history of %d items is not between 1 and %d", c.MaxItems, maxHistory)
	}
	if c.MaxEvents < 0 || c.MaxEvents > maxHistory {
		fault("history of %d events is not between 1 and %d", c.MaxEvents, maxHistory)
	}
	if math.IsNaN(c.Alpha) || c.Alpha < 0 || c.Alpha > maxAlpha {
		fault("alpha %v is not between 0 and %g", c.Alpha, float64(maxAlpha))
	}
	if !c.Measure.known() {
		fault("measure %q is none of %s, %s and %s", c.Measure, Confidence, Ratings, Counts)
	}
	return errors.Join(faults...)
}

func (m Measure) known() bool {
	return m == "" || m == Confidence || m == Ratings || m == Counts
}

// New checks the configuration and returns its Signal.
func New(c Config) (*Signal, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Signal{
		types:     make(map[string]uint8, len(standard)+len(c.Types)),
		halfLife:  orDefault(c.HalfLife, DefaultHalfLife),
		maxItems:  orDefault(c.MaxItems, DefaultMaxItems),
		maxEvents: orDefault(c.MaxEvents, DefaultMaxEvents),
		alpha:     orDefault(c.Alpha, DefaultAlpha),
		measure:   orDefault(c.Measure, Confidence),
	}
	s.decay = float64(time.Millisecond) / float64(s.halfLife)
	for _, t := range standard {
		s.addType(t.name, t.weight)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Types)) {
		s.addType(name, c.Types[name])
	}
	return s, nil
}

func (s *Signal) addType(name string, weight float64) {
	if code, ok := s.types[name]; ok {
		s.weights[code] = weight
		return
	}
	s.types[name] = uint8(len(s.names))
	s.names, s.weights = append(s.names, name), append(s.weights, weight)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Fingerprint tells the settings apart that decide what is kept of events and
// how popular they make items: histories that were built by others are not
// those of this Signal.
func (s *Signal) Fingerprint() string {
	return fmt.Sprint(s.names, s.weights, s.halfLife, s.maxItems, s.maxEvents)
}

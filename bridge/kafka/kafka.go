package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"vitrine/bridge"
	"vitrine/bridge/kafka/fault"
	"vitrine/bridge/kafka/flow"
	"vitrine/bridge/kafka/values"
	"vitrine/internal/logkey"
	"vitrine/internal/pause"
)

// Log takes the records; it is the ingest pump.
type Log interface {
	flow.Log
	// Position is the offset of the next record that is wanted of a partition.
	Position(place bridge.Place) (next int64, ok bool)
}

// Letters keeps what cannot be read.
type Letters = flow.Letters

// Counts are what one poll brought.
type Counts = flow.Counts

// Options of a Source; zero fields that are not named as needed are the
// documented default.
type Options struct {
	// Brokers are host:port; needed.
	Brokers []string
	// Topics are what is read, and how; one of them is needed.
	values.Topics
	// Group is the consumer group. Default "vitrine".
	Group string
	// Security of the connections. Default: none.
	Security Security
	// Instance names this log among the members of the group: one that was
	// killed gets its partitions back at once. Default: the member has no name.
	Instance string
	// Into takes the records, Letters what cannot be read; both are needed.
	Into    Log
	Letters Letters
	// Begun, when set, keeps from which offsets partitions are read of which Into
	// has no position, before they are: a log that loses its first frame of one has
	// nothing else that says where that began. An error of it ends the session, and
	// is tried again.
	Begun func(from map[bridge.Place]int64) error
	// Observe, when set, is told of every poll.
	Observe func(Counts)
	// Log takes state changes. Default: none are written.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Group = cmp.Or(o.Group, "vitrine")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe == nil {
		o.Observe = func(Counts) {}
	}
	if o.Begun == nil {
		o.Begun = func(map[bridge.Place]int64) error { return nil }
	}
	return o
}

// Partition is how far one partition has come.
type Partition struct {
	Topic     string
	Partition int32
	// Position is the offset of the next record, End the one that the cluster
	// will give next.
	Position, End int64
}

// Lag is how many records wait in the cluster.
func (p Partition) Lag() int64 { return max(0, p.End-p.Position) }

// Status is how the source is doing.
type Status struct {
	// Connected tells that the source is a member of its group.
	Connected bool
	// Error and Hint say why nothing comes in, or nothing of some partitions; empty
	// while all is well.
	Error, Hint string
	// Partitions are those that this member reads, by topic and number.
	Partitions []Partition
	Counts     Counts
	// Lost are the offsets since the start whose records the cluster dropped before
	// they were read, or lost and gives again.
	Lost int64
}

// Source reads the topics. Run may be called once.
type Source struct {
	opt Options
	// readers decode at the same time, each with buffers of its own.
	readers []*values.Reader
	// look is how often the ends of the partitions are asked for, and the
	// topics, which may have been deleted; patience is for the first answer of a
	// cluster. Tests have less of both.
	look, patience time.Duration
	// spoil overwrites what was read when it is let go of, for tests.
	spoil bool
	// away is how long the group waits for a member that is gone.
	away time.Duration

	mu     sync.Mutex
	status Status
	// reminded is when the log was told last that records wait, of a partition or, by
	// none, of all.
	reminded map[bridge.Place]time.Time
	parts    map[bridge.Place]*Partition
	// held are the partitions that cannot be read, and why.
	held map[bridge.Place]*standstill
	// ids are those of the topics that were read last.
	ids map[string]kadm.TopicID
	// meant are topics of the cluster that are called nearly as those that it lacks.
	meant map[string]string
}

// New checks the options; nothing is connected yet.
func New(opt Options) (*Source, error) {
	opt = opt.withDefaults()
	s := &Source{
		parts: map[bridge.Place]*Partition{}, held: map[bridge.Place]*standstill{}, reminded: map[bridge.Place]time.Time{},
		ids: map[string]kadm.TopicID{}, meant: map[string]string{}, look: 5 * time.Second, patience: 10 * time.Second, away: awayTime,
	}
	if opt.Instance == "" {
		s.away = shortAway // it comes back as another member
	}
	var err error
	if s.readers, err = values.NewReaders(opt.Topics, min(runtime.GOMAXPROCS(0), maxReaders)); err != nil {
		return nil, err
	}
	if len(opt.Names()) == 0 || len(opt.Brokers) == 0 {
		return nil, errors.New("kafka needs brokers and a topic")
	}
	if _, err := opt.base(); err != nil {
		return nil, err
	}
	s.opt = opt
	return s, nil
}

// maxReaders is how many batches are decoded at a time at most: the one
// committer of the log takes no more than some three decoders give.
const maxReaders = 4

// The pauses between two tries to reach the cluster: short at first, because
// most restarts of a broker are.
const (
	firstPause = time.Second
	lastPause  = 2 * time.Second
)

// Run reads until ctx ends, and returns nil then. What goes wrong with the
// cluster is told by Status and the log, and tried again.
func (s *Source) Run(ctx context.Context) error {
	wait, told := firstPause, ""
	for {
		began := s.opt.Now()
		err := s.session(ctx)
		if ctx.Err() != nil || errors.Is(err, bridge.ErrClosed) {
			return nil
		}
		if errors.Is(err, kerr.InvalidSessionTimeout) && s.away > shortAway {
			s.away = shortAway
			continue
		}
		f := explain(err, &s.opt)
		s.fail(f)
		if f.Error() != told {
			told = f.Error()
			s.opt.Log.Warn("kafka: "+told, logkey.Hint, f.Hint())
		}
		if s.opt.Now().Sub(began) > time.Minute {
			wait, told = firstPause, ""
		}
		if pause.For(ctx, wait) != nil {
			return nil
		}
		wait = min(2*wait, lastPause)
	}
}

// Status tells how the source is doing now.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.status
	out.Partitions = make([]Partition, 0, len(s.parts))
	for _, p := range s.parts {
		out.Partitions = append(out.Partitions, *p)
	}
	slices.SortFunc(out.Partitions, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for i := range out.Partitions {
		p := &out.Partitions[i]
		if h := s.held[bridge.Place{Name: p.Topic, Partition: p.Partition}]; h != nil && out.Error == "" {
			out.Error, out.Hint = fmt.Sprintf("%v, since %s", h.why, h.since.UTC().Format(time.RFC3339)), h.why.Hint()
			if more := len(s.held) - 1; more > 0 {
				out.Error += fmt.Sprintf(" (and %d more of them)", more)
			}
		}
	}
	return out
}

func (s *Source) fail(f *fault.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Connected, s.status.Error, s.status.Hint = false, f.Error(), f.Hint()
}

// well takes an error back.
func (s *Source) well() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Connected, s.status.Error, s.status.Hint = true, "", ""
}

// count adds what a poll brought.
func (s *Source) count(n Counts) {
	s.opt.Observe(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.status.Counts
	c.Accepted += n.Accepted
	c.Duplicate += n.Duplicate
	c.Rejected += n.Rejected
	c.UnknownFields += n.UnknownFields
	c.Clamped += n.Clamped
}

// reached notes how far a partition has come; a negative number is not known.
func (s *Source) reached(topic string, partition int32, position, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := bridge.Place{Name: topic, Partition: partition}
	p := s.parts[place]
	if p == nil {
		if position < 0 {
			return // not ours
		}
		p = &Partition{Topic: topic, Partition: partition}
		s.parts[place] = p
	}
	if position >= 0 {
		p.Position = position
	}
	p.End = max(p.End, end, p.Position)
}

// forget drops partitions that are another member's now; nil drops all.
func (s *Source) forget(lost map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost == nil {
		clear(s.parts)
		clear(s.held)
	}
	for topic, partitions := range lost {
		for _, n := range partitions {
			delete(s.parts, bridge.Place{Name: topic, Partition: n})
			delete(s.held, bridge.Place{Name: topic, Partition: n})
		}
	}
}

package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fault"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/flow"
	"vitrine/internal/logkey"
	"vitrine/internal/nearest"
)

const (
	// leaveTime bounds the good-bye to a group.
	leaveTime = 3 * time.Second
	// commitEvery is how often the group learns the offsets: what another member
	// reads a second time, when one is killed and stays away, came since.
	commitEvery = 200 * time.Millisecond
	// awayTime is how long a member that has a name may be away, long enough for a
	// machine to start again, before others get its partitions; shortAway is that of
	// one without, and where the cluster allows no more.
	awayTime  = 2 * time.Minute
	shortAway = 15 * time.Second
	// metadataMark begins the metadata of the committed offsets: who committed,
	// and of which life of the topic.
	metadataMark = "vitrine"
)

// offsets are places in topics.
type offsets map[string]map[int32]kgo.EpochOffset

// set notes a place.
func (o offsets) set(topic string, partition int32, to kgo.EpochOffset) {
	if o[topic] == nil {
		o[topic] = map[int32]kgo.EpochOffset{}
	}
	o[topic][partition] = to
}

// session is one membership of the group.
type session struct {
	*Source
	client *kgo.Client
	admin  *kadm.Client
	// fetcher reads the partitions that the group has given us.
	fetcher *fetch.Fetcher
	// flow takes what the fetcher gives into the log.
	flow *flow.Pipe
	// made is closed when these are set: the client's own goroutines call back
	// before that.
	made chan struct{}
	// names are the topics' Source.Names as they were at the start.
	names map[string]string
	// member tells that the group has said which partitions are its own.
	member atomic.Bool

	// telling is held while the group is told offsets, so that none are told
	// late; commits are those that it has not learned yet, committed when it did
	// last.
	telling   sync.Mutex
	commitsMu sync.Mutex
	commits   offsets
	committed time.Time // commitsMu guards it, too

	refusedMu sync.Mutex
	// refused are offsets of partitions below which records may have been refused
	// before.
	refused map[bridge.Place]int64
}

// session reads until something goes wrong or ctx ends.
func (s *Source) session(ctx context.Context) (err error) {
	defer s.forget(nil)
	found, err := s.probe(ctx)
	if err != nil {
		return err
	}
	ss, err := s.join(found)
	if err != nil {
		return err
	}
	defer func() { ss.leave(err) }()
	s.opt.Log.Info("kafka: reading", logkey.Address, strings.Join(s.opt.Brokers, ","), logkey.Source, strings.Join(s.opt.Names(), ","))
	// What was wrong stays told until this is a member of the group: seeds may
	// answer, and the addresses that they give may not.
	if err = ss.run(ctx); !ss.member.Load() && dialed(err) {
		return unreachable(err, &s.opt) // the brokers of the configuration have just answered
	}
	return err
}

// join makes a membership of the topics that were found.
func (s *Source) join(found kadm.TopicDetails) (ss *session, err error) {
	ss = &session{Source: s, made: make(chan struct{}), names: map[string]string{}, commits: offsets{}, committed: s.opt.Now(), refused: map[bridge.Place]int64{}}
	ids := map[string][16]byte{}
	for topic, d := range found {
		ss.names[topic], ids[topic] = event.TopicSource(topic, d.ID), d.ID
		if f := s.another(topic, d.ID); f != nil { // while it was missing or nobody looked
			s.opt.Log.Warn("kafka: "+f.Error(), logkey.Hint, f.Hint())
		}
	}
	buffers := fetch.NewBuffers(keptBytes, keptLargest)
	if s.spoil {
		buffers.Spoil()
	}
	// The client keeps the membership.
	if ss.client, ss.fetcher, err = s.opt.reading(ids, buffers, ss, ss.membership(found)...); err != nil {
		return nil, err
	}
	ss.admin = kadm.NewClient(ss.client)
	ss.flow = flow.New(flow.Options{
		Fetcher: ss.fetcher, Group: ss, Into: s.opt.Into, Letters: s.opt.Letters, Readers: s.readers,
		Count: s.count, Waits: s.waiting, Rotten: func(b *fetch.Batch, err error) error { return rotten(b, err, &s.opt) },
		Every: commitEvery, Now: s.opt.Now,
	})
	close(ss.made)
	return ss, nil
}

// membership is how a client takes part in the group for the session.
func (s *session) membership(found kadm.TopicDetails) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumerGroup(s.opt.Group), kgo.Balancers(balancer{kgo.CooperativeStickyBalancer()}), kgo.SessionTimeout(s.away),
		kgo.DisableAutoCommit(), kgo.AdjustFetchOffsetsFn(s.start),
		kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, got map[string][]int32) {
			if !s.member.Swap(true) && unlike(got, found) {
				client.ForceRebalance()
			}
			s.well()
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, lost map[string][]int32) { s.handOver(ctx, lost) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			s.member.Store(false)
			<-s.made
			defer s.flow.Hold()()
			s.gone(lost)
		}),
	}
	if s.opt.Instance != "" {
		opts = append(opts, kgo.InstanceID(metadataMark+"-"+s.opt.Instance))
	}
	return opts
}

// run moves records, and looks beside that after the membership and the topics.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var beside sync.WaitGroup
	beside.Go(func() { s.fetcher.Run(ctx) })
	for _, watch := range []func(context.Context) error{s.watch, s.listen} {
		beside.Go(func() {
			if err := watch(ctx); err != nil {
				cancel(err)
			}
		})
	}
	err := s.flow.Run(ctx)
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	cancel(nil)
	beside.Wait()
	return err
}

// lost tells of records that the cluster does not have any more.
func (s *session) lost(l fetch.Loss) {
	s.mu.Lock()
	s.status.Lost += l.Gone
	s.mu.Unlock()
	s.readOn(bridge.Place{Name: l.Topic, Partition: l.Partition}, l.To)
	if l.Dropped {
		s.opt.Log.Error("kafka: the cluster has dropped records before they were read; retention.ms of the topic must be longer than Vitrine may be away",
			logkey.Source, l.Topic, logkey.Partition, l.Partition, logkey.First, l.From, logkey.Last, l.To-1, logkey.Count, l.Gone)
		return
	}
	s.opt.Log.Error("kafka: the cluster has lost records that were read, and gives their offsets again: as many new ones are taken for known and do not count",
		logkey.Source, l.Topic, logkey.Partition, l.Partition, logkey.First, l.From-l.Gone, logkey.Last, l.From-1, logkey.Count, l.Gone,
		logkey.Hint, "unclean.leader.election.enable=false on the topic keeps a cluster from it")
}

// stuck tells of a partition that cannot be read, while others are.
func (s *session) stuck(topic string, partition int32, offset int64, err error) {
	f := unreadable(topic, partition, offset, err, &s.opt)
	if !s.holdUp(bridge.Place{Name: topic, Partition: partition}, f, nothing) {
		return
	}
	if f == nil {
		s.opt.Log.Info("kafka: the partition is read again", logkey.Source, topic, logkey.Partition, partition, logkey.First, offset)
		return
	}
	s.opt.Log.Error("kafka: "+f.Error(), logkey.Source, topic, logkey.Partition, partition, logkey.First, offset, logkey.Hint, f.Hint())
}

// listen takes what the client tells of the membership: it has no records, but
// errors in their place.
func (s *session) listen(ctx context.Context) error {
	for {
		fetches := s.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			var group *kgo.ErrGroupSession
			if errors.As(e.Err, &group) {
				return fmt.Errorf("join the group: %w", group.Err)
			}
			return fmt.Errorf("read partition %d of %s: %w", e.Partition, e.Topic, e.Err)
		}
	}
}

// Check asks a cluster for the topics of the options, as a source does at first,
// and gives the number of partitions of each. An error has a method Hint, which
// says what to do about it.
func Check(ctx context.Context, opt Options) (partitions map[string]int, err error) {
	s, err := New(opt)
	if err != nil {
		return nil, err
	}
	found, err := s.probe(ctx)
	if err != nil {
		return nil, explain(err, &s.opt)
	}
	partitions = map[string]int{}
	for name, topic := range found {
		partitions[name] = len(topic.Partitions)
	}
	return partitions, nil
}

// probe looks whether the cluster answers and the topics are there, and gives
// these.
func (s *Source) probe(ctx context.Context) (kadm.TopicDetails, error) {
	client, err := s.opt.client(kgo.RequestRetries(1))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return nil, fmt.Errorf("ask the brokers: %w", err)
	}
	return s.lookUp(ctx, kadm.NewClient(client))
}

// lookUp gives the topics, or a fault that names those that are missing.
func (s *Source) lookUp(ctx context.Context, admin *kadm.Client) (kadm.TopicDetails, error) {
	details, err := admin.ListTopics(ctx, s.opt.Names()...)
	if err != nil {
		return nil, fmt.Errorf("ask for the topics: %w", err)
	}
	var gone []string
	for _, topic := range s.opt.Names() {
		switch d, there := details[topic]; {
		case !there || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			gone = append(gone, topic)
		case d.Err != nil:
			return nil, fmt.Errorf("ask for topic %s: %w", topic, d.Err)
		}
	}
	if len(gone) > 0 {
		return nil, missing(gone, s.like(ctx, admin, gone[0]), &s.opt)
	}
	return details, nil
}

// like is a topic of the cluster that a mistyped one was meant to be, "" without one. A
// cluster that has a great many is asked for all of them once.
func (s *Source) like(ctx context.Context, admin *kadm.Client, topic string) string {
	s.mu.Lock()
	name, known := s.meant[topic]
	s.mu.Unlock()
	if known {
		return name
	}
	all, err := admin.ListTopics(ctx)
	if err != nil {
		return "" // the topic is missing all the same
	}
	all.FilterInternal()
	const typos = 2
	if name = nearest.Name(topic, all.Names()); nearest.Distance(topic, name) > typos || slices.Contains(s.opt.Names(), name) {
		name = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meant[topic] = name
	return name
}

// leave ends the membership, so that others need not wait for its time-out. A
// named member must be sent away by its name, unless that is another's by now, as
// the reason to leave says.
func (s *session) leave(why error) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := s.client.LeaveGroupContext(ctx); err != nil {
		s.opt.Log.Debug("kafka: the group was not left", logkey.Error, err)
	}
	if s.opt.Instance != "" && !errors.Is(why, kerr.FencedInstanceID) {
		if _, err := s.admin.LeaveGroup(ctx, kadm.LeaveGroup(s.opt.Group).InstanceIDs(metadataMark+"-"+s.opt.Instance)); err != nil {
			s.opt.Log.Debug("kafka: the group was not left", logkey.Error, err)
		}
	}
	s.client.Close()
}

// watch asks for the ends of the partitions from time to time, tells what is
// wrong meanwhile, and ends with an error when a topic is not the one that is
// read.
func (s *session) watch(ctx context.Context) error {
	tick := time.NewTicker(s.look)
	defer tick.Stop()
	for told := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.askEnds(ctx)
		var gone *fault.Error
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &gone):
			return gone
		case err != nil:
			s.fail(explain(err, &s.opt)) // the client goes on trying
			told = true
		case told && s.member.Load():
			s.well() // no record may come that tells
			told = false
		}
	}
}

// askEnds notes the ends of the partitions. Brokers that are away are none of its
// errors as long as others answer: what they led, others lead soon.
func (s *session) askEnds(ctx context.Context) error {
	found, err := s.lookUp(ctx, s.admin)
	if err != nil {
		return err
	}
	for topic, d := range found {
		if f := s.another(topic, d.ID); f != nil {
			return f
		}
	}
	ends, err := s.admin.ListEndOffsets(ctx, s.opt.Names()...)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			s.reached(o.Topic, o.Partition, -1, o.Offset)
		}
	})
	var some *kadm.ShardErrors
	if errors.As(err, &some) && !some.AllFailed {
		return nil
	}
	return err
}

// another is the fault of a topic that is no longer the one that was read last,
// told once.
func (s *Source) another(topic string, id kadm.TopicID) *fault.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.ids[topic]
	s.ids[topic] = id
	if !known || before == id {
		return nil
	}
	return fault.New("topic "+topic+" was deleted and created again", "it is read from its start")
}

// Life is the Source.Name of the topic that has a name now, as far as that was seen.
func (s *Source) Life(topic string) (name string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, known := s.ids[topic]
	return event.TopicSource(topic, id), known
}

// Origin is what a topic is called in the log, and the offset of a partition below which
// records may have been refused before.
func (s *session) Origin(topic string, partition int32) (name string, refused int64) {
	s.refusedMu.Lock()
	defer s.refusedMu.Unlock()
	return s.names[topic], s.refused[bridge.Place{Name: topic, Partition: partition}]
}

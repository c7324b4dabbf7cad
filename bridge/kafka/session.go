package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/internal/logkey"
)

const (
	// pollRecords bounds a poll: about one frame of the log.
	pollRecords = 4096
	// leaveTime bounds the good-bye to a group.
	leaveTime = 3 * time.Second
	// commitEvery is how often the group learns the offsets.
	commitEvery = time.Second
	// busyPause is how long a log that takes nothing is left alone.
	busyPause = 500 * time.Millisecond
	// metadataMark begins the metadata of the committed offsets: who committed,
	// and of which life of the topic.
	metadataMark = "vitrine"
)

// session is one membership of the group.
type session struct {
	*Source
	client *kgo.Client
	admin  *kadm.Client
	// made is closed when client and admin are set: the client's own goroutines
	// call back before that.
	made chan struct{}
	ids  map[string][16]byte
	// names are the topics' Source.Names.
	names map[string]string

	records []event.Record
	letters []deadletter.Letter
	counts  Counts
	// commits are the offsets that the group has not learned yet.
	commits   map[string]map[int32]kgo.EpochOffset
	committed time.Time
}

// session reads until something goes wrong or ctx ends.
func (s *Source) session(ctx context.Context) error {
	defer s.forget(nil)
	ids, err := s.probe(ctx)
	if err != nil {
		return err
	}
	ss := &session{Source: s, made: make(chan struct{}), ids: ids, names: map[string]string{}, commits: map[string]map[int32]kgo.EpochOffset{}, committed: s.opt.Now()}
	for topic, id := range ids {
		ss.names[topic] = event.TopicSource(topic, id)
	}
	opts, err := s.opt.base()
	if err != nil {
		return err
	}
	opts = append(opts,
		kgo.ConsumerGroup(s.opt.Group), kgo.ConsumeTopics(s.topics()...), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.AdjustFetchOffsetsFn(ss.start),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, lost map[string][]int32) { ss.commit(ctx); s.forget(lost) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { s.forget(lost) }),
		// What the log has already is passed over, so the start is never wrong.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(partitionBytes),
		kgo.MaxConcurrentFetches(2), kgo.FetchMaxWait(500*time.Millisecond), kgo.SessionTimeout(15*time.Second),
	)
	if s.opt.Instance != "" {
		opts = append(opts, kgo.InstanceID(metadataMark+"-"+s.opt.Instance))
	}
	if ss.client, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("make the client: %w", err)
	}
	ss.admin = kadm.NewClient(ss.client)
	close(ss.made)
	defer ss.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := ss.watch(ctx); err != nil {
			cancel(err)
		}
	}()
	s.opt.Log.Info("kafka: reading", logkey.Address, strings.Join(s.opt.Brokers, ","), logkey.Source, strings.Join(s.topics(), ","))
	s.well()
	err = ss.read(ctx)
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	cancel(nil)
	<-watched
	return err
}

// probe looks whether the cluster answers and the topics are there, and gives
// their ids.
func (s *Source) probe(ctx context.Context) (map[string][16]byte, error) {
	opts, err := s.opt.base()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, kgo.RequestRetries(1))...)
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return nil, fmt.Errorf("ask the brokers: %w", err)
	}
	return s.lookUp(ctx, kadm.NewClient(client))
}

// lookUp gives the ids of the topics, or a fault that names one that is
// missing.
func (s *Source) lookUp(ctx context.Context, admin *kadm.Client) (map[string][16]byte, error) {
	details, err := admin.ListTopics(ctx, s.topics()...)
	if err != nil {
		return nil, fmt.Errorf("ask for the topics: %w", err)
	}
	ids := map[string][16]byte{}
	for _, topic := range s.topics() {
		switch d, there := details[topic]; {
		case !there || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			return nil, missing(topic, &s.opt)
		case d.Err != nil:
			return nil, fmt.Errorf("ask for topic %s: %w", topic, d.Err)
		default:
			ids[topic] = d.ID
		}
	}
	return ids, nil
}

// leave ends the membership, so that others need not wait for its time-out. A
// named member must be sent away by its name.
func (s *session) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	s.client.AllowRebalance()
	if err := s.client.LeaveGroupContext(ctx); err != nil {
		s.opt.Log.Debug("kafka: the group was not left", logkey.Error, err)
	}
	if s.opt.Instance != "" {
		if _, err := s.admin.LeaveGroup(ctx, kadm.LeaveGroup(s.opt.Group).InstanceIDs(metadataMark+"-"+s.opt.Instance)); err != nil {
			s.opt.Log.Debug("kafka: the group was not left", logkey.Error, err)
		}
	}
	s.client.CloseAllowingRebalance()
}

// watch asks for the ends of the partitions from time to time, and ends with an
// error when a topic is not the one that is read.
func (s *session) watch(ctx context.Context) error {
	tick := time.NewTicker(s.look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		ids, err := s.lookUp(ctx, s.admin)
		var gone *fault
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &gone):
			return gone
		case err != nil:
			fault := explain(err, &s.opt)
			s.fail(fault) // the client goes on trying
			continue
		}
		for topic, id := range ids {
			if id != s.ids[topic] {
				return &fault{"topic " + topic + " was deleted and created again", "it is read from its start"}
			}
		}
		ends, err := s.admin.ListEndOffsets(ctx, s.topics()...)
		if err != nil {
			continue
		}
		ends.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				s.reached(o.Topic, o.Partition, -1, o.Offset)
			}
		})
		s.mu.Lock()
		s.status.Connected = true
		s.mu.Unlock()
	}
}

// start says where to go on with the partitions that the group has given us:
// where the log ends; for what the log knows nothing of, and for what another
// member has read meanwhile, where the group ends; else at the start.
func (s *session) start(ctx context.Context, assigned map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-s.made
	group, err := s.admin.FetchOffsets(ctx, s.opt.Group)
	if err != nil {
		return nil, fmt.Errorf("ask for the group's offsets: %w", err)
	}
	for topic, partitions := range assigned {
		for n := range partitions {
			next, own := s.opt.Into.Position(bridge.Place{Name: s.names[topic], Partition: n})
			if o, ok := group.Lookup(topic, n); ok && o.Err == nil && o.At > next {
				by, life := committer(o.Metadata)
				// Another's commit counts, and one without our mark, as of a
				// tool that has reset the group, where the log has nothing.
				if sameLife := life == "" || life == s.names[topic]; sameLife && (!own || by != "" && by != s.opt.Instance) {
					next, own = o.At, true
				}
			}
			offset := kgo.NewOffset().AtStart()
			if own {
				offset = kgo.NewOffset().At(next)
			}
			partitions[n] = offset.WithEpoch(-1)
			s.reached(topic, n, next, -1)
		}
	}
	return assigned, nil
}

// committer takes the metadata of a committed offset apart.
func committer(metadata string) (instance, life string) {
	parts := strings.Fields(metadata)
	if len(parts) != 3 || parts[0] != metadataMark {
		return "", ""
	}
	return parts[1], parts[2]
}

// read polls until ctx ends or the client gives up.
func (s *session) read(ctx context.Context) error {
	for {
		fetches := s.client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		var skips map[string]map[int32]kgo.EpochOffset
		var failed error
		err := s.prepare(ctx, fetches)
		if err == nil {
			skips, failed = s.take(fetches)
			err = s.deliver(ctx)
		}
		switch {
		case errors.Is(err, bridge.ErrClosed):
			return err
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			s.waiting(err)
			s.rewind(fetches)
		default:
			s.client.SetOffsets(skips)
			s.passed(fetches)
			if s.opt.Now().Sub(s.committed) >= commitEvery {
				s.commit(ctx)
			}
		}
		s.client.AllowRebalance()
		if err != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(busyPause):
			}
		} else if failed != nil {
			return failed
		}
	}
}

// prepare fetches the schemas of the interactions.
func (s *session) prepare(ctx context.Context, fetches kgo.Fetches) error {
	if s.opt.prepare == nil {
		return nil
	}
	for iter := fetches.RecordIter(); !iter.Done(); {
		if r := iter.Next(); r.Topic == s.opt.Topic {
			if err := s.opt.prepare(ctx, r.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// take decodes what a poll brought. skips are offsets to go on from, behind
// batches that cannot be had; failed is why the session cannot go on.
func (s *session) take(fetches kgo.Fetches) (skips map[string]map[int32]kgo.EpochOffset, failed error) {
	s.records, s.letters, s.counts = s.records[:0], s.letters[:0], Counts{}
	skips = map[string]map[int32]kgo.EpochOffset{}
	now := s.opt.Now()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, r := range p.Records {
			s.add(r, now)
		}
		var bomb *kgo.ErrDecompressTooLarge
		var lost *kgo.ErrDataLoss
		switch {
		case p.Err == nil:
		case errors.As(p.Err, &bomb):
			s.counts.Rejected++
			s.letters = append(s.letters, deadletter.Letter{
				Source: p.Topic, Partition: p.Partition, Offset: bomb.Offset, Code: event.CodeTooLarge, Time: now.UnixMilli(),
				Detail: fmt.Sprintf("the batch of offsets %d to %d has more than %d MiB when it is decompressed; none of it was read", bomb.Offset, bomb.NextOffset-1, decompressBytes>>20),
			})
			if skips[p.Topic] == nil {
				skips[p.Topic] = map[int32]kgo.EpochOffset{}
			}
			skips[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: -1, Offset: bomb.NextOffset}
		case errors.As(p.Err, &lost):
			s.opt.Log.Error("kafka: the cluster has lost records", logkey.Error, lost)
		default:
			failed = fmt.Errorf("read partition %d of %s: %w", p.Partition, p.Topic, p.Err)
		}
	})
	return skips, failed
}

// add decodes one record.
func (s *session) add(r *kgo.Record, now time.Time) {
	n := len(s.records)
	if n == cap(s.records) {
		s.records = append(s.records, event.Record{})
	}
	s.records = s.records[:n+1]
	dst := &s.records[n]
	*dst = event.Record{Source: event.Source{Name: s.names[r.Topic], Partition: r.Partition, Offset: r.Offset}}
	unknown, inv := s.decode[r.Topic](r, dst)
	s.counts.UnknownFields += unknown
	if inv == nil && dst.Kind == event.KindEvent {
		if inv = dst.Event.Validate(s.opt.Types); inv == nil {
			if dst.Event.Time == 0 {
				dst.Event.Time = max(r.Timestamp.UnixMilli(), 0)
			}
			if dst.Event.Normalize(now) {
				s.counts.Clamped++
			}
		}
	}
	if inv == nil {
		return
	}
	s.records = s.records[:n]
	s.counts.Rejected++
	s.letters = append(s.letters, deadletter.Letter{
		Source: r.Topic, Partition: r.Partition, Offset: r.Offset, Code: inv.Code, Detail: inv.Detail, Time: now.UnixMilli(), Raw: r.Value,
	})
}

// deliver makes the letters and the records durable.
func (s *session) deliver(ctx context.Context) error {
	if len(s.letters) > 0 {
		if _, err := s.opt.Letters.Add(ctx, s.letters); err != nil {
			return fmt.Errorf("keep what cannot be read: %w", err)
		}
		clear(s.letters) // lets go of the records' bytes
	}
	if len(s.records) > 0 {
		res, err := s.opt.Into.Submit(ctx, s.records)
		if err != nil {
			return err
		}
		s.counts.Accepted, s.counts.Duplicate = res.Accepted, res.Duplicate
	}
	s.count(s.counts)
	return nil
}

// rewind makes the next poll give the same records again.
func (s *session) rewind(fetches kgo.Fetches) {
	back := map[string]map[int32]kgo.EpochOffset{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		if back[p.Topic] == nil {
			back[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		back[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: -1, Offset: p.Records[0].Offset}
	})
	s.client.SetOffsets(back)
}

// passed notes how far the partitions have come.
func (s *session) passed(fetches kgo.Fetches) {
	any := false
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		any = true
		last := p.Records[len(p.Records)-1]
		s.reached(p.Topic, p.Partition, last.Offset+1, p.HighWatermark)
		if s.commits[p.Topic] == nil {
			s.commits[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		s.commits[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
	})
	if any {
		s.well()
	}
}

// commit tells the group the offsets. It runs while no rebalance can, or in
// one; when it fails, the group knows less than the log, which does no harm.
func (s *session) commit(ctx context.Context) {
	<-s.made
	if len(s.commits) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for t := range req.Topics {
			mark := strings.Join([]string{metadataMark, s.opt.Instance, s.nameOf(&req.Topics[t])}, " ")
			for p := range req.Topics[t].Partitions {
				req.Topics[t].Partitions[p].Metadata = &mark
			}
		}
		return nil
	})
	s.client.CommitOffsetsSync(ctx, s.commits, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			s.opt.Log.Debug("kafka: offsets not committed", logkey.Error, err)
		}
	})
	s.commits, s.committed = map[string]map[int32]kgo.EpochOffset{}, s.opt.Now()
}

// nameOf is the Source.Name of a topic of a request, which has its name or, in
// newer protocols, its id.
func (s *session) nameOf(t *kmsg.OffsetCommitRequestTopic) string {
	if t.Topic != "" {
		return s.names[t.Topic]
	}
	for topic, id := range s.ids {
		if id == t.TopicID {
			return s.names[topic]
		}
	}
	return "-"
}

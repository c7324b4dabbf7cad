package kafka

import (
	"context"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
	"vitrine/internal/logkey"
)

// Passed notes how far the partition of a batch has come.
func (s *session) Passed(b *fetch.Batch, to int64) {
	if s.passed(b, to) && s.readOn(bridge.Place{Name: b.Topic, Partition: b.Partition}, to) {
		s.opt.Log.Info("kafka: the partition is read again", logkey.Source, b.Topic, logkey.Partition, b.Partition, logkey.First, to)
	}
}

// passed is false where the partition was lost meanwhile: the group may be further than
// here by now.
func (s *session) passed(b *fetch.Batch, to int64) bool {
	s.commitsMu.Lock()
	defer s.commitsMu.Unlock()
	if b.Stale() {
		return false
	}
	s.commits.set(b.Topic, b.Partition, kgo.EpochOffset{Epoch: b.Epoch, Offset: to})
	s.reached(b.Topic, b.Partition, to, b.End)
	s.well()
	return true
}

// Tell commits what is in the log, when it is time.
func (s *session) Tell(ctx context.Context) {
	s.commitsMu.Lock()
	committed := s.committed
	s.commitsMu.Unlock()
	if s.opt.Now().Sub(committed) >= commitEvery {
		_ = s.commit(ctx) // what is not taken is told the next time
	}
}

// handOver waits for the batches that are under way, of which some may be of the
// partitions that another member gets, and tells the group how far they came. No
// batch is added meanwhile.
func (s *session) handOver(ctx context.Context, lost map[string][]int32) {
	<-s.made
	defer s.flow.Hold()()
	s.flow.Drain()
	const tries = 3
	for range tries {
		if s.commit(ctx) == nil {
			break
		}
	}
	s.gone(lost)
}

// commit tells the group the offsets. What the group did not take, as while it
// counts its members or when the session ends meanwhile, is told the next time:
// another member that gets the partition would read it again.
func (s *session) commit(ctx context.Context) (err error) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.commitsMu.Lock()
	commits := s.commits
	s.commits, s.committed = offsets{}, s.opt.Now()
	s.commitsMu.Unlock()
	if len(commits) == 0 {
		return nil
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
	s.client.CommitOffsetsSync(ctx, commits, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, failed error) {
		if err = failed; err == nil {
			err = refused(resp)
		}
	})
	if err != nil {
		s.opt.Log.Debug("kafka: offsets not committed", logkey.Error, err)
		s.keep(commits)
	}
	return err
}

// refused is the first error of an answer.
func refused(resp *kmsg.OffsetCommitResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep takes offsets that were not committed back, where there are no newer ones.
func (s *session) keep(commits offsets) {
	s.commitsMu.Lock()
	defer s.commitsMu.Unlock()
	for topic, partitions := range commits {
		for n, at := range partitions {
			if _, newer := s.commits[topic][n]; !newer {
				s.commits.set(topic, n, at)
			}
		}
	}
}

// gone drops partitions that are another member's now: an offset that the group is
// told late would take it back. The flow is held.
func (s *session) gone(lost map[string][]int32) {
	for topic, partitions := range lost {
		for _, n := range partitions {
			s.fetcher.Drop(topic, n)
		}
	}
	s.commitsMu.Lock() // Passed has noted what it took for ours, or will find it stale
	defer s.commitsMu.Unlock()
	s.forget(lost)
	for topic, partitions := range lost {
		for _, n := range partitions {
			delete(s.commits[topic], n)
		}
		if len(s.commits[topic]) == 0 {
			delete(s.commits, topic)
		}
	}
}

// nameOf is the Source.Name of a topic of a request, which has its name or, in
// newer protocols, its id.
func (s *session) nameOf(t *kmsg.OffsetCommitRequestTopic) string {
	if t.Topic != "" {
		return s.names[t.Topic]
	}
	for topic, name := range s.names {
		if name == event.TopicSource(topic, t.TopicID) {
			return name
		}
	}
	return "-"
}

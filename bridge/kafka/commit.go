package kafka

import (
	"context"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"vitrine/bridge/event"
	"vitrine/internal/logkey"
)

// passed notes how far the partitions of a batch have come.
func (s *session) passed(spans []span) {
	if len(spans) == 0 {
		return
	}
	s.commitsMu.Lock()
	for _, p := range spans {
		s.commits.set(p.topic, p.partition, kgo.EpochOffset{Epoch: p.epoch, Offset: p.next})
	}
	s.commitsMu.Unlock()
	for _, p := range spans {
		s.reached(p.topic, p.partition, p.next, p.end)
	}
	s.well()
}

// handOver waits for the batches that are under way, of which some may be of
// partitions that another member gets, and tells the group how far they came.
// No poll begins meanwhile.
func (s *session) handOver(ctx context.Context) {
	<-s.made
	s.underWay.Wait()
	s.commit(ctx)
}

// commit tells the group the offsets. It runs while no rebalance can, or in
// one; when it fails, the group knows less than the log, which does no harm.
func (s *session) commit(ctx context.Context) {
	s.commitsMu.Lock()
	commits := s.commits
	s.commits = offsets{}
	s.commitsMu.Unlock()
	s.committed = s.opt.Now()
	if len(commits) == 0 {
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
	s.client.CommitOffsetsSync(ctx, commits, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			s.opt.Log.Debug("kafka: offsets not committed", logkey.Error, err)
		}
	})
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

package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/bridge/kafka/fetch"
	"vitrine/internal/logkey"
)

// resumption is where to go on with a partition.
type resumption struct {
	topic     string
	partition int32
	// next is the offset of the next record, first the one at which the cluster
	// begins, 0 where it is not known.
	next, first int64
	// known tells that the log has a position, told that it or the group has one.
	known, told bool
}

// begin is the offset of the first record that will come.
func (r *resumption) begin() int64 { return max(r.next, r.first) }

// start says where to go on with the partitions that the group has given us:
// where the log ends; for what the log knows nothing of, and for what another
// member has read meanwhile, where the group ends; else at the start.
func (s *session) start(ctx context.Context, assigned map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-s.made
	group, err := s.admin.FetchOffsets(ctx, s.opt.Group)
	if err != nil {
		return nil, fmt.Errorf("ask for the group's offsets: %w", err)
	}
	begins, err := s.admin.ListStartOffsets(ctx, slices.Collect(maps.Keys(assigned))...)
	if err != nil {
		return nil, fmt.Errorf("ask for the beginnings of the partitions: %w", err)
	}
	var all []resumption
	taken, begun := 0, map[bridge.Place]int64{}
	for topic, partitions := range assigned {
		for n := range partitions {
			r := s.resume(topic, n, group)
			if b, ok := begins.Lookup(topic, n); ok && b.Err == nil {
				r.first = b.Offset
			}
			if !r.known {
				begun[bridge.Place{Name: s.names[topic], Partition: n}] = r.begin()
			}
			if r.told && !r.known {
				taken++
			}
			all = append(all, r)
			partitions[n] = kgo.NewOffset().AtStart().WithEpoch(-1) // of the client, which is paused
		}
	}
	if len(begun) > 0 {
		if err := s.opt.Begun(begun); err != nil {
			return nil, unkept(err)
		}
	}
	for _, r := range all {
		s.goOn(r)
	}
	if taken > 0 {
		s.opt.Log.Info("kafka: the data folder knows nothing of some partitions, and reads on where the group has got to; another kafka.group reads them from their start",
			logkey.Source, strings.Join(slices.Sorted(maps.Keys(assigned)), ","), logkey.Count, taken)
	}
	return assigned, nil
}

// resume looks in the log and among the offsets of the group.
func (s *session) resume(topic string, partition int32, group kadm.OffsetResponses) resumption {
	r := resumption{topic: topic, partition: partition}
	r.next, r.known = s.opt.Into.Position(bridge.Place{Name: s.names[topic], Partition: partition})
	r.told = r.known
	o, ok := group.Lookup(topic, partition)
	if !ok || o.Err != nil || o.At <= r.next {
		return r
	}
	by, life := committer(o.Metadata)
	// Another's commit counts, and one without our mark, as of a tool that has
	// reset the group, where the log has nothing.
	switch sameLife := life == "" || life == s.names[topic]; {
	case sameLife && (!r.known || by != "" && by != s.opt.Instance):
		r.next, r.told = o.At, true
	case sameLife:
		s.readAgain(topic, partition, o.At)
	}
	return r
}

// goOn begins with a partition.
func (s *session) goOn(r resumption) {
	if r.told && r.first > r.next {
		s.lost(fetch.Loss{Topic: r.topic, Partition: r.partition, From: r.next, To: r.first, Dropped: true, Gone: r.first - r.next})
	}
	from, at := int64(fetch.Start), r.begin()
	if r.told {
		from = at
	}
	s.fetcher.Set(r.topic, r.partition, from)
	s.reached(r.topic, r.partition, at, -1)
}

// readAgain notes that this log's own member has read a partition up to an offset,
// of which the log does not have the end: records that were refused, unless the log
// is an older one.
func (s *session) readAgain(topic string, partition int32, below int64) {
	s.refusedMu.Lock()
	defer s.refusedMu.Unlock()
	s.refused[bridge.Place{Name: topic, Partition: partition}] = below
}

// committer takes the metadata of a committed offset apart.
func committer(metadata string) (instance, life string) {
	parts := strings.Fields(metadata)
	if len(parts) != 3 || parts[0] != metadataMark {
		return "", ""
	}
	return parts[1], parts[2]
}

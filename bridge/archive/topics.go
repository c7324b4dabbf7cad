package archive

import (
	"cmp"
	"slices"

	"vitrine/bridge/event"
)

// topicPart is a partition of a topic; name is a Source.Name.
type topicPart struct {
	name      string
	partition int32
}

// topicRun follows how far the records of topics have come. A run of records
// of one partition costs one look-up.
type topicRun struct {
	next  map[topicPart]int64
	at    topicPart
	here  int64
	topic bool
}

func (t *topicRun) pass(s *event.Source) {
	if s.Name != t.at.name || s.Partition != t.at.partition {
		t.put()
		t.at, t.topic = topicPart{s.Name, s.Partition}, s.IsTopic()
		t.here = t.next[t.at]
	}
	if t.topic {
		t.here = max(t.here, s.Offset+1)
	}
}

func (t *topicRun) put() {
	if !t.topic {
		return
	}
	if t.next == nil {
		t.next = map[topicPart]int64{}
	}
	t.next[t.at] = t.here
}

func (t *topicRun) all() map[topicPart]int64 {
	t.put()
	return t.next
}

// setTopics takes the positions of topics as of a commit; nil is none.
func (a *Archive) setTopics(m *manifest) {
	a.topics = map[topicPart]int64{}
	if m == nil {
		return
	}
	for _, t := range m.Topics {
		a.topics[topicPart{t.Name, t.Partition}] = t.Next
	}
}

// topicPositions lists them by name and partition.
func topicPositions(topics map[topicPart]int64) []TopicPosition {
	out := make([]TopicPosition, 0, len(topics))
	for part, next := range topics {
		out = append(out, TopicPosition{Name: part.name, Partition: part.partition, Next: next})
	}
	slices.SortFunc(out, func(a, b TopicPosition) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

package topics

import (
	"net/url"
	"slices"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge"
	"vitrine/bridge/kafka"
)

// Reading says which topics are read.
type Reading struct {
	// Configured are their names.
	Configured []string
	// Source is nil where no cluster is configured.
	Source *kafka.Source
}

// Wanted is what of topics is to be read again, and of what is not why.
func (r Reading) Wanted(holes []bridge.Hole) []adminapi.PipelineWanted {
	out := []adminapi.PipelineWanted{}
	var read []kafka.Partition
	if r.Source != nil && len(holes) > 0 {
		read = r.Source.Status().Partitions
	}
	for _, h := range holes {
		w := adminapi.PipelineWanted{Topic: topic(h.Place), Partition: h.Place.Partition, From: h.From, To: end(h)}
		if what, way := r.unread(h.Place); what != "" {
			hint := way + "DELETE /v1/pipeline/wanted?topic=" + url.QueryEscape(w.Topic) + " of the admin API gives them up"
			w.Error, w.Hint = &what, &hint
		}
		if !done(&w, read) {
			out = append(out, w)
		}
	}
	return out
}

// done says that a partition was read to its end of which all is wanted: it may be
// empty.
func done(w *adminapi.PipelineWanted, read []kafka.Partition) bool {
	return w.To == nil && w.Error == nil && slices.ContainsFunc(read, func(p kafka.Partition) bool {
		return p.Topic == w.Topic && p.Partition == w.Partition && p.Lag() == 0
	})
}

// unread is why a partition is not read, "" where it is, and the way to have it read
// where there is one.
func (r Reading) unread(of bridge.Place) (what, way string) {
	name := topic(of)
	switch {
	case r.Source == nil:
		return "no Kafka is configured", "set kafka.brokers, or "
	case !slices.Contains(r.Configured, name):
		return "topic " + name + " is not in the configuration any more", "set one of the topics of [kafka] to it, or "
	}
	if life, known := r.Source.Life(name); known && life != of.Name {
		return "topic " + name + " was deleted and created again, and they with it", ""
	}
	return "", ""
}

// Missed is what was to be read again and is not.
func Missed(list []bridge.Missed) []adminapi.PipelineMissed {
	out := make([]adminapi.PipelineMissed, len(list))
	for i, m := range list {
		out[i] = adminapi.PipelineMissed{
			Topic: topic(m.Place), Partition: m.Place.Partition, From: m.From, To: end(m.Hole), Why: adminapi.PipelineMissedWhy(m.Why), At: m.At.UTC(),
		}
		if m.Offsets > 0 {
			out[i].Offsets = &m.Offsets
		}
	}
	return out
}

// end is the offset behind a hole, nil where it has none.
func end(h bridge.Hole) *int64 {
	if h.To == h.From {
		return nil
	}
	return &h.To
}

// Of tells of a place whether it is of a topic, whichever life of it.
func Of(name string) func(bridge.Place) bool {
	return func(p bridge.Place) bool { return topic(p) == name }
}

// Earlier tells of a place whether its topic was deleted before partitions began to be
// read that have its name.
func Earlier(from map[bridge.Place]int64) func(bridge.Place) bool {
	return func(old bridge.Place) bool {
		for now := range from {
			if old.Name != now.Name && topic(old) == topic(now) {
				return true
			}
		}
		return false
	}
}

package event

import "encoding/base64"

// topicID is the length of a topic's id in a source name.
const topicID = 22

// TopicSource is the Source.Name of what a topic gives: its name, an @ and the
// id that its cluster gave it. A topic that is deleted and created again has
// another id, and with it offsets of its own.
func TopicSource(topic string, id [16]byte) string {
	return topic + "@" + base64.RawURLEncoding.EncodeToString(id[:])
}

// IsTopic tells whether the source is a topic. Then Offset counts from 0, and
// grows from record to record of a partition.
func (s *Source) IsTopic() bool {
	at := len(s.Name) - topicID - 1
	if at < 1 || s.Name[at] != '@' {
		return false
	}
	for i := at + 1; i < len(s.Name); i++ {
		c := s.Name[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// Topic is the name of the topic, of a source that is one.
func (s *Source) Topic() string { return s.Name[:len(s.Name)-topicID-1] }

package kafka

import (
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// balancer shares partitions out among Vitrines alone. Under the library's own name,
// which Java's consumers have in their default, these would be let into the group, and
// each side would miss what the other one reads.
type balancer struct{ kgo.GroupBalancer }

// ProtocolName names it to the brokers, which let in only who knows it.
func (balancer) ProtocolName() string { return "vitrine-cooperative-sticky" }

// unlike tells that a member did not get what there is for it, all of that and no more. The
// brokers give a leader that was killed what it had: without the topics and partitions that
// came meanwhile, and with topics that it is to read no more, which then nobody reads. The
// client sees to that for balancers of its own; for others the group has to share out anew.
func unlike(got map[string][]int32, found kadm.TopicDetails) bool {
	for topic := range got {
		if _, ours := found[topic]; !ours {
			return true
		}
	}
	for topic, d := range found {
		if len(got[topic]) < len(d.Partitions) {
			return true
		}
	}
	return false
}

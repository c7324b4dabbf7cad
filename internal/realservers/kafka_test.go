package realservers

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestKafkaStarts(t *testing.T) {
	Require(t)
	for _, version := range []string{KafkaArticle, KafkaNewest} {
		t.Run(version, func(t *testing.T) {
			b := During(t, Kafka{Version: version, Dir: t.TempDir()}.Start)
			cl, err := kgo.NewClient(kgo.SeedBrokers(b.Address))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 8, 1, nil, "user-events"); err != nil {
				t.Fatal(err)
			}
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "user-events", Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := b.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := b.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), "user-events")
			if err != nil {
				t.Fatal(err)
			}
			sum := int64(0)
			ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
			if sum != 1 {
				t.Errorf("%d records after the restart, want 1", sum)
			}
		})
	}
}

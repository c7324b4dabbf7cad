package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/flow"
	"vitrine/bridge/kafka/values"
)

// TestBombs: batches that decompress to too much are passed over wherever they are:
// the first that is ever read of a partition, some behind each other, the last one,
// and while letters cannot be kept.
func TestBombs(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	bomb, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ProducerBatchMaxBytes(100<<20), kgo.BrokerMaxWriteBytes(200<<20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.DefaultProduceTopic("user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer bomb.Close()
	large := make([]byte, flow.MaxText+1)
	produce(t, bomb, &kgo.Record{Value: large})
	produce(t, bomb, &kgo.Record{Value: large})
	produce(t, cl, view("a"))
	produce(t, bomb, &kgo.Record{Value: large})
	log := &memLog{}
	letters := &fullLetters{refuse: 2}
	r := read(t, log, Options{Brokers: []string{broker}, Letters: letters})
	s := r.until("the end is reached", func(s Status) bool {
		return s.Counts.Accepted == 1 && s.Counts.Rejected == 3 && len(s.Partitions) == 1 && s.Partitions[0].Position == 4
	})
	if s.Partitions[0].Lag() != 0 || log.items(t) != "a" {
		t.Errorf("log %q, %+v", log.items(t), s)
	}
	if got := letters.offsets(); got != "0 1 3" {
		t.Errorf("letters of offsets %q", got)
	}
	for _, l := range letters.kept { // else they are taken for those of a topic of this name that was before
		if s := (event.Source{Name: l.Generation}); !s.IsTopic() || s.Topic() != l.Source {
			t.Errorf("the letter of offset %d is of the topic %q", l.Offset, l.Generation)
		}
	}
	awaitCommit(t, cl, 4)
}

// awaitCommit waits until the group has got to an offset.
func awaitCommit(t *testing.T, cl *kgo.Client, offset int64) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		group, err := kadm.NewClient(cl).FetchOffsets(t.Context(), "vitrine")
		if err != nil {
			t.Fatal(err)
		}
		if at, _ := group.Lookup("user-events", 0); at.At >= offset {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the group has not got to offset %d within 2 minutes", offset)
		}
	}
}

// types are those that are configured.
type types []string

func (l types) Known(name string) bool { return slices.Contains(l, name) }

// fullLetters is a store of letters that refuses some at first, as on a full disk.
type fullLetters struct {
	mu     sync.Mutex
	refuse int
	kept   []deadletter.Letter
}

func (l *fullLetters) Add(_ context.Context, letters []deadletter.Letter) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse > 0 {
		l.refuse--
		return 0, syscall.ENOSPC
	}
	l.kept = append(l.kept, letters...)
	return len(letters), nil
}

func (l *fullLetters) offsets() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for i := range l.kept {
		out = append(out, fmt.Sprint(l.kept[i].Offset))
	}
	return strings.Join(out, " ")
}

// TestReadableLater: records that were refused at the end of a partition are read
// again with the next start. Those that have become readable have the event_id that
// a replay of their letters gives them, and no others have.
func TestReadableLater(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	log := &memLog{}
	opt := Options{Brokers: []string{broker}, Instance: "mine", Topics: values.Topics{Types: types{"view"}}}
	r := read(t, log, opt)
	wish := kgo.StringRecord(`{"user_id":"u","item_id":"b","event_type":"wish"}`)
	produce(t, cl, view("a"), wish)
	r.until("both are read", func(s Status) bool { return s.Counts.Accepted == 1 && s.Counts.Rejected == 1 })
	page, err := r.letters.Load(1, "")
	if err != nil {
		t.Fatal(err)
	}
	awaitCommit(t, cl, 2)
	r.stop()

	opt.Types = types{"view", "wish"}
	produce(t, cl, view("c"))
	r = read(t, log, opt)
	r.until("all is read", accepted(2))
	r.stop()
	ids := map[string]string{}
	if _, err := log.Read(t.Context(), 1, func(_ uint64, frame []byte) error {
		return frames.Decode(frame, func(r *event.Record) error {
			ids[fmt.Sprint(r.Event.ItemID, r.Source.Offset)] = r.Event.EventID
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	if want := page.Letters[0].EventID(); len(ids) != 3 || ids["a0"]+ids["c2"] != "" || ids["b1"] != want {
		t.Errorf("event_ids %v, want %q for that at offset 1", ids, want)
	}
}

// TestGroupOfOthers: a group in which others share out partitions is told as such,
// whether they do it in their own way or as Java's consumers do by default.
func TestGroupOfOthers(t *testing.T) {
	t.Parallel()
	for _, theirs := range [][]kgo.GroupBalancer{{kgo.RangeBalancer()}, {kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()}} {
		broker, cl := cluster(t, 1)
		produce(t, cl, view("a"))
		other, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumerGroup("vitrine"), kgo.ConsumeTopics("user-events"),
			kgo.Balancers(theirs...), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(other.CloseAllowingRebalance)
		if err := other.PollFetches(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r := read(t, &memLog{}, Options{Brokers: []string{broker}})
		s := r.until("the fault is told", func(s Status) bool { return s.Error != "" || len(s.Partitions) > 0 })
		if !strings.Contains(s.Error, "group vitrine has members that are no Vitrine") || !strings.Contains(s.Hint, "kafka.group") {
			t.Errorf("%+v", s)
		}
	}
}

// TestKilledLeader: one that was killed and comes back under its name gets the
// partitions, too, that came since, though the brokers give it what it had.
func TestKilledLeader(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	produce(t, cl, view("a"))
	killed, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumerGroup("vitrine"), kgo.InstanceID(metadataMark+"-mine"), kgo.ConsumeTopics("user-events"),
		kgo.Balancers(balancer{kgo.CooperativeStickyBalancer()}), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.PollFetches(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	killed.Close() // which takes no leave, as it has a name
	if _, err := kadm.NewClient(cl).CreatePartitions(t.Context(), 2, "user-events"); err != nil {
		t.Fatal(err)
	}
	r := read(t, &memLog{}, Options{Brokers: []string{broker}, Instance: "mine"})
	r.until("all partitions are read", func(s Status) bool { return len(s.Partitions) == 3 })
}

// TestUnlike: what the brokers give one that was killed is compared with what there is
// for it, as Kafka gives it even topics that it has not asked for.
func TestUnlike(t *testing.T) {
	found := kadm.TopicDetails{"events": {Partitions: kadm.PartitionDetails{0: {}, 1: {}}}, "items": {Partitions: kadm.PartitionDetails{0: {}}}}
	for name, test := range map[string]struct {
		got  map[string][]int32
		want bool
	}{
		"all":                 {map[string][]int32{"events": {0, 1}, "items": {0}}, false},
		"nothing":             {nil, true},
		"a partition less":    {map[string][]int32{"events": {1}, "items": {0}}, true},
		"a topic less":        {map[string][]int32{"events": {0, 1}}, true},
		"a topic that is not": {map[string][]int32{"events": {0, 1}, "items": {0}, "users": {0}}, true},
	} {
		if got := unlike(test.got, found); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestSameMember: of two that go by one name, as those on copies of a data folder do,
// each says so when the other takes its place, and sends nobody away.
func TestSameMember(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	produce(t, cl, view("a"))
	var both [2]*rig
	for i := range both {
		both[i] = read(t, &memLog{}, Options{Brokers: []string{broker}, Instance: "mine"})
		both[i].until("it reads", func(s Status) bool { return s.Connected && len(s.Partitions) == 1 })
	}
	for _, r := range both {
		r.until("the other is told of", func(s Status) bool {
			if s.Error != "" && !strings.Contains(s.Error, "another appliance reads as the same member") {
				t.Errorf("%+v", s)
				return true
			}
			return s.Error != ""
		})
	}
}

// TestTakenForGone: who was stopped for so long that the group has forgotten him is told
// that, not what the brokers call it.
func TestTakenForGone(t *testing.T) {
	for _, err := range []error{kerr.UnknownMemberID, kerr.IllegalGeneration} {
		f := explain(fmt.Errorf("join the group: %w", err), &Options{Group: "shop"})
		if !strings.Contains(f.Error(), "group shop took this appliance for gone") || !strings.Contains(f.Hint(), "joins again") {
			t.Errorf("%v: %v; %s", err, f, f.Hint())
		}
	}
}

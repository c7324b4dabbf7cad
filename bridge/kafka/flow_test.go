package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"vitrine/bridge/event"
)

// order is every event in the log, as partition/offset, in the order of the
// log; it fails the test where a partition goes back.
func order(t *testing.T, log *memLog) []string {
	t.Helper()
	next := map[int32]int64{}
	var out []string
	if _, err := log.Read(t.Context(), 1, func(_ uint64, frame []byte) error {
		return event.DecodeFrame(frame, func(r *event.Record) error {
			if r.Source.Offset < next[r.Source.Partition] {
				t.Errorf("offset %d of partition %d comes behind %d", r.Source.Offset, r.Source.Partition, next[r.Source.Partition])
			}
			next[r.Source.Partition] = r.Source.Offset + 1
			out = append(out, fmt.Sprintf("%d/%d", r.Source.Partition, r.Source.Offset))
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOrderWhileTheLogRefuses hands many batches to a log that refuses one now
// and then, but would take the next: every record gets in once, and each partition in the
// order of its offsets.
func TestOrderWhileTheLogRefuses(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 4)
	const records = 60_000
	batch := make([]*kgo.Record, records)
	for i := range batch {
		batch[i] = view(fmt.Sprintf("i%d", i))
		if i%5_000 == 0 {
			batch[i] = kgo.StringRecord("poison")
		}
		batch[i].Key = fmt.Appendf(nil, "k%d", i)
	}
	produce(t, cl, batch...)
	log := &memLog{delay: time.Millisecond, refuse: func(n int) bool { return n == 2 || n == 7 || n == 11 }}
	r := read(t, log, Options{Brokers: []string{broker}})
	s := r.until("all is read", func(s Status) bool { return s.Counts.Accepted+s.Counts.Rejected >= records })
	r.stop()
	got := order(t, log)
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != records-12 || s.Counts.Rejected != 12 {
		t.Errorf("%d records in the log, want %d; %+v", n, records-12, s.Counts)
	}
}

// TestFill cuts what a poll brought into batches: all of it in its order, no more
// than batchRecords at once, and the error of a partition with its last record.
func TestFill(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	lost := &kgo.ErrDataLoss{}
	part := func(n int32, first, records int, err error) kgo.FetchTopicPartition {
		p := kgo.FetchPartition{Partition: n, Err: err, HighWatermark: 9_000}
		for i := range records {
			p.Records = append(p.Records, &kgo.Record{Topic: "t", Partition: n, Offset: int64(first + i), LeaderEpoch: 3, Key: []byte("k"), Value: []byte("v")})
		}
		return kgo.FetchTopicPartition{Topic: "t", FetchPartition: p}
	}
	at := func(n int32, first, next int64) span { return span{"t", n, 3, first, next, 9_000} }
	for name, test := range map[string]struct {
		got  []kgo.FetchTopicPartition
		want [][]span
		last []bool
	}{
		"nothing":            {nil, [][]span{{}}, []bool{false}},
		"an empty partition": {[]kgo.FetchTopicPartition{part(0, 5, 0, nil), part(1, 0, 1, nil)}, [][]span{{at(1, 0, 1)}}, []bool{false}},
		"just one batch":     {[]kgo.FetchTopicPartition{part(0, 5, batchRecords, nil)}, [][]span{{at(0, 5, 5+batchRecords)}}, []bool{false}},
		"one record more": {
			[]kgo.FetchTopicPartition{part(0, 5, batchRecords+1, broken)},
			[][]span{{at(0, 5, 5+batchRecords)}, {at(0, 5+batchRecords, 6+batchRecords)}},
			[]bool{false, true},
		},
		"partitions across batches": {
			[]kgo.FetchTopicPartition{part(0, 0, 1000, lost), part(1, 7, 1000, nil), part(2, 0, 100, nil)},
			[][]span{{at(0, 0, 1000), at(1, 7, 31)}, {at(1, 31, 1007), at(2, 0, 48)}, {at(2, 48, 100)}},
			[]bool{false, false, false},
		},
		"an error without records": {[]kgo.FetchTopicPartition{part(0, 0, 0, broken)}, [][]span{{}}, []bool{true}},
	} {
		b, rest := &batch{}, test.got
		for i, want := range test.want {
			rest = b.fill(rest)
			if !slices.Equal(b.spans, want) || b.last != test.last[i] {
				t.Errorf("%s: batch %d has %v, last %t; want %v and %t", name, i, b.spans, b.last, want, test.last[i])
			}
			n := 0
			for _, s := range b.spans {
				n += int(s.next - s.first)
			}
			if b.bytes != 2*n || n > batchRecords {
				t.Errorf("%s: batch %d has %d bytes of %d records", name, i, b.bytes, n)
			}
		}
		if len(rest) != 0 {
			t.Errorf("%s: %v is left", name, spansOf(rest))
		}
	}
}

// TestMembersComeAndGo has a second member join the group and leave it, again
// and again, while records come: each is in the log of one of them.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 8)
	ctx, end := context.WithCancel(t.Context())
	produced := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			batch := make([]*kgo.Record, 200)
			for i := range batch {
				batch[i] = view(fmt.Sprintf("i%d", n+i))
				batch[i].Key = fmt.Appendf(nil, "k%d", n+i)
			}
			if err := cl.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
				t.Error(err)
			}
			n += len(batch)
			time.Sleep(2 * time.Millisecond)
		}
		produced <- n
	}()
	first, second := &memLog{delay: 20 * time.Millisecond}, &memLog{}
	stays := read(t, first, Options{Brokers: []string{broker}, Instance: "stays"})
	stays.until("records come in", accepted(1))
	for range 2 {
		goes := read(t, second, Options{Brokers: []string{broker}, Instance: "goes"})
		goes.until("the other reads too", func(s Status) bool { return len(s.Partitions) == 4 && s.Counts.Accepted > 0 })
		goes.stop()
		stays.until("it has all again", func(s Status) bool { return len(s.Partitions) == 8 })
	}
	end()
	n := <-produced
	stays.until("all is read", func(s Status) bool {
		lag := int64(0)
		for _, p := range s.Partitions {
			lag += p.Lag()
		}
		return len(s.Partitions) == 8 && lag == 0 && ended(s, n)
	})
	stays.stop()
	a, b := order(t, first), order(t, second)
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y string) int { return cmp.Compare(x, y) })
	if len(all) != n || len(slices.Compact(all)) != n {
		t.Errorf("%d and %d records of %d produced, %d of them different", len(a), len(b), n, len(slices.Compact(all)))
	}
	if len(b) == 0 || strings.Count(first.items(t), " ") == n-1 {
		t.Error("one of the two has read nothing")
	}
}

// ended tells that the ends of the partitions are those of n records.
func ended(s Status, n int) bool {
	sum := int64(0)
	for _, p := range s.Partitions {
		sum += p.End
	}
	return sum == int64(n)
}

// TestBackoff: however long a fault lasts, the pause between two tries is not much
// more than a second.
func TestBackoff(t *testing.T) {
	for fails, about := range map[int]time.Duration{0: 250, 1: 250, 2: 500, 3: 1000, 4: 1000, 1000: 1000} {
		about *= time.Millisecond
		for range 100 {
			if got := backoff(fails); got < about*4/5 || got > about*6/5 {
				t.Fatalf("after %d failures %v, want about %v", fails, got, about)
			}
		}
	}
}

// TestRefusedCommit: offsets that the group refuses once are told it the next
// time, though no record comes any more.
func TestRefusedCommit(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()[0]), kgo.DefaultProduceTopic("user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var asked atomic.Int64
	c.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if asked.Add(1) > 1 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, topic := range req.(*kmsg.OffsetCommitRequest).Topics {
			part := kmsg.NewOffsetCommitResponseTopicPartition()
			part.ErrorCode = kerr.RebalanceInProgress.Code
			out := kmsg.NewOffsetCommitResponseTopic()
			out.Topic, out.TopicID = topic.Topic, topic.TopicID
			out.Partitions = append(out.Partitions, part)
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil, true
	})
	produce(t, cl, view("a"), view("b"))
	r := read(t, &memLog{}, Options{Brokers: []string{c.ListenAddrs()[0]}})
	r.until("all is read", accepted(2))
	r.until("the group is told again", func(Status) bool { return asked.Load() >= 2 })
	r.stop()
	found, err := kadm.NewClient(cl).FetchOffsets(t.Context(), "vitrine")
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := found.Lookup("user-events", 0); !ok || o.At != 2 {
		t.Errorf("the group is at %+v, want 2", o)
	}
}

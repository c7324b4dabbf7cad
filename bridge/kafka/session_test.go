package kafka

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/values"
)

// order is every event in the log, as partition/offset, in the order of the
// log; it fails the test where a partition goes back.
func order(t *testing.T, log *memLog) []string {
	t.Helper()
	next := map[int32]int64{}
	var out []string
	if _, err := log.Read(t.Context(), 1, func(_ uint64, frame []byte) error {
		return frames.Decode(frame, func(r *event.Record) error {
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

// answer is what a broker answers of a partition from an offset on: one batch.
func answer(partition int32, from int64, records ...*kgo.Record) *kmsg.FetchResponseTopicPartition {
	batch := kmsg.RecordBatch{FirstOffset: from, Magic: 2, LastOffsetDelta: int32(len(records) - 1), NumRecords: int32(len(records))}
	for i, of := range records {
		r := kmsg.Record{OffsetDelta: int32(i), Value: of.Value}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // one byte is the length 0
		batch.Records = r.AppendTo(batch.Records)
	}
	batch.Length = int32(len(batch.AppendTo(nil)) - 12)
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	out := kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.HighWatermark, out.RecordBatches = partition, 1<<40, raw
	return &out
}

// TestBitRot: a batch whose checksum is wrong is read again and again, what came
// before it is kept, and the operator is told its offsets.
func TestBitRot(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	good := answer(0, 0, view("a"), view("b"))
	bad := answer(0, 2, view("c"))
	mended := slices.Clone(bad.RecordBatches)
	bad.RecordBatches[80] ^= 1
	var rotten atomic.Bool
	rotten.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		topic := req.(*kmsg.FetchRequest).Topics[0]
		part := *good
		switch from := topic.Partitions[0].FetchOffset; {
		case from > 2:
			return nil, nil, false
		case !rotten.Load():
			part.RecordBatches = mended
		case from == 2:
			part.RecordBatches = bad.RecordBatches
		default:
			part.RecordBatches = slices.Concat(good.RecordBatches, bad.RecordBatches)
		}
		resp.Topics = []kmsg.FetchResponseTopic{{Topic: topic.Topic, TopicID: topic.TopicID, Partitions: []kmsg.FetchResponseTopicPartition{part}}}
		return resp, nil, true
	})
	log := &memLog{}
	r := read(t, log, Options{Brokers: []string{c.ListenAddrs()[0]}})
	s := r.until("the fault is told", func(s Status) bool {
		return s.Counts.Accepted == 2 && strings.Contains(s.Error, "partition 0 of user-events: read the batch of offsets 2 to 2: its checksum is")
	})
	if !strings.Contains(s.Hint, `{"topic":"user-events","partition":0,"offset":3}`) || !strings.Contains(s.Hint, "kafka-delete-records.sh --bootstrap-server "+c.ListenAddrs()[0]) {
		t.Errorf("the hint is %q", s.Hint)
	}
	rotten.Store(false)
	r.until("the rest is read", func(s Status) bool { return s.Counts.Accepted == 3 && s.Error == "" })
	if got := log.items(t); got != "a b c" {
		t.Errorf("log %q", got)
	}
}

// TestBitRotHoldsNobodyUp: the other partitions of a broker go on, though one has a
// batch whose checksum is wrong.
func TestBitRotHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bad := answer(0, 0, view("a"))
	bad.RecordBatches[80] ^= 1
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range req.(*kmsg.FetchRequest).Topics {
			out := kmsg.FetchResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				part := *bad
				if p.Partition == 1 {
					part = *answer(1, p.FetchOffset, view("b"))
				}
				out.Partitions = append(out.Partitions, part)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil, true
	})
	r := read(t, &memLog{}, Options{Brokers: []string{c.ListenAddrs()[0]}})
	r.until("the other partition is read on", func(s Status) bool {
		return s.Counts.Accepted >= 3 && strings.Contains(s.Error, "partition 0 of user-events: read the batch of offsets 0 to 0: its checksum is")
	})
}

// TestLostMeanwhile: of a partition that was taken away while its records were on their
// way no offset is told.
func TestLostMeanwhile(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	produce(t, cl, view("a"), view("b"))
	src, err := New(Options{Brokers: []string{broker}, Into: bridge.New(&memLog{}, nil, bridge.Options{}), Topics: values.Topics{Topic: "user-events"}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := src.probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &session{Source: src, commits: offsets{}}
	ids := map[string][16]byte{"user-events": found["user-events"].ID}
	if s.client, s.fetcher, err = src.opt.reading(ids, fetch.NewBuffers(1<<20, 1<<20), s); err != nil {
		t.Fatal(err)
	}
	defer s.client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a safety net
	var running sync.WaitGroup
	running.Go(func() { s.fetcher.Run(ctx) })
	defer func() { cancel(); running.Wait() }()
	s.fetcher.Set("user-events", 0, 0)
	got, err := s.fetcher.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.gone(map[string][]int32{"user-events": {0}})
	s.Passed(got[0], got[0].Next)
	if len(s.commits) > 0 || len(s.Status().Partitions) > 0 {
		t.Errorf("offsets %v are told, and partitions %+v", s.commits, s.Status().Partitions)
	}
}

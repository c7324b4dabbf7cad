package fetch

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/twmb/franz-go/pkg/kversion"
)

const topic = "events"

// rig is a Fetcher before a cluster of three brokers.
type rig struct {
	*Fetcher
	t       *testing.T
	cluster *kfake.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	ctx     context.Context

	mu     sync.Mutex
	losses []Loss
	// stuck are those that cannot be read, by their numbers, as they are told.
	stuck map[int32]string
	freed int
}

// newRig makes one; asked, when set, sees every fetch, and answers it when it
// says so.
func newRig(t *testing.T, partitions int32, asked func(c *kfake.Cluster, req *kmsg.FetchRequest) (*kmsg.FetchResponse, bool), opts ...kfake.Opt) *rig {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(3), kfake.SeedTopics(partitions, topic))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if asked != nil {
		c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			resp, mine := asked(c, req.(*kmsg.FetchRequest))
			if !mine {
				return nil, nil, false
			}
			resp.Version = req.GetVersion()
			return resp, nil, true
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a safety net
	buffers := NewBuffers(4<<20, 1<<20).Spoil()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.WithDecompressor(kgo.DefaultDecompressor(buffers)), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	client.PauseFetchTopics(topic)
	r := &rig{t: t, cluster: c, client: client, admin: kadm.NewClient(client), ctx: ctx, stuck: map[int32]string{}}
	found, err := r.admin.ListTopics(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	r.Fetcher = New(Options{
		Client: client, Topics: map[string][16]byte{topic: found[topic].ID}, Reader: NewReader(client.OptValue(kgo.WithDecompressor).(kgo.Decompressor), buffers),
		MaxBytes: 64 << 10, PartitionBytes: 16 << 10, MaxWait: 50 * time.Millisecond,
		Backoff: func(int) time.Duration { return 10 * time.Millisecond },
		Lost:    func(l Loss) { r.mu.Lock(); r.losses = append(r.losses, l); r.mu.Unlock() },
		Stuck:   r.note, Patience: 50 * time.Millisecond,
	})
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); client.Close() })
	return r
}

// note is told of partitions that cannot be read.
func (r *rig) note(topic string, partition int32, offset int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.stuck, partition)
		r.freed++
		return
	}
	r.stuck[partition] = fmt.Sprintf("%s/%d at %d: %v", topic, partition, offset, err)
}

// awaitStuck waits until a partition is told of, or is not any more.
func (r *rig) awaitStuck(partition int32, stuck bool) string {
	r.t.Helper()
	for {
		r.mu.Lock()
		said, ok := r.stuck[partition]
		r.mu.Unlock()
		if ok == stuck {
			return said
		}
		if r.ctx.Err() != nil {
			r.t.Fatalf("partition %d is stuck: %v", partition, ok)
		}
		time.Sleep(time.Millisecond)
	}
}

// produce adds records to a partition, whose values are their numbers.
func (r *rig) produce(partition int32, from, n int) {
	r.t.Helper()
	batch := make([]*kgo.Record, n)
	for i := range batch {
		batch[i] = &kgo.Record{Partition: partition, Value: fmt.Append(nil, from+i)}
	}
	if err := r.client.ProduceSync(r.ctx, batch...).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

// until takes what is read until done; seen has the values of each partition.
func (r *rig) until(seen map[int32][]string, what string, done func() bool) {
	r.t.Helper()
	for !done() {
		batches, err := r.Next(r.ctx)
		if err != nil {
			r.t.Fatalf("%s: %v; %v", what, err, seen)
		}
		for _, b := range batches {
			if b.Stale() {
				continue
			}
			if _, err := b.Open(); err != nil {
				r.t.Fatal(err)
			}
			for part := range b.Parts() {
				w := b.Walk(part)
				for rec := (Record{}); w.Next(&rec); {
					seen[b.Partition] = append(seen[b.Partition], string(rec.Value))
				}
				b.Release()
			}
		}
	}
}

func numbers(from, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(from+i))
	}
	return out
}

// lost are the losses that were told.
func (r *rig) lost() []Loss {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.losses)
}

// told waits for so many losses, which are told when the records behind them may
// have been read already.
func (r *rig) told(n int) []Loss {
	for len(r.lost()) < n && r.ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	return r.lost()
}

// endsOfEpochs has the brokers give one answer about the ends of epochs.
func (r *rig) endsOfEpochs(part kmsg.OffsetForLeaderEpochResponseTopicPartition) {
	r.cluster.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		resp, out := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse), kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic, out.Partitions = topic, append(out.Partitions, part)
		resp.Topics = append(resp.Topics, out)
		return resp, nil, true
	})
}

// tenBeforeNewLeader reads ten records, behind which the partition gets a new leader.
func (r *rig) tenBeforeNewLeader() (seen map[int32][]string) {
	r.t.Helper()
	r.produce(0, 0, 10)
	r.Set(topic, 0, Start)
	seen = map[int32][]string{}
	r.until(seen, "the first are read", func() bool { return len(seen[0]) == 10 })
	leader, _, _ := r.client.PartitionLeader(topic, 0)
	if err := r.cluster.MoveTopicPartition(topic, 0, (leader+1)%3); err != nil {
		r.t.Fatal(err)
	}
	return seen
}

// TestLeadersMove: each record is read once and in order, while the partitions go
// from broker to broker.
func TestLeadersMove(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4, nil)
	for p := range int32(4) {
		r.Set(topic, p, Start)
	}
	seen := map[int32][]string{}
	const rounds, each = 6, 500
	for round := range rounds {
		for p := range int32(4) {
			r.produce(p, round*each, each)
			if err := r.cluster.MoveTopicPartition(topic, p, (p+int32(round))%3); err != nil {
				t.Fatal(err)
			}
		}
		r.until(seen, "some of it is read", func() bool { return len(seen[0]) > round*each })
	}
	r.until(seen, "all is read", func() bool {
		n := 0
		for _, values := range seen {
			n += len(values)
		}
		return n >= 4*rounds*each
	})
	for p := range int32(4) {
		if !slices.Equal(seen[p], numbers(0, rounds*each)) {
			t.Errorf("partition %d: %v", p, seen[p])
		}
	}
	if lost := r.lost(); len(lost) > 0 {
		t.Errorf("%+v", lost)
	}
}

// TestSilentLeader: what a broker led that is silent is read as soon as another
// leads it.
func TestSilentLeader(t *testing.T) {
	t.Parallel()
	var silent atomic.Int32
	silent.Store(-1)
	woken := make(chan struct{})
	asked := make(chan struct{}, 1)
	r := newRig(t, 1, func(c *kfake.Cluster, _ *kmsg.FetchRequest) (*kmsg.FetchResponse, bool) {
		if c.CurrentNode() == silent.Load() {
			signal(asked)
			c.SleepControl(func() { <-woken })
		}
		return nil, false
	})
	defer close(woken)
	if err := r.cluster.MoveTopicPartition(topic, 0, 0); err != nil {
		t.Fatal(err)
	}
	r.client.ForceMetadataRefresh()
	r.produce(0, 0, 10)
	r.Set(topic, 0, Start)
	seen := map[int32][]string{}
	r.until(seen, "the first are read", func() bool { return len(seen[0]) == 10 })
	silent.Store(0)
	select {
	case <-asked:
	case <-r.ctx.Done():
		t.Fatal("the silent broker is not asked")
	}
	if err := r.cluster.MoveTopicPartition(topic, 0, 1); err != nil {
		t.Fatal(err)
	}
	r.produce(0, 10, 10)
	r.until(seen, "the rest is read", func() bool { return len(seen[0]) == 20 })
	if !slices.Equal(seen[0], numbers(0, 20)) {
		t.Errorf("%v", seen[0])
	}
}

// refusal is an answer with an error for every partition that is asked for.
func refusal(req *kmsg.FetchRequest, err *kerr.Error) *kmsg.FetchResponse {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	for _, t := range req.Topics {
		out := kmsg.NewFetchResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewFetchResponseTopicPartition()
			part.Partition, part.ErrorCode = p.Partition, err.Code
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// TestPassingErrors: errors that pass are waited for.
func TestPassingErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(req *kmsg.FetchRequest) *kmsg.FetchResponse
	}{
		"no leader":     {func(req *kmsg.FetchRequest) *kmsg.FetchResponse { return refusal(req, kerr.NotLeaderForPartition) }},
		"fenced":        {func(req *kmsg.FetchRequest) *kmsg.FetchResponse { return refusal(req, kerr.FencedLeaderEpoch) }},
		"too early":     {func(req *kmsg.FetchRequest) *kmsg.FetchResponse { return refusal(req, kerr.UnknownLeaderEpoch) }},
		"unknown id":    {func(req *kmsg.FetchRequest) *kmsg.FetchResponse { return refusal(req, kerr.UnknownTopicID) }},
		"another id":    {func(req *kmsg.FetchRequest) *kmsg.FetchResponse { return refusal(req, kerr.InconsistentTopicID) }},
		"disk":          {func(req *kmsg.FetchRequest) *kmsg.FetchResponse { return refusal(req, kerr.KafkaStorageError) }},
		"not available": {func(req *kmsg.FetchRequest) *kmsg.FetchResponse { return refusal(req, kerr.OffsetNotAvailable) }},
		"out of range, though it is there": {func(req *kmsg.FetchRequest) *kmsg.FetchResponse {
			return refusal(req, kerr.OffsetOutOfRange)
		}},
		"all of it": {func(req *kmsg.FetchRequest) *kmsg.FetchResponse {
			resp := req.ResponseKind().(*kmsg.FetchResponse)
			resp.ErrorCode = kerr.FetchSessionTopicIDError.Code
			return resp
		}},
		"nothing in it": {func(req *kmsg.FetchRequest) *kmsg.FetchResponse { return req.ResponseKind().(*kmsg.FetchResponse) }},
		"half a batch": {func(req *kmsg.FetchRequest) *kmsg.FetchResponse {
			resp := refusal(req, &kerr.Error{})
			resp.Topics[0].Partitions[0].RecordBatches = make([]byte, 40)
			return resp
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var times atomic.Int32
			r := newRig(t, 2, func(_ *kfake.Cluster, req *kmsg.FetchRequest) (*kmsg.FetchResponse, bool) {
				if times.Add(1) > 3 {
					return nil, false
				}
				return test.answer(req), true
			})
			r.produce(0, 0, 10)
			r.produce(1, 0, 10)
			r.Set(topic, 0, Start)
			r.Set(topic, 1, Start)
			seen := map[int32][]string{}
			r.until(seen, "all is read", func() bool { return len(seen[0])+len(seen[1]) >= 20 })
			if !slices.Equal(seen[0], numbers(0, 10)) || !slices.Equal(seen[1], numbers(0, 10)) {
				t.Errorf("%v", seen)
			}
			if lost := r.lost(); len(lost) > 0 || times.Load() <= 3 {
				t.Errorf("asked %d times, told %+v", times.Load(), lost)
			}
		})
	}
}

// TestToldInOrder: what becomes of a partition while that it is stuck is being told is
// told behind it, whoever comes to it first.
func TestToldInOrder(t *testing.T) {
	var said []error
	f := &Fetcher{}
	c := &cursor{}
	step := func(of func()) {
		f.mu.Lock()
		of()
		f.mu.Unlock()
		f.tell()
	}
	f.opt.Stuck = func(_ string, _ int32, _ int64, err error) {
		if err != nil {
			step(func() { f.served(c) })
		}
		said = append(said, err)
	}
	step(func() { f.note(c, errNothing, true) })
	if len(said) != 2 || said[0] != errNothing || said[1] != nil || f.telling {
		t.Errorf("told %v", said)
	}
}

// TestStuckPartition: a partition that cannot be read is told of with its offset, and
// is the only one that waits; it is read when it can be again, and that is told.
func TestStuckPartition(t *testing.T) {
	t.Parallel()
	garbage := func(part *kmsg.FetchResponseTopicPartition) {
		m := made{offsets: upTo(3), last: -1}
		part.ErrorCode, part.RecordBatches = 0, m.bytes(t)
		part.RecordBatches[magicAt] = 9
	}
	code := func(err *kerr.Error) func(part *kmsg.FetchResponseTopicPartition) {
		return func(part *kmsg.FetchResponseTopicPartition) { part.ErrorCode = err.Code }
	}
	for name, test := range map[string]struct {
		spoil func(part *kmsg.FetchResponseTopicPartition)
		said  string
	}{
		"forbidden": {code(kerr.TopicAuthorizationFailed), "TOPIC_AUTHORIZATION_FAILED"},
		"corrupt":   {code(kerr.CorruptMessage), "CORRUPT_MESSAGE"},
		"disk":      {code(kerr.KafkaStorageError), "KAFKA_STORAGE_ERROR"},
		"unknown":   {code(kerr.UnknownServerError), "UNKNOWN_SERVER_ERROR"},
		"garbage":   {garbage, "unknown format 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var broken atomic.Bool
			r := newRig(t, 2, func(_ *kfake.Cluster, req *kmsg.FetchRequest) (*kmsg.FetchResponse, bool) {
				mine := req.Topics[0].Partitions[0]
				if !broken.Load() || len(req.Topics) > 1 || len(req.Topics[0].Partitions) > 1 || mine.Partition != 0 {
					return nil, false
				}
				resp := refusal(req, &kerr.Error{})
				test.spoil(&resp.Topics[0].Partitions[0])
				return resp, true
			})
			for p := range int32(2) { // each has a broker of its own
				if err := r.cluster.MoveTopicPartition(topic, p, p); err != nil {
					t.Fatal(err)
				}
			}
			r.client.ForceMetadataRefresh()
			r.produce(0, 0, 10)
			r.produce(1, 0, 10)
			r.Set(topic, 0, Start)
			r.Set(topic, 1, Start)
			seen := map[int32][]string{}
			r.until(seen, "the first are read", func() bool { return len(seen[0])+len(seen[1]) == 20 })
			// It is told before there is more: an answer with records that nobody takes
			// would be the last one of its broker.
			broken.Store(true)
			said := r.awaitStuck(0, true)
			if !strings.HasPrefix(said, topic+"/0 at 10: ") || !strings.Contains(said, test.said) {
				t.Errorf("told %q, want %q", said, test.said)
			}
			r.produce(0, 10, 10)
			r.produce(1, 10, 10)
			r.until(seen, "the other is read", func() bool { return len(seen[1]) == 20 })
			if len(seen[0]) != 10 {
				t.Errorf("%v of the partition that is stuck", seen[0])
			}
			broken.Store(false)
			r.until(seen, "all is read", func() bool { return len(seen[0]) == 20 })
			r.awaitStuck(0, false)
			r.mu.Lock()
			defer r.mu.Unlock()
			if !slices.Equal(seen[0], numbers(0, 20)) || !slices.Equal(seen[1], numbers(0, 20)) || r.freed != 1 || len(r.stuck) > 0 {
				t.Errorf("%v; told %v", seen, r.stuck)
			}
		})
	}
}

// TestOffsetsThatAreNotThere: behind the end and before the beginning reading goes
// on at the beginning, and that is told.
func TestOffsetsThatAreNotThere(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, nil)
	r.produce(0, 0, 100)
	r.produce(1, 0, 100)
	if _, err := r.admin.DeleteRecords(r.ctx, kadm.Offsets{topic: {0: {Topic: topic, Partition: 0, At: 40}}}); err != nil {
		t.Fatal(err)
	}
	r.Set(topic, 0, 7)
	r.Set(topic, 1, 500)
	seen := map[int32][]string{}
	r.until(seen, "all is read", func() bool { return len(seen[0]) >= 60 && len(seen[1]) >= 100 })
	if !slices.Equal(seen[0], numbers(40, 60)) || !slices.Equal(seen[1], numbers(0, 100)) {
		t.Errorf("%v", seen)
	}
	lost := r.told(2)
	slices.SortFunc(lost, func(a, b Loss) int { return int(a.Partition - b.Partition) })
	if want := []Loss{{topic, 0, 7, 40, true, 33}, {topic, 1, 500, 0, false, 400}}; !slices.Equal(lost, want) {
		t.Errorf("told %+v, want %+v", lost, want)
	}
}

// TestNewLeaderHasLess: when the new leader's log ends before what was read of the
// old one's, reading goes on where both are the same.
func TestNewLeaderHasLess(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, nil)
	end := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
	end.EndOffset, end.LeaderEpoch = 6, 0
	r.endsOfEpochs(end)
	seen := r.tenBeforeNewLeader()
	r.until(seen, "the last are read again", func() bool { return len(seen[0]) >= 14 })
	if want := slices.Concat(numbers(0, 10), numbers(6, 4)); !slices.Equal(seen[0], want) {
		t.Errorf("%v, want %v", seen[0], want)
	}
	if lost, want := r.told(1), []Loss{{topic, 0, 10, 6, false, 4}}; !slices.Equal(lost, want) {
		t.Errorf("told %+v, want %+v", lost, want)
	}
}

// TestEpochsThatNobodyKnows: brokers that know nothing of the ends of epochs are
// believed when they lead.
func TestEpochsThatNobodyKnows(t *testing.T) {
	t.Parallel()
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetForLeaderEpoch), -1)
	r := newRig(t, 1, nil, kfake.MaxVersions(versions))
	seen := r.tenBeforeNewLeader()
	r.produce(0, 10, 10)
	r.until(seen, "the rest is read", func() bool { return len(seen[0]) >= 20 })
	if !slices.Equal(seen[0], numbers(0, 20)) || len(r.lost()) > 0 {
		t.Errorf("%v, told %+v", seen[0], r.lost())
	}
}

// TestDropAndBack: what was read of a partition that is dropped or set back is
// stale; Back does nothing for one that is not read.
func TestDropAndBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, nil)
	r.produce(0, 0, 10)
	r.produce(1, 0, 10)
	r.Set(topic, 0, Start)
	first, err := r.Next(r.ctx)
	if err != nil || len(first) == 0 || first[0].Stale() {
		t.Fatal(first, err)
	}
	r.Back(topic, 0, 5)
	r.Back(topic, 1, 5)
	seen := map[int32][]string{}
	r.until(seen, "the last are read again", func() bool { return len(seen[0]) >= 5 })
	if !first[0].Stale() || !slices.Equal(seen[0], numbers(5, 5)) || len(seen[1]) > 0 {
		t.Errorf("stale %t, %v", first[0].Stale(), seen)
	}
	r.Drop(topic, 0)
	r.produce(0, 10, 10)
	r.Set(topic, 1, 0)
	r.until(seen, "the other is read", func() bool { return len(seen[1]) >= 10 })
	ctx, cancel := context.WithTimeout(r.ctx, 200*time.Millisecond)
	defer cancel()
	for {
		batches, err := r.Next(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		for _, b := range batches {
			if !b.Stale() {
				t.Fatalf("offsets %d to %d of partition %d are read", b.First, b.Next, b.Partition)
			}
		}
	}
}

// TestTopicsByName: a cluster without ids is asked by names.
func TestTopicsByName(t *testing.T) {
	t.Parallel()
	var version atomic.Int32
	r := newRig(t, 1, func(_ *kfake.Cluster, req *kmsg.FetchRequest) (*kmsg.FetchResponse, bool) {
		version.Store(int32(req.GetVersion()))
		return nil, false
	})
	r.Fetcher.opt.Topics[topic] = [16]byte{}
	r.produce(0, 0, 10)
	r.Set(topic, 0, Start)
	seen := map[int32][]string{}
	r.until(seen, "all is read", func() bool { return len(seen[0]) >= 10 })
	if version.Load() != lastNamed || !slices.Equal(seen[0], numbers(0, 10)) {
		t.Errorf("version %d, %v", version.Load(), seen)
	}
}

// TestWhoWaitsLongestIsFirst: brokers fill an answer in the order of the request, in
// which a partition comes behind those that had less, also those of other topics.
func TestWhoWaitsLongestIsFirst(t *testing.T) {
	t.Parallel()
	const other = "items"
	var names atomic.Pointer[map[[16]byte]string]
	order := make(chan string, 1)
	r := newRig(t, 2, func(_ *kfake.Cluster, req *kmsg.FetchRequest) (*kmsg.FetchResponse, bool) {
		known := names.Load()
		if known == nil { // the client's own, from before it was paused
			return nil, false
		}
		text, read := "", false
		for _, t := range req.Topics {
			for _, p := range t.Partitions {
				text += fmt.Sprintf(" %s/%d", (*known)[t.TopicID], p.Partition)
				read = read || p.FetchOffset > 0
			}
		}
		if read {
			select {
			case order <- text:
			default:
			}
		}
		return nil, false
	}, kfake.SeedTopics(1, other))
	r.client.PauseFetchTopics(other)
	r.client.AddConsumeTopics(other)
	found, err := r.admin.ListTopics(r.ctx, topic, other)
	if err != nil {
		t.Fatal(err)
	}
	r.Fetcher.opt.Topics[other] = found[other].ID
	names.Store(&map[[16]byte]string{found[topic].ID: topic, found[other].ID: other})
	for partition, of := range []string{topic, topic, other} {
		if err := r.cluster.MoveTopicPartition(of, int32(partition%2), 0); err != nil {
			t.Fatal(err)
		}
	}
	for leads := false; !leads; time.Sleep(time.Millisecond) {
		r.client.ForceMetadataRefresh()
		a, _, _ := r.client.PartitionLeader(topic, 0)
		b, _, _ := r.client.PartitionLeader(topic, 1)
		c, _, err := r.client.PartitionLeader(other, 0)
		leads = a+b+c == 0 && err == nil
		if r.ctx.Err() != nil {
			t.Fatal("the client does not learn who leads")
		}
	}
	r.produce(1, 0, 10)
	r.Set(topic, 0, 0)
	r.Set(other, 0, 0)
	r.Set(topic, 1, 0)
	seen := map[int32][]string{}
	r.until(seen, "the first are read", func() bool { return len(seen[1]) == 10 })
	for want := " events/0 items/0 events/1"; ; {
		select {
		case got := <-order:
			if strings.Count(got, "/") < 3 {
				continue
			}
			if got != want {
				t.Errorf("asked for%s, want%s", got, want)
			}
		case <-r.ctx.Done():
			t.Error("not asked any more")
		}
		return
	}
}

// TestLast: what has to come last is asked for behind all others.
func TestLast(t *testing.T) {
	t.Parallel()
	f := New(Options{})
	f.Set(topic, 0, 0)
	f.Set(topic, 1, 0)
	f.Last(topic, 0)
	f.Last(topic, 2)
	if a, b := f.cursors[place{topic, 0}].turn, f.cursors[place{topic, 1}].turn; a <= b || len(f.cursors) != 2 {
		t.Errorf("%d and %d, %d partitions", a, b, len(f.cursors))
	}
}

// TestFinalRepair: what a broker refuses for good while an offset is looked for is
// told.
func TestFinalRepair(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, nil)
	refused := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
	refused.ErrorCode = kerr.TopicAuthorizationFailed.Code
	r.endsOfEpochs(refused)
	r.tenBeforeNewLeader()
	if said := r.awaitStuck(0, true); !strings.Contains(said, "TOPIC_AUTHORIZATION_FAILED") {
		t.Error(said)
	}
}

// TestNoLeader: a partition that nobody leads is told of when that lasts.
func TestNoLeader(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, nil)
	r.Set(topic, 7, 5) // nobody has it
	if said := r.awaitStuck(7, true); said != topic+"/7 at 5: no broker leads it" {
		t.Error(said)
	}
}

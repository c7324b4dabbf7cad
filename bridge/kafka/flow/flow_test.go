package flow

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/values"
)

// memLog is a log in memory.
type memLog struct {
	mu     sync.Mutex
	frames [][]byte
	// delay is the time of an append.
	delay time.Duration
}

func (l *memLog) Append(_ context.Context, frame []byte, _ uint64) (uint64, error) {
	time.Sleep(l.delay)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames = append(l.frames, bytes.Clone(frame))
	return uint64(len(l.frames)), nil
}

func (l *memLog) Read(_ context.Context, from uint64, fn func(uint64, []byte) error) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := int(max(from, 1)); n <= len(l.frames); n++ {
		if err := fn(uint64(n), l.frames[n-1]); err != nil {
			return uint64(n), err
		}
	}
	return uint64(len(l.frames)) + 1, nil
}

// refusing is a log that keeps nothing, and says so when it is told to.
type refusing struct {
	memLog
	now chan struct{}
}

func (l *refusing) Append(ctx context.Context, _ []byte, _ uint64) (uint64, error) {
	select {
	case <-l.now:
		return 0, bridge.ErrBusFull
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (l *memLog) Bounds(context.Context) (first, last uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 1, uint64(len(l.frames)), nil
}

// group is a membership that nobody else is in, and letters those of its records.
type group struct{ passed map[int32]int64 }

func (g *group) Origin(topic string, _ int32) (string, int64) {
	return event.TopicSource(topic, [16]byte{1}), 0
}
func (g *group) Passed(b *fetch.Batch, to int64) { g.passed[b.Partition] = to }
func (g *group) Tell(context.Context)            {}

type letters struct {
	kept []deadletter.Letter
	// added, when set, is closed by the first of them.
	added chan struct{}
}

func (l *letters) Add(_ context.Context, letters []deadletter.Letter) (int, error) {
	l.kept = append(l.kept, letters...)
	if l.added != nil {
		close(l.added)
	}
	return len(letters), nil
}

// rig is a pipe of user-events and what it has left.
type rig struct {
	*Pipe
	group   *group
	letters *letters
}

func pipe(t testing.TB, into Log) *rig {
	t.Helper()
	readers, err := values.NewReaders(values.Topics{Topic: "user-events"}, min(runtime.GOMAXPROCS(0), 4))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{group: &group{passed: map[int32]int64{}}, letters: &letters{}}
	r.Pipe = New(Options{
		Group: r.group, Into: into, Letters: r.letters, Readers: readers, Every: time.Minute, Now: time.Now,
		Count: func(Counts) {}, Waits: func(error) {}, Rotten: func(_ *fetch.Batch, err error) error { return err },
	})
	return r
}

// TestFill cuts what a broker answered into batches: all of it in its order, about
// batchRecords at once, and what its producer wrote at once in parts of its own.
func TestFill(t *testing.T) {
	t.Parallel()
	reader := fetch.NewReader(kgo.DefaultDecompressor(), fetch.NewBuffers(0, 0))
	of := func(partition int32, sizes ...int) (out []*fetch.Batch) {
		from := int64(0)
		for _, n := range sizes {
			values := make([][]byte, n)
			for i := range values {
				values[i] = []byte("v")
			}
			a := answer(partition, values)
			again(a.RecordBatches, from, 0)
			got, next, err := reader.Batches("t", a, from)
			if err != nil {
				t.Fatal(err)
			}
			out, from = append(out, got...), next
		}
		return out
	}
	for name, test := range map[string]struct {
		got  []*fetch.Batch
		want []int // of records
	}{
		"nothing":                {nil, []int{0}},
		"one":                    {of(0, 1), []int{1}},
		"small ones together":    {of(0, 1000, 2000, 3000, 1000, 90), []int{7000, 90}},
		"of the right size":      {of(1, 6144, 6144), []int{6144, 6144}},
		"a large one in parts":   {of(0, 20_000, 10), []int{7000, 7000, 6010}},
		"partitions in one":      {slices.Concat(of(0, 4000), of(1, 4000), of(2, 500)), []int{7000, 1500}},
		"a part and a small one": {of(0, 6145, 10, 6145), []int{6145, 10 + 6145}},
	} {
		t.Run(name, func(t *testing.T) {
			b, rest := &batch{ready: bridge.New(nil, nil, bridge.Options{}).Batch()}, waiting{batches: test.got}
			next := map[int32]int64{}
			for i, want := range test.want {
				b.fill(&rest, batchRecords*3/4)
				n := 0
				for _, p := range b.parts {
					if _, err := p.Open(); err != nil {
						t.Fatal(err)
					}
					var r fetch.Record
					for w := p.Walk(p.n); w.Next(&r); n++ {
						if r.Offset != next[p.Partition] {
							t.Fatalf("offset %d of partition %d, want %d", r.Offset, p.Partition, next[p.Partition])
						}
						next[p.Partition]++
					}
				}
				if n != want {
					t.Errorf("batch %d has %d records, want %d", i, n, want)
				}
			}
			if len(rest.batches) != 0 {
				t.Errorf("%v is left", rest.batches)
			}
		})
	}
}

// TestLostMeanwhile: a partition that was taken away while its records were on their
// way is not read from where they were, by whoever has it next.
func TestLostMeanwhile(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	produce := func(records ...*kgo.Record) {
		t.Helper()
		if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce(kgo.StringRecord("a"), kgo.StringRecord("b"))
	found, err := kadm.NewClient(cl).ListTopics(t.Context(), "user-events")
	if err != nil {
		t.Fatal(err)
	}
	fetcher := fetch.New(fetch.Options{
		Client: cl, Topics: map[string][16]byte{"user-events": found["user-events"].ID},
		Reader: fetch.NewReader(kgo.DefaultDecompressor(), fetch.NewBuffers(0, 0)), MaxBytes: 1 << 20, PartitionBytes: 1 << 20,
		MaxWait: 100 * time.Millisecond, Backoff: func(int) time.Duration { return 100 * time.Millisecond },
		Lost: func(fetch.Loss) {}, Stuck: func(string, int32, int64, error) {}, Patience: time.Minute,
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a safety net
	var running sync.WaitGroup
	running.Go(func() { fetcher.Run(ctx) })
	defer func() { cancel(); running.Wait() }()
	next := func() *fetch.Batch {
		t.Helper()
		got, err := fetcher.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	p := pipe(t, bridge.New(&memLog{}, nil, bridge.Options{}))
	p.opt.Fetcher = fetcher
	fetcher.Set("user-events", 0, 0)
	batch := next()
	f := newRun(p.Pipe)
	f.back = []part{partOf(batch, 0)}
	fetcher.Drop("user-events", 0)
	fetcher.Set("user-events", 0, batch.Next)
	f.goBack()
	produce(kgo.StringRecord("c"))
	if again := next(); again.First != batch.Next {
		t.Errorf("read from offset %d, want %d", again.First, batch.Next)
	}
}

// given is a fetcher that was given what brokers answer, and that ends with back.
type given struct {
	answers [][]*fetch.Batch
	back    func(offset int64)
}

func (g *given) Next(ctx context.Context) ([]*fetch.Batch, error) {
	if len(g.answers) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	first := g.answers[0]
	g.answers = g.answers[1:]
	return first, nil
}

func (g *given) Back(_ string, _ int32, offset int64) { g.back(offset) }
func (g *given) Last(string, int32)                   {}

// TestLettersPassNothing: records that cannot be read are letters at once, and yet their
// partition does not pass over those before them that the log has not kept.
func TestLettersPassNothing(t *testing.T) {
	t.Parallel()
	reader := fetch.NewReader(kgo.DefaultDecompressor(), fetch.NewBuffers(0, 0))
	g := &given{}
	next := int64(0)
	for _, value := range []string{`{"user_id":"u","item_id":"i","event_type":"view"}`, "poison"} {
		a := answer(0, [][]byte{[]byte(value)})
		again(a.RecordBatches, next, 0)
		got, to, err := reader.Batches("user-events", a, next)
		if err != nil {
			t.Fatal(err)
		}
		g.answers, next = append(g.answers, got), to
	}
	added := make(chan struct{})
	pump := bridge.New(&refusing{now: added}, nil, bridge.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a safety net
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { _ = pump.Run(ctx) })
	p := pipe(t, pump)
	p.letters.added, p.opt.Fetcher = added, g
	back := int64(-1)
	g.back = func(offset int64) { back = offset; cancel() }
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	running.Wait()
	if len(p.letters.kept) != 1 || back != 0 || len(p.group.passed) != 0 {
		t.Errorf("%d letters, reading goes on at offset %d, and passed %v", len(p.letters.kept), back, p.group.passed)
	}
}

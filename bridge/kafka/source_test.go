package kafka

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
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
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/kafka/fault"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/schema"
	"vitrine/bridge/kafka/values"
)

// memLog is a log in memory.
type memLog struct {
	mu     sync.Mutex
	frames [][]byte
	full   bool
	// refuse, when set, says whether the n-th append is refused; delay is the
	// time of one.
	refuse  func(n int) bool
	delay   time.Duration
	appends int
	// begun is what is kept of where partitions begin.
	begun map[bridge.Place]int64
}

func (l *memLog) Append(_ context.Context, frame []byte, _ uint64) (uint64, error) {
	time.Sleep(l.delay)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends++
	if l.full || l.refuse != nil && l.refuse(l.appends) {
		return 0, bridge.ErrBusFull
	}
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

func (l *memLog) Bounds(context.Context) (first, last uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 1, uint64(len(l.frames)), nil
}

func (l *memLog) setFull(full bool) {
	l.mu.Lock()
	l.full = full
	l.mu.Unlock()
}

// items are the items of all events in the log, in order, as text.
func (l *memLog) items(t testing.TB) string {
	t.Helper()
	var out []string
	if _, err := l.Read(t.Context(), 1, func(_ uint64, frame []byte) error {
		return frames.Decode(frame, func(r *event.Record) error {
			out = append(out, r.Event.ItemID+r.Item.ID+r.User.ID)
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

// rig is a source that reads from a cluster into a log.
type rig struct {
	*Source
	t       testing.TB
	log     *memLog
	letters *deadletter.Store
	said    *bytes.Buffer
	stop    func()
}

func read(t testing.TB, log *memLog, opt Options) *rig {
	t.Helper()
	pump := bridge.New(log, nil, bridge.Options{FrameBytes: 16 << 10})
	for place, from := range log.begun {
		pump.Begun(place, from)
	}
	if err := pump.Replay(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	letters, err := deadletter.Open(deadletter.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, log: log, letters: letters, said: &bytes.Buffer{}}
	opt.Into = pump
	if opt.Begun == nil {
		opt.Begun = log.begin
	}
	if opt.Letters == nil {
		opt.Letters = letters
	}
	opt.Log = slog.New(slog.NewTextHandler(&lockedWriter{w: r.said}, nil))
	if opt.Topic == "" && opt.ItemsTopic == "" {
		opt.Topic = "user-events"
	}
	if r.Source, err = New(opt); err != nil {
		t.Fatal(err)
	}
	r.look, r.patience, r.spoil = 100*time.Millisecond, 3*time.Second, true
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			wg.Wait()
			if err := letters.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := pump.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (r *rig) until(what string, ok func(Status) bool) Status {
	r.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		s := r.Status()
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not within 2 minutes: %s\n%+v", what, s)
		}
	}
}

func accepted(n int) func(Status) bool {
	return func(s Status) bool { return s.Counts.Accepted >= n }
}

// cluster is a broker in this process with the topic user-events.
func cluster(t testing.TB, partitions int32, opts ...kfake.Opt) (broker string, cl *kgo.Client) {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.SeedTopics(partitions, "user-events"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	broker = c.ListenAddrs()[0]
	if cl, err = kgo.NewClient(kgo.SeedBrokers(broker), kgo.ProducerBatchMaxBytes(100<<20), kgo.BrokerMaxWriteBytes(200<<20), kgo.DefaultProduceTopic("user-events")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return broker, cl
}

func produce(t testing.TB, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func view(item string) *kgo.Record {
	return kgo.StringRecord(`{"user_id":"u","item_id":"` + item + `","event_type":"view"}`)
}

func TestFullLogHoldsTheReadingUp(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	log := &memLog{full: true}
	r := read(t, log, Options{Brokers: []string{broker}})
	produce(t, cl, view("a"), view("b"))
	s := r.until("the reading waits", func(s Status) bool { return s.Error != "" })
	if !strings.Contains(s.Error, "the bus is full") || s.Counts.Accepted != 0 {
		t.Errorf("%+v", s)
	}
	produce(t, cl, view("c"))
	log.setFull(false)
	s = r.until("all is read", accepted(3))
	r.stop()
	if said := r.said.String(); strings.Count(said, "kafka: reading waits") != 1 || !strings.Contains(said, "the records stay in the cluster") {
		t.Errorf("the log says\n%s", said)
	}
	if got := log.items(t); got != "a b c" || s.Error != "" {
		t.Errorf("%q %+v", got, s)
	}
}

func TestGoesOnWhereTheLogEnds(t *testing.T) {
	broker, cl := cluster(t, 1)
	log := &memLog{}
	r := read(t, log, Options{Brokers: []string{broker}})
	produce(t, cl, view("a"), view("b"), kgo.StringRecord("poison"))
	r.until("all is read", func(s Status) bool { return s.Counts.Accepted == 2 && s.Counts.Rejected == 1 })
	r.stop()
	// The log is a copy from before the last record, as after a restore; the
	// group has committed beyond it.
	log = &memLog{frames: log.frames[:1]}
	produce(t, cl, view("c"))
	r = read(t, log, Options{Brokers: []string{broker}})
	r.until("all is read", func(s Status) bool { return len(s.Partitions) == 1 && s.Partitions[0].Position == 4 })
	if got := log.items(t); !strings.HasPrefix(got, "a b") && got != "a b c" {
		t.Errorf("log %q", got)
	}
	if got := log.items(t); strings.Count(got, "a") != 1 || strings.Count(got, "b") != 1 || strings.Count(got, "c") != 1 {
		t.Errorf("log %q, want each once", got)
	}
}

func TestAnotherMembersOffsetsCount(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	produce(t, cl, view("a"))
	mine, other := &memLog{}, &memLog{}
	opt := Options{Brokers: []string{broker}, Instance: "mine"}
	r := read(t, mine, opt)
	r.until("a is read", accepted(1))
	r.stop()
	produce(t, cl, view("b"))
	opt.Instance = "other"
	r = read(t, other, opt)
	r.until("b is read", accepted(1))
	reads := r
	time.Sleep(2 * commitEvery) // offsets are committed with a poll
	produce(t, cl, view("c"))
	r.until("c is read", accepted(2))
	r.stop()
	produce(t, cl, view("d"))
	opt.Instance = "mine"
	r = read(t, mine, opt)
	r.until("d is read", accepted(1))
	r.stop()
	for who, r := range map[string]*rig{"new": reads, "known": r} {
		if said := r.said.String(); strings.Contains(said, "level=INFO msg=\"kafka: the data folder knows nothing of some partitions") != (who == "new") {
			t.Errorf("the log of the %s data folder says\n%s", who, said)
		}
	}
	if a, b := mine.items(t), other.items(t); a != "a d" || b != "b c" {
		t.Errorf("one has %q and the other %q, want each record in one of them", a, b)
	}
}

// TestGroupMovedByHand: a group that somebody has moved, as by kafka-consumer-groups.sh,
// skips nothing of a partition that the data folder knows.
func TestGroupMovedByHand(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	log := &memLog{}
	opt := Options{Brokers: []string{broker}, Instance: "mine"}
	produce(t, cl, view("a"))
	r := read(t, log, opt)
	r.until("a is read", accepted(1))
	r.stop()
	produce(t, cl, view("b"), view("c"))
	var at kadm.Offsets
	at.AddOffset("user-events", 0, 2, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "vitrine", at); err != nil {
		t.Fatal(err)
	}
	r = read(t, log, opt)
	r.until("the rest is read", accepted(2))
	r.stop()
	if got := log.items(t); got != "a b c" {
		t.Errorf("log %q", got)
	}
}

// TestLeaveOfAbsence: a member with a name may be away for long, where the
// cluster allows it.
func TestLeaveOfAbsence(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	asked := make(chan int32, 100)
	c.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		join := req.(*kmsg.JoinGroupRequest)
		asked <- join.SessionTimeoutMillis
		if join.SessionTimeoutMillis <= 30_000 {
			return nil, nil, false
		}
		resp := join.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode = kerr.InvalidSessionTimeout.Code
		return resp, nil, true
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("user-events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	produce(t, cl, view("a"))
	r := read(t, &memLog{}, Options{Brokers: c.ListenAddrs(), Instance: "mine"})
	r.until("a is read", accepted(1))
	r.stop()
	if first := <-asked; time.Duration(first)*time.Millisecond != awayTime {
		t.Errorf("at first it asks for %d ms, want %s", first, awayTime)
	}
}

func TestTopicCreatedAgain(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1)
	log := &memLog{}
	r := read(t, log, Options{Brokers: []string{broker}})
	produce(t, cl, view("a"), kgo.StringRecord("poison"), view("b"))
	r.until("all is read", accepted(2))
	before, known := r.Life("user-events")
	if !known {
		t.Error("the topic that is read is not known")
	}
	admin := kadm.NewClient(cl)
	if _, err := admin.DeleteTopics(t.Context(), "user-events"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "user-events"); err != nil {
		t.Fatal(err)
	}
	cl.PurgeTopicsFromClient("user-events")
	produce(t, cl, view("c"), kgo.StringRecord("poison of the new one"))
	r.until("the new topic is read", func(s Status) bool { return s.Counts.Accepted == 3 && s.Counts.Rejected == 2 })
	if got := log.items(t); got != "a b c" {
		t.Errorf("log %q", got)
	}
	if now, known := r.Life("user-events"); !known || now == before {
		t.Errorf("the new topic is taken for %q", now)
	}
	if _, known := r.Life("others"); known {
		t.Error("a topic that is not read is known")
	}
	if n := r.letters.Stats().Letters; n != 2 {
		t.Errorf("%d letters of two records, which were at the same offset", n)
	}
}

func TestHostileRecords(t *testing.T) {
	t.Parallel()
	broker, cl := cluster(t, 1, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "200000000"}))
	log := &memLog{}
	r := read(t, log, Options{Brokers: []string{broker}})
	bomb, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ProducerBatchMaxBytes(100<<20), kgo.BrokerMaxWriteBytes(200<<20),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.DefaultProduceTopic("user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer bomb.Close()
	produce(t, cl, view("a"))
	produce(t, cl, &kgo.Record{Value: bytes.Repeat([]byte{'x'}, 20<<20)})
	produce(t, cl, &kgo.Record{})
	produce(t, cl, kgo.StringRecord(`{"user_id":"u","item_id":"i","event_type":"view","ts":"yesterday"}`))
	produce(t, bomb, &kgo.Record{Value: make([]byte, 90<<20)})
	produce(t, cl, view("b"))
	s := r.until("all is read", accepted(2))
	if got := log.items(t); got != "a b" || s.Counts.Rejected != 4 {
		t.Errorf("log %q, %+v", got, s)
	}
	page, err := r.letters.List(10, "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]string{}
	for _, l := range page.Letters {
		got[l.Offset] = l.Source + " " + l.Code
	}
	want := map[int64]string{1: "user-events too_large", 2: "user-events invalid_json", 3: "user-events invalid_ts", 4: "user-events too_large"}
	for offset, text := range want {
		if got[offset] != text {
			t.Errorf("letter of offset %d: %q, want %q", offset, got[offset], text)
		}
	}
}

// TestFaults are what an operator is told when the cluster cannot be read.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secured, _ := cluster(t, 1, kfake.EnableSASL(), kfake.Superuser("PLAIN", "vitrine", "right"))
	expired := tlsListener(t, dir, -24*time.Hour)
	unknown := tlsListener(t, t.TempDir(), time.Hour)
	open, _ := cluster(t, 1)
	for name, test := range map[string]struct {
		opt        Options
		what, hint string
	}{
		"refused":       {Options{Brokers: []string{"127.0.0.1:1"}}, "no connection to 127.0.0.1:1", "check kafka.brokers"},
		"missing topic": {Options{Brokers: []string{open}, Topics: values.Topics{Topic: "clicks"}}, "topic clicks does not exist", "kafka-topics.sh --create --topic clicks"},
		"missing topics": {
			Options{Brokers: []string{open}, Topics: values.Topics{Topic: "clicks", ItemsTopic: "items"}},
			"topic clicks does not exist on " + open + ", nor do others of the configuration: items", " && kafka-topics.sh --create --topic items",
		},
		"mistyped topic": {Options{Brokers: []string{open}, Topics: values.Topics{Topic: "user_event"}}, "topic user_event does not exist", "the cluster has user-events: is that meant? Else kafka-topics.sh"},
		"password": {
			Options{Brokers: []string{secured}, Security: Security{SASL: Plain, User: "vitrine", PasswordFile: password}},
			`user "vitrine"`, "kafka.sasl_password_file",
		},
		"expired": {
			Options{Brokers: []string{expired}, Security: Security{TLS: true, CAFile: filepath.Join(dir, "ca.pem")}},
			"has expired", "renew the brokers' certificate",
		},
		"unknown authority": {Options{Brokers: []string{unknown}, Security: Security{TLS: true}}, "authority that is not trusted", "kafka.tls_ca"},
		"no TLS there":      {Options{Brokers: []string{open}, Security: Security{TLS: true}}, "", "kafka.tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := read(t, &memLog{}, test.opt).until("the fault is told", func(s Status) bool { return s.Error != "" && strings.Contains(s.Error, test.what) })
			if !strings.Contains(s.Error, test.what) || !strings.Contains(s.Hint, test.hint) || s.Connected {
				t.Errorf("%q (hint %q), want %q (hint %q)", s.Error, s.Hint, test.what, test.hint)
			}
			test.opt.Topic = cmp.Or(test.opt.Topic, "user-events")
			ctx := t.Context()
			if test.what == "" { // nothing answers, until the asker has waited enough
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
			}
			_, err := Check(ctx, test.opt)
			var f *fault.Error
			if !errors.As(err, &f) || !strings.Contains(f.Error(), test.what) || !strings.Contains(f.Hint(), test.hint) {
				t.Errorf("Check: %v, want %q (hint %q)", err, test.what, test.hint)
			}
		})
	}
	manual, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{
		"no connection to", "no answer from", "the addresses that they give of themselves cannot be reached", "does not exist on", "kafka-topics.sh --create", "refuse user", "has expired or is not valid yet",
		"is signed by an authority that is not trusted", "only one side of the connection to", "kafka-acls.sh", "the schema registry does not give schema", "is no schema registry", "it refuses user", "it asks who wants it", "it does not answer in time", "may not read it", "schema_registry_skip = [", "it sends us on to", "it asks for a certificate of ours", "our certificate counts from", "it refuses our certificate",
		"read the batch of offsets", "kafka-delete-records.sh --bootstrap-server", "--offset-json-file skip.json", `{"version":1,"partitions":[{"topic":"user-events","partition":0,"offset":`,
		"was deleted and created again", "the cluster has dropped records before they were read", "the cluster has lost records that were read", "cannot be read from offset", "the data folder knows nothing of some partitions", "another appliance reads as the same member of group", "has members that are no Vitrine",
		schema.CodeUnknown, schema.CodeInvalid, event.CodeTooLarge,
	} {
		if !bytes.Contains(manual, []byte(said)) {
			t.Errorf("docs/OPERATIONS.md does not say what %q means", said)
		}
	}
	for name, opt := range map[string]Options{
		"password file": {Brokers: []string{open}, Topics: values.Topics{Topic: "x"}, Security: Security{SASL: Plain, User: "u", PasswordFile: filepath.Join(dir, "none")}},
		"password":      {Brokers: []string{open}, Topics: values.Topics{Topic: "x"}, Security: Security{SASL: Plain, User: "u", PasswordFile: write(t, "\nsecret")}},
		"mechanism":     {Brokers: []string{open}, Topics: values.Topics{Topic: "x"}, Security: Security{SASL: "gssapi", PasswordFile: password}},
		"authorities":   {Brokers: []string{open}, Topics: values.Topics{Topic: "x"}, Security: Security{TLS: true, CAFile: password}},
		"format":        {Brokers: []string{open}, Topics: values.Topics{Topic: "x", Format: "xml"}},
		"no topic":      {Brokers: []string{open}},
	} {
		if _, err := New(opt); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestFaultIsTakenBack: what was wrong while nothing came in is not told for ever.
func TestFaultIsTakenBack(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var denied atomic.Bool
	c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !denied.Load() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range req.(*kmsg.ListOffsetsRequest).Topics {
			part := kmsg.NewListOffsetsResponseTopicPartition()
			part.ErrorCode = kerr.TopicAuthorizationFailed.Code
			resp.Topics = append(resp.Topics, kmsg.ListOffsetsResponseTopic{Topic: topic.Topic, Partitions: []kmsg.ListOffsetsResponseTopicPartition{part}})
		}
		return resp, nil, true
	})
	r := read(t, &memLog{}, Options{Brokers: []string{c.ListenAddrs()[0]}})
	well := func(s Status) bool { return s.Connected && s.Error == "" }
	r.until("all is well", func(s Status) bool { return well(s) && len(s.Partitions) == 1 })
	denied.Store(true)
	s := r.until("the fault is told", func(s Status) bool { return s.Error != "" })
	if s.Connected || !strings.Contains(s.Hint, "kafka-acls.sh") {
		t.Errorf("%+v", s)
	}
	denied.Store(false)
	r.until("all is well again", well)
}

// TestCheck: what a cluster has is told without a member in the group.
func TestCheck(t *testing.T) {
	broker, _ := cluster(t, 3)
	found, err := Check(t.Context(), Options{Brokers: []string{broker}, Topics: values.Topics{Topic: "user-events"}})
	if err != nil || len(found) != 1 || found["user-events"] != 3 {
		t.Errorf("%v, %v; want 3 partitions", found, err)
	}
}

func TestSASL(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "user-events"), kfake.EnableSASL(),
		kfake.Superuser("SCRAM-SHA-256", "vitrine", "right"), kfake.Superuser("PLAIN", "vitrine", "right"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mechanism := range []string{Plain, ScramSHA256} {
		r := read(t, &memLog{}, Options{Brokers: c.ListenAddrs(), Group: mechanism, Security: Security{SASL: mechanism, User: "vitrine", PasswordFile: password}})
		r.until(mechanism+" connects", func(s Status) bool { return len(s.Partitions) == 1 })
		r.stop()
	}
}

// tlsListener answers with a certificate that ends after some time; its
// authority is ca.pem.
func tlsListener(t *testing.T, dir string, after time.Duration) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(after),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_ = c.(*tls.Conn).Handshake()
				c.Close()
			}
		}
	}()
	return l.Addr().String()
}

// write makes a file.
func write(t testing.TB, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestOffsetsOutOfOrder lets the cluster drop records that the log has not read,
// and lose ones that it has: the reading goes on where the cluster begins, and
// what the log has already is passed over.
func TestOffsetsOutOfOrder(t *testing.T) {
	broker, cl := cluster(t, 1)
	log := &memLog{}
	produce(t, cl, view("a"), view("b"))
	r := read(t, log, Options{Brokers: []string{broker}})
	r.until("all is read", accepted(2))
	r.stop()
	produce(t, cl, view("c"), view("d"), view("e"))
	var drop kadm.Offsets
	drop.Add(kadm.Offset{Topic: "user-events", Partition: 0, At: 4, LeaderEpoch: -1})
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), drop); err != nil {
		t.Fatal(err)
	}
	r = read(t, log, Options{Brokers: []string{broker}})
	r.until("what is left is read", accepted(1))
	r.stop()
	if got := log.items(t); got != "a b e" {
		t.Errorf("log %q, want a b e: c and d were dropped by the cluster", got)
	}
	if said := r.said.String(); !strings.Contains(said, "dropped records before they were read") || !strings.Contains(said, "first=2 last=3 count=2") || r.Status().Lost != 2 {
		t.Errorf("the log says nothing of the two that are gone: %s; %+v", said, r.Status())
	}
	// The log is ahead of the cluster: its position is beyond the end.
	ahead := &memLog{}
	pump := bridge.New(ahead, nil, bridge.Options{})
	ids, err := kadm.NewClient(cl).ListTopics(t.Context(), "user-events")
	if err != nil {
		t.Fatal(err)
	}
	id := ids["user-events"].ID
	ctx, end := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- pump.Run(ctx) }()
	if _, err := pump.Submit(ctx, []event.Record{{
		Kind: event.KindEvent, Source: event.Source{Name: event.TopicSource("user-events", id), Offset: 6},
		Event: event.Event{UserID: "u", ItemID: "ahead", Type: "view", Time: 1},
	}}); err != nil {
		t.Fatal(err)
	}
	end()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	r = read(t, ahead, Options{Brokers: []string{broker}, Group: "another"})
	r.until("the loss is told", func(s Status) bool { return len(s.Partitions) == 1 && s.Lost == 2 })
	produce(t, cl, view("f"), view("g"), view("h"))
	r.until("what is new is read", accepted(1))
	if got := ahead.items(t); got != "ahead h" {
		t.Errorf("log %q, want ahead h: f and g have offsets that the log has", got)
	}
	r.stop()
	if said := r.said.String(); !strings.Contains(said, "lost records that were read") || !strings.Contains(said, "first=5 last=6 count=2") || r.Status().Lost != 2 {
		t.Errorf("the log says nothing of the two offsets that are given again: %s; %+v", said, r.Status())
	}
}

// TestOnePartitionIsStuck: a partition of which the broker has an error is told of with
// what to do, and holds up no other; it is read when it can be again.
func TestOnePartitionIsStuck(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var broken atomic.Bool
	broken.Store(true)
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked := req.(*kmsg.FetchRequest)
		if !broken.Load() || len(asked.Topics) == 0 || asked.Topics[0].Partitions[0].Partition != 0 {
			return nil, nil, false
		}
		// The others are asked for alone, as long as this one is put off.
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		topic, part := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		part.ErrorCode = kerr.UnknownServerError.Code
		topic.Topic, topic.TopicID, topic.Partitions = asked.Topics[0].Topic, asked.Topics[0].TopicID, append(topic.Partitions, part)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("user-events"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	other := view("b")
	other.Partition = 1
	produce(t, cl, view("a"), other)
	log := &memLog{}
	r := read(t, log, Options{Brokers: c.ListenAddrs()})
	s := r.until("the other is read, and the fault told", func(s Status) bool { return s.Counts.Accepted == 1 && s.Error != "" })
	if !s.Connected || !strings.Contains(s.Error, "partition 0 of user-events cannot be read from offset 0 on: UNKNOWN_SERVER_ERROR") || s.Hint == "" {
		t.Errorf("%+v", s)
	}
	broken.Store(false)
	s = r.until("all is read", func(s Status) bool { return s.Counts.Accepted == 2 && s.Error == "" })
	r.stop()
	if got := log.items(t); got != "b a" {
		t.Errorf("log %q", got)
	}
	if said := r.said.String(); strings.Count(said, "cannot be read from offset") != 1 || strings.Count(said, "the partition is read again") != 1 || strings.Count(said, `msg="kafka: reading"`) != 1 {
		t.Errorf("the log says\n%s", said)
	}
}

// TestUnreadable: what is said of a partition has a next step for each kind of error.
func TestUnreadable(t *testing.T) {
	opt := &Options{Brokers: []string{"b:9092"}, Group: "g", Topics: values.Topics{Topic: "t"}}
	for hint, err := range map[string]error{
		"kafka-delete-records.sh --bootstrap-server b:9092": kerr.CorruptMessage, "kafka-dump-log.sh": errors.New("a batch of the unknown format 9"),
		"look at the disks": kerr.KafkaStorageError, "kafka-acls.sh": kerr.TopicAuthorizationFailed, "the brokers' log": kerr.UnknownServerError,
	} {
		if f := unreadable("t", 3, 7, err, opt); !strings.HasPrefix(f.Error(), "partition 3 of t cannot be read from offset 7 on: ") || !strings.Contains(f.Hint(), hint) {
			t.Errorf("%v: %+v, want the hint %q", err, f, hint)
		}
	}
	if f := unreadable("t", 3, fetch.Start, kerr.CorruptMessage, opt); !strings.HasPrefix(f.Error(), "partition 3 of t cannot be read from its start on: ") {
		t.Errorf("%+v", f)
	}
}

// TestTransactions: what was taken back is not read, and marks of transactions,
// which take offsets, are passed over, also where a schema is looked up first.
func TestTransactions(t *testing.T) {
	broker, cl := cluster(t, 1)
	tx, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.TransactionalID("shop"), kgo.DefaultProduceTopic("user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	transact := func(end kgo.TransactionEndTry, records ...*kgo.Record) {
		t.Helper()
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		produce(t, tx, records...)
		if err := tx.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	transact(kgo.TryCommit, view("a"), view("b"))
	produce(t, cl, view("c"))
	transact(kgo.TryAbort, view("gone"))
	log := &memLog{}
	passed := func(s Status) bool {
		return len(s.Partitions) == 1 && s.Partitions[0] == Partition{Topic: "user-events", Position: 6, End: 6}
	}
	r := read(t, log, Options{Brokers: []string{broker}})
	s := r.until("nothing waits", passed)
	r.stop()
	if got := log.items(t); got != "a b c" || s.Counts != (Counts{Accepted: 3}) {
		t.Errorf("log %q, want a b c; %+v", got, s.Counts)
	}
	r = read(t, log, Options{Brokers: []string{broker}})
	s = r.until("nothing waits after a start", passed)
	if s.Counts != (Counts{}) {
		t.Errorf("after a start %+v", s.Counts)
	}
	registry := &memLog{}
	letters := read(t, registry, Options{Brokers: []string{broker}, Group: "avro", Topics: values.Topics{Format: values.Avro, Registry: schema.Registry{URL: "http://127.0.0.1:1"}}})
	if s := letters.until("nothing waits where none has a schema", passed); s.Counts != (Counts{Rejected: 3}) {
		t.Errorf("with a registry %+v", s.Counts)
	}
}

// TestLongRecords: records that are more than a batch holds are all read at once, each
// of them once.
func TestLongRecords(t *testing.T) {
	broker, _ := cluster(t, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("user-events"), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	const n = 1000
	var want []string
	var records []*kgo.Record
	for i := range n {
		item := fmt.Sprint("i", i)
		want = append(want, item)
		records = append(records, &kgo.Record{Value: fmt.Appendf(nil, `{"user_id":"u","item_id":%q,"event_type":"view","props":{"text":%q}}`, item, strings.Repeat("x", 60<<10))})
	}
	produce(t, cl, records...)
	r := read(t, &memLog{}, Options{Brokers: []string{broker}})
	r.until("all are read", accepted(n))
	if got := r.log.items(t); got != strings.Join(want, " ") {
		t.Error("the log has other records")
	}
	r.stop()
	if said := r.said.String(); strings.Contains(said, "waits") || r.Status().Counts.Duplicate > 0 {
		t.Errorf("%+v; it said\n%s", r.Status().Counts, said)
	}
}

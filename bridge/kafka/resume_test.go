package kafka

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
)

// begin keeps where partitions begin.
func (l *memLog) begin(from map[bridge.Place]int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun == nil {
		l.begun = map[bridge.Place]int64{}
	}
	maps.Copy(l.begun, from)
	return nil
}

// lose puts the log's mark of a lost frame in the place of those that hold items.
func (l *memLog) lose(t *testing.T, items string) {
	t.Helper()
	var blank frames.Builder
	nothing := blank.Seal()
	for i, frame := range l.frames {
		lost := false
		if err := frames.Decode(frame, func(r *event.Record) error {
			lost = lost || strings.Contains(items, r.Event.ItemID)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if lost {
			l.frames[i] = slices.Clone(nothing)
		}
	}
}

// TestLostFramesOfTopics: whichever frames a log has lost, what of the topic was in
// them is read again, and each record counts once. Of two partitions the log has
// the frames ab, cd, ef and gh, in turns.
func TestLostFramesOfTopics(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, lost string }{
		{"none", ""},
		{"the first one", "ab"},
		{"the first one of the second partition", "cd"},
		{"the first ones of both", "abcd"},
		{"the last one", "gh"},
		{"the last ones of both", "efgh"},
		{"neighbours", "cdef"},
		{"all of a partition", "abef"},
		{"all but the last one", "abcdef"},
		{"all", "abcdefgh"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			broker, cl := partitions(t, 2)
			log := &memLog{}
			opt := Options{Brokers: []string{broker}, Instance: "mine"}
			r := read(t, log, opt)
			for i, items := range []string{"ab", "cd", "ef", "gh"} {
				toPartition(t, cl, int32(i%2), items)
				r.until("the records are read", accepted(2*i+2))
			}
			r.stop()
			log.lose(t, tc.lost)
			readAgain(t, cl, log, opt, len(tc.lost), "abcdefghx")
		})
	}
}

// TestLostFirstFrameOfAGroup: what the group had read before the data folder came
// to be is not read because a frame was lost.
func TestLostFirstFrameOfAGroup(t *testing.T) {
	t.Parallel()
	broker, cl := partitions(t, 1)
	toPartition(t, cl, 0, "pq")
	var at kadm.Offsets
	at.AddOffset("user-events", 0, 2, -1)
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "vitrine", at); err != nil {
		t.Fatal(err)
	}
	log := &memLog{}
	opt := Options{Brokers: []string{broker}, Instance: "mine"}
	r := read(t, log, opt)
	for i, items := range []string{"ab", "cd"} {
		toPartition(t, cl, 0, items)
		r.until("the records are read", accepted(2*i+2))
	}
	r.stop()
	log.lose(t, "ab")
	readAgain(t, cl, log, opt, 2, "abcdx")
}

// readAgain reads so many records that a log has lost, and one more, x, behind them;
// then the log has what is wanted, each record once and nothing else.
func readAgain(t *testing.T, cl *kgo.Client, log *memLog, opt Options, lost int, want string) {
	t.Helper()
	r := read(t, log, opt)
	r.until("what was lost is read again", func(s Status) bool { return s.Connected && s.Counts.Accepted == lost })
	toPartition(t, cl, 0, "x")
	r.until("the partition is read on", accepted(lost+1))
	r.stop()
	if got := log.sorted(t); got != want {
		t.Errorf("the log has %s, want %s", got, want)
	}
}

// TestBeginningIsKeptFirst: nothing of a partition is read before it is kept where
// it begins.
func TestBeginningIsKeptFirst(t *testing.T) {
	t.Parallel()
	broker, cl := partitions(t, 1)
	toPartition(t, cl, 0, "ab")
	log := &memLog{}
	refused, refuse := make(chan struct{}, 100), true
	r := read(t, log, Options{Brokers: []string{broker}, Begun: func(from map[bridge.Place]int64) error {
		select {
		case refused <- struct{}{}:
		default:
		}
		if refuse {
			refuse = false
			return errors.New("no room")
		}
		return log.begin(from)
	}})
	<-refused
	if got := log.items(t); got != "" {
		t.Errorf("%s was read", got)
	}
	r.until("the records are read", accepted(2))
	r.stop()
	if len(log.begun) != 1 {
		t.Errorf("kept %v", log.begun)
	}
	if said := r.said.String(); !strings.Contains(said, "no room") || !strings.Contains(said, "the data folder's disk") || strings.Contains(said, "no connection") {
		t.Errorf("said %s", said)
	}
	log.begun = nil
	r = read(t, log, Options{Brokers: []string{broker}})
	r.until("the group is joined", func(s Status) bool { return s.Connected })
	r.stop()
	if len(log.begun) > 0 {
		t.Errorf("kept %v of a partition that the log knows", log.begun)
	}
}

// partitions is cluster with a client that puts each record where it says.
func partitions(t *testing.T, n int32) (broker string, cl *kgo.Client) {
	t.Helper()
	broker, _ = cluster(t, n)
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("user-events"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return broker, cl
}

// TestLagOfAnEmptyPartition: what retention has taken before anything was read does
// not wait here.
func TestLagOfAnEmptyPartition(t *testing.T) {
	t.Parallel()
	broker, cl := partitions(t, 1)
	toPartition(t, cl, 0, "ab")
	var gone kadm.Offsets
	gone.AddOffset("user-events", 0, 2, -1)
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	r := read(t, &memLog{}, Options{Brokers: []string{broker}})
	s := r.until("the end of the partition is known", func(s Status) bool { return len(s.Partitions) == 1 && s.Partitions[0].End == 2 })
	if p := s.Partitions[0]; p.Lag() != 0 || s.Lost != 0 {
		t.Errorf("%+v, lag %d", s, p.Lag())
	}
}

func toPartition(t *testing.T, cl *kgo.Client, partition int32, items string) {
	t.Helper()
	var records []*kgo.Record
	for _, item := range items {
		r := view(string(item))
		r.Partition = partition
		records = append(records, r)
	}
	produce(t, cl, records...)
}

// sorted is what is in the log, by name.
func (l *memLog) sorted(t *testing.T) string {
	t.Helper()
	items := strings.Fields(l.items(t))
	slices.Sort(items)
	return strings.Join(items, "")
}

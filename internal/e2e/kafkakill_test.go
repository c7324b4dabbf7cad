package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/parquet"
	"vitrine/internal/realservers"
)

// TestRealKafkaKill kills the daemon with SIGKILL at random moments while it
// reads a backlog as fast as it can, again and again, and in the end compares
// the archive with what was produced. The records carry no event_id, so
// deduplication cannot hide a double; each is known by its session.
//
// VITRINE_KILLS sets the number of kills; make kill-table does 100.
func TestRealKafkaKill(t *testing.T) {
	realservers.Require(t)
	kills := 10
	if n, err := strconv.Atoi(os.Getenv("VITRINE_KILLS")); err == nil {
		kills = n
	}
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir()}.Start)
	f := &flood{t: t, cl: kafkaClient(t, b.Address, "user-events"), dir: t.TempDir()}
	f.args = []string{"--set", "kafka.brokers=" + b.Address, "--set", "archive.commit_every=1s"}
	f.more(backlog)

	// The maximum: the same backlog without a kill.
	d := start(t, f.dir, f.args...)
	most := f.rate(d, func(p pipeline) bool { return p.Kafka.Accepted >= backlog })
	d.settle()

	random := rand.New(rand.NewPCG(7, 7))
	sum, dry := 0.0, 0
	for kill := range kills {
		if kill%10 == 9 { // a snapshot, else every start reads all of the archive
			f.settle()
		}
		if f.produced-f.read < backlog/2 {
			f.more(backlog)
		}
		d := start(t, f.dir, f.args...)
		until := time.Now().Add(time.Minute)
		sum += f.rate(d, func(p pipeline) bool {
			if until.After(time.Now().Add(time.Second)) { // the first record has come
				until = time.Now().Add(time.Duration(random.Int64N(int64(400 * time.Millisecond))))
			}
			return time.Now().After(until)
		})
		d.kill()
		if f.produced == f.read {
			dry++
		}
	}
	f.settle()
	lost, doubled, strange := f.compare()
	t.Logf("kill table, Kafka: %d kills | %d produced | %d lost | %d doubled | %d never sent | read at %.0f records/s between kills, %.0f without | %d kills with nothing left to read",
		kills, f.produced, lost, doubled, strange, sum/float64(kills), most, dry)
	if lost+doubled+strange > 0 {
		t.Errorf("%d lost, %d doubled, %d never sent", lost, doubled, strange)
	}
}

// backlog is how many records wait for the daemon at most. Half of them, when
// there are more, last for the 400 ms within which it is killed.
const backlog = 1_000_000

// flood is a daemon with a backlog to read.
type flood struct {
	t    *testing.T
	cl   *kgo.Client
	dir  string
	args []string
	// produced and read are how many records there are, and how many of them
	// the daemon had when it was asked last.
	produced, read int
}

// more produces n records.
func (f *flood) more(n int) {
	f.t.Helper()
	for from := f.produced; from < f.produced+n; from += 10_000 {
		batch := make([]*kgo.Record, 10_000)
		for i := range batch {
			id := from + i
			user := "u" + strconv.Itoa(id%10_007)
			batch[i] = &kgo.Record{
				Topic: "user-events", Key: []byte(user),
				Value: fmt.Appendf(nil, `{"user_id":%q,"item_id":"i%d","event_type":"view","session_id":"%d"}`, user, id%1009, id),
			}
		}
		if err := f.cl.ProduceSync(f.t.Context(), batch...).FirstErr(); err != nil {
			f.t.Fatal(err)
		}
	}
	f.produced += n
}

// rate is how many records a second come in from the first on until done; 0 where
// all had come in between the last question and the kill.
func (f *flood) rate(d *daemon, done func(pipeline) bool) float64 {
	f.t.Helper()
	p := d.until("records come in, or none are left", func(p pipeline) bool { return p.Kafka.Accepted > 0 || f.drained(p) })
	if p.Kafka.Accepted == 0 {
		f.read = f.produced
		return 0
	}
	first, began := p.Kafka.Accepted, time.Now()
	for !done(p) {
		if time.Since(began) > patience {
			f.t.Fatalf("not read within %s: %+v\n%s", patience, p, d.err)
		}
		time.Sleep(2 * time.Millisecond)
		p = d.pipeline()
	}
	f.read = 0
	for _, part := range p.Kafka.Partitions {
		f.read += int(part.Position)
	}
	return float64(p.Kafka.Accepted-first) / time.Since(began).Seconds()
}

// settle lets the daemon read all that there is, and stops it when that is in the
// archive.
func (f *flood) settle() {
	f.t.Helper()
	d := start(f.t, f.dir, f.args...)
	d.until("all is read", f.drained)
	d.settle()
	f.read = f.produced
}

// drained tells that the daemon has read all that there is.
func (f *flood) drained(p pipeline) bool {
	return p.Kafka.Lag == 0 && p.Kafka.ends() == int64(f.produced)
}

// compare holds the archive against what was produced.
func (f *flood) compare() (lost, doubled, strange int) {
	f.t.Helper()
	found := make([]uint8, f.produced)
	scanArchive(f.t, f.dir, parquet.SessionID, func(b *parquet.EventBatch) {
		for i := range b.Len {
			id, err := strconv.Atoi(b.SessionID[i])
			if err != nil || id < 0 || id >= len(found) {
				strange++
			} else if found[id] < 255 {
				found[id]++
			}
		}
	})
	for _, n := range found {
		switch {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	return lost, doubled, strange
}

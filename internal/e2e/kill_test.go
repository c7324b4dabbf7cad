package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"vitrine/bridge/parquet"
)

// TestKill kills the daemon with SIGKILL at uniform times during ingest, again
// and again. This process, which lives on, logs what it sent and what was
// acknowledged. In the end every acknowledged event must be in the archive
// exactly once, and nothing that was never sent. The events carry no event_id,
// so deduplication cannot hide a double.
//
// VITRINE_KILLS sets the number of kills; make kill9 does 20.
func TestKill(t *testing.T) {
	skipShort(t)
	t.Parallel()
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("VITRINE_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	ledger := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	random := rand.New(rand.NewPCG(7, 7))
	for n := range kills {
		if n%10 == 9 { // a snapshot, else every start reads all of the archive
			start(t, dir).stop()
		}
		d := start(t, dir, "--set", "archive.commit_every=1s")
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() { ledger.load(d.url, fmt.Sprintf("k%d-w%d", n, w), stop) })
		}
		if n%2 == 0 { // the others come whenever they come, also at once
			ledger.grows(t, 100)
		}
		time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
		d.kill()
		close(stop)
		wg.Wait()
	}
	start(t, dir, "--set", "archive.commit_every=1s").settle() // what the last kill left on the bus

	found := archived(t, dir)
	lost, doubled, invented := ledger.compare(found)
	t.Logf("kill table, HTTP: %d kills | %d sent | %d acknowledged | %d in the archive | %d lost | %d doubled | %d never sent",
		kills, len(ledger.sent), len(ledger.acked), len(found), lost, doubled, invented)
	if lost+doubled+invented > 0 {
		t.Errorf("%d lost, %d doubled, %d never sent", lost, doubled, invented)
	}
	if len(ledger.acked) < 50*kills {
		t.Errorf("only %d events acknowledged: the test does not load the daemon", len(ledger.acked))
	}
}

// ledger is what this process sent and what was acknowledged, by user id.
type ledger struct {
	mu          sync.Mutex
	sent, acked map[string]bool
}

// load sends batches of 50 events until stopped or the daemon is gone.
func (l *ledger) load(url, name string, stop <-chan struct{}) {
	client := &http.Client{Timeout: patience}
	for batch := 0; ; batch++ {
		select {
		case <-stop:
			return
		default:
		}
		var body bytes.Buffer
		users := make([]string, 50)
		for i := range users {
			users[i] = fmt.Sprintf("%s-%d-%d", name, batch, i)
			fmt.Fprintf(&body, `{"user_id":%q,"item_id":"i%d","event_type":"view"}`+"\n", users[i], i)
		}
		l.note(l.sent, users)
		resp, err := client.Post(url+"/v1/events", "application/x-ndjson", &body)
		if err != nil {
			return
		}
		status := resp.StatusCode
		resp.Body.Close()
		if status == http.StatusAccepted {
			l.note(l.acked, users)
		}
	}
}

// grows waits until n more events are acknowledged.
func (l *ledger) grows(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	goal := count() + n
	until(t, "events are acknowledged", func() bool { return count() >= goal })
}

// compare holds the user ids in the archive against the ledger.
func (l *ledger) compare(found map[string]int) (lost, doubled, invented int) {
	for user := range l.acked {
		if found[user] == 0 {
			lost++
		}
	}
	for user, n := range found {
		if n > 1 {
			doubled++
		}
		if !l.sent[user] {
			invented++
		}
	}
	return lost, doubled, invented
}

func (l *ledger) note(into map[string]bool, users []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range users {
		into[u] = true
	}
}

// archived counts how often each user id is in the event files.
func archived(t *testing.T, dir string) map[string]int {
	t.Helper()
	found := map[string]int{}
	scanArchive(t, dir, parquet.UserID, func(b *parquet.EventBatch) {
		for i := range b.Len {
			found[b.UserID.At(i)]++
		}
	})
	return found
}

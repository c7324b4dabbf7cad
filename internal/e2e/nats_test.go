package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/internal/realservers"
)

// realNATS starts a cluster of processes.
func realNATS(t *testing.T, n int) *realservers.NATS {
	t.Helper()
	return realservers.During(t, func(ctx context.Context) (*realservers.NATS, error) {
		return realservers.StartNATS(ctx, t.TempDir(), n)
	})
}

// busState is the bus in the answer of the admin API.
type busState struct {
	State, Error string
	AsideFrames  int `json:"aside_frames"`
	Last         int
}

func (d *daemon) bus() busState {
	d.t.Helper()
	_, _, body := d.ask(http.MethodGet, "/v1/pipeline", "")
	var p struct{ Bus busState }
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		d.t.Fatalf("%v\n%s", err, body)
	}
	return p.Bus
}

// TestBusElsewhere keeps the log on one nats-server, takes that away for a while,
// and ends the daemon meanwhile.
func TestBusElsewhere(t *testing.T) {
	skipShort(t)
	t.Parallel()
	c := realNATS(t, 1)
	dir := t.TempDir()
	args := []string{"--set", "bus.url=" + c.URLs[0], "--set", "bus.stream=shop", "--set", "bus.replicas=1", "--set", "archive.commit_every=1s"}
	d := start(t, dir, args...)
	ledger := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() { ledger.load(d.url, fmt.Sprint("w", w), stop) })
	}
	until(t, "frames are in the cluster", func() bool { s := d.bus(); return s.State == "ok" && s.Last > 3 })
	if err := c.Kill(0); err != nil {
		t.Fatal(err)
	}
	until(t, "frames are kept aside", func() bool { s := d.bus(); return s.State == "aside" && s.AsideFrames > 10 })
	close(stop)
	wg.Wait()
	d.kill()
	// As after a power cut that this machine came back from first.
	early := launch(t, dir, args...)
	early.says("waiting for the cluster")
	early.kill()
	if err := c.Restart(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	d = start(t, dir, args...)
	until(t, "the cluster has all frames", func() bool { s := d.bus(); return s.State == "ok" && s.AsideFrames == 0 })
	d.settle()
	ledger.check(t, dir)
}

// TestRealNATS keeps the log on a cluster of three servers and kills one after
// the other, the leader of the stream among them, and then the daemon.
func TestRealNATS(t *testing.T) {
	realservers.Require(t)
	c := realNATS(t, 3)
	dir := t.TempDir()
	args := []string{"--set", "bus.url=" + strings.Join(c.URLs, ","), "--set", "archive.commit_every=1s"}
	ledger := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	for round := range 4 {
		d := start(t, dir, args...)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() { ledger.load(d.url, fmt.Sprintf("r%d-w%d", round, w), stop) })
		}
		time.Sleep(time.Second)
		killed := (c.Leader("vitrine") + round%2) % 3
		if err := c.Kill(killed); err != nil {
			t.Fatal(err)
		}
		began, before := time.Now(), d.bus().Last
		for deadline := began.Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if code := d.event(round); code != http.StatusAccepted {
				t.Errorf("round %d: an event gets %d while a server is down", round, code)
			}
			var l list
			d.get("/v1/recommend?user_id=u", &l)
		}
		until(t, "two servers have all frames", func() bool { return d.bus().State == "ok" })
		t.Logf("round %d: server %d killed, %d frames went on within %.1f s", round, killed+1, d.bus().Last-before, time.Since(began).Seconds())
		if err := c.Restart(t.Context(), killed); err != nil {
			t.Fatal(err)
		}
		d.kill()
		close(stop)
		wg.Wait()
	}
	d := start(t, dir, args...)
	until(t, "the cluster has all frames", func() bool { return d.bus().State == "ok" })
	d.settle()
	ledger.check(t, dir)
}

// check holds the archive against what was sent and acknowledged.
func (l *ledger) check(t *testing.T, dir string) {
	t.Helper()
	found := archived(t, dir)
	lost, doubled, invented := 0, 0, 0
	for user := range l.acked {
		if found[user] == 0 {
			lost++
		}
	}
	for user, n := range found {
		if strings.HasPrefix(user, "probe") {
			continue
		}
		if n > 1 {
			doubled++
		}
		if !l.sent[user] {
			invented++
		}
	}
	t.Logf("%d sent, %d acknowledged, %d in the archive; %d lost, %d doubled, %d never sent", len(l.sent), len(l.acked), len(found), lost, doubled, invented)
	if lost+doubled+invented > 0 || len(l.acked) == 0 {
		t.Errorf("%d lost, %d doubled, %d never sent", lost, doubled, invented)
	}
}

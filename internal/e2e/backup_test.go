package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestBackup copies a data folder under ingest, kills the daemon, puts the copy
// into another folder and serves from it: every event that was acknowledged before
// the backup began is there once, and nothing that was never sent.
func TestBackup(t *testing.T) {
	skipShort(t)
	t.Parallel()
	base := shortDir(t)
	dir, copied, restored := filepath.Join(base, "a"), filepath.Join(base, "copy"), filepath.Join(base, "b")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	d := start(t, dir, "--set", "archive.commit_every=1s", "--set", "archive.compact_every=1s")
	smallShop(t, d)
	vitrine(t, "train", "--data", dir).must(t)
	ledger := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() { ledger.load(d.url, fmt.Sprint("w", w), stop) })
	}
	var before map[string]bool
	until(t, "1,000 events are acknowledged", func() bool {
		ledger.mu.Lock()
		defer ledger.mu.Unlock()
		before = maps.Clone(ledger.acked)
		return len(before) >= 1000
	})
	var told struct {
		Files    int
		Position uint64
		Verified bool
	}
	out := vitrine(t, "backup", copied, "--data", dir, "--json").must(t).out
	if err := json.Unmarshal([]byte(out), &told); err != nil || told.Files == 0 || told.Position == 0 || !told.Verified {
		t.Fatalf("%v in %s", err, out)
	}
	d.kill()
	close(stop)
	wg.Wait()

	vitrine(t, "backup", copied, "--data", dir).complains(t, 1, "it is not empty", "hint: give each backup a folder of its own")
	vitrine(t, "restore", copied, "--data", dir).complains(t, 1, "it is not empty", "hint: give a folder that is empty")
	vitrine(t, "restore", base, "--data", restored).complains(t, 1, "there is no backup in "+base, "")
	// The keys that a listener open to others needs are in the backup.
	if out := vitrine(t, "restore", copied, "--data", restored, "--set", "http.listen=0.0.0.0:0").must(t).out; !strings.Contains(out, "verified and restored: "+restored) {
		t.Errorf("restore prints %s", out)
	}
	d = start(t, restored, "--set", "archive.commit_every=1s")
	var l list
	if d.get("/v1/recommend?user_id=u1&limit=3", &l); len(l.Items) != 3 || l.Source != "live" {
		t.Errorf("the restored appliance answers %+v", l)
	}
	if code, body := d.send("POST", "/v1/events", "application/json", `{"user_id":"after","item_id":"i1","event_type":"view"}`); code != 202 {
		t.Errorf("%d %s", code, body)
	}
	d.settle()
	found := archived(t, restored)
	lost, doubled, invented := 0, 0, 0
	for user := range before {
		if found[user] == 0 {
			lost++
		}
	}
	for user, n := range found {
		if strings.HasPrefix(user, "w") && n > 1 {
			doubled++
		}
		if strings.HasPrefix(user, "w") && !ledger.sent[user] {
			invented++
		}
	}
	t.Logf("%d acknowledged before the backup, %d in it; %d lost, %d doubled, %d never sent", len(before), len(found), lost, doubled, invented)
	if lost+doubled+invented > 0 || found["after"] != 1 {
		t.Errorf("%d lost, %d doubled, %d never sent, %d after", lost, doubled, invented, found["after"])
	}
}

// TestFormatOfDataFolder: a folder of another version is refused by both names.
func TestFormatOfDataFolder(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := shortDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state", "format"), []byte(`{"format":2,"vitrine":"7.1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	vitrine(t, "serve", "--data", dir).complains(t, 1, dir+" is of format 2, written by vitrine 7.1; this is vitrine ", "hint: run vitrine 7.1 on it")
	vitrine(t, "train", "--data", dir).complains(t, 1, "format 2, written by vitrine 7.1", "hint: run vitrine 7.1 on it")
}

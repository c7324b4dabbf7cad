package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/bridge/hdfs"
	"vitrine/bridge/mirror"
	"vitrine/internal/realservers"
)

// faultTime is how long each fault lasts; VITRINE_FAULT sets it, such as 30s.
func faultTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("VITRINE_FAULT")); err == nil {
		return d
	}
	return 6 * time.Second
}

// hdfsFault is something that goes wrong with a cluster.
type hdfsFault struct {
	name string
	// quiet says that copying may go on all the same.
	quiet      bool
	begin, end func() error
}

// TestRealHDFS lets everything go wrong with HDFS under a daemon that takes
// events and answers, by both ways to it. In the end the copy must be the
// archive, byte for byte, with every event that was acknowledged once.
func TestRealHDFS(t *testing.T) {
	realservers.Require(t)
	skipShort(t)
	c := realservers.During(t, realservers.HDFS{Dir: t.TempDir()}.Start)
	t.Run("hdfs", func(t *testing.T) { hdfsGoesWrong(t, c, "hdfs", c.Address) })
	t.Run("webhdfs", func(t *testing.T) { hdfsGoesWrong(t, c, "webhdfs", c.WebAddress) })
}

func hdfsGoesWrong(t *testing.T, c *realservers.Cluster, scheme, target string) {
	proxy := realProxy(t, target)
	root := "/user/" + scheme
	settings := []string{"--set", "archive.url=" + scheme + "://" + proxy.Address + root, "--set", "archive.commit_every=1s", "--set", "archive.compact_every=1s"}
	d := start(t, shortDir(t), append(settings, productDeadline...)...)
	load := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	clicks := &trickle{ledger: load, url: d.url}
	stop := clicks.run(t)
	d.copied()
	goroutines := d.goroutines()
	for _, f := range hdfsFaults(t, c, proxy, root) {
		clicks.take()
		if err := f.begin(); err != nil {
			t.Fatal(f.name, err)
		}
		wrong := d.wrong(f)
		if err := f.end(); err != nil {
			t.Fatal(f.name, err)
		}
		took, last := d.copied()
		answers := clicks.take()
		t.Logf("%-28s recovery %5.1f s, %4d events acknowledged, %3d refused, lists p99 %4d ms, %d of them 5xx; told: %s",
			f.name, took.Seconds(), answers.acked, answers.refused, answers.p99.Milliseconds(), answers.failed, wrong)
		if took > recoveryBar() {
			t.Errorf("%s: copied %v after its end, want %v; the last error in that time: %s", f.name, took, recoveryBar(), last)
		}
		if answers.failed > 0 || answers.refused > 0 || answers.acked == 0 {
			t.Errorf("%s: %+v", f.name, answers)
		}
	}
	if now := d.goroutines(); now > goroutines+20 {
		t.Errorf("%d goroutines, %d before the faults", now, goroutines)
	}
	t.Logf("%d files of the copy were replaced by merged ones", d.removed())
	// Killed while it takes events and copies; then stopped while the NameNode is
	// silent. The next start makes both good.
	d.kill()
	stop()
	d = start(t, d.dir, settings...)
	d.copied()
	if err := proxy.Set(realservers.Silent); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	d.stop()
	t.Logf("a clean stop with a silent namenode takes %.1f s", time.Since(begin).Seconds())
	if err := proxy.Set(realservers.None); err != nil {
		t.Fatal(err)
	}
	d = start(t, d.dir, settings...)
	d.copied()
	d.settle()
	d.sameCopy(c, root)
	found := archived(t, d.dir)
	lost, doubled := 0, 0
	for user := range load.acked {
		if found[user] == 0 {
			lost++
		}
	}
	for user, n := range found {
		if n > 1 || !load.sent[user] {
			doubled++
		}
	}
	t.Logf("%d acknowledged, %d in the archive and its copy; %d lost, %d doubled or never sent", len(load.acked), len(found), lost, doubled)
	if lost+doubled > 0 {
		t.Errorf("%d lost, %d doubled or never sent", lost, doubled)
	}
}

// hdfsFaults are the faults of the way to the NameNode, of the servers, and of
// space.
func hdfsFaults(t *testing.T, c *realservers.Cluster, proxy *realservers.Proxy, root string) []hdfsFault {
	var out []hdfsFault
	for _, f := range []realservers.Fault{realservers.Refused, realservers.Silent, realservers.Slow, realservers.Reset} {
		out = append(out, hdfsFault{
			name: "namenode " + f.String(), quiet: f == realservers.Slow,
			begin: func() error { return proxy.Set(f) }, end: func() error { return proxy.Set(realservers.None) },
		})
	}
	admin := func(args ...string) error {
		_, err := c.Run(t.Context(), "org.apache.hadoop.hdfs.tools.DFSAdmin", args...)
		return err
	}
	return append(out,
		hdfsFault{
			name: "datanode killed", quiet: true,
			begin: c.DataNodes[0].Kill,
			end:   func() error { return c.DataNodes[0].Start(t.Context()) },
		},
		hdfsFault{
			name:  "namenode killed and restarted",
			begin: c.NameNode.Kill,
			end: func() error {
				if err := c.NameNode.Start(t.Context()); err != nil {
					return err
				}
				return c.Await(t.Context(), len(c.DataNodes))
			},
		},
		hdfsFault{
			name:  "full",
			begin: func() error { return admin("-setSpaceQuota", "1m", root) },
			end:   func() error { return admin("-clrSpaceQuota", root) },
		},
	)
}

// copyState is what the daemon tells of the copy.
func (d *daemon) copyState() (position, copied uint64, fault string) {
	d.t.Helper()
	var p struct {
		Archive struct {
			Position uint64
			Copy     struct {
				Position    uint64
				Error, Hint string
			}
		}
	}
	_, _, body := d.ask(http.MethodGet, "/v1/pipeline", "")
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		d.t.Fatal(err, body)
	}
	a := p.Archive
	if a.Copy.Error != "" && a.Copy.Hint == "" {
		d.t.Errorf("no hint for %q", a.Copy.Error)
	}
	return a.Position, a.Copy.Position, a.Copy.Error
}

// copyCounts are counters of the copy.
type copyCounts struct{ Removed, Failures int64 }

func (d *daemon) copyCounts() copyCounts {
	d.t.Helper()
	var p struct{ Archive struct{ Copy copyCounts } }
	_, _, body := d.ask(http.MethodGet, "/v1/pipeline", "")
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		d.t.Fatal(err, body)
	}
	return p.Archive.Copy
}

// removed counts the files that were removed from the copy.
func (d *daemon) removed() int64 {
	d.t.Helper()
	return d.copyCounts().Removed
}

// wrong waits as long as the fault lasts, and returns what is told of it.
func (d *daemon) wrong(f hdfsFault) string {
	d.t.Helper()
	told := ""
	for begin := time.Now(); time.Since(begin) < faultTime() || told == "" && !f.quiet; time.Sleep(50 * time.Millisecond) {
		if _, _, fault := d.copyState(); fault != "" {
			told = fault
		}
		if time.Since(begin) > patience {
			d.t.Fatalf("%s: nothing is told\n%s", f.name, d.err)
		}
	}
	if told != "" && !strings.Contains(d.err.String(), "the archive cannot be copied") {
		d.t.Errorf("%s: not in the log:\n%s", f.name, d.err)
	}
	return told
}

// recoveryBar is how soon all must be there again after a fault has ended; four
// times that where this machine has other work than it has cores.
func recoveryBar() time.Duration {
	const bar = 5 * time.Second
	text, err := os.ReadFile("/proc/loadavg")
	var load float64
	if err == nil {
		_, err = fmt.Sscan(string(text), &load)
	}
	if err == nil && load > float64(runtime.NumCPU()) {
		return 4 * bar
	}
	return bar
}

// copied waits until what is in the archive now is in the copy, and returns how
// long that took and the last error that was told in that time.
func (d *daemon) copied() (took time.Duration, last string) {
	d.t.Helper()
	begin := time.Now()
	want, _, _ := d.copyState()
	for {
		_, have, fault := d.copyState()
		if have >= want && fault == "" {
			return time.Since(begin), last
		}
		if fault != "" {
			last = fault
		}
		if time.Since(begin) > patience {
			d.t.Fatalf("the copy is at %d, want %d: %s\n%s", have, want, fault, d.err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var goroutinesLine = regexp.MustCompile(`goroutine profile: total (\d+)`)

func (d *daemon) goroutines() int {
	d.t.Helper()
	_, _, body := d.ask(http.MethodGet, "/debug/pprof/goroutine?debug=1", "")
	m := goroutinesLine.FindStringSubmatch(body)
	if m == nil {
		d.t.Fatalf("no count in %.100s", body)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// answers are what a trickle saw.
type answers struct {
	lists, acked, refused, failed int
	// p99 is that of the lists, wait the longest time until events were
	// acknowledged.
	p99, wait time.Duration
}

// trickle sends a thousand events a second and asks for lists.
type trickle struct {
	ledger *ledger
	url    string

	mu   sync.Mutex
	seen answers
	took []time.Duration
}

// run works until the function that it returns is called.
func (k *trickle) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	every := func(pause time.Duration, fn func(n int)) {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				fn(n)
				time.Sleep(pause)
			}
		})
	}
	client := &http.Client{Timeout: 20 * time.Second}
	every(50*time.Millisecond, func(n int) { k.post(client, n) })
	every(20*time.Millisecond, func(int) { k.list(client) })
	return func() {
		cancel()
		wg.Wait()
	}
}

func (k *trickle) post(client *http.Client, n int) {
	var body bytes.Buffer
	users := make([]string, 50)
	for i := range users {
		users[i] = fmt.Sprintf("t-%d-%d", n, i)
		fmt.Fprintf(&body, `{"user_id":%q,"item_id":"i%d","event_type":"view"}`+"\n", users[i], i)
	}
	k.ledger.note(k.ledger.sent, users)
	begin := time.Now()
	resp, err := client.Post(k.url+"/v1/events", "application/x-ndjson", &body)
	if err == nil {
		_ = resp.Body.Close()
	}
	took := time.Since(begin)
	ok := err == nil && resp.StatusCode == http.StatusAccepted
	if ok {
		k.ledger.note(k.ledger.acked, users)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if ok {
		k.seen.acked += len(users)
		k.seen.wait = max(k.seen.wait, took)
	} else {
		k.seen.refused++
	}
}

func (k *trickle) list(client *http.Client) {
	begin := time.Now()
	resp, err := client.Get(k.url + "/recommend?user_id=t-1-1")
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.took = append(k.took, time.Since(begin))
	k.seen.lists++
	if err != nil || resp.StatusCode != http.StatusOK {
		k.seen.failed++
	}
}

// take returns what was seen since the last call.
func (k *trickle) take() answers {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := k.seen
	if len(k.took) > 0 {
		slices.Sort(k.took)
		out.p99 = k.took[len(k.took)*99/100]
	}
	k.seen, k.took = answers{}, nil
	return out
}

// sameCopy wants the files of the archive of a daemon that was stopped and those
// of its copy to be equal. The last copy of a clean stop has a time limit, and the
// next start makes good what is missing: so it is given one.
func (d *daemon) sameCopy(c *realservers.Cluster, root string) {
	d.t.Helper()
	here, there := d.bothSides(c, root)
	if !maps.Equal(here, there) {
		again := run(d.t, d.dir, exec.Command(d.cmd.Path, d.cmd.Args[1:]...))
		again.awaitReady()
		again.copied()
		again.settle()
		here, there = again.bothSides(c, root)
	}
	if len(here) == 0 || !maps.Equal(here, there) {
		d.t.Errorf("the archive has %v, the copy %v", slices.Sorted(maps.Keys(here)), slices.Sorted(maps.Keys(there)))
	}
}

// bothSides are the sums of the files of the archive, and of those of its copy,
// by the names that they have in the archive.
func (d *daemon) bothSides(c *realservers.Cluster, root string) (here, there map[string][32]byte) {
	d.t.Helper()
	here, there = map[string][32]byte{}, map[string][32]byte{}
	archive := filepath.Join(d.dir, "archive")
	err := filepath.WalkDir(archive, func(at string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(archive, at)
		if err != nil || e.IsDir() || strings.HasPrefix(rel, "_") || strings.HasPrefix(rel, ".") {
			return err
		}
		data, err := os.ReadFile(at)
		here[filepath.ToSlash(rel)] = sha256.Sum256(data)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	id, err := mirror.ID(archive)
	if err != nil {
		d.t.Fatal(err)
	}
	for at, data := range copyFiles(d.t, c, root) {
		if !strings.HasPrefix(at, "_") {
			there[strings.Replace(at, "-"+id+".parquet", ".parquet", 1)] = sha256.Sum256(data)
		}
	}
	return here, there
}

// copyFiles reads all files below root on HDFS, those that are no data, too. A
// daemon that is copying moves and removes files meanwhile; then it reads again.
func copyFiles(t *testing.T, c *realservers.Cluster, root string) map[string][]byte {
	t.Helper()
	opt := hdfs.Options{NameNodes: []string{c.Address}, Root: root, User: "reader", Timeout: patience}
	if c.Realm != nil {
		principal, keytab := c.Superuser()
		opt.Kerberos = &hdfs.Kerberos{Principal: principal, Keytab: keytab, Config: c.Realm.Config, Service: "nn/_HOST"}
		opt.Protection = "authentication"
	}
	store := hdfs.New(opt)
	defer store.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		files := map[string][]byte{}
		err := readBelow(t.Context(), store, "", files)
		if err == nil {
			return files
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		t.Log("read again:", err)
	}
}

// readBelow reads the files of a folder and of those in it.
func readBelow(ctx context.Context, store mirror.Reader, dir string, files map[string][]byte) error {
	entries, err := store.List(ctx, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := path.Join(dir, e.Name)
		if e.Dir {
			if err := readBelow(ctx, store, at, files); err != nil {
				return err
			}
			continue
		}
		r, err := store.Open(ctx, at)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		files[at] = data
	}
	return nil
}

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDemoShop is what `make run` does: an empty folder becomes a shop that
// answers, a click changes the next answer, and a second start is quick.
func TestDemoShop(t *testing.T) {
	skipShort(t)
	dir := t.TempDir()
	begin := time.Now()
	d := start(t, dir, "--demo")
	ready := time.Since(begin)

	var first list
	user := demoUser(t, d)
	header := d.get("/v1/recommend?user_id="+user+"&limit=5&fields=name,price&exclude_seen=true", &first)
	figure(t, ready <= 20*time.Second, "from start to the first answer: %.1f s, bar 20 s; %d MiB resident", ready.Seconds(), d.rss())
	if first.Source != "live" || len(first.Items) != 5 || first.Items[0].Fields["name"] == nil || header.Get("X-Vitrine-Source") != "live" {
		t.Fatalf("first answer %+v", first)
	}
	if mib := d.rss(); mib > 400 {
		t.Errorf("%d MiB resident, at most 400", mib)
	}
	checkReadmeLines(t, d)
	checkClickCounts(t, d, user, &first)
	checkNewVisitor(t, d)
	checkSession(t, d, first.Items[0].ItemID)

	var after list
	d.get("/v1/recommend?user_id="+user+"&limit=5&exclude_seen=true", &first)
	d.stop()
	begin = time.Now()
	d = start(t, dir, "--demo")
	again := time.Since(begin)
	figure(t, again <= 3*time.Second, "second start: %.2f s, bar 3 s", again.Seconds())
	d.get("/v1/recommend?user_id="+user+"&limit=5&exclude_seen=true", &after)
	if after.ids() != first.ids() || after.Model.Version != first.Model.Version {
		t.Errorf("after the restart %s (%s), before %s", after.ids(), after.Model.Version, first.ids())
	}
	d.stop()
}

// demoSource is the data folder of a demo shop that was filled and trained once
// for all tests.
var demoSource = sync.OnceValues(func() (string, error) {
	path, err := binary()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(path), "demo")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	cmd := exec.Command(path, "serve", "--demo", "--data", dir, "--set", "http.listen=127.0.0.1:0", "--set", "http.admin_listen=127.0.0.1:0")
	var log bytes.Buffer
	cmd.Stderr = &log
	bind(cmd)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if readyLine.Match(lines.Bytes()) {
			_ = cmd.Process.Signal(os.Interrupt) // Wait tells
		}
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("fill the demo shop: %w\n%s", err, &log)
	}
	return dir, nil
})

// demoShop is a data folder with the filled demo shop, the test's own.
func demoShop(t *testing.T) string {
	t.Helper()
	source, err := demoSource()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(shortDir(t), "demo")
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// demoUser reads the customer that the printed curl line asks for.
func demoUser(t *testing.T, d *daemon) string {
	t.Helper()
	_, rest, ok := strings.Cut(d.out.String(), "user_id=")
	user, _, _ := strings.Cut(rest, "&")
	if !ok || user == "" {
		t.Fatalf("no curl line with a user in %q", d.out)
	}
	return user
}

// checkClickCounts sends events of an item outside the list and wants another
// answer at once.
func checkClickCounts(t *testing.T, d *daemon, user string, before *list) {
	t.Helper()
	var popular list
	d.get("/v1/popular?limit=50", &popular)
	item := popular.Items[40].ItemID
	for range 3 {
		code, body := d.send("POST", "/v1/events", "application/json",
			fmt.Sprintf(`{"user_id":%q,"item_id":%q,"event_type":"purchase"}`, user, item))
		if code != 202 || !strings.Contains(body, `"accepted":1`) {
			t.Fatalf("event: %d %s", code, body)
		}
	}
	var after list
	d.get("/v1/recommend?user_id="+user+"&limit=5&exclude_seen=true", &after)
	same := after.ids() == before.ids()
	for i := range after.Items {
		same = same && after.Items[i].Score == before.Items[i].Score
	}
	if same {
		t.Errorf("three purchases of %s changed nothing in %s", item, before.ids())
	}
}

// checkNewVisitor: unknown gets popular and says so, one event makes it live.
func checkNewVisitor(t *testing.T, d *daemon) {
	t.Helper()
	var l list
	header := d.get("/v1/recommend?user_id=newcomer&limit=5", &l)
	if l.Source != "popular" || header.Get("X-Vitrine-Reason") != "unknown_user" || len(l.Items) != 5 {
		t.Errorf("unknown user: %+v", l)
	}
	code, body := d.send("POST", "/v1/events", "application/json",
		fmt.Sprintf(`{"user_id":"newcomer","item_id":%q,"event_type":"cart"}`, l.Items[2].ItemID))
	if code != 202 {
		t.Fatalf("event: %d %s", code, body)
	}
	d.get("/v1/recommend?user_id=newcomer&limit=5", &l)
	if l.Source != "live" {
		t.Errorf("newcomer after one event: %+v", l)
	}
	var article struct {
		Recommendations []string `json:"recommendations"`
	}
	d.get("/recommend?user_id=newcomer", &article)
	if len(article.Recommendations) != 20 {
		t.Errorf("article route: %v", article)
	}
	var none map[string]any
	d.get("/recommend", &none)
	if len(none) != 0 {
		t.Errorf("article route without a user: %v", none)
	}
}

func checkSession(t *testing.T, d *daemon, item string) {
	t.Helper()
	var l list
	d.get("/v1/recommend?session="+item+"&limit=5", &l)
	if l.Source != "live" || len(l.Items) != 5 {
		t.Errorf("session: %+v", l)
	}
	d.get("/v1/items/"+item+"/similar?limit=5", &l)
	if len(l.Items) != 5 || strings.Contains(l.ids(), item+",") {
		t.Errorf("similar: %+v", l)
	}
}

package e2e

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// TestExport takes a shop over into files and into Redis, from a running
// appliance and from a stopped one, and back into another.
func TestExport(t *testing.T) {
	skipShort(t)
	t.Parallel()
	d := start(t, shortDir(t))
	smallShop(t, d)
	vitrine(t, "train", "--data", d.dir).must(t)
	vitrine(t, "plugin", "install", pluginModule(t), "--data", d.dir).must(t)
	out := t.TempDir()
	export := func(args ...string) result {
		return vitrine(t, append(append([]string{"export"}, args...), "--data", d.dir)...)
	}

	export().complains(t, 2, "export takes exactly one of: events, items, users, model, recommendations", "hint: see: vitrine export --help")
	export("lists", "--to", out).complains(t, 2, "export takes exactly one of:", "")
	export("items").complains(t, 2, "export needs --to", "")
	export("items", "--to", out, "--format", "csv").complains(t, 2, `--format must be parquet or ndjson, not "csv"`, "")
	export("items", "--to", out, "-n", "3").complains(t, 2, "items have none", "")
	export("recommendations", "--to", out, "-n", "501").complains(t, 2, "--limit must be between 1 and 500", "")
	export("items", "--to", "redis").complains(t, 2, "only recommendations go to redis", "")
	export("recommendations", "--to", "redis").complains(t, 1, "no Redis is configured", "hint: name it: --set redis.address=HOST:6379")
	export("recommendations", "--to", "redis", "--set", "redis.address=127.0.0.1:1").complains(t, 1, "write to 127.0.0.1:1", "hint: look at redis.address")

	server := miniredis.RunT(t)
	if got := export("recommendations", "--limit", "4", "--to", "redis", "--set", "redis.address="+server.Addr(), "--set", "redis.ttl=1h").must(t).out; !strings.HasPrefix(got, "exported recommendations to redis: ") {
		t.Errorf("it prints %s", got)
	}
	keys := server.Keys()
	if len(keys) == 0 {
		t.Fatal("nothing is in Redis")
	}
	for _, key := range keys {
		user := strings.TrimSuffix(strings.TrimPrefix(key, "user:"), ":recs")
		got, err := server.Get(key)
		if err != nil || server.TTL(key) != time.Hour {
			t.Errorf("%s lives for %v: %v", key, server.TTL(key), err)
		}
		live := ""
		for deadline := time.Now().Add(patience); got != live && time.Now().Before(deadline); {
			var l struct{ Recommendations []string } // with less at times, on a busy machine
			d.get("/recommend?limit=4&user_id="+url.QueryEscape(user), &l)
			live = strings.Join(l.Recommendations, ",")
		}
		if got != live {
			t.Fatalf("%s is %q, live %q", key, got, live)
		}
	}

	export("items", "--to", out, "--format", "ndjson").must(t)
	export("items", "--to", out).complains(t, 1, filepath.Join(out, "items")+": it is there already", "hint: give each export a folder of its own")
	export("recommendations", "--to", filepath.Join(out, "running"), "--format", "ndjson").must(t)
	d.stop()
	export("recommendations", "--to", filepath.Join(out, "stopped"), "--format", "ndjson").must(t)
	lists := func(folder string) string {
		text, err := os.ReadFile(filepath.Join(out, folder, "recommendations", "part-00000.ndjson"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if running, stopped := lists("running"), lists("stopped"); running != stopped {
		t.Errorf("lists of the running appliance\n%.600s\nof the stopped one\n%.600s", running, stopped)
	}
	export("events", "--to", out, "--format", "ndjson").must(t)
	export("recommendations", "--to", filepath.Join(out, "parquet"), "--codes").must(t)
	for _, name := range []string{"events/part-00000.ndjson", "events/_SUCCESS", "parquet/recommendations/part-00000.parquet", "parquet/user_codes/_SUCCESS"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}

	// What was taken out goes in elsewhere as it is, and comes out the same.
	second := start(t, shortDir(t))
	vitrine(t, "import", "--items", filepath.Join(out, "items", "part-00000.ndjson"), "--data", second.dir).must(t)
	vitrine(t, "import", filepath.Join(out, "events", "part-00000.ndjson"), "--data", second.dir).must(t)
	again := t.TempDir()
	vitrine(t, "export", "events", "--to", again, "--format", "ndjson", "--data", second.dir).must(t)
	before, err := os.ReadFile(filepath.Join(out, "events", "part-00000.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(filepath.Join(again, "events", "part-00000.ndjson")); err != nil || strings.Count(string(after), "\n") != strings.Count(string(before), "\n") {
		t.Errorf("%d bytes of events went in, %d came out: %v", len(before), len(after), err)
	}
	second.stop()
}

// TestExportIsCut: an appliance that is killed while it sends leaves no file that
// looks whole, and neither does one who stops waiting.
func TestExportIsCut(t *testing.T) {
	skipShort(t)
	t.Parallel()
	for _, signal := range []struct {
		name   string
		killed bool
	}{{"the appliance is killed", true}, {"the command is told to stop", false}} {
		d := start(t, shortDir(t))
		var rows strings.Builder
		for n := range 60_000 {
			fmt.Fprintf(&rows, `{"user_id":"u%d","item_id":"i%d","event_type":"view","props":{"x":"%s"}}`+"\n", n%100, n%30, strings.Repeat("y", 400))
		}
		file := filepath.Join(t.TempDir(), "many.ndjson")
		if err := os.WriteFile(file, []byte(rows.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		vitrine(t, "import", file, "--data", d.dir).must(t)
		dir := t.TempDir()
		path, err := binary()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, "export", "events", "--to", dir, "--data", d.dir)
		var errs strings.Builder
		cmd.Stderr = &errs
		bind(cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It writes as soon as there is a folder aside.
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if aside, _ := filepath.Glob(filepath.Join(dir, ".export-*")); len(aside) > 0 {
				break
			}
		}
		if signal.killed {
			d.kill()
		} else if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		left, _ := os.ReadDir(dir)
		if err == nil {
			// It was quicker: then all of it is there.
			if _, err := os.Stat(filepath.Join(dir, "events", "_SUCCESS")); err != nil {
				t.Errorf("%s: %v, there is %v", signal.name, err, left)
			}
			t.Logf("%s: the export was over before", signal.name)
		} else if len(left) > 0 {
			t.Errorf("%s: %v is left; it says %s", signal.name, left, errs.String())
		}
		if !signal.killed {
			d.stop()
		}
	}
}

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetup: what prepares a machine finds what is wrong, names it, and
// changes nothing that it need not.
func TestSetup(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := shortDir(t)
	free := []string{"--data", filepath.Join(dir, "data"), "--set", "http.listen=127.0.0.1:0", "--set", "http.admin_listen=127.0.0.1:0"}
	var report struct {
		OK   bool
		Rows []struct{ ID, Severity, Why, Fix string }
	}
	r := vitrine(t, append([]string{"preflight", "--json"}, free...)...).must(t)
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || !report.OK || len(report.Rows) < 15 {
		t.Fatalf("%v\n%s", err, r.out)
	}
	d := start(t, filepath.Join(dir, "other"))
	taken := strings.TrimPrefix(d.url, "http://")
	r = vitrine(t, "preflight", "--lang", "en", "--data", filepath.Join(dir, "data"), "--set", "http.listen="+taken)
	if r.code != 1 || r.err != "" || !strings.Contains(r.out, "BLOCK") || !strings.Contains(r.out, "another process listens there") {
		t.Errorf("a taken port: code %d\n%s%s", r.code, r.out, r.err)
	}
	r = vitrine(t, "preflight", "--data", d.dir, "--set", "http.listen="+taken, "--set", "http.admin_listen=127.0.0.1:0").must(t)
	if !strings.Contains(r.out, taken+" (vitrine)") {
		t.Errorf("the running appliance's own port blocks:\n%s", r.out)
	}
	if r = vitrine(t, "tune", "--dry-run", "--apply", "--lang", "en").must(t); !strings.Contains(r.out, "net.core.somaxconn") || !strings.Contains(r.out, "LEAVE") {
		t.Errorf("tune prints\n%s", r.out)
	}
	pack := filepath.Join(dir, "for-help.tar.gz")
	r = vitrine(t, "doctor", "--data", d.dir, "--set", "http.listen="+taken, "--set", "http.admin_listen=127.0.0.1:0", "--archive", pack, "--lang", "en").must(t)
	if !strings.Contains(r.out, "running") || !strings.Contains(r.out, "  live") || !strings.Contains(r.out, "without a model popular items are answered") {
		t.Errorf("doctor prints\n%s", r.out)
	}
	if info, err := os.Stat(pack); err != nil || info.Size() < 1000 || info.Mode().Perm() != 0o600 {
		t.Errorf("the archive for a helper: %v %v", info, err)
	}
	d.stop()
	if r = vitrine(t, "doctor", "--lang", "en", "--data", d.dir, "--set", "http.listen=127.0.0.1:0", "--set", "http.admin_listen=127.0.0.1:0", "--json").must(t); !strings.Contains(r.out, "no appliance answers") {
		t.Errorf("doctor without an appliance prints\n%s", r.out)
	}
	if r = vitrine(t, "bundle", "verify", pack); r.code != 1 || !strings.Contains(r.err, "torn") || !strings.Contains(r.err, "\nhint: ") {
		t.Errorf("no bundle: code %d, %s", r.code, r.err)
	}
	if r = vitrine(t, "bundle", "install", filepath.Join(dir, "none"), "--dry-run"); r.code != 1 || !strings.Contains(r.err, "no such file") {
		t.Errorf("no file: code %d, %s", r.code, r.err)
	}
	if r = vitrine(t, "bundle", "create", pack); r.code != 2 || !strings.Contains(r.err, "--key") {
		t.Errorf("without a key: code %d, %s", r.code, r.err)
	}
	configures(t, dir, free)
}

// configures writes answers beside a configuration of its own.
func configures(t *testing.T, dir string, free []string) {
	t.Helper()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	main := write("vitrine.toml", "")
	written := filepath.Join(dir, "conf.d", "50-configure.toml")
	run := func(answers string, more ...string) result {
		t.Helper()
		return vitrine(t, append(append([]string{"configure", "--config", main, "--answers", write("answers", answers), "--json"}, more...), free...)...)
	}
	if r := run("[recommend]\nlimits = 3\n"); r.code != 78 || !strings.Contains(r.err, "answers:2: unknown key") || !strings.Contains(r.err, "nearest key: recommend.limit") {
		t.Errorf("an unknown key: code %d, %s", r.code, r.err)
	}
	if r := run("[kafka]\nbrokers = [\"127.0.0.1:1\"]\n"); r.code != 1 || !strings.Contains(r.err, "kafka does not serve at 127.0.0.1:1: no connection") || !strings.Contains(r.err, "\nhint: ") {
		t.Errorf("a broker that is not there: code %d, %s", r.code, r.err)
	}
	if r := run("[kafka]\nbrokers = [\"127.0.0.1:1\"]\nformat = \"avro\"\nschema_registry = \"http://u:p@127.0.0.1:2\"\n"); r.code != 1 || !strings.Contains(r.err, "schema_registry does not serve at http://127.0.0.1:2: ") || !strings.Contains(r.err, "check kafka.schema_registry") {
		t.Errorf("a schema registry that is not there: code %d, %s", r.code, r.err)
	}
	if r := run("[recommend]\nlimit = 3\n", "--dry-run").must(t); !strings.Contains(r.out, `"+limit = 3"`) {
		t.Errorf("a dry run prints %s", r.out)
	}
	if _, err := os.Stat(written); err == nil {
		t.Error("what was refused, or run dry, is written")
	}
	run("[recommend]\nlimit = 3\n").must(t)
	if r := vitrine(t, "config", "show", "--config", main).must(t); !strings.Contains(r.out, "\nlimit = 3\n") {
		t.Errorf("what was written has no effect:\n%s", r.out)
	}
	if r := run("[recommend]\nlimit = 3\n").must(t); !strings.Contains(r.out, `"written": false`) {
		t.Errorf("written again: %s", r.out)
	}
}

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// confine builds the launcher that runs programs as on a stricter machine.
func confine(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the launcher knows amd64 alone")
	}
	path := filepath.Join(t.TempDir(), "confine")
	if out, err := exec.Command("go", "build", "-o", path, root+"/rpm/confine").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// TestExecmem: where SELinux allows no executable memory, plugins rank all the
// same, on the interpreter, and log, metrics and doctor say why.
func TestExecmem(t *testing.T) {
	skipShort(t)
	t.Parallel()
	launcher, dir := confine(t), shortDir(t)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	under := func(args ...string) *exec.Cmd {
		return exec.Command(launcher, append([]string{"execmem", path}, args...)...)
	}
	free := []string{"--data", dir, "--set", "http.listen=127.0.0.1:0", "--set", "http.admin_listen=127.0.0.1:0"}
	d := run(t, dir, under(append([]string{"serve"}, free...)...))
	d.awaitReady()
	smallShop(t, d)
	good, err := os.ReadFile(root + "/appliance/bench/pluginlive/modules/good.wasm")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "plugins", "good.wasm"), good, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the plugin to be compiled", func() bool { return d.plugins()["bench-swap"].State == "active" })
	d.ranked("/v1/recommend?user_id=u1&limit=3", "bench-swap")
	const why = `no native code on this system`
	d.says("plugins run on the interpreter")
	d.says(why)
	if _, _, metrics := d.ask("GET", "/metrics", ""); !regexp.MustCompile(`vitrine_plugin_engine_info\{engine="interpreter",reason="` + why).MatchString(metrics) {
		t.Error("the metrics do not say why")
	}
	// This doctor may do what the appliance may not.
	r := vitrine(t, append([]string{"doctor", "--lang", "en"}, free...)...)
	if !strings.Contains(r.out, "interpreter: "+why) || !strings.Contains(r.out, "setsebool -P deny_execmem off") {
		t.Errorf("doctor does not say why:\n%s", r.out)
	}
	out, err := under(append([]string{"preflight", "--lang", "zh"}, free...)...).CombinedOutput()
	if err != nil || !regexp.MustCompile(`WARN +execmem +permission denied`).Match(out) || !strings.Contains(string(out), "解释器") {
		t.Errorf("preflight does not find it: %v\n%s", err, out)
	}
	d.stop()
}

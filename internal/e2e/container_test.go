package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// containerRoot lays the image's root out, with the key and the settings that
// the Kubernetes manifests mount, and gives the key.
func containerRoot(t *testing.T, dir string) (image, key string) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	image = filepath.Join(dir, "image")
	if out, err := exec.Command(root+"/ops/container/stage.sh", path, root+"/appliance/bench/pluginlive/modules", image).CombinedOutput(); err != nil {
		t.Fatalf("stage: %v\n%s", err, out)
	}
	text, err := os.ReadFile(kubernetesFile)
	if err != nil {
		t.Fatal(err)
	}
	settings, _ := at(map[string]any(manifests(t, string(text))["ConfigMap/vitrine"]), "data", "50-cluster.toml").(string)
	keys := filepath.Join(dir, "keys")
	made := vitrine(t, "key", "new", "web", "--scope", "recommend", "--data", keys, "--json").must(t)
	var shown struct{ Key string }
	if err := json.Unmarshal([]byte(made.out), &shown); err != nil || shown.Key == "" {
		t.Fatalf("%v\n%s", err, made.out)
	}
	mounted := filepath.Join(image, "etc/vitrine/keys")
	hashes, err := os.ReadFile(filepath.Join(keys, "keys.json"))
	if err == nil {
		err = os.MkdirAll(mounted, 0o755)
	}
	if err == nil { // a Secret's volume: the group reads
		err = os.WriteFile(filepath.Join(mounted, "keys.json"), hashes, 0o440)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(image, "etc/vitrine/conf.d/50-cluster.toml"), []byte(settings), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return image, shown.Key
}

// enterImage does what a container's runtime does, and becomes the program: ROOT
// is read-only, VOLUME its data, /tmp runs no programs, the user is nobody's.
const enterImage = `set -e
root=$1 volume=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$root/proc"
mount -t proc proc "$root/proc"
mount --bind "$volume" "$root/var/lib/vitrine"
mount -t tmpfs -o noexec,nosuid,mode=1777 tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
exec chroot --userspec=1000660000:0 --groups= "$root" /usr/bin/vitrine "$@"`

// ownMounts gives a command mounts and processes of its own.
func ownMounts(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	return cmd
}

// skipWithoutMounts skips where mounting is not allowed: it needs root, and in
// many containers root may not either.
func skipWithoutMounts(t *testing.T) {
	t.Helper()
	const try = `mount --make-rprivate / && mount -t tmpfs tmpfs "$1" && mkdir "$1/proc" && mount -t proc proc "$1/proc" && ` +
		`mount -o remount,bind,ro "$1" && chroot --userspec=1000660000:0 --groups= / true`
	if out, err := ownMounts(exec.Command("sh", "-c", try, "try", t.TempDir())).CombinedOutput(); err != nil {
		t.Skipf("it needs mounts, which are not allowed here: %v\n%s", err, out)
	}
}

// TestContainer runs the image's root as OpenShift does, with the settings of
// the Kubernetes manifests.
func TestContainer(t *testing.T) {
	skipShort(t)
	skipWithoutMounts(t)
	t.Parallel()
	dir := shortDir(t)
	image, key := containerRoot(t, dir)
	volume := filepath.Join(dir, "volume")
	// The cluster gives the volume a group; its owner is another's.
	if err := errors.Join(os.Mkdir(volume, 0o770), os.Chmod(volume, 0o770), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *daemon {
		cmd := ownMounts(exec.Command("sh", append([]string{"-c", enterImage, "enter", image, volume}, args...)...))
		cmd.Env = []string{}
		return run(t, volume, cmd)
	}
	// The image's own listeners, but for the ports.
	anyPort := []string{"--set", "http.listen=0.0.0.0:0", "--set", "http.admin_listen=0.0.0.0:0"}
	d := run(append([]string{"serve", "--demo"}, anyPort...)...)
	d.awaitReady()
	ask := func(path, key string) (int, string) {
		req, err := http.NewRequest(http.MethodGet, d.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for _, c := range []struct {
		path, key string
		code      int
	}{
		{"/livez", "", 200}, {"/readyz", "", 200}, {"/recommend?user_id=u1", "", 401}, {"/recommend?user_id=u1", key, 200},
	} {
		if code, body := ask(c.path, c.key); code != c.code || c.key != "" && strings.Count(body, `"i`) != 20 {
			t.Errorf("GET %s (key %t): %d, want %d\n%s", c.path, c.key != "", code, c.code, body)
		}
	}
	// Compiling a plugin needs no place to write but the volume.
	good, err := os.ReadFile(root + "/appliance/bench/pluginlive/modules/good.wasm")
	if err == nil {
		err = os.WriteFile(filepath.Join(volume, "plugins", "good.wasm"), good, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the plugin to rank", func() bool { return d.plugins()["bench-swap"].State == "active" })
	d.stop()
	d = run(append([]string{"serve"}, anyPort...)...)
	d.awaitReady() // what was written can be read again
	d.stop()
	// Without the key nobody is served.
	if err := os.Remove(filepath.Join(image, "etc/vitrine/keys/keys.json")); err != nil {
		t.Fatal(err)
	}
	d = run("serve")
	var exit *exec.ExitError
	if err := d.ended(); !errors.As(err, &exit) || exit.ExitCode() != 78 || !strings.Contains(d.err.String(), "vitrine key new NAME") {
		t.Errorf("without a key: %v\n%s", err, d.err)
	}
}

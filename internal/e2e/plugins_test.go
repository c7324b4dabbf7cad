package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shelf builds the ready plugins once and returns their folder.
var shelf = sync.OnceValues(func() (string, error) {
	path, err := binary()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(path), "shelf")
	for _, name := range []string{"price-band", "recency", "stock-region"} {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w",
			"-o", filepath.Join(dir, name+".wasm"), "./"+name)
		cmd.Dir = "../../plugins"
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build plugin: %w\n%s", err, out)
		}
	}
	return dir, nil
})

type plugin struct {
	Name, Version, State, Reason, SHA256 string
}

// plugins asks the CLI, by name.
func (d *daemon) plugins() map[string]plugin {
	d.t.Helper()
	var list []plugin
	if err := json.Unmarshal([]byte(vitrine(d.t, "plugin", "list", "--json", "--data", d.dir).must(d.t).out), &list); err != nil {
		d.t.Fatal(err)
	}
	byName := map[string]plugin{}
	for _, p := range list {
		byName[p.Name] = p
	}
	return byName
}

// until polls until it holds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// ranked asks until these plugins, and no others, have ranked the list: on a busy
// machine one may be left out for lack of time.
func (d *daemon) ranked(ask string, names ...string) (l list) {
	d.t.Helper()
	until(d.t, fmt.Sprint(names, " rank"), func() bool {
		l = list{}
		d.get(ask, &l)
		var got []string
		for _, p := range l.Plugins {
			if p.Status == "ok" {
				got = append(got, p.Name)
			}
		}
		return slices.Equal(got, names) && len(l.Plugins) == len(names)
	})
	return l
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestPlugins drops plugins into the folder of a running appliance as an
// operator would: they rank, are replaced, refused and taken out, and no
// request ever fails.
func TestPlugins(t *testing.T) {
	skipShort(t)
	from, err := shelf()
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := os.ReadFile(filepath.Join(from, "price-band.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	dir := demoShop(t)
	d := start(t, dir, "--demo")
	user := demoUser(t, d)
	ask := "/v1/recommend?limit=10&fields=price,stock,region&user_id=" + user
	var plain list
	d.get(ask, &plain)

	stopLoad := loadBeside(t, d, ask)
	folder := filepath.Join(dir, "plugins")
	write(t, filepath.Join(folder, "price-band.toml"), "[config]\nlow = 40\nhigh = 400\nboost = 5\n")
	write(t, filepath.Join(folder, "price-band.wasm"), string(wasm))
	dropped := time.Now()
	until(t, "price-band", func() bool { return d.plugins()["price-band"].State == "active" })
	t.Logf("price-band ranks %.1f s after it was copied", time.Since(dropped).Seconds())
	banded := d.ranked(ask, "price-band")
	if banded.ids() == plain.ids() {
		t.Errorf("price-band changed nothing: %s", banded.ids())
	}
	if first, _ := banded.Items[0].Fields["price"].(float64); first < 40 {
		t.Errorf("first item costs %v in spite of the band", first)
	}

	checkStockFilter(t, d, from, ask)
	checkRefusals(t, d, wasm)

	// Half a file, as a slow copy leaves it: the version before goes on.
	write(t, filepath.Join(folder, "price-band.wasm"), string(wasm[:len(wasm)/2]))
	until(t, "the cut file's refusal", func() bool { return d.plugins()["price-band"].State == "refused" })
	d.ranked(ask, "price-band", "stock-region") // by the version before the cut file
	vitrine(t, "plugin", "remove", "price-band", "--data", dir).must(t)
	until(t, "the removal", func() bool { _, there := d.plugins()["price-band"]; return !there })
	requests, failed := stopLoad()
	t.Logf("%d requests beside all that, %d failed", requests, failed)
	if failed > 0 {
		t.Errorf("%d of %d requests failed", failed, requests)
	}
	d.stop()
}

// TestReadyPlugins has the plugins that ship with the product rank together,
// each with the settings that it ships with.
func TestReadyPlugins(t *testing.T) {
	skipShort(t)
	from, err := shelf()
	if err != nil {
		t.Fatal(err)
	}
	dir := demoShop(t)
	d := start(t, dir, "--demo")
	for _, name := range []string{"price-band", "recency", "stock-region"} {
		toml, err := os.ReadFile(filepath.Join("../../plugins", name, name+".toml"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(from, name+".toml"), strings.Replace(string(toml), "enabled = false", "enabled = true", 1))
		t.Cleanup(func() { os.Remove(filepath.Join(from, name+".toml")) }) // other tests bring their own
		vitrine(t, "plugin", "install", filepath.Join(from, name+".wasm"), "--data", dir).must(t)
	}
	ask := "/v1/recommend?limit=10&fields=stock&user_id=" + demoUser(t, d)
	got := d.ranked(ask, "recency", "price-band", "recency", "stock-region")
	if len(got.Items) != 10 {
		t.Errorf("%d items", len(got.Items))
	}
	for _, it := range got.Items {
		if stock, ok := it.Fields["stock"].(float64); ok && stock == 0 {
			t.Errorf("%s is sold out", it.ItemID)
		}
	}
	d.stop()
}

// loadBeside asks again and again until stopped, a hundred times at least, and
// counts what is not 200.
func loadBeside(t *testing.T, d *daemon, path string) (stop func() (requests, failed int64)) {
	t.Helper()
	var total, bad atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
				}
				total.Add(1)
				resp, err := http.Get(d.url + path)
				if err != nil || resp.StatusCode != http.StatusOK {
					bad.Add(1)
				}
				if err == nil {
					resp.Body.Close()
				}
			}
		})
	}
	return func() (int64, int64) {
		until(t, "100 requests", func() bool { return total.Load() >= 100 })
		close(done)
		wg.Wait()
		return total.Load(), bad.Load()
	}
}

// TestReadmeChangesTheRanking types the two lines of "Change the ranking" at a
// demo shop that has the plugin switched off, as make run leaves it.
func TestReadmeChangesTheRanking(t *testing.T) {
	skipShort(t)
	t.Parallel()
	from, err := shelf()
	if err != nil {
		t.Fatal(err)
	}
	dir := demoShop(t)
	folder := filepath.Join(dir, "plugins")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{filepath.Join(from, "price-band.wasm"): "price-band.wasm", "../../plugins/price-band/price-band.toml": "price-band.toml"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, to), strings.Replace(string(data), "enabled = true", "enabled = false", 1))
	}
	d := start(t, dir, "--demo")
	lines := readme(t, "Change the ranking")
	if len(lines) != 2 {
		t.Fatalf("%d lines", len(lines))
	}
	before := d.curl(lines[1])
	enable := append([]string{}, lines[0][1:]...)
	enable[len(enable)-1] = dir // the data folder of this test
	vitrine(t, enable...).must(t)
	var after string
	until(t, "the plugin to rank", func() bool {
		after = d.curl(lines[1])
		return strings.Contains(after, `"name":"price-band"`) && strings.Contains(after, `"status":"ok"`)
	})
	items := func(answer string) string { _, rest, _ := strings.Cut(answer, `"items":`); return rest }
	if items(before) == items(after) {
		t.Errorf("before %s\nafter %s", before, after)
	}
	d.stop()

	// Shown a page and no more, it can put nothing else on it.
	page := func(answer string) string {
		ids := itemID.FindAllString(answer, -1)
		slices.Sort(ids)
		return strings.Join(ids, " ")
	}
	d = start(t, dir, "--demo", "--set", "plugins.candidates=5")
	var few string
	until(t, "the plugin to rank", func() bool {
		few = d.curl(lines[1])
		return strings.Contains(few, `"name":"price-band"`) && strings.Contains(few, `"status":"ok"`)
	})
	if page(few) != page(before) || page(few) == page(after) {
		t.Errorf("before %s\nwith five candidates %s", before, few)
	}
	d.stop()
}

var itemID = regexp.MustCompile(`"item_id":"[^"]+"`)

// checkStockFilter installs the filter by the CLI: nothing sold out is shown,
// and the list stays full.
func checkStockFilter(t *testing.T, d *daemon, from, ask string) {
	t.Helper()
	out := vitrine(t, "plugin", "install", filepath.Join(from, "stock-region.wasm"), "--data", d.dir).must(t).out
	if !strings.Contains(out, "stock-region 1.0.0 is active") {
		t.Errorf("install printed %q", out)
	}
	l := d.ranked(strings.Replace(ask, "limit=10", "limit=200", 1), "price-band", "stock-region")
	for _, it := range l.Items {
		if stock, _ := it.Fields["stock"].(float64); stock <= 0 {
			t.Errorf("%s is sold out", it.ItemID)
		}
	}
	if len(l.Items) != 200 {
		t.Errorf("%d of 200 items", len(l.Items))
	}
}

// checkRefusals: each bad file is refused in one line that names the reason,
// and what ranks goes on ranking.
func checkRefusals(t *testing.T, d *daemon, wasm []byte) {
	t.Helper()
	folder := filepath.Join(d.dir, "plugins")
	write(t, filepath.Join(folder, "nonsense.wasm"), "not a module at all")
	write(t, filepath.Join(folder, "twin.wasm"), string(wasm))
	write(t, filepath.Join(folder, "odd.toml"), "[config]\nlow = 1\n[wieght]\nx = 1\n")
	write(t, filepath.Join(folder, "odd.wasm"), string(wasm))
	for name, reason := range map[string]string{"nonsense": "not WebAssembly", "twin": "price-band", "odd": "wieght"} {
		var got plugin
		until(t, name, func() bool { got = d.plugins()[name]; return got.State == "refused" })
		if !strings.Contains(got.Reason, reason) || strings.Contains(got.Reason, "\n") {
			t.Errorf("%s: reason %q", name, got.Reason)
		}
		d.says(name + ".wasm")
		for _, suffix := range []string{".wasm", ".toml"} {
			os.Remove(filepath.Join(folder, name+suffix))
		}
	}
	if got := d.plugins(); got["price-band"].State != "active" || got["stock-region"].State != "active" {
		t.Errorf("after the refusals %+v", got)
	}
}

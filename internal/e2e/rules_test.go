package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRulesOfTheShop: rules hold from the moment they are set, in the running
// appliance and in a stopped one, over a restart, until they are taken away; an
// item put meanwhile is shown within a second.
func TestRulesOfTheShop(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := demoShop(t)
	d := start(t, dir, "--demo")
	items := func(path string) []string {
		t.Helper()
		var l list
		d.get(path, &l)
		return strings.Split(l.ids(), ",")
	}
	const path = "/v1/recommend?user_id=u101&limit=10"
	before := items(path)
	file := filepath.Join(t.TempDir(), "rules.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"rules":[{"action":"exclude","item_id":"` + before[0] + `"},{"action":"pin","item_id":"i7","slot":3,"scene":"home"}]}`)
	vitrine(t, "rules", "set", file, "--data", dir).must(t)
	after := items(path)
	if slices.Contains(after, before[0]) || after[2] != "i7" || after[0] != before[1] {
		t.Errorf("%v became %v", before, after)
	}
	if got := items(path + "&scene=cart"); got[2] == "i7" || slices.Contains(got, before[0]) {
		t.Errorf("in the cart: %v", got)
	}
	if code, answer := d.send("PUT", "/v1/items/brand-new", "application/json", `{"attributes":{"category":"fresh","name":"New"}}`); code != 200 {
		t.Fatal(code, answer)
	}
	began := time.Now()
	until(t, "the new item", func() bool {
		return slices.Equal(items(path+"&filter=category=='fresh'"), []string{"brand-new"})
	})
	took := time.Since(began)
	figure(t, took <= time.Second, "a new item is shown %.2f s after its PUT, bar 1 s", took.Seconds())
	var none list
	if d.get(path+"&filter=colour=='red'", &none); none.Source != "empty" || none.Reason != "unknown_attribute" {
		t.Errorf("an attribute that no item has: %s %s", none.Source, none.Reason)
	}
	write(`{"rules":[{"action":"pinn"},{"action":"boost","filter":"price <","factor":2}]}`)
	refused := vitrine(t, "rules", "set", file, "--data", dir)
	if refused.code != 1 || !strings.Contains(refused.err, "rule 1: ") || !strings.Contains(refused.err, "rule 2: filter: at character 8") {
		t.Errorf("exit %d: %s", refused.code, refused.err)
	}
	d.stop()
	if shown := vitrine(t, "rules", "show", "--data", dir).must(t).out; !strings.Contains(shown, `"item_id": "i7"`) {
		t.Errorf("stopped: %s", shown)
	}
	d = start(t, dir)
	if got := items(path); got[2] != "i7" || slices.Contains(got, before[0]) {
		t.Errorf("after a restart: %v", got)
	}
	d.stop()
	write(`{"rules":[]}`)
	vitrine(t, "rules", "set", file, "--data", dir).must(t)
	d = start(t, dir)
	if got := items(path); !slices.Contains(got, before[0]) || slices.Contains(got, "i7") {
		t.Errorf("without rules: %v", got)
	}
	d.stop()
}

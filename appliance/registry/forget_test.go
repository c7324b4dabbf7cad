package registry

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestForget: of a user who is forgotten no version's file holds the name, and all
// of them still load and serve.
func TestForget(t *testing.T) {
	f := newFolder(t)
	r := f.open(0)
	for _, v := range []string{"v1", "v2", "v3"} {
		f.publish(r, v)
	}
	name := r.Live().UserIDs[1]
	aside := filepath.Join(f.dir, "v0.bundle.corrupt")
	if err := os.WriteFile(aside, []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Forget(map[string]bool{"nobody": true}); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	before := r.Live().Model.Score(1, 1)
	if n, err := r.Forget(map[string]bool{name: true, "nobody": true}); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	for _, file := range f.files() {
		if data, err := os.ReadFile(filepath.Join(f.dir, file)); err != nil || bytes.Contains(data, []byte(name)) {
			t.Errorf("%s holds %q, %v", file, name, err)
		}
	}
	again := f.open(0)
	if live := again.Live(); live == nil || live.Version != "v3" || live.Model.Score(1, 1) != before || live.UserIDs[1] != "\x001" {
		t.Fatalf("%+v", live)
	}
	if _, err := Load(again.Path("v1")); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Forget(map[string]bool{name: true}); n != 0 || err != nil {
		t.Fatal(n, err)
	}
}

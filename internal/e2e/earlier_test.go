package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/appliance/demo"
)

// earlier is a backup that the first format of data folders was made with. It is
// never made anew: a later version must read it, or say which one does.
const earlier = "testdata/backup-v1.tar.gz"

// The shop in the backup: what the demo makes of it, one more event, a change of
// an item, a user that was erased, a rule, a key and a letter.
var earlierShop = demo.Config{Customers: 60, Items: 40, Events: 1500}

const (
	earlierRules = `{"rules":[{"action":"pin","item_id":"i7","slot":1,"scene":"home"}]}`
	earlierItem  = `{"attributes":{"name":"Oak table","price":249}}`
)

// TestBackupOfEarlierVersion restores a backup that is kept with the program, and
// wants everything of it: events, items, users, model, rules, keys, dead letters.
//
// VITRINE_WRITE_BACKUP=1 writes the file where there is none.
func TestBackupOfEarlierVersion(t *testing.T) {
	skipShort(t)
	t.Parallel()
	if os.Getenv("VITRINE_WRITE_BACKUP") != "" {
		writeEarlier(t)
	}
	base := shortDir(t)
	copied, restored := filepath.Join(base, "copy"), filepath.Join(base, "b")
	unpackTar(t, earlier, copied)
	vitrine(t, "restore", copied, "--data", restored).must(t)
	d := start(t, restored, "--set", "archive.commit_every=1s")
	var l list
	_, _, body := d.ask(http.MethodGet, "/v1/recommend?user_id=u1&limit=3&scene=home", "") // past the key
	if err := json.Unmarshal([]byte(body), &l); err != nil || len(l.Items) != 3 || l.Items[0].ItemID != "i7" || l.Source != "live" || l.Model == nil {
		t.Errorf("the list is %s, want i7, which is pinned, and others of the model", body)
	}
	for path, want := range map[string]string{
		"/v1/items/i1":                 `"price":249`,
		"/v1/users/guest":              `"region":"south"`,
		"/v1/users/victim/erasure":     `"receipt"`,
		"/v1/deadletters":              `"missing_item_id"`,
		"/v1/users/newest/history":     `"i3"`,
		"/v1/rules":                    `"item_id":"i7"`,
		"/v1/items/i2/similar?limit=1": `"item_id"`,
	} {
		if code, _, body := d.ask(http.MethodGet, path, ""); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %s, want %s in it", path, code, body, want)
		}
	}
	if out := vitrine(t, "key", "list", "--data", restored).must(t).out; !strings.Contains(out, "web") {
		t.Errorf("keys: %s", out)
	}
	d.settle()
	found := archived(t, restored)
	sum := 0
	for _, n := range found {
		sum += n
	}
	if sum != earlierShop.Events+1 || found["newest"] != 1 || found["victim"] != 0 {
		t.Errorf("%d events, %d of the newest user, %d of the erased one", sum, found["newest"], found["victim"])
	}
}

// writeEarlier makes the backup.
func writeEarlier(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(earlier); err == nil {
		t.Fatal(earlier, " is there, and is never made anew")
	}
	files := shortDir(t)
	if err := demo.WriteFiles(files, earlierShop); err != nil {
		t.Fatal(err)
	}
	d := start(t, shortDir(t), "--set", "archive.commit_every=1s", "--set", "archive.compact_every=1s")
	vitrine(t, "import", "--data", d.dir, "--items", filepath.Join(files, "items.ndjson")).must(t)
	vitrine(t, "import", "--data", d.dir, filepath.Join(files, "events.ndjson")).must(t)
	vitrine(t, "key", "new", "web", "--scope", "recommend", "--data", d.dir).must(t)
	for _, step := range [][3]string{
		{http.MethodPut, "/v1/items/i1", earlierItem},
		{http.MethodPut, "/v1/users/guest", `{"attributes":{"region":"south"}}`},
		{http.MethodPost, "/v1/events", `{"user_id":"victim","item_id":"i1","event_type":"view"}`},
		{http.MethodPost, "/v1/events", `[{"user_id":"newest","item_id":"i3","event_type":"view"},{"user_id":"newest"}]`},
		{http.MethodDelete, "/v1/users/victim", ""},
		{http.MethodPut, "/v1/rules", earlierRules},
	} {
		if code, _, body := d.ask(step[0], step[1], step[2]); code >= 300 {
			t.Fatalf("%s %s: %d %s", step[0], step[1], code, body)
		}
	}
	until(t, "there is a receipt", func() bool { return d.erasure("victim").Archive == "done" })
	vitrine(t, "train", "--data", d.dir).must(t)
	copied := filepath.Join(shortDir(t), "copy")
	vitrine(t, "backup", copied, "--data", d.dir).must(t)
	d.stop()
	packTar(t, copied, earlier)
}

// packTar writes the files of a folder into an archive.
func packTar(t *testing.T, dir, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	zip := gzip.NewWriter(f)
	w := tar.NewWriter(zip)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), zip.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// unpackTar reverses it.
func unpackTar(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			if err := os.MkdirAll(path, 0o750); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

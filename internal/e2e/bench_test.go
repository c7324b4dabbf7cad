package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benchReport is what a test reads of a report.
type benchReport struct {
	Valid       bool
	Notes       []string
	Fingerprint struct {
		Hash string `json:"data_hash"`
	}
	Parts map[string]struct {
		Figures []struct {
			Name  string
			Value float64
			Bar   *float64
		}
	}
}

// TestBenchArchive measures training and search on a shop's own archive, beside
// its appliance and without, and leaves it as it is.
func TestBenchArchive(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := shortDir(t)
	var rows strings.Builder
	rows.WriteString("user_id,item_id,event_type,ts\n")
	for user := range 120 {
		for n := range 20 {
			fmt.Fprintf(&rows, "u%d,i%d,view,2026-01-%02d 10:00:00\n", user, user%3*40+(user*7+n*3)%40, 1+n)
		}
	}
	file := filepath.Join(dir, "events.csv")
	if err := os.WriteFile(file, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	d := start(t, data)
	vitrine(t, "import", file, "--data", data).must(t)
	vitrine(t, "train", "--data", data).must(t) // commits what was imported
	measure := func(part string) benchReport {
		var r benchReport
		if err := json.Unmarshal([]byte(vitrine(t, "bench", part, "--archive", data, "--json").must(t).out), &r); err != nil || !r.Valid || len(r.Notes) == 0 {
			t.Errorf("%s: %+v, %v", part, r, err)
		}
		for _, f := range r.Parts[part].Figures {
			if strings.HasPrefix(f.Name, part+".archive.") && f.Bar != nil {
				t.Errorf("%s is held against the bar of generated data", f.Name)
			}
		}
		return r
	}
	measure("retrieve") // beside the appliance, which may change its archive
	d.stop()
	before := archiveFiles(t, data)
	one, other := measure("retrieve"), measure("train")
	if one.Fingerprint.Hash != other.Fingerprint.Hash || one.Fingerprint.Hash == "" {
		t.Errorf("the same data are %q and %q", one.Fingerprint.Hash, other.Fingerprint.Hash)
	}
	if after := archiveFiles(t, data); after != before {
		t.Errorf("the archive was\n%s\nand is\n%s", before, after)
	}
	vitrine(t, "bench", "train", "--archive", shortDir(t)).complains(t, 1, "there is no archive in it", "hint: name a data folder")
	vitrine(t, "bench", "ingest", "--archive", data).complains(t, 2, "what ingest measures does not depend on an archive")
	vitrine(t, "bench", "serve", "--archive", data, "--target", "http://127.0.0.1:1").complains(t, 2, "--target has data of its own")
}

// archiveFiles lists the files of an archive.
func archiveFiles(t *testing.T, data string) string {
	t.Helper()
	var all strings.Builder
	root := filepath.Join(data, "archive")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			fmt.Fprintln(&all, strings.TrimPrefix(path, root), info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

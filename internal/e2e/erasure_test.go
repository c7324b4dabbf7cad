package e2e

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/parquet"
)

// victim is an id that stands in nothing else.
const victim = "victim-7f3a9c"

// TestErasure: some time after a user was erased no file in the data folder holds
// his id, in the clear or in a page of Parquet, and the status is a receipt.
func TestErasure(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := shortDir(t)
	settings := []string{"--set", "archive.commit_every=1s", "--set", "archive.compact_every=1s"}
	d := start(t, dir, settings...)
	smallShop(t, d)
	post := func(body string) {
		t.Helper()
		if code, text := d.send("POST", "/v1/events", "application/json", body); code != 202 {
			t.Fatalf("%d %s", code, text)
		}
	}
	for _, item := range []string{"i1", "i2", "i3"} {
		post(`{"user_id":"` + victim + `","item_id":"` + item + `","event_type":"purchase","session_id":"s-1"}`)
	}
	for _, day := range []string{"2025-01-31", "2025-02-01"} { // dates of their own
		post(`{"user_id":"` + victim + `","item_id":"i1","event_type":"view","ts":"` + day + `T10:00:00Z"}`)
	}
	post(`[{"user_id":"` + victim + `","item_id":"i1","event_type":"nonsense"},{"user_id":"somebody-else","item_id":"i1","event_type":"nonsense"}]`)
	if code, _, text := d.ask("PUT", "/v1/users/"+victim, `{"attributes":{"region":"south"}}`); code != 200 && code != 201 && code != 204 {
		t.Fatalf("%d %s", code, text)
	}
	var l list
	d.get("/v1/recommend?user_id="+victim, &l)
	vitrine(t, "train", "--data", dir).must(t)
	d.stop() // leaves a snapshot
	d = start(t, dir, settings...)
	if found := holding(t, dir, victim); len(found) < 3 {
		t.Fatalf("before the erasure %s is in %v", victim, found)
	}
	if code, _, text := d.ask("DELETE", "/v1/users/"+victim, ""); code != 202 || !strings.Contains(text, `"archive":"pending"`) {
		t.Fatalf("%d %s", code, text)
	}
	var status erasureState
	for deadline := time.Now().Add(patience); status.Archive != "done"; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not done: %+v\n%s", status, d.err.String())
		}
		status = d.erasure(victim)
	}
	if r := status.Receipt; r.Events != 5 || r.Changes != 2 || r.Dead_letters != 1 || r.Models != 1 || r.List_places != len(l.Items) {
		t.Errorf("receipt %+v, want 5 events, 2 changes, a dead letter, a model and %d places of lists", r, len(l.Items))
	}
	if found := holding(t, dir, victim); len(found) > 0 {
		t.Errorf("%s is still in %v", victim, found)
	}
	post(`{"user_id":"u1","item_id":"i1","event_type":"view"}`) // the log goes on
	if _, _, text := d.ask("GET", "/v1/deadletters", ""); !strings.Contains(text, `"total":1`) {
		t.Errorf("the other's dead letter went, too: %s", text)
	}
	d.stop()
	d = start(t, dir, settings...)
	if _, _, text := d.ask("GET", "/v1/users/"+victim+"/erasure", ""); !strings.Contains(text, `"archive":"done","receipt":{"done_at":"20`) {
		t.Errorf("after a restart: %s", text)
	}
	d.stop()
	if found := holding(t, dir, victim); len(found) > 0 {
		t.Errorf("after a restart %s is in %v", victim, found)
	}
	d = start(t, dir, settings...)
	if d.get("/v1/recommend?user_id="+victim, &l); l.Source == "live" {
		t.Errorf("he is answered as one who is known: %+v", l)
	}
}

// erasureState is what the API says of an erasure.
type erasureState struct {
	Archive string
	Receipt struct{ Events, Changes, Dead_letters, Models, List_places int }
}

func (d *daemon) erasure(user string) (s erasureState) {
	d.t.Helper()
	_, _, text := d.ask("GET", "/v1/users/"+user+"/erasure", "")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		d.t.Fatal(err, text)
	}
	return s
}

// holding lists the files below a folder that hold an id: as bytes, or as a value
// in a Parquet file, whose pages are compressed.
func holding(t *testing.T, dir, id string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // what is gone holds nothing
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		for at := bytes.Index(data, []byte(id)); at >= 0; at = -1 {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, rel)
		}
		if filepath.Ext(path) == ".parquet" && inParquet(path, id) {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, rel+" (compressed)")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// inParquet says whether any text of any row is or holds an id.
func inParquet(path, id string) bool {
	rows, err := parquet.OpenRows(path)
	if err != nil {
		return false
	}
	defer rows.Close()
	all := make([]int, len(rows.Columns()))
	for i := range all {
		all[i] = i
	}
	rows.Want(all)
	for {
		cells, err := rows.Next()
		if err != nil {
			return false
		}
		for _, c := range cells {
			if bytes.Contains(c.Text, []byte(id)) {
				return true
			}
		}
	}
}

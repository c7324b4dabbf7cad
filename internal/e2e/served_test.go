package e2e

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// place is a row of the archive's log of lists, as far as the test reads it.
type place struct {
	RequestID string   `parquet:"request_id"`
	UserID    *string  `parquet:"user_id,optional"`
	List      string   `parquet:"list"`
	Scene     *string  `parquet:"scene,optional"`
	ItemID    *string  `parquet:"item_id,optional"`
	Rank      int32    `parquet:"rank"`
	Source    string   `parquet:"source"`
	Model     *string  `parquet:"model,optional"`
	Score     *float32 `parquet:"score,optional"`
}

// click is a row of the events, as far as the test reads it.
type click struct {
	ItemID    string  `parquet:"item_id"`
	RequestID *string `parquet:"request_id,optional"`
}

// rowsOf reads all files below a folder of the archive, with no code of ours.
func rowsOf[R any](t *testing.T, dir string) (rows []R) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".parquet") {
			return err
		}
		more, err := parquet.ReadFile[R](path)
		rows = append(rows, more...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestServedLists: what was answered is in the archive, place by place, and a
// click that names the request joins with the place it was on. Only the share
// that the configuration says is kept.
func TestServedLists(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := shortDir(t)
	d := start(t, dir, "--set", "archive.commit_every=1s")
	smallShop(t, d)
	vitrine(t, "train", "--data", dir).must(t)
	var first list
	d.get("/v1/recommend?user_id=u1&limit=5&scene=home", &first)
	var similar list
	d.get("/v1/items/"+first.Items[2].ItemID+"/similar?limit=3", &similar)
	event := fmt.Sprintf(`{"user_id":"u1","item_id":%q,"event_type":"click","request_id":%q,"position":3}`, first.Items[2].ItemID, first.RequestID)
	if code, answer := d.send("POST", "/v1/events", "application/json", event); code != 202 {
		t.Fatal(code, answer)
	}
	d.stop()

	served := rowsOf[place](t, filepath.Join(dir, "archive", "served"))
	byKey := map[string]place{}
	for _, p := range served {
		byKey[p.RequestID+" "+*p.ItemID] = p
	}
	if len(served) != 8 || len(byKey) != 8 {
		t.Fatalf("%d places of lists are kept, want 5 + 3: %+v", len(served), served)
	}
	for i, item := range first.Items {
		p := byKey[first.RequestID+" "+item.ItemID]
		if p.Rank != int32(i+1) || p.List != "recommend" || *p.UserID != "u1" || *p.Scene != "home" || p.Source != "live" || p.Model == nil || *p.Score == 0 {
			t.Errorf("place %d is kept as %+v", i+1, p)
		}
	}
	if p := byKey[similar.RequestID+" "+similar.Items[0].ItemID]; p.List != "similar" || p.UserID != nil || p.Rank != 1 {
		t.Errorf("a similar item is kept as %+v", p)
	}
	joined := 0
	for _, c := range rowsOf[click](t, filepath.Join(dir, "archive", "events")) {
		if c.RequestID == nil {
			continue
		}
		if p, ok := byKey[*c.RequestID+" "+c.ItemID]; ok && p.Rank == 3 {
			joined++
		}
	}
	if joined != 1 {
		t.Errorf("%d clicks join with their place", joined)
	}

	d = start(t, dir, "--set", "recommend.log_share=0")
	d.get("/v1/recommend?user_id=u1&limit=5", &first)
	d.stop()
	if n := len(rowsOf[place](t, filepath.Join(dir, "archive", "served"))); n != 8 {
		t.Errorf("with a share of 0 there are %d places after another list", n)
	}
}

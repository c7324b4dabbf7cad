package upkeep

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/bridge/archive/compact"
	"vitrine/bridge/deadletter"
)

// rest is the rest of an appliance; it notes the order of the calls.
type rest struct {
	calls []string
	fail  error
}

func (r *rest) Forget(users map[string]bool) (int, error) {
	r.calls = append(r.calls, "models")
	return len(users), nil
}

func (r *rest) Renew(context.Context) error {
	r.calls = append(r.calls, "snapshots")
	return r.fail
}

func (r *rest) Flush(context.Context) error { r.calls = append(r.calls, "flush"); return nil }

func (r *rest) Between(_ context.Context, do func(uint64)) error { do(9); return nil }

func (r *rest) Scrub(_ context.Context, last uint64) error {
	if last == 9 {
		r.calls = append(r.calls, "scrub")
	}
	return nil
}

// TestErasures: the list knows who was erased and when, survives a restart, and
// names nobody.
func TestErasures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "erasures.json")
	list, err := OpenErasures(path)
	if err != nil {
		t.Fatal(err)
	}
	letters, err := deadletter.Open(deadletter.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer letters.Close()
	if _, err := letters.Add(t.Context(), []deadletter.Letter{
		{Source: "http", Code: "x", Raw: []byte(`{"user_id":"ann-1","item_id":1}`)},
		{Source: "http", Code: "x", Raw: []byte(`{"user_id":"ann-12","item_id":1}`)},
		{Source: "f.csv", Line: 3, Code: "x", Detail: "user ann-1 has no item", Raw: []byte("?")},
	}); err != nil {
		t.Fatal(err)
	}
	r := &rest{fail: errors.New("disk full")}
	e := &eraser{erasures: list, models: r, snapshots: r, letters: letters, log: Log{Pump: r, Follower: r, Bus: r}}
	users := []compact.Erasure{{UserID: "ann-1", At: 100, Events: 7, Places: 2}, {UserID: "bob", At: 50}}
	if err := e.Erase(t.Context(), users); err == nil {
		t.Fatal("no error")
	}
	if got, ok := list.Find("ann-1"); !ok || got != (Receipt{ErasedAt: 100, Events: 7, Places: 2, Letters: 2, Models: 2}) {
		t.Fatalf("%+v %v", got, ok)
	}
	r.fail, r.calls = nil, nil
	users[0].Events, users[0].Places = 0, 0 // what the first pass has done
	if err := e.Erase(t.Context(), users); err != nil || !slices.Equal(r.calls, []string{"models", "snapshots", "flush", "flush", "scrub"}) {
		t.Fatal(err, r.calls)
	}
	users[0].Changes = 3
	if err := e.Erased(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	if got, _ := list.Find("ann-1"); got.DoneAt != 0 {
		t.Errorf("a receipt before all is settled: %+v", got)
	}
	if err := e.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if page, err := letters.List(0, ""); err != nil || page.Total != 1 {
		t.Errorf("%d letters, %v", page.Total, err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "ann-1") || strings.Contains(string(text), "bob") {
		t.Errorf("the list on disk is %s, %v", text, err)
	}
	again, err := OpenErasures(path)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := again.Find("ann-1")
	if !ok || got.DoneAt == 0 || got.Events != 7 || got.Changes != 3 || got.Letters != 2 {
		t.Errorf("%+v %v", got, ok)
	}
	if _, ok := again.Find("ann-12"); ok {
		t.Error("another is found")
	}
	if !again.Begun("ann-1", 100) || again.Begun("ann-1", 101) || again.Begun("carl", 1) {
		t.Error("begun is wrong")
	}
	// He came back and is erased anew: a new receipt.
	if err := again.change([]compact.Erasure{{UserID: "ann-1", At: 900, Events: 1}}, func(u *compact.Erasure, r *Receipt) { r.Events += u.Events }); err != nil {
		t.Fatal(err)
	}
	if got, _ := again.Find("ann-1"); got != (Receipt{ErasedAt: 900, Events: 1}) || len(again.list) != 2 {
		t.Errorf("%+v, %d entries", got, len(again.list))
	}
	if err := os.WriteFile(path, []byte(`{"version":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenErasures(path); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a list of a later version: %v", err)
	}
}

func TestHasWord(t *testing.T) {
	for _, c := range []struct {
		text, word string
		want       bool
	}{
		{"u1", "u1", true},
		{`{"user_id":"u1"}`, "u1", true},
		{"u1,i9,view", "u1", true},
		{"u10", "u1", false},
		{"xu1", "u1", false},
		{"u10,u1", "u1", true},
		{"u1-a", "u1", false},
		{"\u00e9u1", "u1", false},
		{"", "u1", false},
		{"a@b.c d", "a@b.c", true},
	} {
		if got := hasWord([]byte(c.text), []byte(c.word)); got != c.want {
			t.Errorf("%q in %q: %v", c.word, c.text, got)
		}
	}
}

// TestErasureWaitsForTheCopy: while the copy elsewhere cannot be made there is no
// receipt, not even where only the record of the erasure is left there, nor after
// a restart.
func TestErasureWaitsForTheCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "erasures.json")
	list, err := OpenErasures(path)
	if err != nil {
		t.Fatal(err)
	}
	away, turns := errors.New("hdfs is away"), 0
	letters, err := deadletter.Open(deadletter.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer letters.Close()
	var fail error
	r := &rest{}
	e := &eraser{erasures: list, models: r, snapshots: r, letters: letters, log: Log{Pump: r, Follower: r, Bus: r}, copied: func(context.Context) error {
		turns++
		return fail
	}}
	users := []compact.Erasure{{UserID: "ann-1", At: 100, Changes: 3}}
	fail = away
	if err := e.Erase(t.Context(), users); !errors.Is(err, away) {
		t.Errorf("the first copy: got %v, want %v", err, away)
	}
	fail = nil
	if err := e.Erase(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	fail = away
	if err := e.Erased(t.Context(), users); err != nil {
		t.Fatal(err)
	}
	if err := e.Settle(t.Context()); !errors.Is(err, away) {
		t.Errorf("the second copy: got %v, want %v", err, away)
	}
	fail = nil
	if e.erasures, err = OpenErasures(path); err != nil {
		t.Fatal(err)
	}
	if got, _ := e.erasures.Find("ann-1"); got.DoneAt != 0 || got.Changes != 3 {
		t.Errorf("after a restart: %+v", got)
	}
	if err := e.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := e.erasures.Find("ann-1"); got.DoneAt == 0 {
		t.Errorf("settled: %+v", got)
	}
	before := turns
	if err := e.Settle(t.Context()); err != nil || turns != before {
		t.Errorf("with nothing to settle: %v, %d copies more", err, turns-before)
	}
}

package deadletter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kept are the lines of all letters, oldest first.
func kept(t *testing.T, s *Store) string {
	t.Helper()
	var out []string
	for cursor := ""; ; {
		page, err := s.List(3, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page.Letters {
			out = append(out, fmt.Sprint(l.Line))
		}
		if cursor = page.Next; cursor == "" {
			return strings.Join(out, " ")
		}
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	add := func(from, to int64) {
		t.Helper()
		for n := from; n <= to; n++ {
			l := Letter{Source: "f", Line: n, Raw: []byte("raw"), Context: []byte("context")}
			if _, err := s.Add(t.Context(), []Letter{l}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(1, 6)
	for _, step := range []struct {
		ids  []string
		n    int
		want string
	}{
		{[]string{"2", "4", "99", "x"}, 2, "1 3 5 6"},
		{[]string{"2"}, 0, "1 3 5 6"},
		{[]string{"6"}, 1, "1 3 5"},
		{nil, 0, "1 3 5"},
	} {
		n, err := s.Remove(step.ids)
		if got := kept(t, s); err != nil || n != step.n || got != step.want {
			t.Errorf("removing %v: %d %v, left %s", step.ids, n, err, got)
		}
	}
	// The same place may fail again; numbers are never given twice.
	add(2, 2)
	add(7, 7)
	add(2, 2)
	if got := kept(t, s); got != "1 3 5 2 7" {
		t.Errorf("left %s", got)
	}
	page, err := s.List(0, "")
	if err != nil {
		t.Fatal(err)
	}
	if id := page.Letters[3].ID; id != "7" {
		t.Errorf("the letter after six of which one was removed has the id %s", id)
	}
	if l, err := s.Get("7"); err != nil || string(l.Raw) != "raw" || string(l.Context) != "context" {
		t.Errorf("%+v %v", l, err)
	}
	// All of it is so after a start, and half-written files are nothing to it.
	segments, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	for _, path := range segments {
		if err := os.WriteFile(filepath.Join(dir, "."+filepath.Base(path)+".1.tmp"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if got, after := kept(t, s), s.Stats(); got != "1 3 5 2 7" || after != before || after.Dropped != 0 {
		t.Errorf("after a start: %s, %+v, before %+v", got, after, before)
	}
	if n, err := s.Remove([]string{"1", "3", "5", "7", "8"}); n != 5 || err != nil {
		t.Errorf("the rest: %d %v", n, err)
	}
	if st := s.Stats(); st.Letters != 0 || st.Dropped != 0 || kept(t, s) != "" {
		t.Errorf("%+v", st)
	}
	add(9, 9)
	if got := kept(t, s); got != "9" {
		t.Errorf("left %s", got)
	}
}

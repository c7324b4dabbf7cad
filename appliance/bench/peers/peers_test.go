package peers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/appliance/bench/gen"
)

// fakePeer installs a program in the place of Gorse's.
func fakePeer(t *testing.T, script string) string {
	t.Helper()
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, Gorse), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return home
}

func TestPeersAnswerOrSayWhyNot(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"answers": {`echo noise; echo "{\"version\":\"v$2-$3\",\"cpu\":2,\"wall\":1,\"peak_mib\":5}"`, ""},
		"fails":   {`echo first >&2; echo no such file >&2; exit 3`, "exit status 3: no such file"},
		"garbage": {`echo hello`, "understand what gorse answered"},
		"nothing": {`echo '{"cpu":0}'`, "it measured 0 s"},
	} {
		r, err := Run(t.Context(), Job{Gorse, fakePeer(t, c.script), t.TempDir(), 64, 3})
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrAbsent) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		case err != nil || *r != (Result{Version: "v64-3", CPU: 2, Wall: 1, PeakMiB: 5}):
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestAbsentPeersAreNamed(t *testing.T) {
	for _, peer := range []string{Implicit, Spark, Gorse} {
		if _, err := Run(t.Context(), Job{peer, t.TempDir(), t.TempDir(), 64, 3}); !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), peer) {
			t.Errorf("%s: %v", peer, err)
		}
	}
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "venv", "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	python := "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'pyspark'\" >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(home, "venv", "bin", "python"), []byte(python), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), Job{Spark, home, t.TempDir(), 64, 3}); !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "pyspark") {
		t.Errorf("missing module: %v", err)
	}
}

func TestDataIsWrittenInBothForms(t *testing.T) {
	dir := t.TempDir()
	cells, err := Write(t.Context(), dir, gen.Shape{Users: 300, Items: 200, Cells: 5000, Seed: 1}, true)
	if err != nil || cells < 4000 {
		t.Fatal(cells, err)
	}
	for _, name := range []string{"users.i32", "items.i32", "weights.f32"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() != int64(4*cells) {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, "archive", "events", "dt=*", "*.parquet")); err != nil || len(files) != 60 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

func TestSearch(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "venv", "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ prints, want string }{
		"answers": {`{"version":"v$3-$4","rows":[{"name":"a","us":2,"recall":1}]}`, ""},
		"free":    {`{"rows":[{"name":"a","us":0,"recall":1}]}`, "a took 0 us"},
		"nothing": {`{"rows":[]}`, "measured nothing"},
	} {
		// As large as what was written: 3 items and 1 query of rank 2.
		script := "#!/bin/sh\ntest $(cat $2/items.f32 | wc -c) = 24 && test $(cat $2/queries.f32 | wc -c) = 8 || exit 1\ncat <<END\n" + c.prints + "\nEND\n"
		if err := os.WriteFile(filepath.Join(home, "venv", "bin", "python"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		s, err := RunSearch(t.Context(), SearchJob{Home: home, Data: t.TempDir(), Items: make([]float32, 6), Queries: [][]float32{{1, 2}}, Rank: 2, K: 100})
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		case err != nil || s.Version != "v2-100" || len(s.Rows) != 1:
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if _, err := RunSearch(t.Context(), SearchJob{Home: t.TempDir(), Data: t.TempDir()}); !errors.Is(err, ErrAbsent) {
		t.Error(err)
	}
}

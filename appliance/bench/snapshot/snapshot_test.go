package snapshot_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/snapshot"
	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
)

var shape = gen.Shape{Users: 60, Items: 40, Cells: 1200, Seed: 3}

// shop is a data folder with an archive.
func shop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := gen.Archive(t.Context(), filepath.Join(dir, "archive"), shape, true); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree is everything about the files below a folder that a writer would change.
func tree(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := ""
		if !e.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		all = append(all, fmt.Sprint(path, info.Mode(), info.ModTime(), text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// An archive is found in whatever people call one, is the same in all of them,
// and stays as it is.
func TestTake(t *testing.T) {
	dir, temp := shop(t), t.TempDir()
	before := tree(t, dir)
	dates := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dates, os.DirFS(filepath.Join(dir, "archive", "events"))); err != nil {
		t.Fatal(err)
	}
	hashes := map[string]bool{}
	for _, place := range []string{dir, filepath.Join(dir, "archive"), filepath.Join(dir, "archive", "events"), dates} {
		s, err := snapshot.Take(t.Context(), snapshot.Options{Dir: place, TempDir: temp})
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		hashes[s.Hash] = true
		if s.Events == 0 || s.Bytes == 0 || s.Root != place {
			t.Errorf("%s: %+v", place, s)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(hashes) != 1 {
		t.Errorf("one archive has the hashes %v", hashes)
	}
	if !slices.Equal(before, tree(t, dir)) {
		t.Error("the archive is another than before")
	}
	if left := tree(t, temp); len(left) != 1 {
		t.Errorf("left behind: %.200q", left)
	}
}

// What is done to a data folder of a snapshot, or to the archive after it was
// taken, changes neither the other nor the snapshot.
func TestPut(t *testing.T) {
	dir := shop(t)
	s, err := snapshot.Take(t.Context(), snapshot.Options{Dir: dir, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	own := t.TempDir()
	if err := s.Put(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	before, taken := tree(t, dir), tree(t, s.Dir())
	a, err := archive.Open(t.Context(), archive.Options{Dir: filepath.Join(own, "archive")})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := a.Summary(t.Context())
	if err != nil || sum.Events != s.Events || sum.Position == 0 {
		t.Errorf("%+v of %d events, %v", sum, s.Events, err)
	}
	folders, err := a.Folders(t.Context())
	if err != nil || len(folders) == 0 {
		t.Fatalf("%v, %v", folders, err)
	}
	if err := a.Drop(t.Context(), folders[0].Path); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, tree(t, dir)) || !slices.Equal(taken, tree(t, s.Dir())) {
		t.Error("what the copy does is seen elsewhere")
	}
	if err := os.RemoveAll(filepath.Join(dir, "archive", "events")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(taken, tree(t, s.Dir())) {
		t.Error("the snapshot follows the archive")
	}
}

// Over the bounds of a file system files are copied.
func TestCopied(t *testing.T) {
	const memory = "/dev/shm"
	temp, err := os.MkdirTemp(memory, "vitrine-test-")
	if err != nil {
		t.Skip("there is no other file system to copy to: ", err)
	}
	defer os.RemoveAll(temp)
	s, err := snapshot.Take(t.Context(), snapshot.Options{Dir: shop(t), TempDir: temp})
	var f *snapshot.Fault
	if errors.As(err, &f) && strings.Contains(err.Error(), "are free") {
		t.Skip("the other file system has no room: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Sample(t.Context(), weights(t)); err != nil {
		t.Error(err)
	}
}

func weights(t *testing.T) *signal.Signal {
	t.Helper()
	sig, err := signal.New(signal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestFaults(t *testing.T) {
	write := func(t *testing.T, path, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	someFile := func(t *testing.T, dir string) string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "archive", "events", "*", "*.parquet"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		return files[len(files)/2]
	}
	for name, c := range map[string]struct {
		make       func(t *testing.T) string
		what, hint string
	}{
		"missing": {func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, "it cannot be read: no such file", "name a data folder"},
		"a file": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "file")
			write(t, path, "x")
			return path
		}, "it cannot be read: not a directory", "name a data folder"},
		"nothing": {func(t *testing.T) string { return t.TempDir() }, "there is no archive in it", "name a data folder"},
		"empty": {func(t *testing.T) string {
			dir := t.TempDir()
			if _, err := archive.Open(t.Context(), archive.Options{Dir: filepath.Join(dir, "archive")}); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "there are no events in it", "vitrine import"},
		"others' files": {func(t *testing.T) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "part-0.parquet"), "PAR1")
			return dir
		}, "not in the folders and under the names of an archive", "vitrine import --data NEW"},
		"others' files in dates": {func(t *testing.T) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "events", "dt=2026-01-01", "part-0.parquet"), "PAR1")
			return dir
		}, "part-0.parquet is not named as a file of an archive", "vitrine import --data NEW"},
		"no Parquet": {func(t *testing.T) string {
			dir := shop(t)
			write(t, someFile(t, dir), strings.Repeat("no columns ", 100))
			return dir
		}, "a file is damaged: ", "from a backup"},
		"cut": {func(t *testing.T) string {
			dir := shop(t)
			path := someFile(t, dir)
			info, err := os.Stat(path)
			if err = errors.Join(err, os.Truncate(path, info.Size()/2)); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "a file is damaged: ", "from a backup"},
		"a manifest of later": {func(t *testing.T) string {
			dir := shop(t)
			names, err := filepath.Glob(filepath.Join(dir, "archive", "_commits", "*.json"))
			if err != nil || len(names) == 0 {
				t.Fatal(names, err)
			}
			write(t, names[len(names)-1], `{"schema":99}`)
			return dir
		}, "it cannot be opened: ", "from a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			_, err := snapshot.Take(t.Context(), snapshot.Options{Dir: c.make(t), TempDir: temp})
			var f *snapshot.Fault
			if !errors.As(err, &f) || !strings.Contains(err.Error(), c.what) || !strings.Contains(f.Hint(), c.hint) || strings.Contains(err.Error(), temp) {
				t.Errorf("%v", err)
			}
			if left := tree(t, temp); len(left) != 1 {
				t.Errorf("left behind: %.200q", left)
			}
		})
	}
}

// Who is drawn has interactions, and the most active come first.
func TestChoose(t *testing.T) {
	s, err := snapshot.Take(t.Context(), snapshot.Options{Dir: shop(t), TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	asked := 0
	chosen, left, err := s.Choose(t.Context(), signal.Config{}, func(user string) (bool, error) {
		asked++
		return asked > 3, nil
	})
	if err != nil || left != 3 || len(chosen.Users) != asked-3 || asked > shape.Users || len(chosen.Items) == 0 || len(chosen.Items) > shape.Items {
		t.Errorf("%+v, %d left of %d, %v", chosen, left, asked, err)
	}
	_, _, err = s.Choose(t.Context(), signal.Config{}, func(string) (bool, error) { return false, nil })
	var unfit *snapshot.Unfit
	if !errors.As(err, &unfit) || !strings.Contains(err.Error(), "too few") || unfit.Hint() == "" {
		t.Error(err)
	}
}

// Of bars only those stay that hold for any size.
func TestUnsized(t *testing.T) {
	var figures []report.Figure
	for _, name := range []string{"serve.archive.p99", "serve.archive.live", "train.archive.per_visit", "retrieve.all.mismatches", "recover.live", "recover.lost", "fresh.new.p99"} {
		figures = append(figures, report.New(name, "", report.Lower, 1).WithBar(2))
	}
	var judged []string
	for _, f := range snapshot.Unsized(figures) {
		if (f.Bar == nil) != (f.Met == nil) {
			t.Errorf("%+v", f)
		}
		if f.Bar != nil {
			judged = append(judged, f.Name)
		}
	}
	if want := []string{"serve.archive.live", "retrieve.all.mismatches", "recover.lost", "fresh.new.p99"}; !slices.Equal(judged, want) {
		t.Errorf("judged are %v, want %v", judged, want)
	}
}

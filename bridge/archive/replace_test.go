package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vitrine/bridge/parquet"
)

// rewriteAll writes each folder's files as one.
func rewriteAll(a *Archive) error {
	ctx := context.Background()
	folders, err := a.Folders(ctx)
	if err != nil {
		return err
	}
	for i := range folders {
		f := &folders[i]
		w, err := a.Rewrite(ctx, f.Path)
		if err != nil {
			return err
		}
		err = w.Write(f.Kind, f.Files, func(out *parquet.Rewriter) (rows int64, err error) {
			for n := range f.Files {
				file, err := a.OpenData(f.Files[n].Path)
				if err != nil {
					return 0, err
				}
				defer file.Close()
				copied, err := out.Copy(ctx, file, nil)
				if err != nil {
					return 0, err
				}
				rows += copied
			}
			return rows, nil
		})
		if err == nil {
			err = w.Replace(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// everything is what readers see of all folders.
func everything(t testing.TB, a *Archive) []string {
	t.Helper()
	return slices.Concat(eventIDs(t, a), itemIDs(t, a), userIDs(t, a))
}

// crash makes a panic, which runs no code that mends, an error.
func crash(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = p.(error)
		}
	}()
	return do()
}

// slowExchange is a system that has no exchange of two folders.
func slowExchange(string, string) error { return syscall.ENOSYS }

// TestRewriteStopped stops a rewriting before each of its steps, as a crash
// would, and looks from a new process: nothing is there twice, nothing is
// missing, nothing is left over, and the work can be done again.
func TestRewriteStopped(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	for name, swap := range map[string]func(a, b string) error{"exchange": exchange, "two renames": slowExchange} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := 0; ; at++ {
				dir := t.TempDir()
				a := open(t, dir)
				for i := range 2 {
					id := fmt.Sprint(i)
					commit(t, a, view("u", "i", "a"+id, day0+9), put("i"+id, 3), user("u"+id, "north"))
				}
				want := everything(t, a)
				step, last := 0, ""
				a.exchange = swap
				a.fault = func(name string) error {
					if last = name; step == at {
						panic(stopped)
					}
					step++
					return nil
				}
				err := crash(func() error { return rewriteAll(a) })
				if err == nil {
					if at < 15 {
						t.Errorf("only %d steps", at)
					}
					break
				}
				if !errors.Is(err, stopped) {
					t.Fatal(err)
				}
				again := open(t, dir)
				equal(t, "after a stop before "+last, everything(t, again), want)
				if left, _ := os.ReadDir(filepath.Join(dir, compactDir)); len(left) > 0 {
					t.Fatalf("after a stop before %s: %v is left", last, left)
				}
				again.exchange = swap
				if err := rewriteAll(again); err != nil {
					t.Fatalf("after a stop before %s, done again: %v", last, err)
				}
				equal(t, "done again", everything(t, open(t, dir)), want)
				sum, err := again.Summary(t.Context())
				if err != nil || sum.Files != 3 {
					t.Fatalf("%+v %v", sum, err)
				}
			}
		})
	}
}

// TestRewriteDoneAgainAfterFault: a fault in a running process is mended by the
// next attempt, without a restart.
func TestRewriteDoneAgainAfterFault(t *testing.T) {
	for _, step := range []string{"between", "swap", "remove replaced", "rewritten"} {
		a := open(t, t.TempDir())
		a.exchange = slowExchange
		commit(t, a, view("u", "i", "a", day0+9))
		commit(t, a, view("u", "i", "b", day0+9))
		fails := true
		a.fault = func(name string) error {
			if name == step && fails {
				fails = false
				return errors.New("disk trouble")
			}
			return nil
		}
		if err := rewriteAll(a); err == nil {
			t.Fatal("no fault at " + step)
		}
		commit(t, a, view("u", "i", "c", day0+9))
		if err := rewriteAll(a); err != nil {
			t.Fatal(step, err)
		}
		equal(t, step, eventIDs(t, a), []string{"a", "b", "c"})
	}
}

func TestDropStopped(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	commit(t, a, view("u", "i", "a", day0), view("u", "i", "b", day0+dayMillis))
	a.fault = func(string) error { return errors.New("stopped") }
	if err := a.Drop(t.Context(), "events/dt=2023-11-15"); err == nil {
		t.Fatal("no fault")
	}
	equal(t, "events", eventIDs(t, open(t, dir)), []string{"b"})
	if left, _ := os.ReadDir(filepath.Join(dir, compactDir)); len(left) > 0 {
		t.Fatalf("%v is left", left)
	}
}

// TestRewrittenFileHasAnotherName: who copies files by name sees the change.
func TestRewrittenFileHasAnotherName(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	commit(t, a, view("u", "i", "a", day0))
	for _, want := range []string{".1.parquet", ".2.parquet"} {
		if err := rewriteAll(a); err != nil {
			t.Fatal(err)
		}
		list, err := a.Files(t.Context())
		if err != nil || len(list.Files) != 1 || !strings.HasSuffix(list.Files[0].Path, "-00000000000000000001"+want) {
			t.Fatalf("%+v %v", list, err)
		}
	}
	commit(t, a, view("u", "i", "b", day0))
	if err := rewriteAll(a); err != nil {
		t.Fatal(err)
	}
	equal(t, "events", eventIDs(t, open(t, dir)), []string{"a", "b"})
	if list, _ := a.Files(t.Context()); len(list.Files) != 1 || list.Position != 2 {
		t.Fatalf("%+v", list)
	}
}

// TestRewriteBesideCommits: what is committed while files are written anew stays,
// also when nothing of the old rows does.
func TestRewriteBesideCommits(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	commit(t, a, view("u", "i", "a", day0))
	folders, err := a.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := a.Rewrite(t.Context(), folders[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, a, view("u", "i", "b", day0))
	if err := w.Write(parquet.Events, folders[0].Files, func(*parquet.Rewriter) (int64, error) { return 0, nil }); err != nil {
		t.Fatal(err)
	}
	if err := w.Replace(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "events", eventIDs(t, open(t, dir)), []string{"b"})

	if w, err = a.Rewrite(t.Context(), folders[0].Path); err != nil {
		t.Fatal(err)
	}
	_ = w.Write(parquet.Events, folders[0].Files, func(*parquet.Rewriter) (int64, error) { return 0, nil })
	if err := w.Replace(t.Context()); err == nil || !strings.Contains(err.Error(), "not there any more") {
		t.Fatal(err)
	}
	reader, err := OpenReadOnly(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := a.Drop(t.Context(), folders[0].Path); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	if _, err := reader.Rewrite(t.Context(), folders[0].Path); err == nil {
		t.Fatal("a reader rewrites")
	}
}

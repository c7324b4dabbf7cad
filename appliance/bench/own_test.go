package bench

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/snapshot"
)

// ownRun is a run on an archive of its own making, which has its appliances in
// this program's children.
func ownRun(t *testing.T, shape gen.Shape) *run {
	t.Helper()
	dir := t.TempDir()
	if _, err := gen.Archive(t.Context(), filepath.Join(dir, "archive"), shape, false); err != nil {
		t.Fatal(err)
	}
	r := newRun(Options{Archive: dir, ChildCommand: child, TempDir: t.TempDir(), ServeCommand: func(dir string, settings []string) []string {
		return child(daemonChild + strings.Join(append([]string{dir}, settings...), "|"))
	}})
	r.repetitions = 1
	if err := r.takeOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.own.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// An appliance of the archive has all of it, and those who are asked get lists.
func TestApplianceOfAnArchive(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and trains an appliance")
	}
	t.Parallel()
	r := ownRun(t, gen.Shape{Users: 400, Items: 300, Cells: 12_000, Seed: 1})
	s, err := r.appliance(t.Context(), shopSpec{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	if s.name != ownCase || len(s.users) < 300 || len(s.items) < 200 {
		t.Errorf("%s has %d users and %d items", s.name, len(s.users), len(s.items))
	}
	if err := r.asked(t.Context(), s); err != nil {
		t.Error(err)
	}
}

// Training and search are measured on the archive, under the names of those on
// generated data.
func TestTrainAndRetrieveOnAnArchive(t *testing.T) {
	t.Parallel()
	r := ownRun(t, gen.Shape{Users: 1000, Items: 600, Cells: 30_000, Seed: 1})
	part, err := r.train(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	search, err := r.retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"train.archive.solver_cpu", "train.archive.per_visit", "train.archive.to_published", "train.archive.to_published_blend", "train.archive.peak_rss", "train.archive.load_rate",
		"retrieve.archive.top20", "retrieve.archive.top100", "retrieve.archive.similar20",
	} {
		if !slices.ContainsFunc(append(part.Figures, search.Figures...), func(f report.Figure) bool { return f.Name == name && f.Value > 0 }) {
			t.Errorf("there is no %s; invalid: %q, notes: %q", name, r.report.Invalid, r.report.Notes)
		}
	}
	if v := r.report.Verdict; len(v) != 1 || v[0].Target != "training" || strings.Contains(v[0].How, "EXTRAPOLATED") {
		t.Errorf("verdict %+v", v)
	}
}

// Too small an archive is none to measure, and no part but some takes one.
func TestArchivesThatAreNotMeasured(t *testing.T) {
	_, err := Run(t.Context(), Options{Archive: t.TempDir(), Parts: []string{Train, Ingest}})
	if !errors.Is(err, ErrPart) || !strings.Contains(err.Error(), "the part ingest does not depend on an archive") {
		t.Error(err)
	}
	_, err = Run(t.Context(), Options{Archive: t.TempDir(), Parts: []string{Serve}, Only: []string{caseSwaps}})
	if !errors.Is(err, ErrPart) {
		t.Error(err)
	}
	var fault *snapshot.Fault
	_, err = Run(t.Context(), Options{Archive: t.TempDir()})
	if !errors.As(err, &fault) || fault.Hint() == "" {
		t.Error(err)
	}
}

package bench

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/peers"
	"vitrine/appliance/bench/retrieval"
)

// TestPeersAreHeldAgainstUs: one is installed and slow, the others are absent,
// and said to be.
func TestPeersAreHeldAgainstUs(t *testing.T) {
	t.Parallel()
	home, shape := t.TempDir(), gen.Shape{Users: 400, Items: 300, Cells: 10_000, Seed: 1}
	r := newRun(Options{ChildCommand: child, TempDir: t.TempDir()})
	if _, err := r.peersIn(t.Context(), home, shape, shape); !errors.Is(err, ErrPart) || !strings.Contains(err.Error(), "make bench-peers") {
		t.Errorf("without any: %v", err)
	}
	script := "#!/bin/sh\necho '{\"version\":\"v1\",\"cpu\":1000,\"wall\":500,\"peak_mib\":5}'\n"
	if err := os.WriteFile(filepath.Join(home, peers.Gorse), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	part, err := r.peersIn(t.Context(), home, shape, shape)
	if err != nil {
		t.Fatal(err)
	}
	notes := strings.Join(part.Notes, "\n")
	for _, absent := range []string{"absent: implicit", "absent: spark"} {
		if !strings.Contains(notes, absent) {
			t.Errorf("no %q in %s", absent, notes)
		}
	}
	ratio := part.Figures[0]
	if ratio.Name != "peers.gorse_64.cpu_ratio" || ratio.Value < 1000 || !*ratio.Met || len(r.report.Verdict) != 1 || !r.report.Verdict[0].Met {
		t.Errorf("%+v, verdict %+v", ratio, r.report.Verdict)
	}
}

// TestTheLargePeerAlone: one case by its name, on data of its own, judged by
// processor time and memory.
func TestTheLargePeerAlone(t *testing.T) {
	t.Parallel()
	home, shape := t.TempDir(), gen.Shape{Users: 400, Items: 300, Cells: 10_000, Seed: 1}
	if err := os.MkdirAll(filepath.Join(home, "venv", "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	// The data are plain numbers only.
	script := "#!/bin/sh\ntest -s $2/users.i32 && test ! -e $2/archive || exit 1\n" +
		"echo '{\"version\":\"v1\",\"cpu\":1000,\"wall\":500,\"peak_mib\":1}'\n"
	if err := os.WriteFile(filepath.Join(home, "venv", "bin", "python"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r := newRun(Options{ChildCommand: child, TempDir: t.TempDir(), Only: []string{"implicit_64_100M"}})
	part, err := r.peersIn(t.Context(), home, gen.Shape{}, shape)
	if err != nil {
		t.Fatal(err)
	}
	met := map[string]bool{}
	for _, v := range r.report.Verdict {
		met[v.Target] = v.Met
	}
	if want := map[string]bool{"peers.implicit_64_100M": true, "peers.implicit_64_100M.memory_share": false}; !maps.Equal(met, want) {
		t.Errorf("verdict %v, want %v", met, want)
	}
	if len(part.Figures) != 9 {
		t.Errorf("%d figures", len(part.Figures))
	}
}

// TestShopProfile: what other libraries search are factors of a trained shop.
func TestShopProfile(t *testing.T) {
	t.Parallel()
	p, err := newRun(Options{}).shopProfile(t.Context(), gen.Shape{Users: 400, Items: 300, Cells: 10_000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if p.N != 300 || len(p.Items) != p.N*retrieval.Rank || len(p.Queries) == 0 || len(p.Queries[0]) != retrieval.Rank || p.Bar == 0 {
		t.Errorf("%d items of %d numbers, %d queries, bar %v", p.N, len(p.Items), len(p.Queries), p.Bar)
	}
}

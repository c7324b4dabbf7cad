package bench

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/peers"
)

// TestPeersAreHeldAgainstUs: one is installed and slow, the others are absent,
// and said to be.
func TestPeersAreHeldAgainstUs(t *testing.T) {
	t.Parallel()
	home, shape := t.TempDir(), gen.Shape{Users: 400, Items: 300, Cells: 10_000, Seed: 1}
	r := newRun(Options{ChildCommand: child, TempDir: t.TempDir()})
	if _, err := r.peersIn(t.Context(), home, shape); !errors.Is(err, ErrPart) || !strings.Contains(err.Error(), "make bench-peers") {
		t.Errorf("without any: %v", err)
	}
	script := "#!/bin/sh\necho '{\"version\":\"v1\",\"cpu\":1000,\"wall\":500,\"peak_mib\":5}'\n"
	if err := os.WriteFile(filepath.Join(home, peers.Gorse), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	part, err := r.peersIn(t.Context(), home, shape)
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

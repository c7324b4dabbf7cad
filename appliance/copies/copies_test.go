package copies

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine/appliance/config"
	"vitrine/appliance/scrape"
	"vitrine/bridge/archive"
)

// opened is an archive, and the configuration of a copy at an address.
func opened(t *testing.T, url string) (*config.Config, *archive.Archive) {
	t.Helper()
	c := config.Default()
	c.Data.Dir, c.Archive.URL = t.TempDir(), url
	a, err := archive.Open(t.Context(), archive.Options{Dir: c.ArchiveDir()})
	if err != nil {
		t.Fatal(err)
	}
	return c, a
}

func TestLocalDiskHasNoCopy(t *testing.T) {
	c, a := opened(t, "file:archive")
	m, err := Open(c, a, nil)
	if err != nil || m != nil || Status(m, 1) != nil {
		t.Errorf("%v, %v", m, err)
	}
	if ids, _ := filepath.Glob(filepath.Join(c.ArchiveDir(), "_id")); len(ids) > 0 {
		t.Error("an archive without a copy has an id")
	}
}

// TestAway: a copy that cannot be made is told by status and figures, and holds
// no stop up.
func TestAway(t *testing.T) {
	for _, url := range []string{"hdfs://127.0.0.1:1/a", "webhdfs://127.0.0.1:1,127.0.0.1:2/a", "swebhdfs://127.0.0.1:1/a"} {
		c, a := opened(t, url)
		m, err := Open(c, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		Finish(context.Background(), m, slog.New(slog.NewTextHandler(&log, nil)))
		if !strings.Contains(log.String(), "the next start copies them") {
			t.Errorf("%s:\n%s", url, &log)
		}
		s := Status(m, 7)
		if s.URL != url || s.Lag != 7 || s.Error == nil || s.Hint == nil || s.Since == nil || s.LastCopy != nil || s.Failures != 1 {
			t.Errorf("%s: %+v", url, s)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(scrape.Collector(func() []scrape.Figure { return Figures(m, 7) }))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		for _, f := range families {
			metric := f.GetMetric()[0]
			values[f.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
		if values["vitrine_archive_copy_failing"] != 1 || values["vitrine_archive_copy_lag_frames"] != 7 || values["vitrine_archive_copy_failures_total"] != 1 {
			t.Errorf("%s: %v", url, values)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

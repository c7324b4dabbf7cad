package upkeep

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine/appliance/scrape"
	"vitrine/bridge/archive"
)

// TestRun: the archive is looked through soon after the start and then every so
// often, until the end; the figures are there from the beginning.
func TestRun(t *testing.T) {
	a, err := archive.Open(t.Context(), archive.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	erasures, err := OpenErasures(filepath.Join(t.TempDir(), "erasures.json"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	u := New(Options{
		Archive: a, Erasures: erasures, Every: 10 * time.Millisecond, Retention: 24 * time.Hour, HalfLife: 48 * time.Hour,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if !strings.Contains(log.String(), "archive.retention is shorter than train.half_life") {
		t.Errorf("the log says %q", &log)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(scrape.Collector(u.Figures))
	if all, err := registry.Gather(); err != nil || len(all) != len(u.Figures()) {
		t.Fatalf("%d figures, %v", len(all), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- u.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); u.compact.Stats().Passes < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the archive is not looked through")
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestGently: of the time that passes while work is done, a third is worked.
func TestGently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace, start := gently(), time.Now()
		for range 100 {
			time.Sleep(10 * time.Millisecond) // the work
			if err := pace(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 2900*time.Millisecond || took > 3200*time.Millisecond {
			t.Errorf("a second of work takes %s", took)
		}
	})
}

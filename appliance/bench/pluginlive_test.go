package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/appliance"
	"vitrine/appliance/bench/gap"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/client"
	"vitrine/appliance/config"
	"vitrine/appliance/demo"
)

// Kinds of the test binary's own children: those of the appliance, and the
// appliance itself; their words are parts of the kind.
const (
	applianceChild = "appliance-child "
	daemonChild    = "daemon "
)

// testChild is Child, and what package cmd adds.
func testChild(ctx context.Context, kind string, in io.Reader, out io.Writer) error {
	if name, ok := strings.CutPrefix(kind, applianceChild); ok {
		if name == "" {
			name = os.Args[1]
		}
		return appliance.Child(ctx, name, in, out)
	}
	words, ok := strings.CutPrefix(kind, daemonChild)
	if !ok {
		return Child(ctx, kind, in, out)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	set := strings.Split(words, "|")
	c, err := config.Load(config.Sources{DataDir: set[0], Set: set[1:]})
	if err != nil {
		return err
	}
	go gap.Answer(in, out)
	return appliance.New(appliance.Options{
		Config: c, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Command: child(applianceChild),
		Announce: func(ready appliance.Ready) { fmt.Fprintln(out, ready.URL) },
	}).Run(ctx)
}

// A real appliance with a module that is found out, one that is refused, and
// one that does no harm and must therefore be called loose.
func TestLivePlugins(t *testing.T) {
	if testing.Short() {
		t.Skip("fills and trains a shop")
	}
	t.Parallel()
	r := newRun(Options{ChildCommand: child, TempDir: t.TempDir(), ServeCommand: func(dir string, settings []string) []string {
		return child(daemonChild + strings.Join(append([]string{dir}, settings...), "|"))
	}})
	r.rhythm.warmup = 0
	s, err := r.appliance(t.Context(), shopSpec{Config: demo.Config{Items: 300, Customers: 300, Events: 6000, End: time.Unix(1_750_000_000, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	if err := r.asked(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	l := newLivePlugins(r, s)
	t.Cleanup(l.api.Close)
	// So few requests that a machine with other work has room for them: who is
	// refused in a crowd, or finds no connection free, counts as failed.
	l.replacements, l.rate, l.least = 4, 20, 0
	figures := func(measure func(context.Context, *report.Part) error) map[string]float64 {
		part, got := new(report.Part), map[string]float64{}
		if err := measure(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		for _, f := range part.Figures {
			got[f.Name] = f.Value
		}
		return got
	}
	if got := figures(l.swaps); got["plugins.swap.failed"] != 0 || got["plugins.swap.requests"] == 0 || got["plugins.swap.to_active"] == 0 {
		t.Errorf("swaps: %v", got)
	}
	l.most, l.modules = time.Minute, []hostileModule{{"traps", client.Quarantined}, {"cut_in_half", client.Refused}}
	got := figures(l.hostile)
	if got["plugins.hostile.failed"] != 0 || got["plugins.hostile.loose"] != 0 || got["plugins.hostile.traps.p99"] == 0 || got["plugins.hostile.traps.gap"] == 0 {
		t.Errorf("hostile: %v, verdict %+v", got, r.report.Verdict)
	}
	l.most, l.modules = time.Second, []hostileModule{{"good", client.Refused}}
	if got = figures(l.hostile); got["plugins.hostile.failed"] != 0 || got["plugins.hostile.loose"] != 1 {
		t.Errorf("the good one: %v, verdict %+v", got, r.report.Verdict)
	}
	missed := slices.ContainsFunc(r.report.Verdict, func(v report.Verdict) bool {
		return v.Target == "plugin.failed" && !v.Met && strings.Contains(v.How, "good is not refused")
	})
	if !missed {
		t.Errorf("verdict %+v", r.report.Verdict)
	}
}

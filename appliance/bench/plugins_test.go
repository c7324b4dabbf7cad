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
	"vitrine/appliance/bench/pluginlive"
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
	l := r.pluginlive(s)
	t.Cleanup(l.Close)
	// So few requests that a machine with other work has room for them: who is
	// refused in a crowd, or finds no connection free, counts as failed.
	l.Replacements, l.Rate, l.Least = 4, 20, 0
	figures := func(measure func(context.Context) error) map[string]float64 {
		got := map[string]float64{}
		l.Figures = nil
		if err := measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, f := range l.Figures {
			got[f.Name] = f.Value
		}
		return got
	}
	if got := figures(l.Swaps); got["plugins.swap.failed"] != 0 || got["plugins.swap.requests"] == 0 || got["plugins.swap.to_active"] == 0 {
		t.Errorf("swaps: %v", got)
	}
	l.Most, l.Hostile = time.Minute, []pluginlive.Module{{Name: "traps", Ends: client.Quarantined}, {Name: "cut_in_half", Ends: client.Refused}}
	got := figures(l.Intrude)
	if got["plugins.hostile.failed"] != 0 || got["plugins.hostile.loose"] != 0 || got["plugins.hostile.traps.p99"] == 0 || got["plugins.hostile.traps.gap"] == 0 {
		t.Errorf("hostile: %v, verdict %+v", got, r.report.Verdict)
	}
	l.Most, l.Hostile = time.Second, []pluginlive.Module{{Name: "good", Ends: client.Refused}}
	if got = figures(l.Intrude); got["plugins.hostile.failed"] != 0 || got["plugins.hostile.loose"] != 1 {
		t.Errorf("the good one: %v, verdict %+v", got, r.report.Verdict)
	}
	missed := slices.ContainsFunc(r.report.Verdict, func(v report.Verdict) bool {
		return v.Target == "plugin.failed" && !v.Met && strings.Contains(v.How, "good is not refused")
	})
	if !missed {
		t.Errorf("verdict %+v", r.report.Verdict)
	}
}

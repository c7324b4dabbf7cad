package pluginhost

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/sdk/abi"
)

func TestInstallsOfOneNameAllEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r := newRig(t, Options{}).start()
	var installs sync.WaitGroup
	for i := range 6 {
		installs.Go(func() {
			wasm := scorer("p", scale(float32(i+1))).wasm()
			if info, err := r.Install(ctx, "p", wasm, []byte("enabled = true\n")); err != nil || info.Serving != digestOf(wasm) {
				t.Errorf("install %d: %+v, %v", i, info, err)
			}
		})
	}
	installs.Wait()
}

func TestWaitEndsWhenTheFileIsReplaced(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := newRig(t, Options{}).start()
	r.put("p.wasm", scorer("p", scale(2)).wasm())
	if _, err := r.awaitEntry(ctx, "p", digestOf([]byte("another"))); err == nil || !strings.Contains(err.Error(), "replaced meanwhile") {
		t.Errorf("replaced: %v", err)
	}
	r.remove("p.wasm")
	if _, err := r.awaitEntry(ctx, "p", digestOf([]byte("another"))); err == nil || !strings.Contains(err.Error(), "removed meanwhile") {
		t.Errorf("removed: %v", err)
	}
}

func TestDenySurvivesABrokenSidecar(t *testing.T) {
	good, broken := []byte("on_error = \"deny\"\n"), []byte("budget = \"2ms\non_error = \"deny\"\n")
	trapping := filter("guarded", unreachable).wasm()
	for name, module := range map[string][]byte{"an earlier version serves": trapping, "nothing serves": trapping[:len(trapping)/2]} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			r.put("guarded.toml", good)
			r.start()
			r.add("guarded", trapping)
			r.wantStatus(3, "guarded:filter:denied")
			r.put("guarded.toml", broken)
			r.put("guarded.wasm", module)
			restart := func() {
				r.stop()
				r.start()
				f := r.wantStatus(3, "guarded:filter:denied") // while it compiles
				if slices.Contains(f.Mask, true) {
					t.Error("something is shown while the filter compiles")
				}
				r.info("guarded", module)
				f = r.wantStatus(3, "guarded:filter:denied")
				if slices.Contains(f.Mask, true) {
					t.Error("something is shown beside a broken file")
				}
			}
			restart()
			if r.List()[0].State != Refused {
				t.Errorf("%+v", r.List()[0])
			}
			restart()
		})
	}
	t.Run("another name has it", func(t *testing.T) { // nothing can serve for it
		r := newRig(t, Options{}).start()
		r.add("a", scorer("same", scale(2)).wasm())
		r.put("b.toml", good)
		r.add("b", scorer("same", scale(3)).wasm())
		r.wantStatus(3, "same:scorer:ok", "b:filter:denied")
		r.put("b.toml", broken)
		if err := r.Idle(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.wantStatus(3, "same:scorer:ok", "b:filter:denied")
	})
}

func TestBrokenSidecarEnablesNothing(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, Options{}).start()
	r.add("p", scorer("p", scale(2)).wasm())
	if _, err := r.Disable(ctx, "p"); err != nil {
		t.Fatal(err)
	}
	r.put("p.toml", []byte("budget = \n"))
	if err := r.Idle(ctx); err != nil {
		t.Fatal(err)
	}
	r.wantStatus(3)
}

func TestDisabledKeepsItsName(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t, Options{}).start()
	g := scorer("own-name", scale(2))
	g.manifest.Summary = "doubles"
	r.add("file", g.wasm())
	want := func(info Info, state State) {
		t.Helper()
		if info.State != state || info.Name != "own-name" || info.File != "file" || info.Version != "1.0.0" ||
			info.Summary != "doubles" || !slices.Equal(info.Kinds, []string{abi.Scorer.String()}) {
			t.Fatalf("%+v, want %s", info, state)
		}
	}
	for range 2 {
		info, err := r.Disable(ctx, "own-name")
		if err != nil {
			t.Fatal(err)
		}
		want(info, Disabled)
		want(r.List()[0], Disabled)
		r.stop() // and after a restart
		r.start()
		if err := r.Idle(ctx); err != nil {
			t.Fatal(err)
		}
		want(r.List()[0], Disabled)
		if info, err = r.Enable(ctx, "own-name"); err != nil {
			t.Fatal(err)
		}
		want(info, Active)
	}
	if _, err := r.Install(ctx, "file", g.wasm(), []byte("enabled = false\n")); err != nil {
		t.Fatal(err)
	}
	want(r.List()[0], Disabled)
	if err := r.Remove(ctx, "own-name"); err != nil {
		t.Fatal(err)
	}
}

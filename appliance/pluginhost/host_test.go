package pluginhost

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/bench/process"
	"vitrine/appliance/frame"
	"vitrine/sdk/abi"
)

func TestScorerFilterFeature(t *testing.T) {
	items := newAttributes()
	for i := range uint32(10) {
		items.number(frame.ItemScope, "price", i, float32(i))
	}
	price := abi.Column{Name: "price", Scope: abi.ScopeItem, Type: abi.F32}
	half := abi.Column{Name: "half", Scope: abi.ScopeFeature, Type: abi.F32}

	// The feature is half of the price, the scorer makes it the score, the
	// filter keeps even rows.
	feature := guest{manifest: manifest("halves", abi.Feature), kinds: map[abi.Kind]code{
		abi.Feature: forRows(column(1), column(0), f32load, f32(0.5), f32mul, f32store),
	}}
	feature.manifest.Reads, feature.manifest.Writes = []abi.Column{price}, []abi.Column{half}
	scores := scorer("by-half", forRows(at(abi.OffScore), column(0), f32load, f32store))
	scores.manifest.Reads = []abi.Column{half}
	evens := filter("evens", forRows(get(0), load(abi.OffMask), get(0), add, get(1), add,
		get(1), i32(1), code{0x71}, i32(1), code{0x73}, store8)) // (row & 1) ^ 1

	r := newRig(t, Options{Columns: items}).start()
	if d := r.Depth(); d != 0 {
		t.Errorf("depth %d without plugins", d)
	}
	// File order must not matter between kinds.
	r.add("a-evens", evens.wasm())
	r.add("b-scores", scores.wasm())
	if info := r.add("c-feature", feature.wasm()); info.State != Active || info.Name != "halves" || info.Version != "1.0.0" {
		t.Fatalf("%+v", info)
	}
	if d := r.Depth(); d != 200 {
		t.Errorf("depth %d, want 200", d)
	}
	f := r.wantStatus(10, "halves:feature:ok", "by-half:scorer:ok", "evens:filter:ok")
	for i := range 10 {
		if f.Scores[i] != float32(i)/2 {
			t.Errorf("score of item %d is %v, want half its price", i, f.Scores[i])
		}
		if f.Mask[i] != (i%2 == 0) {
			t.Errorf("mask of item %d is %v", i, f.Mask[i])
		}
	}
	// Without the feature its column is absent: NaN scores are refused.
	r.remove("c-feature.wasm")
	r.until("feature is gone", func() bool { return len(r.List()) == 2 })
	f = r.wantStatus(10, "by-half:scorer:failed", "evens:filter:ok")
	if f.Scores[0] != 10 {
		t.Errorf("score %v, want the base ranking", f.Scores[0])
	}
}

func TestFrameHoldsWhatTheABISays(t *testing.T) {
	items := newAttributes()
	items.text(frame.ItemScope, "brand", 1, "acme")
	items.text(frame.UserScope, "region", 3, "north")
	// Scores become: user code of region, whether n, kind, now and user are
	// right, the item code, and the brand.
	g := scorer("reader", cat(
		forRows(at(abi.OffScore),
			get(0), load(abi.OffN), i32(5), eq, i32(1), mul,
			get(0), load(abi.OffKind), i32(2), eq, i32(10), mul, add,
			get(0), code{0x29, 3, abi.OffNow}, i64(1_700_000_000_000), code{0x51}, i32(100), mul, add,
			get(0), load(abi.OffUser), i32(3), eq, i32(1000), mul, add,
			get(0), load(abi.OffFlags), i32(abi.FlagUser), eq, i32(10000), mul, add,
			get(0), load(abi.OffSeed), i32(7), eq, i32(100000), mul, add,
			toF32,
			// user column: one value, at the column itself
			get(0), get(0), load(abi.OffTable), add, load(abi.ColumnSize+4), get(0), add, load(0), toF32, f32(1000000), f32mul, f32add,
			column(0), load(0), toF32, f32(0.25), f32mul, f32add,
			f32store)))
	g.manifest.Reads = []abi.Column{
		{Name: "brand", Scope: abi.ScopeItem, Type: abi.Code},
		{Name: "region", Scope: abi.ScopeUser, Type: abi.Code},
	}
	r := newRig(t, Options{Columns: items}).start()
	r.add("reader", g.wasm())
	f := r.wantStatus(5, "reader:scorer:ok")
	for i, want := range []float32{2111111, 2111111.25, 2111111, 2111111, 2111111} {
		if f.Scores[i] != want {
			t.Errorf("row %d: %v, want %v", i, f.Scores[i], want)
		}
	}
}

func TestSplitBatchesAreAllOrNothing(t *testing.T) {
	// Fails in the last part only: where the first item is 8192.
	g := scorer("late", cat(get(0), get(0), load(abi.OffItem), add, load(0), i32(2*abi.MaxRows), eq, when(unreachable), scale(2)))
	r := newRig(t, Options{}).start()
	r.add("late", g.wasm())
	f := r.wantStatus(2*abi.MaxRows, "late:scorer:ok")
	if f.Scores[0] != 4*abi.MaxRows || f.Scores[2*abi.MaxRows-1] != 2 {
		t.Errorf("scores %v ... %v, want them doubled", f.Scores[0], f.Scores[2*abi.MaxRows-1])
	}
	f = r.wantStatus(2*abi.MaxRows+5, "late:scorer:failed")
	if f.Scores[0] != 2*abi.MaxRows+5 {
		t.Errorf("score %v of the first part was changed", f.Scores[0])
	}
}

func TestMemoryMayGrowInACall(t *testing.T) {
	r := newRig(t, Options{}).start()
	r.add("grower", scorer("grower", cat(i32(1), grow, drop, scale(2))).wasm())
	for range 20 {
		if f := r.wantStatus(10, "grower:scorer:ok"); f.Scores[0] != 20 {
			t.Fatalf("score %v", f.Scores[0])
		}
	}
}

// What prepares an instance within a request stays within its budget: a guest
// that takes for ever to reserve more rows, or to take its configuration once a
// text has appeared, costs requests no more than that, and is found out.
func TestPreparingWithinARequest(t *testing.T) {
	spin := cat(loop(again), ok)
	asks := func(g guest) guest { // asks for a text that appears later
		g.manifest.Reads = []abi.Column{{Name: "brand", Scope: abi.ScopeItem, Type: abi.Code}}
		g.imports, g.importTypes = []abi.Import{{Module: "vitrine", Name: "dict"}}, []code{{0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f}}
		g.configure = cat(i32(0), i32(textAt+2), i32(4), call(0), when(spin, drop), ok)
		return g
	}
	for name, c := range map[string]struct {
		guest guest
		rows  int
	}{
		"reserve":   {guest{reserve: cat(get(0), i32(firstRows), eq, code{0x45}, when(spin, drop), reserveOf(nil))}, 2 * firstRows},
		"configure": {asks(guest{}), 10},
	} {
		t.Run(name, func(t *testing.T) {
			const budget = 20 * time.Millisecond
			items := newAttributes()
			items.text(frame.ItemScope, "brand", 1, "other")
			r := newRig(t, Options{Columns: items, CallBudget: budget, RequestBudget: budget}).start()
			g := scorer("slow", scale(2))
			g.reserve, g.configure, g.imports, g.importTypes, g.manifest.Reads = c.guest.reserve, c.guest.configure, c.guest.imports, c.guest.importTypes, c.guest.manifest.Reads
			if info := r.add("slow", g.wasm()); info.State != Active {
				t.Fatalf("%+v", info)
			}
			r.wantStatus(10, "slow:scorer:ok")
			items.text(frame.ItemScope, "brand", 2, "name")
			r.rescan()
			r.until("it is in quarantine", func() bool {
				var f *frame.Frame
				var calls []frame.Call
				took := process.ThreadTime(func() { f, calls = r.rank(c.rows) })
				if took > 10*budget {
					t.Fatalf("a request took %v", took)
				}
				if calls[0].Status == statusOK && f.Scores[0] != float32(2*c.rows) {
					t.Fatalf("%v, score %v", calls, f.Scores[0])
				}
				return r.List()[0].State == Quarantined
			})
			if got := r.List()[0].Reason; !strings.HasPrefix(got, "vitrine_"+name+": out of fuel") {
				t.Errorf("reason %q", got)
			}
		})
	}
}

func TestDeny(t *testing.T) {
	r := newRig(t, Options{})
	r.put("guarded.toml", []byte("on_error = \"deny\"\n"))
	r.put("guarded.wasm", filter("guarded", unreachable).wasm())
	r.start()
	f := r.wantStatus(3, "guarded:filter:denied") // from the very start
	if slices.Contains(f.Mask, true) {
		t.Error("something is shown while the filter compiles")
	}
	r.until("active", func() bool { return r.List()[0].State == Active })
	f = r.wantStatus(3, "guarded:filter:denied")
	if slices.Contains(f.Mask, true) {
		t.Error("something is shown although the filter failed")
	}
	if info, err := r.Disable(context.Background(), "guarded"); err != nil || info.State != Disabled {
		t.Fatalf("%+v, %v", info, err)
	}
	r.wantStatus(3)
}

func TestConfiguration(t *testing.T) {
	// The first byte of the configuration's length is added to scores.
	g := scorer("tuned", scale(2))
	g.manifest.Config = []abi.Key{
		{Key: "low", Type: abi.KeyNumber, Default: 1.0}, {Key: "names", Type: abi.KeyTexts, Default: []string{"a"}},
	}
	needs := scorer("needs", scale(2))
	needs.manifest.Config = []abi.Key{{Key: "band", Type: abi.KeyText, Help: "which band"}}
	says := scorer("says", scale(2))
	says.imports, says.importTypes = []abi.Import{{Module: "vitrine", Name: "log"}}, []code{{0x60, 3, 0x7f, 0x7f, 0x7f, 0}}
	says.configure = cat(i32(abi.LevelError), i32(textAt), i32(14), call(0), i32(-2))

	for name, c := range map[string]struct {
		guest guest
		toml  string
		want  string
	}{
		"defaults":     {g, "", ""},
		"values":       {g, "[config]\nlow = 3\nnames = [\"x\", \"y\"]\n", ""},
		"unknown key":  {g, "[config]\nlo = 3\n", "p.toml: unknown key config.lo (nearest key: config.low)"},
		"wrong type":   {g, "[config]\nlow = \"3\"\n", "p.toml: config.low is 3, want a number"},
		"wrong member": {g, "[config]\nnames = [1]\n", "p.toml: config.names is [1], want an array of texts"},
		"infinite":     {g, "[config]\nlow = inf\n", "p.toml: [config]: json: unsupported value: +Inf"},
		"missing":      {needs, "", "p.toml: config.band is missing (text, which band)"},
		"given":        {needs, "[config]\nband = \"x\"\n", ""},
		"guest says":   {says, "", `refuses its configuration: {"name":"says"`},
		"top level":    {g, "enable = true\n", "p.toml: line 1: unknown key enable (nearest key: enabled)"},
		"third line":   {g, "# x\n\ncolour = 1\n", "p.toml: line 3: unknown key colour"},
		"wrong case":   {g, "Enabled = true\n", "p.toml: line 1: unknown key Enabled (nearest key: enabled)"},
		"no boolean":   {g, "enabled = \"yes\"\n", "p.toml: line 1: enabled is not true or false"},
		"no array":     {g, "kinds = 3\n", "p.toml: line 1: kinds is not an array of texts"},
		"no texts":     {g, "kinds = [3]\n", "p.toml: line 1: kinds is not an array of texts"},
		"no table":     {g, "config = 3\n", "p.toml: line 1: config is not a table"},
		"no toml":      {g, "enabled = \n", "p.toml: line 1:"},
		"on_error":     {g, "on_error = \"shrug\"\n", `p.toml: on_error is "shrug", want "skip" or "deny"`},
		"budget":       {g, "budget = \"1h\"\n", "p.toml: budget 1h0m0s is above the"},
		"bad budget":   {g, "budget = \"fast\"\n", `p.toml: budget is "fast", want a time such as "2ms"`},
		"kinds":        {g, "kinds = [\"filter\"]\n", `p.toml: kinds names "filter", which the module does not do`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{}).start()
			if c.toml != "" {
				r.put("p.toml", []byte(c.toml))
			}
			info := r.add("p", c.guest.wasm())
			if c.want == "" {
				if info.State != Active {
					t.Errorf("%s: %s", info.State, info.Reason)
				}
				return
			}
			if info.State != Refused || !strings.HasPrefix(info.Reason, c.want) {
				t.Errorf("%s: %q, want refused: %q", info.State, info.Reason, c.want)
			}
			if lines := r.logs.lines("plugin refused", "p.wasm"); len(lines) != 1 {
				t.Errorf("log lines %q", lines)
			}
		})
	}
}

func TestTextThatAppearsLater(t *testing.T) {
	// configure asks for the code of "name" (bytes 2 to 6 of the manifest) in
	// column 0 and keeps it; scores become the code.
	g := scorer("asks", forRows(at(abi.OffScore), i32(8), load(0), toF32, f32store))
	g.manifest.Reads = []abi.Column{{Name: "brand", Scope: abi.ScopeItem, Type: abi.Code}}
	g.imports, g.importTypes = []abi.Import{{Module: "vitrine", Name: "dict"}}, []code{{0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f}}
	g.configure = cat(i32(8), i32(0), i32(textAt+2), i32(4), call(0), store(0), ok)

	items := newAttributes()
	items.text(frame.ItemScope, "brand", 1, "other")
	r := newRig(t, Options{Columns: items}).start()
	r.add("asks", g.wasm())
	if f := r.wantStatus(2, "asks:scorer:ok"); f.Scores[0] != 0 {
		t.Errorf("code %v of an unknown text", f.Scores[0])
	}
	items.text(frame.ItemScope, "brand", 2, "name")
	r.rescan()
	r.until("the code arrives", func() bool { f, _ := r.rank(2); return f.Scores[0] == 2 })
}

func TestReplaceRemoveRefuse(t *testing.T) {
	r := newRig(t, Options{}).start()
	r.add("p", scorer("p", scale(2)).wasm())
	if f := r.wantStatus(4, "p:scorer:ok"); f.Scores[0] != 8 {
		t.Fatalf("score %v", f.Scores[0])
	}
	second := scorer("p", scale(3))
	second.manifest.Version = "2.0.0"
	r.add("p", second.wasm())
	if f := r.wantStatus(4, "p:scorer:ok"); f.Scores[0] != 12 {
		t.Fatalf("score %v after the replacement", f.Scores[0])
	}
	// Cut in half: refused, and the version before goes on.
	cut := second.wasm()
	cut = cut[:len(cut)/2]
	info := r.add("p", cut)
	if info.State != Refused || info.Reason == "" || info.Version != "2.0.0" || info.Name != "p" || info.Serving != digestOf(second.wasm()) {
		t.Errorf("%+v", info)
	}
	if f := r.wantStatus(4, "p:scorer:ok"); f.Scores[0] != 12 {
		t.Errorf("score %v after a refused replacement", f.Scores[0])
	}
	// Also after a restart.
	r.stop()
	r.start()
	r.info("p", cut)
	if f := r.wantStatus(4, "p:scorer:ok"); f.Scores[0] != 12 {
		t.Errorf("score %v after a restart", f.Scores[0])
	}
	if lines := r.logs.lines("plugin refused", "serving=2.0.0"); len(lines) != 2 {
		t.Errorf("log lines %q", lines)
	}
	r.remove("p.wasm")
	r.until("gone", func() bool { return len(r.List()) == 0 })
	r.wantStatus(4)
	if left := r.kept("p"); len(left) != 2 {
		t.Errorf("%d versions kept, want 2", len(left))
	}
}

func TestKeepsThreeVersions(t *testing.T) {
	r := newRig(t, Options{}).start()
	for i := range 5 {
		if info := r.add("p", scorer("p", scale(float32(i))).wasm()); info.State != Active {
			t.Fatal(info)
		}
	}
	if got := len(r.kept("p")); got != keptVersions {
		t.Errorf("%d versions kept, want %d", got, keptVersions)
	}
	info, err := os.Stat(r.opt.CacheDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("cache folder: %v, %v", info.Mode(), err)
	}
}

func TestTwoFilesOneName(t *testing.T) {
	r := newRig(t, Options{}).start()
	r.add("b", scorer("same", scale(2)).wasm())
	late := scorer("same", scale(3)).wasm()
	info := r.add("a", late)
	if info.State != Refused || info.Name != "a" || info.Reason != "plugin name same is already that of b.wasm" {
		t.Errorf("%+v", info)
	}
	r.wantStatus(4, "same:scorer:ok")
	// Once the first is gone the other one comes in.
	r.remove("b.wasm")
	r.until("a is active", func() bool { l := r.List(); return len(l) == 1 && l[0].State == Active })
	if f := r.wantStatus(4, "same:scorer:ok"); f.Scores[0] != 12 {
		t.Errorf("score %v", f.Scores[0])
	}
}

// The one that had the name keeps it over a restart, although the other one
// comes first in file order, and gives it up once it is disabled.
func TestTwoFilesOneNameAfterRestart(t *testing.T) {
	t.Parallel()
	feature := func() guest {
		g := guest{manifest: manifest("same", abi.Feature), kinds: map[abi.Kind]code{abi.Feature: ok}}
		g.manifest.Writes = []abi.Column{{Name: "x", Scope: abi.ScopeFeature, Type: abi.F32}}
		return g
	}
	other := feature()
	other.manifest.Name = "writes-x-too"
	for name, c := range map[string]struct {
		first, second []byte
		reason, after string
	}{
		"name":    {scorer("same", scale(2)).wasm(), scorer("same", scale(3)).wasm(), "plugin name same is already that of b.wasm", "same:scorer:ok"},
		"feature": {feature().wasm(), other.wasm(), "feature x is already written by plugin same", "writes-x-too:feature:ok"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{}).start()
			r.add("b", c.first)
			r.add("a", c.second)
			for range 2 {
				r.stop()
				r.start()
				r.info("b", c.first)
				info := r.info("a", c.second)
				if info.State != Refused || info.Reason != c.reason {
					t.Fatalf("%+v", info)
				}
				if b := r.info("b", c.first); b.State != Active {
					t.Fatalf("%+v", b)
				}
			}
			if lines := r.logs.lines("plugin refused", "a.wasm", "reason="); len(lines) != 3 {
				t.Errorf("log %q", lines)
			}
			// Disabled while it was stopped: the other one comes in.
			r.stop()
			r.put("b.toml", []byte("enabled = false\n"))
			r.start()
			r.until("a is active", func() bool { return r.info("a", c.second).State == Active })
			r.wantStatus(4, c.after)
		})
	}
}

// A damaged or missing state file costs nothing but the memory of who was first.
func TestServingFileDamaged(t *testing.T) {
	r := newRig(t, Options{}).start()
	wasm := scorer("p", scale(2)).wasm()
	r.add("p", wasm)
	r.stop()
	if err := os.WriteFile(filepath.Join(r.opt.CacheDir, "serving.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	if info := r.info("p", wasm); info.State != Active {
		t.Errorf("%+v", info)
	}
	if lines := r.logs.lines("which plugins served before cannot be read"); len(lines) != 1 {
		t.Errorf("log %q", lines)
	}
}

func TestHalfCopiedFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{}).start()
	wasm := scorer("slow", scale(2)).wasm()
	path := filepath.Join(r.dir, "slow.wasm")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(wasm); i += len(wasm)/8 + 1 {
		if _, err := file.Write(wasm[i:min(i+len(wasm)/8+1, len(wasm))]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * time.Millisecond)
	}
	file.Close()
	if info := r.info("slow", wasm); info.State != Active {
		t.Errorf("%+v", info)
	}
	if lines := r.logs.lines("plugin refused"); len(lines) != 0 {
		t.Errorf("refused while it was copied: %q", lines)
	}
}

// TestHaltIsOneLook: however long the machine stood still since a file was seen,
// it is seen again, with time between, before it counts as complete.
func TestHaltIsOneLook(t *testing.T) {
	e := &entry{name: "a", print: fingerprint{module: fileState{size: 1}}, looks: settleLooks}
	h := &Host{entries: map[string]*entry{"a": e}}
	for look := 1; look < settleLooks; look++ {
		e.next = time.Time{} // long ago
		if names, next := h.due(); len(names) > 0 || e.looks != settleLooks-look || next > settleTime {
			t.Fatalf("look %d: %q is due, again in %v", look, names, next)
		}
		e.next = time.Now().Add(time.Hour)
		if h.due(); e.looks != settleLooks-look {
			t.Fatalf("look %d counts twice", look)
		}
	}
	e.next = time.Time{}
	if names, _ := h.due(); !slices.Equal(names, []string{"a"}) {
		t.Errorf("after %d looks due is %q", settleLooks, names)
	}
}

func TestOddFiles(t *testing.T) {
	r := newRig(t, Options{}).start()
	if err := os.Mkdir(filepath.Join(r.dir, "folder.wasm"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.put("_not-yet.wasm", []byte("x"))
	r.put(".hidden.wasm", []byte("x"))
	r.put("readme.txt", []byte("x"))
	r.put("random.wasm", []byte(strings.Repeat("no wasm at all", 100)))
	r.put("empty.wasm", nil)
	r.until("all are refused", func() bool {
		l := r.List()
		return len(l) == 3 && l[0].State == Refused && l[1].State == Refused && l[2].State == Refused
	})
	for _, i := range r.List() {
		if lines := r.logs.lines("plugin refused", i.File+".wasm"); len(lines) != 1 || strings.Contains(i.Reason, "\n") {
			t.Errorf("%s: %q, log %q", i.File, i.Reason, lines)
		}
	}
}

func TestInstallEnableDisableRemove(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t, Options{}).start()
	wasm := scorer("own-name", scale(2)).wasm()
	info, err := r.Install(ctx, "", wasm, []byte("# switched off for now\nenabled = false # really\n[config]\n"))
	if err != nil || info.State != Disabled || info.File != "own-name" {
		t.Fatalf("%+v, %v", info, err)
	}
	r.wantStatus(2)
	if info, err = r.Enable(ctx, "own-name"); err != nil || info.State != Active {
		t.Fatalf("%+v, %v", info, err)
	}
	r.wantStatus(2, "own-name:scorer:ok")
	toml, err := os.ReadFile(filepath.Join(r.dir, "own-name.toml"))
	if want := "# switched off for now\nenabled = true # really\n[config]\n"; string(toml) != want {
		t.Errorf("file is %q, %v", toml, err)
	}
	if _, err := r.Install(ctx, "other", wasm, nil); err == nil || !strings.Contains(err.Error(), "already that of own-name.wasm") {
		t.Errorf("second file of the name: %v", err)
	}
	if _, err := r.Install(ctx, "bad", wasm[:100], nil); err == nil {
		t.Error("half a module was installed")
	}
	for _, name := range []string{"../x", ".x", "_x", "a/b", "x.wasm", strings.Repeat("x", 65)} {
		if _, err := r.Install(ctx, name, wasm, nil); err == nil {
			t.Errorf("installed as %q", name)
		}
	}
	if entries, _ := os.ReadDir(r.dir); len(entries) != 2 {
		t.Errorf("folder holds %v", entries)
	}
	if err := r.Remove(ctx, "own-name"); err != nil {
		t.Fatal(err)
	}
	r.wantStatus(2)
	if err := r.Remove(ctx, "own-name"); err == nil {
		t.Error("removed twice")
	}
	if _, err := r.Enable(ctx, "nobody"); err == nil {
		t.Error("enabled nobody")
	}
}

func TestOrder(t *testing.T) {
	r := newRig(t, Options{Order: []string{"third", "b"}}).start()
	for file, name := range map[string]string{"a": "first", "b": "second", "c": "third", "d": "fourth"} {
		r.add(file, scorer(name, scale(2)).wasm())
	}
	r.wantStatus(1, "third:scorer:ok", "second:scorer:ok", "first:scorer:ok", "fourth:scorer:ok")
}

// A name of the order that nobody has is said once and listed, until a plugin
// of that name comes.
func TestOrderNamesNobody(t *testing.T) {
	r := newRig(t, Options{Order: []string{"nosuch", "late"}}).start()
	r.add("a", scorer("first", scale(2)).wasm())
	r.until("both are listed", func() bool { return len(r.List()) == 3 })
	if l := r.List(); l[1].Name != "nosuch" || l[1].State != Refused || l[1].Reason != "plugins.order names it, but the folder has no such plugin" {
		t.Errorf("%+v", l)
	}
	r.until("the log says so", func() bool { return len(r.logs.lines("plugins.order", "plugin=nosuch")) == 1 })
	r.add("z", scorer("late", scale(2)).wasm())
	r.wantStatus(1, "late:scorer:ok", "first:scorer:ok")
	if l := r.List(); len(l) != 3 || l[2].Name != "nosuch" {
		t.Errorf("%+v", l)
	}
	if lines := r.logs.lines("plugins.order"); len(lines) != 2 {
		t.Errorf("log %q", lines)
	}
}

func TestInspect(t *testing.T) {
	r := newRig(t, Options{}).start()
	g := scorer("seen", scale(2))
	g.manifest.Config = []abi.Key{{Key: "must", Type: abi.KeyNumber}}
	ins, err := r.Inspect(context.Background(), g.wasm())
	if err != nil || ins.Reason != "" || ins.Manifest.Name != "seen" || ins.Pages != 16 || len(ins.Costs) != 1 || ins.Costs[0].PerItem < 5 {
		t.Errorf("%+v, %v", ins, err)
	}
	g.abi = i32(7)
	if ins, err = r.Inspect(context.Background(), g.wasm()); err != nil || ins.Reason != "speaks ABI 7, this host ABI 0" || len(ins.Exports) == 0 {
		t.Errorf("%+v, %v", ins, err)
	}
}

func TestInterpreter(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{engine: EngineInterpreter}).start()
	if r.Engine() != EngineInterpreter {
		t.Fatal(r.Engine())
	}
	r.add("p", scorer("p", scale(2)).wasm())
	if f := r.wantStatus(300, "p:scorer:ok"); f.Scores[0] != 600 {
		t.Errorf("score %v", f.Scores[0])
	}
	if raceEnabled {
		return // an interpreted loop under the race detector takes half a minute
	}
	if info := r.add("loop", scorer("loop", cat(loop(again), ok)).wasm()); info.State != Active {
		t.Fatal(info)
	}
	// Its first calls end with the fuel that it was expected to need; with its
	// whole time it is at fault.
	r.until("loop is at fault", func() bool {
		_, calls := r.rank(3)
		return calls[0].Status == statusFailed && calls[1].Status == statusOK
	})
}

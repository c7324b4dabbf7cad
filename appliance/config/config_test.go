package config

import (
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite golden files")

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoadFileAndSet(t *testing.T) {
	file := write(t, "vitrine.toml", `
[http]
listen = "127.0.0.1:9000"
max_body = "1MiB"
[ingest.types]
purchase = 10
share = 2.5
[plugins]
order = ["x", "y"]
[train]
schedule = "off"
half_life = "7d"
`)
	c, err := Load(Sources{File: file, Set: []string{"http.listen=127.0.0.1:9001", "train.rank=32", `log.level="warn"`, "compat.empty_for_unknown=true"}, DataDir: "/tmp/x"})
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Listen != "127.0.0.1:9001" || c.HTTP.MaxBody != 1<<20 || c.Train.Rank != 32 || c.Log.Level != "warn" {
		t.Errorf("got %+v", c)
	}
	if c.Train.Schedule != 0 || c.Train.HalfLife != 7*24*time.Hour || !c.Compat.EmptyForUnknown {
		t.Errorf("got %+v", c)
	}
	if c.Ingest.Types["purchase"] != 10 || c.Ingest.Types["share"] != 2.5 || c.Ingest.Types["view"] != 1 {
		t.Errorf("types %v", c.Ingest.Types)
	}
	for _, set := range []string{"plugins.order=b, a", `plugins.order=["b","a"]`} {
		if c, err := c.With([]string{set}); err != nil || strings.Join(c.Plugins.Order, " ") != "b a" {
			t.Errorf("%s: %v", set, err)
		}
	}
	if c.ArchiveDir() != "/tmp/x/archive" {
		t.Errorf("archive dir %s", c.ArchiveDir())
	}
}

func TestConfDirIsReadAfterTheFile(t *testing.T) {
	file := write(t, "vitrine.toml", "[log]\nlevel = \"error\"\n")
	dir := filepath.Join(filepath.Dir(file), "conf.d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "10.toml"), []byte("log.level = \"debug\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{File: file, DataDir: t.TempDir()})
	if err != nil || c.Log.Level != "debug" {
		t.Fatalf("level %v, err %v", c, err)
	}
}

// TestEveryFaultAtOnce is the contract: all faults in one run, with file,
// line and the nearest key.
func TestEveryFaultAtOnce(t *testing.T) {
	file := write(t, "vitrine.toml", `
[http]
lisen = "127.0.0.1:1"
max_body = true
[trian]
rank = 3
[recommend]
limit = 5000
[ingest]
dedup_window = 12
`)
	_, err := Load(Sources{File: file, Set: []string{"log.levle=info", "http.listen=0.0.0.0:80", "nothing"}, DataDir: t.TempDir()})
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("err %v", err)
	}
	text := err.Error()
	for _, want := range []string{
		file + `:3: unknown key "http.lisen" (nearest key: http.listen)`,
		file + `:4: http.max_body must be a size`,
		file + `:5: unknown table [trian] (nearest key: train)`,
		file + `:8: recommend.limit must be between 1 and 500`,
		file + `:10: ingest.dedup_window must be a duration`,
		`--set log.levle=info: unknown key "log.levle" (nearest key: log.level)`,
		`--set http.listen=0.0.0.0:80: http.listen must be a loopback address`,
		`--set nothing: must be key=value`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
	if len(faults) != 8 {
		t.Errorf("%d faults:\n%s", len(faults), text)
	}
}

func TestPresetOfTheArticle(t *testing.T) {
	load := func(set ...string) (*Config, error) { return Load(Sources{Set: set, DataDir: "/tmp/x"}) }
	c, err := load("train.preset=article", "train.iterations=7")
	if err != nil {
		t.Fatal(err)
	}
	e := c.Train.Effective()
	if e.Loss != LossExplicit || e.Rank != 10 || e.Iterations != 7 || e.Regularization != 0.1 || e.Biases {
		t.Errorf("article is %+v", e)
	}
	if c.Train.Rank != 0 || !strings.Contains(c.Show(), `loss = "explicit"`) {
		t.Errorf("set is %+v, shown\n%s", c.Train, c.Show())
	}
	if again, err := Load(Sources{File: write(t, "show.toml", c.Show())}); err != nil || again.Train.Effective() != e {
		t.Errorf("what is shown loads as %+v, %v", again, err)
	}
	for set, want := range map[string]string{
		"train.loss=stars":                         "train.loss must be implicit or explicit",
		"train.preset=paper":                       "train.preset must be default or article",
		"train.biases=true":                        "train.biases needs train.loss",
		"train.preset=article train.loss=implicit": "train.loss must be explicit",
		"train.preset=article train.biases=true":   "train.biases must be false",
		"train.rank=5000":                          "train.rank must be between 1 and 1024",
		"train.regularization=-1":                  "train.regularization must be between",
		"train.regularization=nan":                 "train.regularization must be a number",
		"train.regularization=inf":                 "train.regularization must be between",
		"train.alpha=-0.5":                         "train.alpha must be between",
	} {
		if _, err := load(strings.Fields(set)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", set, err)
		}
	}
	for _, set := range []string{"train.loss=explicit train.biases=true", "train.rank=0", "train.preset=article train.loss=explicit"} {
		if _, err := load(strings.Fields(set)...); err != nil {
			t.Errorf("%s: %v", set, err)
		}
	}
}

func TestBlend(t *testing.T) {
	load := func(toml string, set ...string) (*Config, error) {
		return Load(Sources{File: write(t, "blend.toml", toml), Set: set, DataDir: t.TempDir()})
	}
	const lead = "[recommend]\n"
	for name, c := range map[string]struct {
		toml string
		set  []string
		want map[string]float32
		show string
	}{
		"default":        {"", nil, nil, `blend = "auto"`},
		"auto":           {lead + `blend = "auto"`, nil, nil, `blend = "auto"`},
		"als":            {lead + `blend = "als"`, nil, map[string]float32{"als": 1}, `blend = "als"`},
		"inline table":   {lead + "blend = { als = 1, transitions = 0.5 }", nil, map[string]float32{"als": 1, "transitions": .5}, "blend = { transitions = 0.5, als = 1 }"},
		"table":          {"[recommend.blend]\nsessions = 2", nil, map[string]float32{"sessions": 2}, "blend = { sessions = 2 }"},
		"flag":           {"", []string{"recommend.blend=als"}, map[string]float32{"als": 1}, `blend = "als"`},
		"flag wins":      {lead + `blend = "als"`, []string{"recommend.blend=auto"}, nil, `blend = "auto"`},
		"weights":        {"", []string{"recommend.blend=als=1, popular=.25"}, map[string]float32{"als": 1, "popular": .25}, "blend = { popular = 0.25, als = 1 }"},
		"new beside als": {"", []string{"recommend.blend=als=1, new=.25"}, map[string]float32{"als": 1}, "blend = { als = 1, new = 0.25 }"},
		"new alone":      {"[recommend.blend]\nnew = 0.5", nil, nil, "blend = { new = 0.5 }"},
		"braces":         {"", []string{"recommend.blend={ als = 1 , similar = 2 }"}, map[string]float32{"als": 1, "similar": 2}, "blend = { similar = 2, als = 1 }"},
		"one by one":     {"", []string{"recommend.blend.als=1", "recommend.blend.similar=.5"}, map[string]float32{"als": 1, "similar": .5}, "blend = { similar = 0.5, als = 1 }"},
	} {
		got, err := load(c.toml, c.set...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !maps.Equal(got.Recommend.Blend, c.want) || (got.Recommend.Blend == nil) != (c.want == nil) || !strings.Contains(got.Show(), c.show) {
			t.Errorf("%s: %v, shown\n%s", name, got.Recommend.Blend, got.Show())
		}
		if again, err := Load(Sources{File: write(t, "show.toml", got.Show())}); err != nil || !maps.Equal(again.Recommend.Blend, c.want) {
			t.Errorf("%s: what is shown loads as %+v, %v", name, again, err)
		}
	}
	for set, want := range map[string]string{
		"recommend.blend=astrology":   `recommend.blend must be "auto", "als", or weights`,
		"recommend.blend=astrology=1": `"astrology" is no part of a blend; the parts are similar, transitions`,
		"recommend.blend=als=-1":      "weight -1 of als is not",
		"recommend.blend=als=x":       `recommend.blend must be "auto"`,
		"recommend.blend=":            "recommend.blend must give a source a weight above 0",
		"recommend.blend.als=0":       "recommend.blend must give a source a weight above 0",
		"recommend.blend.als=nan":     "must be a number",
	} {
		if _, err := load("", set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", set, err)
		}
	}
}

func TestBrokenTOMLNamesTheLine(t *testing.T) {
	file := write(t, "vitrine.toml", "[http]\nlisten = \"a\nb\"\n")
	_, err := Load(Sources{File: file, DataDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), file+":2: is not TOML") {
		t.Errorf("err %v", err)
	}
	_, err = Load(Sources{File: filepath.Join(t.TempDir(), "none.toml"), DataDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "none.toml: cannot be read") {
		t.Errorf("err %v", err)
	}
}

// TestShowRoundTrips feeds the effective configuration and the sample, with
// its comment signs taken away, back in.
func TestShowRoundTrips(t *testing.T) {
	want := Default()
	want.Data.Dir = "/tmp/v"
	got, err := Load(Sources{File: write(t, "show.toml", want.Show())})
	if err != nil {
		t.Fatal(err)
	}
	if got.Show() != want.Show() {
		t.Errorf("got\n%s\nwant\n%s", got.Show(), want.Show())
	}
	if _, err := Load(Sources{File: write(t, "sample.toml", Sample()), DataDir: "/tmp/v"}); err != nil {
		t.Errorf("sample: %v", err)
	}
}

func TestSampleGolden(t *testing.T) {
	golden := filepath.Join("testdata", "sample.toml")
	if *update {
		if err := os.WriteFile(golden, []byte(Sample()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if Sample() != string(want) {
		t.Errorf("the sample changed; run go test ./appliance/config -update\n%s", Sample())
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("[http]\nlisten = \"127.0.0.1:1\"\n"))
	f.Add([]byte("http = { listen = \"x\" }\n[[a]]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := write(t, "f.toml", string(data))
		_, _ = Load(Sources{File: file, DataDir: "/tmp/v"})
	})
}

package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/bench/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is a report with every kind of figure.
func sample() *report.Report {
	return &report.Report{
		Schema: report.Schema, Valid: true, Invalid: []string{},
		Warnings: []string{"others used 12 % of the processors during the run: its figures are hard to compare with those of a quiet machine"},
		Fingerprint: report.Fingerprint{
			CPU: "AMD EPYC 9354 32-Core Processor", Flags: []string{"avx2", "avx512", "vnni"}, Cores: 2, GOMAXPROCS: 2, MemoryMiB: 24000,
			Kernel: "3.10.0-1160.el7.x86_64", Go: "go1.26.0", Version: "v1.0.0", ConfigHash: "0123456789abcdef", DataHash: "fedcba9876543210",
			Started: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Seconds: 61.5, LoadAverage: 0.25, StolenPercent: 12.3,
		},
		Parts: map[string]report.Part{
			"serve": {
				Repetitions: 3, Reference: report.Reference{Name: "echo hello-world", Value: 42719, Unit: "1/s"},
				Notes: []string{"64 connections; times at 5000/s, open loop, from the moment a request was due; server and generator share the machine"},
				Figures: []report.Figure{
					report.New("serve.100k.saturation", "1/s", report.Higher, 21000, 20000, 25000).Against(42719),
					report.New("serve.100k.p99", "ms", report.Lower, 1.234, 0.9, 12.5).WithBar(10),
					report.New("serve.100k.sustained_100ms", "1/s", report.Higher, 4000, 4100, 4200).WithBar(5000),
				},
			},
			"retrieve": {
				Repetitions: 3, Reference: report.Reference{Name: "dot kernel", Value: 6.3, Unit: "ns"},
				Figures: []report.Figure{report.New("retrieve.all.mismatches", "", report.Lower, 0).WithBar(0)},
			},
		},
		Verdict: []report.Verdict{
			withHow(report.Judge("latency", 100, 1.234, "ms", report.Lower), "p99 from the moment a request was due, 5000/s offered and 5000/s answered, 100k items, median of 3"),
			withHow(report.Judge("qps", 5000, 4100, "1/s", report.Higher), "highest rate tried"),
		},
	}
}

func withHow(v report.Verdict, how string) report.Verdict {
	v.How = how
	return v
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update rewrites it; a change of the form needs another schema):\n%s", path, got)
	}
}

// The JSON is read by others: its form is kept in a golden file.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.Bytes())
	back, err := report.Read(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := back.WriteJSON(&again); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Errorf("reading and writing changes the report: %v", err)
	}
}

func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	if err := sample().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	back, err := report.ReadFile(path)
	if err != nil || back.Fingerprint.CPU != sample().Fingerprint.CPU {
		t.Errorf("%+v, %v", back, err)
	}
	if err := sample().WriteFile(filepath.Join(path, "x")); err == nil || !strings.HasPrefix(err.Error(), "write report: ") {
		t.Errorf("a folder that is none: %v", err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := report.ReadFile(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken file: %v", err)
	}
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	invalid := sample()
	invalid.Valid, invalid.Invalid = false, []string{"100k at 5000/s: the load generator was late: p99 3ms of a response p99 of 5ms"}
	if err := invalid.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", b.Bytes())
	var c bytes.Buffer
	if err := report.Compare(sample(), invalid).WriteText(&c); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(b.String()+c.String(), "\n") {
		if len(line) > 80 {
			t.Errorf("line %d has %d columns: %s", i+1, len(line), line)
		}
	}
}

func TestExitCode(t *testing.T) {
	met := sample()
	met.Verdict = met.Verdict[:1]
	if got := met.ExitCode(); got != report.ExitMet {
		t.Errorf("all targets met: %d", got)
	}
	if got := sample().ExitCode(); got != report.ExitMissed {
		t.Errorf("a target missed: %d", got)
	}
	invalid := sample()
	invalid.Valid = false
	if got := invalid.ExitCode(); got != report.ExitInvalid {
		t.Errorf("invalid: %d", got)
	}
}

func TestFigure(t *testing.T) {
	f := report.New("a.b.c", "ms", report.Lower, 3, 1, 2)
	if f.Value != 2 || f.Spread[0] != 1 || f.Spread[1] != 3 || f.Ratio != nil || f.Met != nil {
		t.Errorf("%+v", f)
	}
	for _, c := range []struct {
		better string
		bar    float64
		met    bool
	}{{report.Lower, 2, true}, {report.Lower, 1.9, false}, {report.Higher, 2, true}, {report.Higher, 2.1, false}} {
		if got := report.New("x", "", c.better, 2).WithBar(c.bar); *got.Met != c.met {
			t.Errorf("2 against a bar of %g, better %s: met %v", c.bar, c.better, *got.Met)
		}
	}
	if m := report.Median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("median %g", m)
	}
}

func TestCompare(t *testing.T) {
	a, b := sample(), sample()
	b.Fingerprint.Kernel = "6.1.0"
	part := b.Parts["serve"]
	part.Figures = []report.Figure{
		// Twice the rate on a machine twice as quick: nothing has changed.
		report.New("serve.100k.saturation", "1/s", report.Higher, 42000, 40000, 50000).Against(2 * 42719),
		report.New("serve.100k.p99", "ms", report.Lower, 20, 21, 22).WithBar(10),
		report.New("serve.100k.new", "ms", report.Lower, 1),
	}
	b.Parts["serve"] = part
	b.Parts["plugins"] = report.Part{Figures: []report.Figure{report.New("plugins.swap.p99", "ms", report.Lower, 1)}}
	delete(b.Parts, "retrieve")
	c := report.Compare(a, b)
	outcomes := map[string]string{}
	for _, ch := range c.Changes {
		outcomes[ch.Name] = ch.Outcome
	}
	if outcomes["serve.100k.saturation"] != report.Same || outcomes["serve.100k.p99"] != report.Worsened {
		t.Errorf("outcomes %v", outcomes)
	}
	if !slices.Equal(c.OnlyA, []string{"retrieve.*", "serve.100k.sustained_100ms"}) || !slices.Equal(c.OnlyB, []string{"plugins.*", "serve.100k.new"}) {
		t.Errorf("only A %v, only B %v", c.OnlyA, c.OnlyB)
	}
	if !strings.Contains(strings.Join(c.Notes, " "), "kernels differ") || c.ExitCode() != report.ExitMissed {
		t.Errorf("notes %v, exit code %d", c.Notes, c.ExitCode())
	}
}

// A change is held against what the repetitions of both runs differ by.
func TestCompareAgainstNoise(t *testing.T) {
	reportOf := func(f report.Figure, met bool) *report.Report {
		r := sample()
		r.Parts = map[string]report.Part{"x": {Figures: []report.Figure{f}}}
		r.Verdict = []report.Verdict{{Target: "latency", Met: met}}
		return r
	}
	ms := func(values ...float64) report.Figure { return report.New("x.y.z", "ms", report.Lower, values...) }
	for name, c := range map[string]struct {
		a, b    report.Figure
		missed  bool
		outcome string
		code    int
	}{
		"quiet, 10 % worse":     {ms(100, 101, 99), ms(110, 111, 109), false, report.Worsened, 1},
		"quiet, 3 % worse":      {ms(100, 100, 100), ms(103, 103, 103), false, report.Same, 0},
		"quiet, 10 % better":    {ms(110, 111, 109), ms(100, 101, 99), false, report.Improved, 0},
		"noisy, 10 % worse":     {ms(100, 90, 110), ms(115, 112, 116), false, report.Same, 0},
		"noisy, twice as slow":  {ms(100, 90, 110), ms(200, 190, 210), false, report.Worsened, 1},
		"once, twice as slow":   {ms(100), ms(200), false, report.Same, 0},
		"once, beyond its bar":  {ms(100).WithBar(150), ms(200).WithBar(150), false, report.Worsened, 1},
		"once, within again":    {ms(200).WithBar(150), ms(100).WithBar(150), false, report.Improved, 0},
		"a rate, 10 % lower":    {report.New("x.y.z", "1/s", report.Higher, 100, 100), report.New("x.y.z", "1/s", report.Higher, 90, 90), false, report.Worsened, 1},
		"no side":               {report.New("x.y.z", "", "", 100, 100), report.New("x.y.z", "", "", 200, 200), false, report.Changed, 0},
		"a target is missed":    {ms(100, 100), ms(100, 100), true, report.Same, 1},
		"allocations come":      {ms(0, 0, 0), ms(1, 1, 1), false, report.Worsened, 1},
		"relative to reference": {ms(100, 100).Against(10), ms(200, 200).Against(20), false, report.Same, 0},
	} {
		got := report.Compare(reportOf(c.a, true), reportOf(c.b, !c.missed))
		if got.Changes[0].Outcome != c.outcome || got.ExitCode() != c.code {
			t.Errorf("%s: %+v, exit code %d", name, got.Changes[0], got.ExitCode())
		}
	}
	invalid := reportOf(ms(1), true)
	invalid.Valid = false
	if got := report.Compare(reportOf(ms(1), true), invalid).ExitCode(); got != report.ExitInvalid {
		t.Errorf("an invalid report: exit code %d", got)
	}
}

// The page stands alone, has every figure, and keeps what others wrote as text.
func TestHTML(t *testing.T) {
	r := sample()
	r.Warnings = append(r.Warnings, "<script>alert(1)</script>")
	path := filepath.Join(t.TempDir(), "report.html")
	if err := r.WriteHTMLFile(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, part := range r.Parts {
		for _, f := range part.Figures {
			if !strings.Contains(page, f.Name) {
				t.Errorf("%s is missing", f.Name)
			}
		}
	}
	for _, want := range []string{" targets missed<", "prefers-color-scheme: dark", "AMD EPYC 9354", "&lt;script&gt;", ">MISSED<", "0.492", "&lt;= 100 ms"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, never := range []string{"<script", "http:", "https:", "src=", "<no value>", "%!"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":       "",
		"no JSON":       "<html>",
		"other schema":  `{"schema":"vitrine.bench/9"}`,
		"other JSON":    `{"a":1}`,
		"broken figure": `{"schema":"vitrine.bench/1","parts":{"serve":{"figures":[{"name":"x","value":1,"spread":[]}]}}}`,
		"endless":       strings.Repeat(" ", 17<<20),
	} {
		if _, err := report.Read(strings.NewReader(text)); err == nil || !strings.HasPrefix(err.Error(), "read report: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRead: whatever is read can be printed and compared.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := report.Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := r.WriteText(&out); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteHTML(&out); err != nil {
			t.Fatal(err)
		}
		if err := report.Compare(r, sample()).WriteText(&out); err != nil {
			t.Fatal(err)
		}
	})
}

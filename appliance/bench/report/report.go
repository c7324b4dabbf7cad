// Package report holds what a benchmark run found: figures with their
// references, bars and repetitions, the machine they were taken on, and the
// verdict; as JSON with a versioned schema, as text, and compared with another
// run's.
//
// It owns the form of a report and the rule for its exit code. It imports
// nothing of this module and must not know how anything is measured.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Schema names the form of the JSON. It changes when a reader of the old one
// would be misled.
const Schema = "vitrine.bench/1"

// Exit codes of a run.
const (
	ExitMet     = 0
	ExitMissed  = 1
	ExitInvalid = 3
)

// Report is one run of the benchmark.
type Report struct {
	Schema string `json:"schema"`
	// Valid is false when something makes the figures unbelievable.
	Valid bool `json:"valid"`
	// Invalid says what, in sentences.
	Invalid []string `json:"invalid"`
	// Warnings do not make the run invalid, but say what to doubt.
	Warnings []string `json:"warnings"`
	// Notes say what was measured, and what not, for the reader.
	Notes       []string        `json:"notes,omitempty"`
	Fingerprint Fingerprint     `json:"fingerprint"`
	Parts       map[string]Part `json:"parts"`
	Verdict     []Verdict       `json:"verdict"`
}

// Fingerprint is where, when and with what a run was made.
type Fingerprint struct {
	CPU string `json:"cpu"`
	// Flags are the vector extensions that matter and are there.
	Flags      []string `json:"flags"`
	Cores      int      `json:"cores"`
	GOMAXPROCS int      `json:"gomaxprocs"`
	MemoryMiB  int64    `json:"memory_mib"`
	Governor   string   `json:"governor,omitempty"`
	Kernel     string   `json:"kernel"`
	Go         string   `json:"go"`
	Version    string   `json:"version"`
	// ConfigHash and DataHash tell runs with other settings or data apart.
	ConfigHash string    `json:"config_hash"`
	DataHash   string    `json:"data_hash"`
	Started    time.Time `json:"started"`
	Seconds    float64   `json:"seconds"`
	// LoadAverage is that of the last minute when the run began.
	LoadAverage float64 `json:"load_average"`
	// StolenPercent is the share of the machine's processor time that others
	// used during the run.
	StolenPercent float64 `json:"stolen_percent"`
}

// Part is one part of the benchmark.
type Part struct {
	Repetitions int       `json:"repetitions"`
	Reference   Reference `json:"reference"`
	Figures     []Figure  `json:"figures"`
	// Notes say what was done, for the reader of the text.
	Notes []string `json:"notes,omitempty"`
}

// Reference is the yardstick of a part, measured in the same run.
type Reference struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Directions in which a figure is better.
const (
	Lower  = "lower"
	Higher = "higher"
)

// Figure is one measured value: the median of its repetitions.
type Figure struct {
	// Name is PART.CASE.WHAT.
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Spread is the lowest and the highest repetition.
	Spread []float64 `json:"spread"`
	// Repetitions is how many there were; 0 in reports that do not say it.
	Repetitions int    `json:"repetitions,omitempty"`
	Unit        string `json:"unit"`
	// Better is Lower or Higher, "" for what is only told.
	Better string `json:"better,omitempty"`
	// Ratio is Value over the part's reference, where that makes sense.
	Ratio *float64 `json:"ratio,omitempty"`
	// Bar is what Value should reach, Met whether it does; both or none.
	Bar *float64 `json:"bar,omitempty"`
	Met *bool    `json:"met,omitempty"`
}

// New is a figure from its repetitions, of which there must be one at least.
func New(name, unit, better string, repetitions ...float64) Figure {
	sorted := slices.Sorted(slices.Values(repetitions))
	return Figure{
		Name: name, Unit: unit, Better: better, Value: Median(repetitions),
		Spread: []float64{sorted[0], sorted[len(sorted)-1]}, Repetitions: len(sorted),
	}
}

// Samples collects the repetitions of figures by name.
type Samples map[string][]float64

// Add takes one repetition.
func (s Samples) Add(name string, value float64) { s[name] = append(s[name], value) }

// Figure makes a figure of the samples under a name.
func (s Samples) Figure(name, unit, better string) Figure { return New(name, unit, better, s[name]...) }

// Against sets the ratio to a reference value.
func (f Figure) Against(reference float64) Figure {
	if reference > 0 {
		f.Ratio = new(f.Value / reference)
	}
	return f
}

// WithBar sets the bar and whether it is met.
func (f Figure) WithBar(bar float64) Figure {
	f.Bar = &bar
	f.Met = new(f.Value <= bar)
	if f.Better == Higher {
		f.Met = new(f.Value >= bar)
	}
	return f
}

// Milliseconds is a time as figures have it.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Short writes a count as people say it, in the names of figures: 10k, 100M.
func Short(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

// Median is the middle of values, 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Quantile is the least of values that a share q (0..1) of them do not exceed,
// 0 of none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, max(0, int(math.Ceil(q*float64(len(sorted))))-1))]
}

// Verdict is one target held against what was measured.
type Verdict struct {
	// Target is "latency", "training" or "qps", those of the article, one of the
	// plugins' own, which begin with "plugin.", or a figure whose bar is a target.
	Target   string  `json:"target"`
	Want     float64 `json:"want"`
	Measured float64 `json:"measured"`
	Unit     string  `json:"unit"`
	// Better is Lower when Want is the most, Higher when it is the least.
	Better string `json:"better"`
	Met    bool   `json:"met"`
	// How says how Measured came about.
	How string `json:"how"`
}

// Judge makes a verdict.
func Judge(target string, want, measured float64, unit, better string) Verdict {
	v := Verdict{Target: target, Want: want, Measured: measured, Unit: unit, Better: better, Met: measured <= want}
	if better == Higher {
		v.Met = measured >= want
	}
	return v
}

// Find returns a part's figure by its name.
func (r *Report) Find(name string) (Figure, bool) {
	for _, part := range r.Parts {
		for _, f := range part.Figures {
			if f.Name == name {
				return f, true
			}
		}
	}
	return Figure{}, false
}

// ExitCode is ExitInvalid for an invalid run, else ExitMissed when a target of
// the verdict is missed. Bars that no part has made targets are for the machine
// that they were set on: missing one of them is shown but fails nothing.
func (r *Report) ExitCode() int {
	if !r.Valid {
		return ExitInvalid
	}
	for _, v := range r.Verdict {
		if !v.Met {
			return ExitMissed
		}
	}
	return ExitMet
}

// WriteJSON writes the report.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// maxReport bounds the file that Read takes.
const maxReport = 16 << 20

// Read reads a report that WriteJSON wrote and refuses what is none.
func Read(from io.Reader) (*Report, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxReport+1))
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	if len(text) > maxReport {
		return nil, fmt.Errorf("read report: it is longer than %d MiB", maxReport>>20)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read report: it is no report of a benchmark: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("read report: its schema is %q, this program reads %q", r.Schema, Schema)
	}
	for name, part := range r.Parts {
		for _, f := range part.Figures {
			if f.Name == "" || len(f.Spread) != 2 || (f.Bar == nil) != (f.Met == nil) {
				return nil, fmt.Errorf("read report: part %s has a figure %q that is none", name, f.Name)
			}
		}
	}
	return &r, nil
}

package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// Outcomes of a figure's comparison.
const (
	Same     = "same"
	Improved = "better"
	Worsened = "worse"
	Changed  = "changed"
)

// noise is the least change that is called one: shared machines and processor
// clocks move figures by so much between runs of the same program, also where
// the repetitions of each run agree.
const noise = 0.05

// Comparison is the difference of two reports.
type Comparison struct {
	// Notes say what makes the two hard to compare.
	Notes []string `json:"notes"`
	// Changes are the figures that both have.
	Changes []Change `json:"changes"`
	// OnlyA and OnlyB are the figures that one has, and whole parts as PART.*.
	OnlyA []string `json:"only_a"`
	OnlyB []string `json:"only_b"`
	// Missed are the targets of the verdict that A met and B misses.
	Missed []string `json:"missed"`
	// Valid is false when one of the reports is not.
	Valid bool `json:"valid"`
}

// ExitCode is ExitInvalid when one of the reports is invalid, else ExitMissed
// when a figure has become worse or a target is missed that was met.
func (c *Comparison) ExitCode() int {
	worsened := func(ch Change) bool { return ch.Outcome == Worsened }
	switch {
	case !c.Valid:
		return ExitInvalid
	case len(c.Missed) > 0 || slices.ContainsFunc(c.Changes, worsened):
		return ExitMissed
	}
	return ExitMet
}

// Change is one figure in both reports.
type Change struct {
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	A    float64 `json:"a"`
	B    float64 `json:"b"`
	// Factor is B over A; of the ratios to the reference where both have one,
	// which takes the machine's mood out.
	Factor float64 `json:"factor"`
	// Relative says that Factor is of the ratios.
	Relative bool `json:"relative"`
	// Noise is the least change of Factor from 1 that is called one: how far
	// the repetitions of both runs lie apart, together, and 5 % at least. It is
	// 0 for a figure that was taken once: of that only a bar is judged.
	Noise float64 `json:"noise"`
	// Outcome is Same when the change is within Noise, else Improved,
	// Worsened, or Changed for a figure that has no better side.
	Outcome string `json:"outcome"`
}

// Compare holds b against a.
func Compare(a, b *Report) *Comparison {
	c := &Comparison{
		Notes: differences(a, b), Changes: []Change{}, Missed: []string{}, Valid: a.Valid && b.Valid,
		OnlyA: a.without(b), OnlyB: b.without(a),
	}
	for _, f := range a.figures() {
		if g, ok := b.Find(f.Name); ok {
			c.Changes = append(c.Changes, change(f, g))
		}
	}
	for _, v := range b.Verdict {
		met := func(w Verdict) bool { return w.Target == v.Target && w.Met }
		if !v.Met && slices.ContainsFunc(a.Verdict, met) {
			c.Missed = append(c.Missed, v.Target)
		}
	}
	return c
}

// without lists what other does not have: whole parts as PART.*, else figures.
func (r *Report) without(other *Report) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(r.Parts)) {
		if _, ok := other.Parts[name]; !ok {
			names = append(names, name+".*")
			continue
		}
		for _, f := range r.Parts[name].Figures {
			if _, ok := other.Find(f.Name); !ok {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

func (r *Report) figures() []Figure {
	var out []Figure
	for _, name := range slices.Sorted(maps.Keys(r.Parts)) {
		out = append(out, r.Parts[name].Figures...)
	}
	return out
}

func change(f, g Figure) Change {
	c := Change{Name: f.Name, Unit: f.Unit, A: f.Value, B: g.Value, Outcome: Same}
	switch {
	case f.Ratio != nil && g.Ratio != nil && *f.Ratio > 0:
		c.Factor, c.Relative = *g.Ratio / *f.Ratio, true
	case f.Value != 0:
		c.Factor = g.Value / f.Value
	case g.Value == 0:
		c.Factor = 1
	default:
		c.Factor = math.MaxFloat32 // from nothing to something
	}
	if f.once() || g.once() {
		return byBar(c, f, g)
	}
	c.Noise = max(noise, f.relativeSpread()+g.relativeSpread())
	if c.Factor <= 1+c.Noise && c.Factor >= 1/(1+c.Noise) {
		return c
	}
	switch {
	case f.Better == "":
		c.Outcome = Changed
	case (c.Factor < 1) == (f.Better == Lower):
		c.Outcome = Improved
	default:
		c.Outcome = Worsened
	}
	return c
}

// byBar judges a figure whose noise is not known.
func byBar(c Change, f, g Figure) Change {
	if f.Met != nil && g.Met != nil && *f.Met != *g.Met {
		c.Outcome = Worsened
		if *g.Met {
			c.Outcome = Improved
		}
	}
	return c
}

// once tells whether the figure was taken once.
func (f Figure) once() bool { return f.Repetitions == 1 }

// relativeSpread is how far the repetitions lie apart, over the value.
func (f Figure) relativeSpread() float64 {
	if f.Value == 0 {
		return 0
	}
	return math.Abs((f.Spread[1] - f.Spread[0]) / f.Value)
}

// differences lists what makes two reports hard to compare.
func differences(a, b *Report) []string {
	notes := []string{}
	note := func(what, x, y string) {
		if x != y {
			notes = append(notes, fmt.Sprintf("the %s differ: %s and %s", what, x, y))
		}
	}
	f, g := &a.Fingerprint, &b.Fingerprint
	note("processors", fmt.Sprintf("%d x %s", f.Cores, f.CPU), fmt.Sprintf("%d x %s", g.Cores, g.CPU))
	note("kernels", f.Kernel, g.Kernel)
	note("Go versions", f.Go, g.Go)
	note("settings", f.ConfigHash, g.ConfigHash)
	note("data", f.DataHash, g.DataHash)
	for i, r := range []*Report{a, b} {
		if !r.Valid {
			notes = append(notes, fmt.Sprintf("run %c is invalid: its figures say nothing", 'A'+i))
		}
		for _, w := range r.Warnings {
			notes = append(notes, fmt.Sprintf("run %c: %s", 'A'+i, w))
		}
	}
	return notes
}

// WriteText writes the comparison for people.
func (c *Comparison) WriteText(w io.Writer) error {
	p := &printer{w: w}
	for _, n := range c.Notes {
		p.wrapped("note: ", n)
	}
	p.line("%-33s %-4s %11s %11s %7s %6s %s", "", "", "A", "B", "B/A", "noise", "")
	for _, ch := range c.Changes {
		factor, noise := number(ch.Factor), "once"
		if ch.Relative {
			factor += "r"
		}
		if ch.Noise > 0 {
			noise = fmt.Sprintf("%.0f %%", 100*ch.Noise)
		}
		outcome := ch.Outcome
		if outcome == Same {
			outcome = ""
		}
		p.line("%-33s %-4s %11s %11s %7s %6s %s", ch.Name, ch.Unit, number(ch.A), number(ch.B), factor, noise, outcome)
	}
	for _, name := range c.OnlyA {
		p.line("%-33s only in A", name)
	}
	for _, name := range c.OnlyB {
		p.line("%-33s only in B", name)
	}
	for _, target := range c.Missed {
		p.line("%-33s met by A, MISSED by B", target)
	}
	p.line("r: of the ratios to each run's own reference. noise: what the repetitions of")
	p.line("both runs differ by, and %.0f %% at least; a change within it says nothing. Of a", 100*noise)
	p.line("figure taken once only its bar is judged.")
	return p.err
}

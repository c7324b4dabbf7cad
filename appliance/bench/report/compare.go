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
// clocks move figures by so much between runs of the same program.
const noise = 0.05

// Comparison is the difference of two reports.
type Comparison struct {
	// Notes say what makes the two hard to compare.
	Notes []string `json:"notes"`
	// Changes are the figures that both have.
	Changes []Change `json:"changes"`
	// OnlyA and OnlyB are the figures that one has.
	OnlyA []string `json:"only_a"`
	OnlyB []string `json:"only_b"`
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
	// Outcome is Same when the repetitions of the two overlap or the change is
	// within noise, else Improved, Worsened, or Changed for a figure that has
	// no better side.
	Outcome string `json:"outcome"`
}

// Compare holds b against a.
func Compare(a, b *Report) *Comparison {
	c := &Comparison{Notes: differences(a, b), Changes: []Change{}, OnlyA: []string{}, OnlyB: []string{}}
	for _, f := range a.figures() {
		g, ok := b.Find(f.Name)
		if !ok {
			c.OnlyA = append(c.OnlyA, f.Name)
			continue
		}
		c.Changes = append(c.Changes, change(f, g))
	}
	for _, g := range b.figures() {
		if _, ok := a.Find(g.Name); !ok {
			c.OnlyB = append(c.OnlyB, g.Name)
		}
	}
	return c
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
	scale := 1.0 // from g's values to what f's are compared with
	switch {
	case f.Ratio != nil && g.Ratio != nil && *f.Ratio > 0 && f.Value > 0 && g.Value > 0:
		c.Factor, c.Relative = *g.Ratio / *f.Ratio, true
		scale = c.Factor * f.Value / g.Value
	case f.Value != 0:
		c.Factor = g.Value / f.Value
	case g.Value == 0:
		c.Factor = 1
	default:
		c.Factor = math.MaxFloat32 // from nothing to something
	}
	overlap := f.Spread[0] <= scale*g.Spread[1] && scale*g.Spread[0] <= f.Spread[1]
	if overlap || (c.Factor > 1-noise && c.Factor < 1+noise) {
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
	p.line("%-35s %-4s %12s %12s %7s %s", "", "", "A", "B", "B/A", "")
	for _, ch := range c.Changes {
		factor := number(ch.Factor)
		if ch.Relative {
			factor += "r"
		}
		outcome := ch.Outcome
		if outcome == Same {
			outcome = ""
		}
		p.line("%-35s %-4s %12s %12s %7s %s", ch.Name, ch.Unit, number(ch.A), number(ch.B), factor, outcome)
	}
	for _, name := range c.OnlyA {
		p.line("%-35s only in A", name)
	}
	for _, name := range c.OnlyB {
		p.line("%-35s only in B", name)
	}
	p.line("r: of the ratios to each run's own reference. Nothing is said of a change")
	p.line("within %.0f %%, or within what the repetitions of the runs differ by.", 100*noise)
	return p.err
}

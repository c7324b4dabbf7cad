package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// width is what the text keeps within.
const width = 80

// printer keeps the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

// wrapped prints text with lines of at most width, the first behind lead, the
// others as far in.
func (p *printer) wrapped(lead, text string) {
	indent := strings.Repeat(" ", len(lead))
	line, words := lead, 0
	for word := range strings.FieldsSeq(text) {
		if words > 0 && len(line)+1+len(word) > width {
			p.line("%s", line)
			line, words = indent, 0
		}
		if words > 0 {
			line += " "
		}
		line += word
		words++
	}
	p.line("%s", line)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	f := &r.Fingerprint
	p.wrapped("machine  ", fmt.Sprintf("%s, %d cores (%s), %d MiB, kernel %s", f.CPU, f.Cores, strings.Join(f.Flags, " "), f.MemoryMiB, f.Kernel))
	p.wrapped("program  ", fmt.Sprintf("vitrine %s, %s, config %.8s, data %.8s", f.Version, f.Go, f.ConfigHash, f.DataHash))
	p.wrapped("run      ", fmt.Sprintf("%s, %.0f s, load average %.2f, others used %.1f %% of the processors",
		f.Started.UTC().Format("2006-01-02 15:04:05 UTC"), f.Seconds, f.LoadAverage, f.StolenPercent))
	for _, note := range r.Notes {
		p.wrapped("note     ", note)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Parts)) {
		r.Parts[name].write(p, name)
	}
	if len(r.Verdict) > 0 {
		p.line("")
		p.line("%-15s %16s %16s  %s", "verdict", "want", "measured", "")
		for _, v := range r.Verdict {
			p.line("%-15s %16s %16s  %s", v.Target, sign(v.Better)+" "+withUnit(v.Want, v.Unit), withUnit(v.Measured, v.Unit), met(v.Met))
			p.wrapped("          ", v.How)
		}
	}
	if len(r.Warnings)+len(r.Invalid) > 0 {
		p.line("")
	}
	for _, text := range r.Warnings {
		p.wrapped("warning: ", text)
	}
	for _, text := range r.Invalid {
		p.wrapped("INVALID: ", text)
	}
	return p.err
}

func (part Part) write(p *printer, name string) {
	p.line("")
	p.wrapped(name+": ", fmt.Sprintf("medians of %d, reference %s %s %s", part.Repetitions, part.Reference.Name, number(part.Reference.Value), part.Reference.Unit))
	for _, note := range part.Notes {
		p.wrapped("  ", note)
	}
	p.line("  %-27s %10s %-4s %17s %7s %s", "", "median", "", "lowest..highest", "ratio", "bar")
	for _, f := range part.Figures {
		spread := number(f.Spread[0]) + ".." + number(f.Spread[1])
		ratio, bar := "", ""
		if f.Ratio != nil {
			ratio = number(*f.Ratio)
		}
		if f.Bar != nil {
			bar = sign(f.Better) + number(*f.Bar)
			if !*f.Met {
				bar += " !"
			}
		}
		p.line("  %-27s %10s %-4s %17s %7s %s", strings.TrimPrefix(f.Name, name+"."), number(f.Value), f.Unit, spread, ratio, bar)
	}
}

func withUnit(value float64, unit string) string {
	return strings.TrimSpace(number(value) + " " + unit)
}

func sign(better string) string {
	if better == Higher {
		return ">="
	}
	return "<="
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

// number writes a value with three significant digits, all those before the
// point, and no exponent.
func number(v float64) string {
	digits := 0
	for limit := 100.0; digits < 4 && v != 0 && math.Abs(v) < limit; digits++ {
		limit /= 10
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

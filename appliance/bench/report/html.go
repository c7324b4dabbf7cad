package report

import (
	"fmt"
	"html/template"
	"io"
	"strings"
)

// page is a whole report, with nothing outside of itself.
const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>vitrine bench {{.Fingerprint.Started.UTC.Format "2006-01-02 15:04"}}: {{outcome .}}</title>
<style>
:root { color-scheme: light dark; --text: #222; --ground: #fff; --line: #ddd; --note: #555; --met: #17632a; --missed: #a11 }
@media (prefers-color-scheme: dark) { :root { --text: #ddd; --ground: #16181b; --line: #383c42; --note: #a4a9b0; --met: #6cc784; --missed: #ff8a80 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: var(--text); background: var(--ground); overflow-wrap: break-word }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.met { color: var(--met); font-weight: 600; white-space: nowrap } .missed { color: var(--missed); font-weight: 600; white-space: nowrap }
li.missed { white-space: normal; font-weight: normal } .note { color: var(--note) } ul { padding-left: 1.2rem } li { margin: .2rem 0 }
@media (max-width: 40rem) {
  body { margin: 1rem auto } .head { display: none } td:empty { display: none }
  tr { display: flex; flex-wrap: wrap; gap: 0 .8rem; padding: .3rem 0; border-bottom: 1px solid var(--line) }
  th, td { padding: 0; border: 0 } .name, .how { flex: 0 0 100% } td[data-is]::before { content: attr(data-is) " "; color: var(--note) }
}
</style>
<h1>vitrine bench: <span class="{{class (eq .ExitCode 0)}}">{{outcome .}}</span></h1>
{{if or .Invalid .Warnings .Notes}}<ul>
{{range .Invalid}}<li class="missed">Invalid: {{.}}</li>
{{end}}{{range .Warnings}}<li class="note">Warning: {{.}}</li>
{{end}}{{range .Notes}}<li class="note">{{.}}</li>
{{end}}</ul>
{{end}}{{if .Verdict}}<h2>Verdict</h2>
<table>
<tr class="head"><th>target</th><th class="n">want</th><th class="n">measured</th><th></th><th>how</th></tr>
{{range .Verdict}}<tr><td class="name">{{.Target}}</td><td class="n" data-is="want">{{sign .Better}} {{unit .Want .Unit}}</td><td class="n" data-is="measured">{{unit .Measured .Unit}}</td><td class="{{class .Met}}">{{met .Met}}</td><td class="note how">{{.How}}</td></tr>
{{end}}</table>
{{end}}{{range $name, $part := .Parts}}<h2>{{$name}}</h2>
<p class="note">Medians of {{$part.Repetitions}}. Reference: {{$part.Reference.Name}}, {{unit $part.Reference.Value $part.Reference.Unit}}.{{range $part.Notes}}<br>{{.}}{{end}}</p>
<table>
<tr class="head"><th>figure</th><th class="n">median</th><th class="n">lowest to highest</th><th class="n">to the reference</th><th class="n">bar</th><th></th></tr>
{{range $part.Figures}}<tr><td class="name">{{.Name}}</td><td class="n">{{unit .Value .Unit}}</td><td class="n" data-is="of">{{index .Spread 0 | number}} to {{index .Spread 1 | number}}</td><td class="n" data-is="to the reference">{{with .Ratio}}{{number .}}{{end}}</td><td class="n" data-is="bar">{{$better := .Better}}{{with .Bar}}{{sign $better}} {{number .}}{{end}}</td>{{with .Met}}<td class="{{class .}}">{{met .}}</td>{{else}}<td></td>{{end}}</tr>
{{end}}</table>
{{end}}{{with .Fingerprint}}<h2>Machine and program</h2>
<table>
<tr><th>processor</th><td>{{.CPU}}, {{.Cores}} cores ({{join .Flags}}), GOMAXPROCS {{.GOMAXPROCS}}{{with .Governor}}, governor {{.}}{{end}}</td></tr>
<tr><th>memory</th><td>{{.MemoryMiB}} MiB</td></tr>
<tr><th>kernel</th><td>{{.Kernel}}</td></tr>
<tr><th>program</th><td>vitrine {{.Version}}, {{.Go}}</td></tr>
<tr><th>settings</th><td>{{.ConfigHash}}</td></tr>
<tr><th>data</th><td>{{.DataHash}}</td></tr>
<tr><th>run</th><td>{{.Started.UTC.Format "2006-01-02 15:04:05 UTC"}}, {{printf "%.0f" .Seconds}} s, load average {{printf "%.2f" .LoadAverage}}, others used {{printf "%.1f" .StolenPercent}} % of the processors</td></tr>
</table>
{{end}}`

// WriteHTML writes the report as one page for a browser.
func (r *Report) WriteHTML(w io.Writer) error {
	class := func(ok bool) string {
		if ok {
			return "met"
		}
		return "missed"
	}
	outcome := func(r *Report) string {
		missed := 0
		for _, v := range r.Verdict {
			if !v.Met {
				missed++
			}
		}
		switch {
		case !r.Valid:
			return "invalid"
		case missed > 0:
			return fmt.Sprintf("%d of %d targets missed", missed, len(r.Verdict))
		case len(r.Verdict) == 0:
			return "no target judged"
		}
		return "every target met"
	}
	t, err := template.New("report").Funcs(template.FuncMap{
		"sign": sign, "met": met, "class": class, "outcome": outcome, "unit": withUnit,
		"number": number, "join": func(words []string) string { return strings.Join(words, " ") },
	}).Parse(page)
	if err == nil {
		err = t.Execute(w, r)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// WriteHTMLFile writes the page to a file, in one step.
func (r *Report) WriteHTMLFile(path string) error { return writeFile(path, r.WriteHTML) }

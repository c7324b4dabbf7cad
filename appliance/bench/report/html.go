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
<meta name="viewport" content="width=device-width">
<title>vitrine bench {{.Fingerprint.Started.Format "2006-01-02 15:04"}}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.met { color: #17632a; font-weight: 600 } .missed { color: #a11; font-weight: 600 } .note { color: #555 }
</style>
<h1>vitrine bench: {{if not .Valid}}<span class="missed">invalid</span>{{else if eq .ExitCode 0}}<span class="met">every target met</span>{{else}}<span class="missed">a target is missed</span>{{end}}</h1>
{{range .Invalid}}<p class="missed">Invalid: {{.}}</p>
{{end}}{{range .Warnings}}<p class="note">Warning: {{.}}</p>
{{end}}{{range .Notes}}<p class="note">{{.}}</p>
{{end}}{{if .Verdict}}<h2>Verdict</h2>
<table>
<tr><th>target</th><th class="n">want</th><th class="n">measured</th><th></th><th>how</th></tr>
{{range .Verdict}}<tr><td>{{.Target}}</td><td class="n">{{sign .Better}} {{unit .Want .Unit}}</td><td class="n">{{unit .Measured .Unit}}</td><td class="{{class .Met}}">{{met .Met}}</td><td class="note">{{.How}}</td></tr>
{{end}}</table>
{{end}}{{range $name, $part := .Parts}}<h2>{{$name}}</h2>
<p class="note">Medians of {{$part.Repetitions}}. Reference: {{$part.Reference.Name}}, {{unit $part.Reference.Value $part.Reference.Unit}}.{{range $part.Notes}}<br>{{.}}{{end}}</p>
<table>
<tr><th>figure</th><th class="n">median</th><th class="n">lowest to highest</th><th class="n">to the reference</th><th class="n">bar</th><th></th></tr>
{{range $part.Figures}}<tr><td>{{.Name}}</td><td class="n">{{unit .Value .Unit}}</td><td class="n">{{index .Spread 0 | number}} to {{index .Spread 1 | number}}</td><td class="n">{{with .Ratio}}{{number .}}{{end}}</td><td class="n">{{$better := .Better}}{{with .Bar}}{{sign $better}} {{number .}}{{end}}</td>{{with .Met}}<td class="{{class .}}">{{met .}}</td>{{else}}<td></td>{{end}}</tr>
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
	t, err := template.New("report").Funcs(template.FuncMap{
		"sign": sign, "met": met, "class": class, "unit": withUnit,
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

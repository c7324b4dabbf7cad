// Package doctor looks at a running installation: the machine as preflight
// sees it, and the unit, its journal, the model, what lags and what plugins
// were taken out. It packs what a helper needs, without keys and without the
// ids of users and items.
//
// It may import the client, the configuration and the other parts of the
// installer.
package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"vitrine/appliance/client"
	"vitrine/appliance/config"
	"vitrine/installer/preflight"
	"vitrine/installer/words"
)

// Options say what is looked at. Config and Client are required; the appliance
// need not run.
type Options struct {
	Config   *config.Config
	Client   *client.Client
	Version  string
	Language words.Language
	// Now is the time that ages are counted to (the clock's).
	Now time.Time
}

// Findings are all that was found.
type Findings struct {
	preflight.Report
	// files are what goes into the archive, by name.
	files map[string]any
}

// pluginCompiler is the engine that plugins should run on.
const pluginCompiler = "compiler"

// Lag of the archive beyond which something is wrong: frames.
const maxLag = 1000

// Look finds everything.
func Look(ctx context.Context, opt Options) Findings {
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	f := Findings{files: map[string]any{"version.txt": opt.Version, "config.toml": opt.Config.Show()}}
	rows := append(f.unit(ctx), f.appliance(ctx, opt)...)
	f.Report = preflight.Run(ctx, preflight.Options{Config: opt.Config, Language: opt.Language, Extra: rows})
	f.files["doctor.json"] = f.Report
	return f
}

// unit asks systemd, where there is one and it knows the service.
func (f *Findings) unit(ctx context.Context) []preflight.Row {
	state := output(ctx, "systemctl", "show", "vitrine.service", "-p", "LoadState", "-p", "ActiveState", "-p", "SubState", "-p", "NRestarts", "-p", "Result")
	if !strings.Contains(state, "LoadState=loaded") {
		return nil
	}
	f.files["unit.txt"] = state
	row := preflight.Row{ID: "unit", Value: strings.Join(strings.Fields(state), " "), Want: words.New("active"), Severity: preflight.OK}
	if !strings.Contains(state, "ActiveState=active") {
		row.Severity = preflight.Warn
		row.Why, row.Fix = words.New("the service does not run"), words.New("systemctl start vitrine; journalctl -u vitrine -e says why it ended")
	}
	journal := output(ctx, "journalctl", "-u", "vitrine.service", "-n", "500", "--no-pager", "-o", "short-iso")
	f.files["journal.txt"] = Redact(journal)
	lines := preflight.Row{ID: "journal", Value: "0", Want: words.New("no warnings and errors in the last 500 lines"), Severity: preflight.OK}
	if n := strings.Count(journal, "level=WARN") + strings.Count(journal, "level=ERROR") + strings.Count(journal, `"level":"WARN"`) + strings.Count(journal, `"level":"ERROR"`); n > 0 {
		lines.Value, lines.Severity = fmt.Sprint(n), preflight.Info
		lines.Why = words.New("journalctl -u vitrine shows them")
	}
	return []preflight.Row{row, lines}
}

// output is what a tool of the system says; "" where there is none.
func output(ctx context.Context, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, name, args...).Output()
	return strings.TrimSpace(string(out))
}

// appliance asks the running one.
func (f *Findings) appliance(ctx context.Context, opt Options) []preflight.Row {
	row := preflight.Row{ID: "running", Value: "-", Want: words.New("answers"), Severity: preflight.OK}
	if err := opt.Client.Live(ctx); err != nil {
		row.Value, row.Severity = err.Error(), preflight.Warn
		row.Why, row.Fix = words.New("no appliance answers on this data folder"), words.New("systemctl start vitrine, or: vitrine serve")
		return []preflight.Row{row}
	}
	row.Value = "live"
	if err := opt.Client.Ready(ctx); err != nil {
		row.Value, row.Severity, row.Why = err.Error(), preflight.Warn, words.New("it takes events, and gives no answers yet")
	}
	rows := []preflight.Row{row, f.model(ctx, opt)}
	rows = append(rows, f.pipeline(ctx, opt)...)
	return append(rows, f.plugins(ctx, opt)...)
}

func (f *Findings) model(ctx context.Context, opt Options) preflight.Row {
	row := preflight.Row{ID: "model", Value: "-", Want: words.New("a live model, not much older than train.schedule"), Severity: preflight.OK}
	models, err := opt.Client.Models(ctx)
	if err != nil {
		row.Value, row.Severity = err.Error(), preflight.Warn
		return row
	}
	f.files["models.json"] = models
	row.Severity = preflight.Info
	row.Why, row.Fix = words.New("without a model popular items are answered"), words.New("vitrine import FILE, then: vitrine train")
	for _, m := range models {
		if m.State != client.ModelStateLive {
			continue
		}
		age := opt.Now.Sub(m.CreatedAt).Round(time.Minute)
		row.Value, row.Severity, row.Why, row.Fix = fmt.Sprintf("%s, %s", m.Version, age), preflight.OK, words.Text{}, words.Text{}
		if s := opt.Config.Train.Schedule; s > 0 && age > 3*s+24*time.Hour {
			row.Severity = preflight.Warn
			row.Why, row.Fix = words.New("no training has been published for long: there are no new events, or the gate refuses"), words.New("vitrine train says which")
		}
	}
	return row
}

func (f *Findings) pipeline(ctx context.Context, opt Options) []preflight.Row {
	lag := preflight.Row{ID: "lag", Value: "-", Want: words.New("less than %d frames", maxLag), Severity: preflight.OK}
	p, err := opt.Client.Pipeline(ctx)
	if err != nil {
		lag.Value, lag.Severity = err.Error(), preflight.Warn
		return []preflight.Row{lag}
	}
	f.files["pipeline.json"] = p
	lag.Value = fmt.Sprint(p.Archive.Lag)
	if p.Archive.Lag >= maxLag {
		lag.Severity = preflight.Warn
		lag.Why, lag.Fix = words.New("the archive does not follow: when the log is full, events are refused"), words.New("look for errors of the archive in the log, and at its disk")
	}
	letters := preflight.Row{ID: "deadletters", Value: fmt.Sprint(p.Deadletters.Count), Want: words.New("none"), Severity: preflight.OK}
	if p.Deadletters.Count > 0 {
		letters.Severity = preflight.Info
		letters.Why = words.New("what was refused of imports and events: vitrine deadletters list")
	}
	return []preflight.Row{lag, letters}
}

func (f *Findings) plugins(ctx context.Context, opt Options) []preflight.Row {
	row := preflight.Row{ID: "plugins", Want: words.New("none refused or in quarantine"), Severity: preflight.OK}
	plugins, err := opt.Client.Plugins(ctx)
	if err != nil {
		row.Value, row.Severity = err.Error(), preflight.Warn
		return []preflight.Row{row}
	}
	f.files["plugins.json"] = plugins
	var bad []string
	for _, p := range plugins {
		if p.State == "refused" || p.State == "quarantined" {
			bad = append(bad, fmt.Sprintf("%s %s: %s", p.Name, p.State, p.Reason))
		}
	}
	row.Value = fmt.Sprint(len(plugins))
	if len(bad) > 0 {
		row.Value, row.Severity = strings.Join(bad, "; "), preflight.Warn
		row.Why, row.Fix = words.New("the ranking goes on without them"), words.New("mend or remove the file; a quarantine ends by itself")
	}
	return []preflight.Row{row, f.engine(ctx, opt)}
}

// engine is what plugins run on: what the appliance may do can differ from
// what this process may, which preflight tries.
func (f *Findings) engine(ctx context.Context, opt Options) preflight.Row {
	row := preflight.Row{ID: "plugins.engine", Want: words.New("native code"), Severity: preflight.OK}
	metrics, err := opt.Client.Metrics(ctx)
	if err != nil {
		row.Value, row.Severity = err.Error(), preflight.Warn
		return row
	}
	f.files["metrics.txt"] = metrics
	m := regexp.MustCompile(`(?m)^vitrine_plugin_engine_info\{engine="(\w+)",reason="(.*)"\} 1$`).FindStringSubmatch(metrics)
	if m == nil {
		row.Value, row.Severity, row.Why = "?", preflight.Info, words.New("the running version does not tell: it is older than this one")
		return row
	}
	if row.Value = m[1]; m[1] != pluginCompiler {
		row.Value, row.Severity = m[1]+": "+m[2], preflight.Warn
		row.Why = words.New("plugins cannot be compiled to native code here: they run on an interpreter, many times slower")
		row.Fix = words.New("setsebool -P deny_execmem off, or no MemoryDenyWriteExecute in a drop-in")
	}
	return row
}

// Package preflight looks at the machine before the appliance runs on it: what
// it is, what it can do, and what would hurt, each as a row with the reason
// and the fix.
//
// It changes nothing but a probe file in the data folder, which it takes away
// again. It may import the configuration, what asks a Kafka for its topics and a
// schema registry for its kinds, and the installer's words.
package preflight

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"vitrine/appliance/config"
	"vitrine/installer/words"
)

// Severity says how bad a row is.
type Severity string

// The severities. Block stands in production only: on loopback, where nobody
// but the operator is served, it becomes Warn. Fatal is Block everywhere.
const (
	OK    Severity = "ok"
	Info  Severity = "info"
	Warn  Severity = "warn"
	Block Severity = "block"
	fatal Severity = "fatal"
)

// Row is one finding.
type Row struct {
	ID       string
	Value    string
	Want     words.Text
	Severity Severity
	Why, Fix words.Text
}

// Line is a Row in one language.
type Line struct {
	ID       string   `json:"id"`
	Value    string   `json:"value"`
	Want     string   `json:"want"`
	Severity Severity `json:"severity"`
	Why      string   `json:"why,omitempty"`
	Fix      string   `json:"fix,omitempty"`
}

// Report is what was found.
type Report struct {
	OK         bool   `json:"ok"`
	Production bool   `json:"production"`
	Rows       []Line `json:"rows"`
}

// Options say what is looked at. Config is required.
type Options struct {
	Config *config.Config
	// Production looks as if others were served; so does a listener beyond
	// loopback.
	Production bool
	// Users and Items are how large the shop will be (1,000,000 and 200,000).
	Users, Items int
	Language     words.Language
	// Root is where /proc, /sys and /etc are read (/).
	Root string
	// Now is what the clock says (the clock's).
	Now time.Time
	// Extra are rows that the caller has found; they are judged like the rest.
	Extra []Row
}

// host is the machine that is looked at.
type host struct {
	root string
	opt  Options
	data string // the data folder
}

// Run looks at everything. The rows come in a fixed order.
func Run(ctx context.Context, opt Options) Report {
	if opt.Users == 0 {
		opt.Users = 1_000_000
	}
	if opt.Items == 0 {
		opt.Items = 200_000
	}
	if opt.Root == "" {
		opt.Root = "/"
	}
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	h := &host{root: opt.Root, opt: opt, data: opt.Config.Data.Dir}
	var rows []Row
	for _, look := range []func() []Row{h.system, h.processor, h.memory, h.disk, h.clock, h.limits, h.protection, h.account} {
		rows = append(rows, look()...)
	}
	rows = append(rows, h.nodes(), h.manager(ctx), h.firewall())
	rows = append(rows, h.ports(ctx)...)
	rows = append(rows, h.services(ctx)...)
	rows = append(rows, opt.Extra...)
	report := Report{OK: true, Production: opt.Production || !config.Loopback(opt.Config.HTTP.Listen)}
	for _, r := range rows {
		switch {
		case r.Severity == fatal:
			r.Severity = Block
		case r.Severity == Block && !report.Production:
			r.Severity = Warn
		}
		report.OK = report.OK && r.Severity != Block
		report.Rows = append(report.Rows, Line{
			ID: r.ID, Value: r.Value, Want: r.Want.In(opt.Language), Severity: r.Severity, Why: r.Why.In(opt.Language), Fix: r.Fix.In(opt.Language),
		})
	}
	return report
}

// read is the trimmed text of a file below the root, "" where there is none.
func (h *host) read(name string) string {
	text, err := os.ReadFile(filepath.Join(h.root, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// number is the first number in a file, or -1.
func (h *host) number(name string) int64 {
	fields := strings.Fields(h.read(name))
	if len(fields) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// setting is the value of a line NAME=VALUE or NAME: VALUE of a file.
func setting(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			key, value, ok = strings.Cut(line, ":")
		}
		if ok && strings.TrimSpace(key) == name {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}

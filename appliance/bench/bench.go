// Package bench is the built-in benchmark: it measures this program on this
// machine, holds the figures against references taken in the same run, and
// gives a verdict on the targets that the product promises.
//
// It owns what is measured and how: serving over HTTP, retrieval, training, ingest
// and plugins, the generated data for each, and the watch over the machine. The
// load generator is in load, the form of a report in report. It may import any
// package of this module but cmd; nothing imports it but cmd.
//
//	r, err := bench.Run(ctx, bench.Options{Parts: []string{bench.Train}, ChildCommand: command})
//	err = r.WriteText(os.Stdout)
package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/snapshot"
)

// The parts of the benchmark.
const (
	Serve    = "serve"
	Retrieve = "retrieve"
	Train    = "train"
	Plugins  = "plugins"
	Fresh    = "fresh"
	Ingest   = "ingest"
	Recover  = "recover"
	Peers    = "peers"
)

// Parts lists all parts, in the order in which they run.
func Parts() []string {
	return []string{Serve, Retrieve, Train, Ingest, Plugins, Fresh, Recover, Peers}
}

// ownParts are those that need nothing but this program.
func ownParts() []string { return []string{Serve, Retrieve, Train, Ingest, Plugins, Fresh, Recover} }

// repetitions of every measurement: the least that has a median and a spread.
const repetitions = 3

// maxStolen is the share of the processors, in per cent, that others may use
// before the figures are called hard to compare.
const maxStolen = 5

// Options say what to measure.
type Options struct {
	// Parts are some of Parts(); nil is all of them but Peers, whose programs
	// must be installed.
	Parts []string
	// Target is the URL of a running appliance on this machine that Serve
	// measures instead of one of its own.
	Target string
	// Only are some of the only part's Cases; nil is all.
	Only []string
	// Key is the API key that Target is sent, "" for none.
	Key string
	// Pairs is a file of users and their items, as retrieval.ReadPairs reads it,
	// whose factors Retrieve measures beside the generated ones.
	Pairs string
	// Archive is a data folder or an archive that is measured instead of generated
	// data; nothing is written into it.
	Archive string
	// Full takes the sizes of the targets, and minutes, instead of seconds.
	Full bool
	// ServeCommand is the command line that runs an appliance on a data folder
	// with settings key=value. It prints the URL it answers at, and has
	// gap.Answer on its standard input and output.
	ServeCommand func(dataDir string, settings []string) []string
	// ChildCommand is the command line of this program that leads to Child.
	ChildCommand func(kind string) []string
	// ConfigFile and Settings are the configuration of the appliances that are
	// started, as config.Sources has them.
	ConfigFile string
	Settings   []string
	// TempDir is where data folders are made for the run; "" is the system's.
	TempDir string
	// Version is this program's.
	Version string
	// Progress, when set, is told what is being done.
	Progress func(stage string, done, total int64)
}

// Report is what a run found.
type Report = report.Report

// ReadReport reads a report that Report.WriteFile wrote.
func ReadReport(path string) (*Report, error) { return report.ReadFile(path) }

// Compare holds the report b against a.
func Compare(a, b *Report) *report.Comparison { return report.Compare(a, b) }

// ErrPart says that a part cannot be measured with the options given.
var ErrPart = errors.New("cannot measure")

// run is one benchmark in the making.
type run struct {
	opt    Options
	report *report.Report
	data   hash.Hash
	rhythm rhythm
	// own is the archive to measure; nil where the data are generated.
	own *snapshot.Snapshot
	// degraded names what was missed for too few live answers.
	degraded []string
	// repetitions of every measurement.
	repetitions int
}

func newRun(opt Options) *run {
	if opt.Progress == nil {
		opt.Progress = func(string, int64, int64) {}
	}
	return &run{opt: opt, data: sha256.New(), rhythm: rhythmOf(opt.Full), repetitions: repetitions, report: &report.Report{
		Schema: report.Schema, Valid: true, Invalid: []string{}, Warnings: []string{},
		Fingerprint: machine.Fingerprint(opt.Version), Parts: map[string]report.Part{}, Verdict: []report.Verdict{},
	}}
}

// Run measures. What makes the figures unbelievable, or misses a target, is in
// the report; an error means that there is none.
func Run(ctx context.Context, opt Options) (_ *Report, err error) {
	which := chosen
	if opt.Archive != "" {
		which = archiveParts
	}
	parts, err := which(opt.Parts)
	if err != nil {
		return nil, err
	}
	r := newRun(opt)
	if opt.Archive != "" {
		if err := r.takeOwn(ctx); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.own.Close()) }()
	}
	do := map[string]func(context.Context) (*report.Part, error){
		Serve: r.serve, Retrieve: r.retrieve, Train: r.train, Ingest: r.ingest, Plugins: r.plugins, Fresh: r.fresh, Recover: r.recover, Peers: r.peers,
	}
	hash, err := machine.ConfigHash(opt.ConfigFile, r.settings())
	if err != nil {
		return nil, err
	}
	r.report.Fingerprint.ConfigHash = hash
	watch := machine.StartWatch()
	for _, name := range parts {
		part, err := do[name](ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("bench %s: %w", name, err)
		}
		part.Repetitions = r.repetitions
		if r.own != nil {
			part.Figures = snapshot.Unsized(part.Figures)
		}
		r.report.Parts[name] = *part
	}
	r.finish(watch)
	return r.report, nil
}

// chosen puts the parts into order and refuses unknown ones.
func chosen(names []string) ([]string, error) {
	if len(names) == 0 {
		return ownParts(), nil
	}
	for _, n := range names {
		if !slices.Contains(Parts(), n) {
			return nil, fmt.Errorf("bench: there is no part %q; the parts are %s", n, strings.Join(Parts(), ", "))
		}
	}
	return slices.DeleteFunc(Parts(), func(n string) bool { return !slices.Contains(names, n) }), nil
}

// finish completes the fingerprint and says what to doubt.
func (r *run) finish(w machine.Watch) {
	f := &r.report.Fingerprint
	f.Started = w.Started.UTC().Truncate(time.Second)
	f.Seconds = time.Since(w.Started).Seconds()
	f.StolenPercent = w.Stolen()
	f.DataHash = hex.EncodeToString(r.data.Sum(nil))
	if r.own != nil {
		f.DataHash = r.own.Hash
	}
	if f.StolenPercent > maxStolen {
		for _, what := range r.degraded {
			r.invalidate("%s: too few answers were live while others used %.0f %% of the processors: the machine is too busy to tell", what, f.StolenPercent)
		}
		r.warn("others used %.0f %% of the processors during the run: its figures are hard to compare with those of a quiet machine", f.StolenPercent)
	}
}

// note says what was done, once.
func (r *run) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.report.Notes, text) {
		r.report.Notes = append(r.report.Notes, text)
	}
}

func (r *run) warn(format string, args ...any) {
	r.report.Warnings = append(r.report.Warnings, fmt.Sprintf(format, args...))
}

// invalidate says why the figures cannot be believed.
func (r *run) invalidate(format string, args ...any) {
	r.report.Valid = false
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.report.Invalid, text) {
		r.report.Invalid = append(r.report.Invalid, text)
	}
}

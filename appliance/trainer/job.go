// Package trainer turns the archive into a model bundle: archive -> signal ->
// als.Train on the older events -> the sources beside the factors, and what each
// weighs -> evaluation on the newer events beside popularity -> gate -> a few
// warm sweeps over everything, the sources anew -> bundle file.
//
// It owns that sequence, the gate's rule, and the child process in which it
// runs: Spawn starts the child, Child is its entry. It may import als and its
// packages, signal, registry, bridge/archive, bridge/parquet, bridge/file and
// bridge/event; it must not know the daemon, HTTP or the configuration: paths
// and options come in, a file and a Result go out.
package trainer

import (
	"strings"

	"vitrine/als/neighbors/tables"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer/search"
)

// Job is everything a run needs, as JSON on the child's standard input.
type Job struct {
	// ArchiveDir is the archive to read.
	ArchiveDir string `json:"archive_dir"`
	// Out is the bundle file to write; "" only evaluates.
	Out string `json:"out,omitempty"`
	// Version names the bundle, Parent the live one it follows.
	Version string `json:"version,omitempty"`
	Parent  string `json:"parent,omitempty"`
	// Position is the log position that the archive must have reached; the
	// bundle tells the one that it had.
	Position uint64 `json:"position,omitempty"`
	// Signal says how events become weights; it must be the daemon's own.
	Signal signal.Config `json:"signal"`
	// Live is the bundle file of the live version, "" without one: the fit
	// starts from its evaluated factors, and the gate compares with them.
	Live string `json:"live,omitempty"`
	// Biases gives a model of ratings biases. Whether it is one follows from
	// Signal.Measure.
	Biases bool `json:"biases,omitempty"`
	// Rank, Iterations and Regularization override what the rule chooses; 0 is
	// the rule's choice.
	Rank           int     `json:"rank,omitempty"`
	Iterations     int     `json:"iterations,omitempty"`
	Regularization float64 `json:"regularization,omitempty"`
	// Tune is how many settings are tried before the fit; 0 is none. Trials is
	// the file that keeps them, "" for none.
	Tune   int    `json:"tune,omitempty"`
	Trials string `json:"trials,omitempty"`
	// Blend are the weights of the sources beside the model; nil chooses them
	// on a validation slice, and asks none in a model of ratings. A model that
	// answers alone needs no tables.
	Blend tables.Weights `json:"blend,omitempty"`
	// K is a further cut at which every metric is reported; 0 is none.
	K int `json:"k,omitempty"`
	// MemoryLimit is how many bytes the run may take: one that needs more is
	// refused. 0 is what the machine has.
	MemoryLimit int64 `json:"memory_limit,omitempty"`
}

// ChosenBy says who chose the settings of the fit, before any search.
func (j *Job) ChosenBy() string {
	if j.Rank > 0 && j.Iterations > 0 && j.Regularization > 0 {
		return "the configuration"
	}
	return "rule"
}

// The candidates of a report. Where there is a blend it is what would go live,
// and its factors alone are shown beside it.
const (
	// Blend ranks by the factors and the sources beside them.
	Blend = "blend"
	// Factors ranks by the factors alone.
	Factors = "als"
)

// The rivals of a report.
const (
	// Popularity ranks everybody's items by their decayed weights.
	Popularity = "popularity"
	// Live is what was live before, as its factors would answer on the same
	// split.
	Live = "live"
	// Mean expects every rating to be the mean of them.
	Mean = "mean"
)

// difference is the model name of the paired difference, user by user, between
// a candidate's metrics and a rival's.
func difference(candidate, rival string) string { return candidate + "-" + rival }

// Rival is the rival whose difference a model name of Result.Metrics stands
// for, "" where it is that of a model.
func Rival(name string) string {
	for _, rival := range []string{Popularity, Live} {
		if strings.HasSuffix(name, "-"+rival) {
			return rival
		}
	}
	return ""
}

// Progress is told while a run goes on.
type Progress struct {
	// Stage is "read", "tune", "fit", "tables", "evaluate", "refit" or "write".
	Stage string `json:"stage"`
	// Done of Total steps of the stage; Total is 0 where it is not known.
	Done  int `json:"done"`
	Total int `json:"total"`
	// Loss is that of a fit after Done sweeps, estimated from a sample; 0
	// elsewhere.
	Loss float64 `json:"loss,omitempty"`
}

// Result is what a run found.
type Result struct {
	Version string `json:"version,omitempty"`
	// Gate says whether the model may go live, and why.
	Gate registry.Gate `json:"gate"`
	// Metrics hold, for every metric, the candidates, what would go live first,
	// their rivals, and the paired differences, for which Rival tells.
	Metrics []registry.Metric `json:"metrics"`
	// Users, Items and Interactions count the whole window.
	Users        int `json:"users"`
	Items        int `json:"items"`
	Interactions int `json:"interactions"`
	// EvaluatedUsers had something to find in the newer part.
	EvaluatedUsers int `json:"evaluated_users"`
	// SplitTime is where the newer part begins, in Unix milliseconds.
	SplitTime int64              `json:"split_time"`
	Seconds   map[string]float64 `json:"seconds"`
	Options   Options            `json:"options"`
	// Trials are the settings that were tried, if a search was asked for.
	Trials []search.Trial `json:"trials,omitempty"`
	// Start is the version that the fit started from, or why it started anew.
	Start string `json:"start"`
}

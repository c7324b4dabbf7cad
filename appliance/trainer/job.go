// Package trainer turns the archive into a model bundle: archive -> signal ->
// als.Train on the older events -> evaluation on the newer ones beside
// popularity -> gate -> a few warm sweeps over everything -> bundle file.
//
// It owns that sequence, the gate's rule, and the child process in which it
// runs: Spawn starts the child, Child is its entry. It may import als and its
// packages, signal, registry, bridge/archive, bridge/parquet, bridge/file and
// bridge/event; it must not know the daemon, HTTP or the configuration: paths
// and options come in, a file and a Result go out.
package trainer

import (
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
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
	// Rank, Iterations and Regularization override als.Options; 0 is default.
	Rank           int     `json:"rank,omitempty"`
	Iterations     int     `json:"iterations,omitempty"`
	Regularization float64 `json:"regularization,omitempty"`
	// K is a further cut at which every metric is reported; 0 is none.
	K int `json:"k,omitempty"`
	// MemoryLimit is the child's soft heap limit in bytes; 0 is none.
	MemoryLimit int64 `json:"memory_limit,omitempty"`
}

// Difference is the model name of the metrics' paired difference.
const Difference = "als-popularity"

// Progress is told while a run goes on.
type Progress struct {
	// Stage is "read", "fit", "evaluate", "refit" or "write".
	Stage string `json:"stage"`
	// Done of Total steps of the stage; Total is 0 where it is not known.
	Done  int `json:"done"`
	Total int `json:"total"`
}

// Result is what a run found.
type Result struct {
	Version string `json:"version,omitempty"`
	// Gate says whether the model may go live, and why.
	Gate registry.Gate `json:"gate"`
	// Metrics hold als and popularity, and their paired difference under the
	// model name Difference, which comes last.
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
}

// Options are the settings a run used, after the defaults.
type Options struct {
	Rank           int     `json:"rank"`
	Iterations     int     `json:"iterations"`
	Regularization float64 `json:"regularization"`
	Alpha          float64 `json:"alpha"`
	HalfLifeHours  float64 `json:"half_life_hours"`
	History        int     `json:"history"`
	TestShare      float64 `json:"test_share"`
}

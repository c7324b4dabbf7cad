// Package logkey holds the keys of structured log lines, so that one thing
// has one name in every line.
//
// It is a leaf and imports nothing of this module.
package logkey

// The keys, in alphabetical order.
const (
	Address   = "address"
	Bytes     = "bytes"
	Code      = "code"
	Count     = "count"
	Dir       = "dir"
	Error     = "error"
	File      = "file"
	Files     = "files"
	First     = "first"
	Free      = "free_bytes"
	Hint      = "hint"
	Job       = "job"
	Last      = "last"
	Model     = "model"
	Path      = "path"
	Partition = "partition"
	Paused    = "paused_seconds"
	PID       = "pid"
	Reason    = "reason"
	Repeats   = "repeats"
	Rows      = "rows"
	Seconds   = "seconds"
	Seq       = "seq"
	Source    = "source"
	Type      = "type"
	Version   = "version"
	Written   = "written"
)

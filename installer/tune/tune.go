// Package tune raises what the kernel limits, from measured values: it prints
// a plan, applies it, and takes it back.
//
// It owns one file in sysctl.d and one that remembers what was before. It only
// ever raises: a value that is high enough, or higher, is left alone, and so
// is everything that would harm. It may import the installer's words alone.
package tune

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"vitrine/installer/words"
)

// The files, below the root.
const (
	DropIn    = "etc/sysctl.d/60-vitrine.conf"
	stateFile = "var/lib/vitrine/tune.state"
)

// Actions of a plan.
const (
	Raise = "raise"
	Keep  = "keep"
	Leave = "leave"
)

// Row is one setting of the plan.
type Row struct {
	Key     string `json:"key"`
	Current string `json:"current"`
	Want    string `json:"want"`
	Action  string `json:"action"`
	Why     string `json:"why"`
}

// Result is a plan, and what was done of it.
type Result struct {
	Rows []Row `json:"rows"`
	// Changed are the keys that were written.
	Changed []string `json:"changed"`
	File    string   `json:"file,omitempty"`
}

// Options say where; the zero value is this machine, in English.
type Options struct {
	Root     string
	Language words.Language
}

// setting is a line of the table. Without a want it stands there because
// guides advise it and it would harm, or do nothing.
type setting struct {
	key  string
	want uint64
	why  words.Text
}

func table() []setting {
	return []setting{
		{"net.core.somaxconn", 4096, words.New("connections that come at once wait in this queue; the article's 1024 holds fewer than one second of its 5000 requests")},
		{"net.ipv4.tcp_max_syn_backlog", 4096, words.New("connections that are being opened; no use of a longer somaxconn without it")},
		{"fs.file-max", 2097152, words.New("the article's value, where the machine has less: on large machines the kernel's own is higher, and it would lower it")},
		{"net.ipv4.tcp_tw_reuse", 0, words.New("the article sets 1: it concerns outgoing connections alone, which are kept open here")},
		{"selinux", 0, words.New("the article turns it off: Vitrine runs with SELinux enforcing")},
	}
}

// state is what was before, by key, and what was set.
type state struct {
	Before map[string]string `json:"before"`
	Set    map[string]string `json:"set"`
}

// Plan compares the machine with the table and changes nothing.
func Plan(opt Options) Result {
	var out Result
	for _, s := range table() {
		row := Row{Key: s.key, Current: "-", Want: "-", Action: Leave, Why: s.why.In(opt.Language)}
		if text, err := os.ReadFile(opt.live(s.key)); err == nil {
			row.Current = strings.TrimSpace(string(text))
		}
		if s.want > 0 {
			row.Want = strconv.FormatUint(s.want, 10)
			if now, err := strconv.ParseUint(row.Current, 10, 64); err == nil {
				row.Action = Keep
				if now < s.want {
					row.Action = Raise
				}
			}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// Apply raises what the plan says, now and for every start. Applied again it
// changes nothing.
func Apply(opt Options) (Result, error) {
	out := Plan(opt)
	st, err := opt.load()
	if err != nil {
		return out, err
	}
	for _, row := range out.Rows {
		if row.Action != Raise {
			continue
		}
		if _, again := st.Before[row.Key]; !again {
			st.Before[row.Key] = row.Current
		}
		st.Set[row.Key] = row.Want
		out.Changed = append(out.Changed, row.Key)
	}
	if len(st.Set) == 0 {
		return out, nil
	}
	out.File = opt.path(DropIn)
	// What was before is on disk before anything is changed.
	if err := opt.save(st); err != nil {
		return out, err
	}
	var b strings.Builder
	b.WriteString("# Written by vitrine tune --apply; vitrine tune --undo takes it back.\n")
	for _, key := range slices.Sorted(maps.Keys(st.Set)) {
		fmt.Fprintf(&b, "%s = %s\n", key, st.Set[key])
	}
	if err := replace(opt.path(DropIn), b.String()); err != nil {
		return out, err
	}
	for _, key := range out.Changed {
		if err := os.WriteFile(opt.live(key), []byte(st.Set[key]+"\n"), 0o644); err != nil {
			return out, fmt.Errorf("raise %s: %w", key, err)
		}
	}
	return out, nil
}

// Undo brings back what was before. A value that somebody has changed since is
// not touched.
func Undo(opt Options) (Result, error) {
	var out Result
	st, err := opt.load()
	if err != nil {
		return out, err
	}
	for _, key := range slices.Sorted(maps.Keys(st.Before)) {
		row := Row{Key: key, Want: st.Before[key], Action: Leave}
		if text, err := os.ReadFile(opt.live(key)); err == nil {
			row.Current = strings.TrimSpace(string(text))
		}
		if row.Current == st.Set[key] {
			row.Action = "restore"
			if err := os.WriteFile(opt.live(key), []byte(row.Want+"\n"), 0o644); err != nil {
				return out, fmt.Errorf("restore %s: %w", key, err)
			}
			out.Changed = append(out.Changed, key)
		} else {
			row.Why = words.New("it was changed since").In(opt.Language)
		}
		out.Rows = append(out.Rows, row)
	}
	for _, name := range []string{DropIn, stateFile} {
		if err := os.Remove(opt.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return out, fmt.Errorf("undo: %w", err)
		}
	}
	return out, nil
}

func (o Options) path(name string) string {
	if o.Root == "" {
		return "/" + name
	}
	return filepath.Join(o.Root, name)
}

// live is the file of a sysctl; one that is none has no file.
func (o Options) live(key string) string {
	return o.path("proc/sys/" + strings.ReplaceAll(key, ".", "/"))
}

func (o Options) load() (*state, error) {
	st := &state{Before: map[string]string{}, Set: map[string]string{}}
	text, err := os.ReadFile(o.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err == nil {
		err = json.Unmarshal(text, st)
	}
	if err != nil {
		return nil, fmt.Errorf("read what was before in %s: %w", o.path(stateFile), err)
	}
	return st, nil
}

func (o Options) save(st *state) error {
	text, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("keep what was before: %w", err)
	}
	return replace(o.path(stateFile), string(text)+"\n")
}

// replace puts a file in place at once.
func replace(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	next := name + ".new"
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(next, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

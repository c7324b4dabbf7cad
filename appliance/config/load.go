package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2/unstable"

	"vitrine/internal/disk"
	"vitrine/internal/nearest"
)

// SystemFile is read when no --config is given and it exists.
const SystemFile = "/etc/vitrine/vitrine.toml"

// writable is access(2)'s mode for "may be written and entered".
const writable = 2 | 1

// packagedData is the data folder of an installation with SystemFile.
const packagedData = "/var/lib/vitrine"

// Fault is one thing wrong with the configuration.
type Fault struct {
	// Where is FILE:LINE, or the --set flag.
	Where string
	What  string
	// Nearest is the known key closest to an unknown one, or "".
	Nearest string
}

// String is the fault as one line: where, what, and the nearest known key.
func (f Fault) String() string {
	s := f.Where + ": " + f.What
	if f.Nearest != "" {
		s += " (nearest key: " + f.Nearest + ")"
	}
	return s
}

// Faults is the error of Load: everything that is wrong, in file order.
type Faults []Fault

// Error is one line per fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// sort brings the faults of each file into the order of its lines; files and
// flags stay in the order of reading.
func (f Faults) sort() {
	place := map[string]int{}
	split := func(where string) (source string, line int) {
		if i := strings.LastIndexByte(where, ':'); i > 0 {
			if n, err := strconv.Atoi(where[i+1:]); err == nil && !strings.HasPrefix(where, setFlag) {
				return where[:i], n
			}
		}
		return where, 0
	}
	for _, fault := range f {
		source, _ := split(fault.Where)
		if _, ok := place[source]; !ok {
			place[source] = len(place)
		}
	}
	slices.SortStableFunc(f, func(a, b Fault) int {
		sa, la := split(a.Where)
		sb, lb := split(b.Where)
		return cmp.Or(cmp.Compare(place[sa], place[sb]), cmp.Compare(la, lb))
	})
}

// setFlag is how the place of a fault in a flag begins.
const setFlag = "--set "

// Sources says what Load reads.
type Sources struct {
	// File is the main file; "" means SystemFile if it exists. Every
	// conf.d/*.toml beside it follows in name order.
	File string
	// Set are key=value pairs; they win over files.
	Set []string
	// DataDir, when not "", wins over data.dir of files and Set.
	DataDir string
	// Unguarded is for the commands that make keys: the listeners may be open
	// to others although there are none yet.
	Unguarded bool
	// OwnData takes the user's own data folder where none is named and this
	// user may not write to the packaged one: the demo is for anybody.
	OwnData bool
}

// loader gathers values and faults over all sources.
type loader struct {
	config *Config
	faults Faults
	// origin is where each key was last set, for faults of its value.
	origin map[string]string
}

// Load reads all sources and returns the checked configuration, or Faults.
func Load(src Sources) (*Config, error) {
	l := &loader{config: Default(), origin: map[string]string{}}
	packaged := false
	if src.File == "" {
		if _, err := os.Stat(SystemFile); err == nil {
			src.File, packaged = SystemFile, true
		}
	}
	for _, file := range files(src.File) {
		l.readFile(file)
	}
	for _, pair := range src.Set {
		l.setFlag(pair)
	}
	if src.DataDir != "" {
		l.config.Data.Dir = src.DataDir
	}
	if l.config.Data.Dir == "" {
		if src.OwnData && syscall.Access(packagedData, writable) != nil {
			packaged = false
		}
		dir, err := defaultDataDir(packaged)
		if err != nil {
			l.fault("data.dir", err.Error(), "")
		}
		l.config.Data.Dir = dir
	}
	l.validate()
	if !src.Unguarded {
		l.report(l.config.exposure())
	}
	if len(l.faults) > 0 {
		l.faults.sort()
		return nil, l.faults
	}
	return l.config, nil
}

// With is a copy of the configuration with key=value pairs set over it, or
// Faults.
func (c *Config) With(set []string) (*Config, error) {
	changed := *c
	changed.Ingest.Types = maps.Clone(c.Ingest.Types)
	l := &loader{config: &changed, origin: map[string]string{}}
	for _, pair := range set {
		l.setFlag(pair)
	}
	l.validate()
	if len(l.faults) > 0 {
		return nil, l.faults
	}
	return &changed, nil
}

func (l *loader) validate() { l.report(l.config.validate()) }

func (l *loader) report(problems []problem) {
	for _, p := range problems {
		l.fault(l.where(p.key), p.key+" "+p.err.Error(), "")
	}
}

// files is the main file and its conf.d, in the order of reading.
func files(main string) []string {
	if main == "" {
		return nil
	}
	more, _ := filepath.Glob(filepath.Join(filepath.Dir(main), "conf.d", "*.toml"))
	sort.Strings(more)
	return append([]string{main}, more...)
}

func defaultDataDir(packaged bool) (string, error) {
	if packaged {
		return packagedData, nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "vitrine"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home folder to keep data in: give --data DIR")
	}
	return filepath.Join(home, ".local", "share", "vitrine"), nil
}

func (l *loader) fault(where, what, near string) {
	l.faults = append(l.faults, Fault{Where: where, What: what, Nearest: near})
}

func (l *loader) where(key string) string {
	if o, ok := l.origin[key]; ok {
		return o
	}
	return "defaults"
}

// readFile decodes one TOML file key by key, so that every fault of the file
// is found in one run.
func (l *loader) readFile(file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		l.fault(file, fmt.Sprintf("cannot be read: %v", disk.WithoutPath(err)), "")
		return
	}
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			table = joinKey("", e.Key())
			if !knownTable(table) {
				l.fault(at(file, data, e), fmt.Sprintf("unknown table [%s]", table), nearest.Name(table, tableNames()))
				table = "\x00" // its keys are not reported one by one
			}
		case unstable.ArrayTable:
			l.fault(at(file, data, e), fmt.Sprintf("[[%s]]: no key takes an array of tables", joinKey("", e.Key())), "")
			table = "\x00"
		case unstable.KeyValue:
			if table != "\x00" {
				l.keyValue(file, data, joinKey(table, e.Key()), e)
			}
		}
	}
	if err := p.Error(); err != nil {
		line := len(data)
		var pe *unstable.ParserError
		if errors.As(err, &pe) {
			line = offsetOf(data, pe.Highlight)
		}
		l.fault(fmt.Sprintf("%s:%d", file, lineAt(data, line)), "is not TOML: "+strings.TrimPrefix(err.Error(), "toml: "), "")
	}
}

// keyValue stores one key of a file; inline tables are walked.
func (l *loader) keyValue(file string, data []byte, name string, e *unstable.Node) {
	v := e.Value()
	where := at(file, data, e)
	if v.Kind == unstable.InlineTable {
		it := v.Children()
		for it.Next() {
			child := it.Node()
			l.keyValue(file, data, joinKey(name, child.Key()), child)
		}
		return
	}
	val := value{text: string(v.Data), quoted: v.Kind == unstable.String}
	if v.Kind == unstable.Array {
		val.list = []string{}
		it := v.Children()
		for it.Next() {
			val.list = append(val.list, string(it.Node().Data))
		}
		val.text = strings.Join(val.list, ", ")
	}
	l.store(where, name, val)
}

// setFlag stores one --set key=value.
func (l *loader) setFlag(pair string) {
	where := setFlag + pair
	name, text, ok := strings.Cut(pair, "=")
	if !ok {
		l.fault(where, "must be key=value", "")
		return
	}
	v := value{text: strings.TrimSpace(text), bare: true}
	if n := len(v.text); n >= 2 && (v.text[0] == '"' || v.text[0] == '\'') && v.text[n-1] == v.text[0] {
		v = value{text: v.text[1 : n-1], quoted: true}
	}
	if n := len(v.text); v.bare && n >= 2 && v.text[0] == '[' && v.text[n-1] == ']' {
		v.list = splitList(strings.NewReplacer(`"`, "", "'", "").Replace(v.text[1 : n-1]))
	}
	l.store(where, strings.TrimSpace(name), v)
}

// splitList is what commas part, without the spaces around.
func splitList(text string) []string {
	list := []string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func (l *loader) store(where, name string, v value) {
	k, ok := find(name)
	if !ok {
		l.fault(where, fmt.Sprintf("unknown key %q", name), nearestKey(name))
		return
	}
	l.origin[name] = where
	if v.list != nil && !k.isList {
		l.fault(where, name+" takes one value, not an array", "")
		return
	}
	if err := k.set(l.config, v); err != nil {
		l.fault(where, fmt.Sprintf("%s %v, not %q", name, err, v.text), "")
	}
}

func joinKey(prefix string, it unstable.Iterator) string {
	parts := []string{}
	if prefix != "" {
		parts = append(parts, prefix)
	}
	for it.Next() {
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, ".")
}

// tableNames lists every table that holds a key.
func tableNames() []string {
	var out []string
	for _, k := range keys() {
		t := k.name[:strings.LastIndexByte(k.name, '.')]
		if len(out) == 0 || out[len(out)-1] != t {
			out = append(out, t)
		}
	}
	return append(out, strings.TrimSuffix(typesPrefix, "."), blendKey)
}

func knownTable(name string) bool {
	return oneOf(name, tableNames()...)
}

// at is FILE:LINE of an expression's key.
func at(file string, data []byte, e *unstable.Node) string {
	it := e.Key()
	offset := 0
	if it.Next() {
		offset = offsetOf(data, it.Node().Data)
	}
	return fmt.Sprintf("%s:%d", file, lineAt(data, offset))
}

// offsetOf is where part, a slice of data, begins in it.
func offsetOf(data, part []byte) int {
	if cap(part) == 0 || cap(part) > cap(data) {
		return 0
	}
	return min(cap(data)-cap(part), len(data))
}

func lineAt(data []byte, offset int) int {
	return 1 + bytes.Count(data[:min(offset, len(data))], []byte{'\n'})
}

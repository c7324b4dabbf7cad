// Package settings writes the answers of an operator, asked for on plain lines
// or taken from a file, as one file of its own in conf.d.
//
// It never touches the shipped configuration or other files beside its own,
// keeps the file before it, and writes nothing that the appliance would
// refuse. It may import the configuration and the installer's words.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"vitrine/appliance/config"
)

// Name is the file in conf.d that is written.
const Name = "50-configure.toml"

const header = "# Written by vitrine configure; the file before is beside it, as " + Name + ".bak.\n"

// File is the drop-in beside a main configuration file.
func File(main string) string {
	if main == "" {
		main = config.SystemFile
	}
	return filepath.Join(filepath.Dir(main), "conf.d", Name)
}

// Current is what the drop-in alone sets, over the defaults.
func Current(file string) (*config.Config, error) {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	return config.Load(config.Sources{File: file, DataDir: "/", Unguarded: true})
}

// FromFile is the drop-in that a file of answers makes: the same keys, checked,
// every fault with its line in that file.
func FromFile(answers string) (string, *config.Config, error) {
	c, err := config.Load(config.Sources{File: answers, DataDir: "/", Unguarded: true})
	if err != nil {
		return "", nil, err
	}
	text, err := os.ReadFile(answers)
	if err != nil {
		return "", nil, fmt.Errorf("read answers: %w", err)
	}
	return header + strings.TrimRight(string(text), "\n") + "\n", c, nil
}

// FromAnswers is the drop-in of single answers, KEY=VALUE, over what it set
// before.
func FromAnswers(before *config.Config, answers []string) (string, *config.Config, error) {
	c, err := before.With(answers)
	if err != nil {
		return "", nil, err
	}
	given := map[string]bool{}
	for _, a := range answers {
		key, _, _ := strings.Cut(a, "=")
		given[key] = true
	}
	defaults := lines(config.Default())
	var b strings.Builder
	b.WriteString(header)
	table := ""
	for _, l := range lines(c) {
		if !given[l.key()] && contains(defaults, l) {
			continue
		}
		if l.table != table {
			table = l.table
			b.WriteString("\n[" + table + "]\n")
		}
		b.WriteString(l.text + "\n")
	}
	return b.String(), c, nil
}

// line is one key of a configuration as it is shown.
type line struct{ table, text string }

func (l line) key() string {
	name, _, _ := strings.Cut(l.text, " = ")
	return l.table + "." + name
}

func lines(c *config.Config) []line {
	var out []line
	table := ""
	for text := range strings.Lines(c.Show()) {
		text = strings.TrimSpace(text)
		switch {
		case strings.HasPrefix(text, "["):
			table = strings.Trim(text, "[]")
		case text != "" && table != "data": // the folder is not asked for here
			out = append(out, line{table, text})
		}
	}
	return out
}

func contains(all []line, l line) bool {
	for _, other := range all {
		if other == l {
			return true
		}
	}
	return false
}

// Value is a key's value in a configuration, as it is shown.
func Value(c *config.Config, key string) (string, bool) {
	for _, l := range lines(c) {
		if l.key() == key {
			_, value, _ := strings.Cut(l.text, " = ")
			return value, true
		}
	}
	return "", false
}

// Write puts the drop-in in place, the one before as .bak; check then says
// whether the whole configuration is good. If it is not, all is as before.
func Write(file, text string, check func() error) error {
	before, err := os.ReadFile(file)
	existed := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write settings: %w", err)
	}
	if existed && string(before) == text {
		return check()
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	if existed {
		if err := put(file+".bak", before); err != nil {
			return err
		}
	}
	if err := put(file, []byte(text)); err != nil {
		return err
	}
	refused := check()
	if refused == nil {
		return nil
	}
	if existed {
		return errors.Join(refused, put(file, before))
	}
	return errors.Join(refused, os.Remove(file))
}

// put replaces a file at once; it is for root and the service alone, as it may
// hold passwords.
func put(file string, text []byte) error {
	next := file + ".new"
	if err := os.WriteFile(next, text, 0o640); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	if group, err := user.LookupGroup("vitrine"); err == nil && os.Geteuid() == 0 {
		gid, _ := strconv.Atoi(group.Gid)
		if err := os.Chown(next, 0, gid); err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// Demo switches the demo shop of the service on, in the text of its
// environment file.
func Demo(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("switch the demo on: %w", err)
	}
	var b bytes.Buffer
	for l := range strings.Lines(string(text)) {
		if options, ok := strings.CutPrefix(l, "VITRINE_OPTIONS="); ok && !strings.Contains(options, "--demo") {
			l = "VITRINE_OPTIONS=" + strings.TrimSpace("--demo "+strings.Trim(strings.TrimSpace(options), `"`)) + "\n"
			if strings.Contains(l, " --") {
				l = `VITRINE_OPTIONS="` + strings.TrimSpace(strings.TrimPrefix(l, "VITRINE_OPTIONS=")) + "\"\n"
			}
		}
		b.WriteString(l)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("switch the demo on: %w", err)
	}
	return nil
}

// Diff are the lines that go ("-") and come ("+"), in order.
func Diff(before, after string) []string {
	a, b := strings.Split(strings.TrimSpace(before), "\n"), strings.Split(strings.TrimSpace(after), "\n")
	// common[i][j] is the length of the longest common part of a[i:] and b[j:].
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			if a[i] != "" {
				out = append(out, "-"+a[i])
			}
			i++
		default:
			if b[j] != "" {
				out = append(out, "+"+b[j])
			}
			j++
		}
	}
	return out
}

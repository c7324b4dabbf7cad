package hdfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/config"
)

// includeDepth bounds files that include each other.
const includeDepth = 10

// loadConfig reads a krb5.conf as MIT's library does where gokrb5 does not: files
// that are included, sections that are there more than once, and that DNS is asked
// for the servers of a realm of which the file names none.
//
// Source: https://web.mit.edu/kerberos/krb5-latest/doc/admin/conf_files/krb5_conf.html
func loadConfig(path string) (*config.Config, error) {
	s := sections{}
	if err := s.read(path, includeDepth); err != nil {
		return nil, err
	}
	conf, err := config.NewFromString(s.String())
	var old config.UnsupportedDirective // of version 4, which does not matter
	if err != nil && !errors.As(err, &old) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if !s.says("[libdefaults]", "dns_lookup_kdc") {
		conf.LibDefaults.DNSLookupKDC = true // asked for a realm without servers only
	}
	return conf, nil
}

// sections are the lines of a krb5.conf by the header of their section.
type sections map[string][]string

func (s sections) read(path string, depth int) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return plain(err)
	}
	if depth == 0 {
		return fmt.Errorf("read %s: files include each other", path)
	}
	return s.parse(string(text), func(included string) error { return s.read(included, depth-1) })
}

// parse adds the lines of a file; include is called for those that it includes.
func (s sections) parse(text string, include func(path string) error) error {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		word, rest := line, ""
		if i := strings.IndexAny(line, " \t"); i > 0 {
			word, rest = line[:i], strings.TrimSpace(line[i:])
		}
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case word == "include":
			if err := include(rest); err != nil {
				return err
			}
		case word == "includedir":
			files, err := includedFiles(rest)
			if err != nil {
				return err
			}
			for _, file := range files {
				if err := include(file); err != nil {
					return err
				}
			}
		case line[0] == '[':
			section, _, _ = strings.Cut(line, "]")
			section += "]"
		default:
			s[section] = append(s[section], line)
		}
	}
	return nil
}

// String is one file with each section once.
func (s sections) String() string {
	var b strings.Builder
	for _, name := range []string{"[libdefaults]", "[realms]", "[domain_realm]"} { // all that a client needs
		b.WriteString(name + "\n")
		for _, line := range s[name] {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// says whether a section has a key.
func (s sections) says(section, key string) bool {
	return slices.ContainsFunc(s[section], func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return strings.TrimSpace(name) == key
	})
}

// includedFiles are those of a folder whose names are plain or end in .conf. A
// folder that is not there has none: distributions name some in advance.
func includedFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, plain(err)
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		odd := strings.TrimFunc(name, func(r rune) bool {
			return r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		})
		if !e.IsDir() && name[0] != '.' && (odd == "" || strings.HasSuffix(name, ".conf")) {
			out = append(out, filepath.Join(dir, name))
		}
	}
	return out, nil
}

// plain takes the kind out of an error of a file here: that a keytab is missing
// must not look as if a file on HDFS were.
func plain(err error) error {
	return errors.New(err.Error())
}

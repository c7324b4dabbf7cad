package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/durable"
)

// Set is one version of the rules.
type Set struct {
	Version   int       `json:"version"`
	ChangedAt time.Time `json:"changed_at"`
	Rules     []Rule    `json:"rules"`
}

// Store keeps the versions of the rules as files in a folder: N.json, of which
// the highest counts. Its methods are not safe for concurrent use.
type Store struct{ dir string }

// keptVersions is how many versions stay on disk, to look back at.
const keptVersions = 10

// ErrNoVersion says that a version of the rules is not on disk, or not any more.
var ErrNoVersion = errors.New("there is no such version")

// Open makes the folder where there is none.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("open rules: %w", err)
	}
	return &Store{dir: dir}, nil
}

// Load reads the newest version; without one there are no rules.
func (s *Store) Load() (Set, error) {
	versions, err := s.versions()
	if err != nil || len(versions) == 0 {
		return Set{Rules: []Rule{}}, err
	}
	return s.At(versions[len(versions)-1])
}

// At reads a version; ErrNoVersion where it is none of the last ten.
func (s *Store) At(version int) (Set, error) {
	path := s.path(version)
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Set{}, fmt.Errorf("read version %d of the rules: %w", version, ErrNoVersion)
	}
	if err != nil {
		return Set{}, fmt.Errorf("read rules: %w", err)
	}
	var set Set
	if err := json.Unmarshal(body, &set); err != nil {
		return Set{}, fmt.Errorf("read rules %s: %w", path, err)
	}
	set.Version = version
	return set, nil
}

// Save makes rules the newest version. It is on disk when Save returns.
func (s *Store) Save(rules []Rule, now time.Time) (Set, error) {
	versions, err := s.versions()
	if err != nil {
		return Set{}, err
	}
	set := Set{Version: 1, ChangedAt: now.UTC(), Rules: rules}
	if len(versions) > 0 {
		set.Version = versions[len(versions)-1] + 1
	}
	body, err := json.MarshalIndent(&set, "", "  ")
	if err != nil {
		return Set{}, fmt.Errorf("write rules: %w", err)
	}
	if err := s.write(s.path(set.Version), append(body, '\n')); err != nil {
		return Set{}, fmt.Errorf("write rules: %w", err)
	}
	for len(versions) >= keptVersions {
		if err := os.Remove(s.path(versions[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Set{}, fmt.Errorf("remove an old version of the rules: %w", err)
		}
		versions = versions[1:]
	}
	return set, nil
}

// write puts a whole file in place, or none.
func (s *Store) write(path string, body []byte) error {
	return durable.Replace(path, func(f *os.File) error {
		_, err := f.Write(body)
		return err
	})
}

func (s *Store) path(version int) string {
	return filepath.Join(s.dir, strconv.Itoa(version)+".json")
}

// versions are those on disk, oldest first.
func (s *Store) versions() ([]int, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	var out []int
	for _, e := range entries {
		name, isJSON := strings.CutSuffix(e.Name(), ".json")
		if n, err := strconv.Atoi(name); isJSON && err == nil && n > 0 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vitrine/internal/durable"
	"vitrine/internal/logkey"
)

// A manifest is the commit: once it is on disk the range [First, Last] of the
// bus is in the archive, and what is left to do, the renames, can be done by
// whoever comes next. Before it is there, the staged files count for nothing.
type manifest struct {
	Schema int            `json:"schema"`
	First  uint64         `json:"first"`
	Last   uint64         `json:"last"`
	Done   bool           `json:"done"`
	Files  []manifestFile `json:"files"`
	// Topics are how far each partition of a topic is in the archive, as of
	// this commit and all before it.
	Topics []TopicPosition `json:"topics,omitempty"`
}

// TopicPosition says that the records of a partition of a topic before the
// offset Next are in the archive, or need not be. Name is a Source.Name.
type TopicPosition struct {
	Name      string `json:"name"`
	Partition int32  `json:"partition"`
	Next      int64  `json:"next"`
}

// manifestFile is one file of a commit; both paths are below the root.
type manifestFile struct {
	Staged string `json:"staged"`
	Path   string `json:"path"`
	Rows   int64  `json:"rows"`
}

const (
	manifestSchema = 1
	manifestSuffix = ".json"
	// manifestsKept is how many are left for those who look; two would do: a
	// reader that starts between two commits needs the last finished one.
	manifestsKept = 8
)

func (m *manifest) path() string {
	return filepath.Join(commitsDir, spanName(m.First, m.Last)+manifestSuffix)
}

// write makes the manifest durable: nobody ever sees half of one.
func (a *Archive) writeManifest(m *manifest) error {
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	path := filepath.Join(a.dir, m.path())
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if err := a.step("rename manifest"); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return durable.SyncDir(filepath.Dir(path))
}

// readManifest reads and checks one.
func (a *Archive) readManifest(name string) (*manifest, error) {
	path := filepath.Join(a.dir, commitsDir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", path, err)
	}
	if m.Schema > manifestSchema {
		return nil, fmt.Errorf("read manifest %s: schema %d is newer than this program's %d", path, m.Schema, manifestSchema)
	}
	if filepath.Base(m.path()) != name {
		return nil, fmt.Errorf("read manifest %s: it is of the range %d to %d", path, m.First, m.Last)
	}
	for _, f := range m.Files {
		_, _, named := parseFileName(filepath.Base(f.Path))
		if !filepath.IsLocal(f.Path) || !named || !filepath.IsLocal(f.Staged) || filepath.Dir(f.Staged) != stagingDir {
			return nil, fmt.Errorf("read manifest %s: %q is no place for a file", path, f.Path)
		}
	}
	return &m, nil
}

// manifestNames lists the manifests, oldest first.
func (a *Archive) manifestNames() ([]string, error) {
	entries, err := readDir(filepath.Join(a.dir, commitsDir))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		span, ok := strings.CutSuffix(entry.Name(), manifestSuffix)
		if !ok {
			continue
		}
		if _, _, ok := parseSpan(span); ok {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Mark is a manifest for a copy of the files up to Position, and its path below
// the root; "" where there is nothing to say.
func (a *Archive) Mark() (path string, data []byte, err error) {
	if a.Position() == 0 {
		return "", nil, nil
	}
	m := &manifest{Schema: manifestSchema, First: 1, Last: a.Position(), Done: true, Files: []manifestFile{}, Topics: a.Topics()}
	data, err = json.MarshalIndent(m, "", " ")
	return m.path(), data, err
}

// commits is what the folders tell of the archive's state.
type commits struct {
	// newest is nil where no manifest is left, done where none says that it is.
	newest, done *manifest
	// finished is the last sequence whose files are all in place.
	finished uint64
}

// readAttempts is how often a reader lists the manifests again when the writer
// removed them under its hands.
const readAttempts = 5

func (a *Archive) readCommits(ctx context.Context) (commits, error) {
	for attempt := 1; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return commits{}, err
		}
		state, err := a.tryReadCommits()
		if err == nil || !isGone(err) || attempt == readAttempts {
			return state, err
		}
	}
}

func (a *Archive) tryReadCommits() (commits, error) {
	names, err := a.manifestNames()
	if err != nil {
		return commits{}, err
	}
	if len(names) == 0 {
		return a.withoutManifest()
	}
	var state commits
	for _, name := range slices.Backward(names) {
		m, err := a.readManifest(name)
		if err != nil {
			return commits{}, err
		}
		if state.newest == nil {
			state.newest = m
		}
		if m.Done {
			state.finished, state.done = m.Last, m
			return state, nil
		}
	}
	// Only the first commit of all can be the one manifest and unfinished.
	state.finished = state.newest.First - 1
	return state, nil
}

// withoutManifest takes the position from the names of the files: somebody
// brought data folders here without _commits.
func (a *Archive) withoutManifest() (commits, error) {
	var state commits
	const all = ^uint64(0)
	files, err := a.filesOf(all, Folders()...)
	if err != nil {
		return commits{}, err
	}
	for _, path := range files {
		_, last, _ := parseFileName(filepath.Base(path))
		state.finished = max(state.finished, last)
	}
	if state.finished > 0 {
		a.log.Warn("the archive has files but no commit manifest; its position is taken from the file names",
			logkey.Dir, a.dir, logkey.Last, state.finished)
	}
	return state, nil
}

// pruneManifests removes all but the newest few.
func (a *Archive) pruneManifests() error {
	names, err := a.manifestNames()
	if err != nil {
		return err
	}
	for _, name := range names[:max(0, len(names)-manifestsKept)] {
		if err := os.Remove(filepath.Join(a.dir, commitsDir, name)); err != nil && !isGone(err) {
			return fmt.Errorf("remove old manifest: %w", err)
		}
	}
	return nil
}

//go:build unix

package quality

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/therootcompany/xz"

	"vitrine/als/dataset"
	"vitrine/als/neighbors"
)

// dataDir is where the data sets lie, from this package's folder.
const dataDir = "../../../shared/data"

// layout is one of the file layouts of the package documentation.
type layout int

const (
	givenSplit layout = iota
	sessions
	leaveOneOut
	ratings
)

// folder is one data set found.
type folder struct {
	name        string
	layout      layout
	train, test string // test is "" for leaveOneOut
}

// folders lists the data sets, or skips the test when there are none.
func folders(t testing.TB) []folder {
	t.Helper()
	dir := os.Getenv("VITRINE_QUALITY_DATA")
	if dir == "" {
		dir = dataDir
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Skipf("no data sets in %s: put them there, or name a folder by VITRINE_QUALITY_DATA", dir)
	}
	only := strings.FieldsFunc(os.Getenv("VITRINE_QUALITY_ONLY"), func(r rune) bool { return r == ',' })
	var out []folder
	for _, e := range entries {
		if f, ok := recognise(filepath.Join(dir, e.Name())); ok && (len(only) == 0 || slices.Contains(only, f.name)) {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		t.Skipf("no data set of a known layout in %s", dir)
	}
	return out
}

// recognise finds out the layout of a folder by its files' names.
func recognise(dir string) (folder, bool) {
	f := folder{name: filepath.Base(dir)}
	var others []string
	paths, _ := filepath.Glob(filepath.Join(dir, "*.txt*"))
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".xz")
		switch {
		case name == "train.txt":
			f.train = path
		case name == "test.txt":
			f.test = path
		case strings.HasSuffix(name, ".train.txt"):
			f.train, f.layout = path, sessions
		case strings.HasSuffix(name, ".test.txt"):
			f.test, f.layout = path, sessions
		case strings.HasSuffix(name, ".txt"):
			others = append(others, path)
		}
	}
	if path := filepath.Join(dir, "u.data"); exists(path) {
		f.train, f.layout = path, ratings
		return f, true
	}
	if f.train != "" && f.test != "" {
		return f, true
	}
	if len(others) == 1 {
		f.train, f.layout = others[0], leaveOneOut
		return f, true
	}
	return f, false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readLines reads a file of lines of row numbers.
func readLines(t testing.TB, path string) (*neighbors.Sequences, int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r io.Reader = bufio.NewReader(file)
	if strings.HasSuffix(path, ".xz") {
		if r, err = xz.NewReader(r, 0); err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
	}
	q, items, err := parseLines(r)
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return q, items
}

// parseLines also returns one more than the largest number.
func parseLines(r io.Reader) (*neighbors.Sequences, int, error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 1<<24)
	var q neighbors.Sequences
	var row []uint32
	limit, line := 0, 0
	for scan.Scan() {
		line++
		row = row[:0]
		for _, field := range strings.Fields(scan.Text()) {
			v, err := strconv.ParseUint(field, 10, 31)
			if err != nil {
				return nil, 0, fmt.Errorf("line %d: %w", line, err)
			}
			row = append(row, uint32(v))
			limit = max(limit, int(v)+1)
		}
		if len(row) > 0 {
			q.Add(row)
		}
	}
	return &q, limit, scan.Err()
}

// withoutUser cuts the first number off every line and returns it apart.
func withoutUser(q *neighbors.Sequences) (users []uint32, out *neighbors.Sequences, items int) {
	out = &neighbors.Sequences{}
	for n := range q.Len() {
		users = append(users, q.At(n)[0])
		out.Add(q.At(n)[1:])
		for _, item := range q.At(n)[1:] {
			items = max(items, int(item)+1)
		}
	}
	return users, out, items
}

// matrix has a cell of weight 1 for every item of row n's sequence.
func matrix(t testing.TB, q *neighbors.Sequences, items int) *dataset.CSR {
	t.Helper()
	b := dataset.NewBuilder(items)
	for n := range q.Len() {
		row := slices.Clone(q.At(n))
		slices.Sort(row)
		for _, item := range slices.Compact(row) {
			if err := b.Add(item, 1); err != nil {
				t.Fatal(err)
			}
		}
		b.EndRow()
	}
	return b.Build()
}

func TestParseLines(t *testing.T) {
	q, limit, err := parseLines(strings.NewReader("1 2 3\n\n7\n"))
	if err != nil || q.Len() != 2 || limit != 8 || !slices.Equal(q.At(0), []uint32{1, 2, 3}) {
		t.Errorf("got %+v, %d, %v", q, limit, err)
	}
	if _, _, err := parseLines(strings.NewReader("1\n2 x\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("bad number: %v", err)
	}
}

func TestRecognise(t *testing.T) {
	for want, names := range map[layout][]string{
		givenSplit:  {"train.txt.xz", "test.txt", "SOURCE.md"},
		sessions:    {"shop.train.txt", "shop.test.txt.xz"},
		leaveOneOut: {"Beauty.txt.xz", "SOURCE.md"},
		ratings:     {"u.data", "README.txt"},
	} {
		dir := t.TempDir()
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if f, ok := recognise(dir); !ok || f.layout != want {
			t.Errorf("%v: %+v, %v", names, f, ok)
		}
	}
	if _, ok := recognise(t.TempDir()); ok {
		t.Error("an empty folder is a data set")
	}
}

package docs

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vitrine/appliance/config"
)

var update = flag.Bool("update", false, "write the import table of docs/DESIGN.md")

const (
	root   = "../.."
	design = "docs/DESIGN.md"
)

// pages lists the documents, as slash paths from the module's root.
func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(docs) < 3 {
		t.Fatalf("found %d documents (%v): the search is broken", len(docs), err)
	}
	names := []string{"README.md", "CHANGELOG.md"}
	for _, doc := range docs {
		names = append(names, "docs/"+filepath.Base(doc))
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section is what stands below a heading of the second level.
func section(t *testing.T, name, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(read(t, name), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", name, heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// folders are all that hold Go files, nested modules included, as slash paths
// from the module's root.
func folders(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != root && (strings.ContainsAny(base[:1], "._") || slices.Contains([]string{"testdata", "var", "dist"}, base)) {
				return fs.SkipDir // the Go command passes over them too, or git does
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			dir, err := filepath.Rel(root, filepath.Dir(name))
			found[filepath.ToSlash(dir)] = true
			return err
		}
		return nil
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("found %d folders (%v): the walk is broken", len(found), err)
	}
	return slices.Sorted(maps.Keys(found))
}

var mapRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// TestFileMap compares the file map with the folders that hold Go files. A row
// NAME/... covers the folders below NAME.
func TestFileMap(t *testing.T) {
	rows := map[string]bool{} // by folder: does it stand for one that exists?
	for _, m := range mapRow.FindAllStringSubmatch(section(t, design, "File map"), -1) {
		if _, twice := rows[m[1]]; twice {
			t.Errorf("%s: %s is in the file map twice", design, m[1])
		}
		rows[m[1]] = false
	}
	for _, folder := range folders(t) {
		row := folder
		for dir := path.Dir(folder); dir != "."; dir = path.Dir(dir) {
			if _, known := rows[dir+"/..."]; known {
				row = dir + "/..."
			}
		}
		if _, known := rows[row]; !known {
			t.Errorf("%s: the file map has no row for %s", design, folder)
			continue
		}
		rows[row] = true
	}
	for row, exists := range rows {
		if !exists {
			t.Errorf("%s: the file map has a row for %s, where there is no Go file", design, row)
		}
	}
}

var (
	fence  = regexp.MustCompile("(?ms)^```.*?^```$")
	link   = regexp.MustCompile(`\]\(([^)\s#]*)(#[^)\s]*)?\)`)
	header = regexp.MustCompile(`(?m)^#+ (.*)$`)
	nonTag = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are the link targets that the headings of a page make.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range header.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		out["#"+strings.ReplaceAll(nonTag.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return out
}

// TestLinks follows every relative link, and its anchor where it has one.
func TestLinks(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			target, anchor := m[1], m[2]
			if strings.Contains(target, ":") {
				continue // another site
			}
			links++
			name := page
			if target != "" {
				name = path.Join(path.Dir(page), target)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
				t.Errorf("%s: broken link %s", page, target)
				continue
			}
			if anchor != "" && !anchors(read(t, name))[anchor] {
				t.Errorf("%s: %s has no heading for %s", page, name, anchor)
			}
		}
	}
	if links < 5 {
		t.Errorf("found only %d relative links: the search is broken", links)
	}
}

var (
	code     = regexp.MustCompile("`([^`\n]+)`")
	codePath = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*/[\w.-]+\.(go|md|yaml|bin|bundle)$`)
)

// TestPaths looks up every source file that is named in inline code.
func TestPaths(t *testing.T) {
	named := 0
	for _, page := range pages(t) {
		for _, m := range code.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			top, _, _ := strings.Cut(m[1], "/")
			if _, err := os.Stat(filepath.Join(root, top)); err != nil || !codePath.MatchString(m[1]) {
				continue // not of this repository: a file of the data folder
			}
			named++
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: there is no %s", page, m[1])
			}
		}
	}
	if named < 10 {
		t.Errorf("found only %d paths: the search is broken", named)
	}
}

// TestImportTable compares the table with the rules that internal/archtest
// enforces.
func TestImportTable(t *testing.T) {
	const begin, end = "<!-- generated by: go test ./internal/docs -update -->\n", "<!-- end of generated -->"
	want := importTable(parseRules(t, "internal/archtest/rules_test.go"))
	text := read(t, design)
	head, rest, found := strings.Cut(text, begin)
	have, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the import table", design)
	}
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("%s: the import table is not that of internal/archtest; run: go test ./internal/docs -update\nwant:\n%s", design, want)
	}
	if err := os.WriteFile(filepath.Join(root, design), []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

var (
	sampleTable = regexp.MustCompile(`^\[([a-z.]+)\]$`)
	sampleKey   = regexp.MustCompile(`^# ([a-z_]+) = `)
	dotted      = regexp.MustCompile(`^([a-z]+)(\.[a-z_]+)+$`)
	setFlag     = regexp.MustCompile(`--set[ =]([a-zA-Z_.]+)=`)
)

// noKeys look like configuration keys and are none.
var noKeys = []string{
	"log.records", // the subject of the bus
}

// TestConfigKeys looks up every configuration key that the documents name, in
// inline code or after --set.
func TestConfigKeys(t *testing.T) {
	keys, tables := map[string]bool{}, map[string]bool{}
	table := ""
	for line := range strings.Lines(config.Sample()) {
		line = strings.TrimSpace(line)
		if m := sampleTable.FindStringSubmatch(line); m != nil {
			table = m[1]
			first, _, _ := strings.Cut(table, ".")
			tables[first] = true
		} else if m := sampleKey.FindStringSubmatch(line); m != nil {
			keys[table+"."+m[1]] = true
		}
	}
	if !keys["http.listen"] || !keys["ingest.types.view"] {
		t.Fatalf("the sample was not understood: %v", keys)
	}
	named := 0
	check := func(page, key string) {
		named++
		if !keys[key] {
			t.Errorf("%s: there is no configuration key %s", page, key)
		}
	}
	for _, page := range pages(t) {
		text := read(t, page)
		for _, m := range setFlag.FindAllStringSubmatch(text, -1) {
			if m[1] != "key" {
				check(page, m[1])
			}
		}
		for _, m := range code.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			parts := dotted.FindStringSubmatch(m[1])
			if parts == nil || !tables[parts[1]] || path.Ext(m[1]) == ".go" || slices.Contains(noKeys, m[1]) {
				continue
			}
			check(page, m[1])
		}
	}
	if named < 3 {
		t.Errorf("found only %d configuration keys: the search is broken", named)
	}
}

package sdk_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"vitrine/sdk/abi"
)

// TestGuideShowsTestedCode: every Go and TOML block of the author's guide
// stands, word for word, in a file of this module, where it is compiled and
// tested.
func TestGuideShowsTestedCode(t *testing.T) {
	guide, err := os.ReadFile("../docs/PLUGINS.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == "docs_test.go" {
			return err
		}
		text, err := os.ReadFile(path)
		sources.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(?:go|toml)\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	if len(blocks) < 3 {
		t.Fatalf("the guide has %d blocks of code", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(sources.String(), b[1]) {
			t.Errorf("not in any file of the sdk:\n%s", b[1])
		}
	}
}

// TestABIDocumentAgrees: the tables of docs/ABI.md have the numbers of the
// code.
func TestABIDocumentAgrees(t *testing.T) {
	document, err := os.ReadFile("../docs/ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	offsets := map[string]int{
		"magic": abi.OffMagic, "abi": abi.OffABI, "size": abi.OffSize, "cap": abi.OffCap,
		"columns": abi.OffColumns, "table": abi.OffTable, "item": abi.OffItem, "score": abi.OffScore,
		"mask": abi.OffMask, "out": abi.OffOut, "n": abi.OffN, "show": abi.OffShow, "kind": abi.OffKind,
		"flags": abi.OffFlags, "now": abi.OffNow, "seed": abi.OffSeed, "user": abi.OffUser, "scene": abi.OffScene,
	}
	field := regexp.MustCompile(`(?m)^\| (\d+) \| [uif]\d+ \| (\w+) \| (?:guest|host) \|`)
	for _, m := range field.FindAllStringSubmatch(string(document), -1) {
		if at, known := offsets[m[2]]; !known || strconv.Itoa(at) != m[1] {
			t.Errorf("%s is documented at %s, is at %d", m[2], m[1], at)
		}
		delete(offsets, m[2])
	}
	for name := range offsets {
		t.Errorf("%s is not documented", name)
	}
	for k := abi.Feature; k <= abi.Event; k++ {
		if row := "| " + strconv.Itoa(int(k)) + " | " + k.String() + " |"; !strings.Contains(string(document), row) {
			t.Errorf("no row %q", row)
		}
	}
	for _, i := range abi.Imports() {
		if !strings.Contains(string(document), "`"+i.Name+"(") {
			t.Errorf("import %s is not documented", i.Name)
		}
	}
}

// TestGuestsStaySmall: what a plugin links must not bring in the packages that
// make a module large, or files and the network, which it does not have.
func TestGuestsStaySmall(t *testing.T) {
	list := exec.Command("go", "list", "-deps", ".")
	list.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, p := range strings.Fields(string(out)) {
		switch p {
		case "fmt", "encoding/json", "log", "log/slog", "reflect", "os", "net", "time", "sync":
			t.Errorf("the sdk links %s into guests", p)
		}
	}
}

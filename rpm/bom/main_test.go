package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestMaterials(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v1.0.0"},
		{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/c", Version: "v2.0.0"}},
		{Path: "example.com/own", Version: "v0.0.0", Replace: &debug.Module{Path: "./own"}},
	}}
	got := materials(info, "1.2.3")
	var names []string
	for _, c := range got.Components {
		names = append(names, c.PURL)
	}
	want := []string{"pkg:golang/std@1.26.8", "pkg:golang/example.com/a@v1.0.0", "pkg:golang/example.com/c@v2.0.0"}
	if len(names) != len(want) {
		t.Fatalf("components %v, want %v", names, want)
	}
	for i := range want {
		if names[i] != want[i] {
			t.Errorf("component %d is %s, want %s", i, names[i], want[i])
		}
	}
	if c := got.Metadata.Component; c.Name != "vitrine" || c.Version != "1.2.3" {
		t.Errorf("the whole is %+v", c)
	}
}

func TestLicences(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "out")
	if err := copyLicences(from, to); err == nil {
		t.Error("a module without a licence passes")
	}
	for _, name := range []string{"License.md", "NOTICE", "main.go"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyLicences(from, to); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(to); len(files) != 2 {
		t.Errorf("copied %v", files)
	}
	if got := escape("github.com/HdrHistogram/x"); got != "github.com/!hdr!histogram/x" {
		t.Errorf("escaped to %s", got)
	}
}

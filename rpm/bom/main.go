// Command bom writes what a binary is made of: a CycloneDX bill of materials
// from the build information inside it, and the licence texts of all modules
// that are linked, from the module cache that they were built from.
//
// It is a tool of the package build; the product does not hold it. It imports
// the standard library alone.
//
//	go run ./rpm/bom -binary dist/vitrine -version 1.2.3 -dir doc
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"unicode"
)

func main() {
	binary := flag.String("binary", "", "the program `FILE`")
	version := flag.String("version", "", "its version")
	dir := flag.String("dir", "", "the `DIR` that sbom.cdx.json and licences/ are written to")
	flag.Parse()
	if err := write(*binary, *version, *dir); err != nil {
		fmt.Fprintf(os.Stderr, "bom: %v\n", err)
		os.Exit(1)
	}
}

func write(binary, version, dir string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read the build information of %s: %w", binary, err)
	}
	doc, err := json.MarshalIndent(materials(info, version), "", "  ")
	if err != nil {
		return fmt.Errorf("encode bill of materials: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "sbom.cdx.json"), append(doc, '\n'), 0o644); err != nil {
		return err
	}
	cache, err := goEnv("GOMODCACHE")
	if err != nil {
		return err
	}
	goroot, err := goEnv("GOROOT")
	if err != nil {
		return err
	}
	licences := filepath.Join(dir, "licences")
	var missing []error
	if err := copyLicences(goroot, filepath.Join(licences, "go")); err != nil {
		missing = append(missing, err)
	}
	for _, m := range modules(info) {
		if err := copyLicences(filepath.Join(cache, escape(m.Path)+"@"+escape(m.Version)), filepath.Join(licences, filepath.FromSlash(m.Path))); err != nil {
			missing = append(missing, err)
		}
	}
	return errors.Join(missing...)
}

func goEnv(name string) (string, error) {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// modules are what the program is linked of beside itself, replacements
// resolved.
func modules(info *debug.BuildInfo) []*debug.Module {
	var out []*debug.Module
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" && m.Version != "(devel)" { // the rest lies in this repository
			out = append(out, m)
		}
	}
	return out
}

// component is one part in the bill of materials.
type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
}

// bill is the part of CycloneDX 1.5 that is written.
type bill struct {
	Format      string `json:"bomFormat"`
	SpecVersion string `json:"specVersion"`
	Version     int    `json:"version"`
	Metadata    struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

// materials holds no time and no random serial number: the same program has
// the same bill.
func materials(info *debug.BuildInfo, version string) bill {
	out := bill{Format: "CycloneDX", SpecVersion: "1.5", Version: 1}
	out.Metadata.Component = component{Type: "application", Ref: "vitrine", Name: "vitrine", Version: version}
	toolchain := strings.TrimPrefix(info.GoVersion, "go")
	out.Components = append(out.Components, component{
		Type: "library", Ref: "pkg:golang/std@" + toolchain, Name: "std", Version: toolchain, PURL: "pkg:golang/std@" + toolchain,
	})
	for _, m := range modules(info) {
		purl := "pkg:golang/" + m.Path + "@" + m.Version
		out.Components = append(out.Components, component{Type: "library", Ref: purl, Name: m.Path, Version: m.Version, PURL: purl})
	}
	return out
}

// escape is a module path or version as the module cache spells it: capitals
// become "!" and the small letter.
func escape(path string) string {
	var b strings.Builder
	for _, r := range path {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// licenceNames are how the files begin that have to go with a copy.
func licenceNames() []string { return []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"} }

// copyLicences takes the licence files of one module; a module without any is
// an error, for it must not be shipped.
func copyLicences(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("read licences: %w (go mod download fetches the modules)", err)
	}
	found := false
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !slices.ContainsFunc(licenceNames(), func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), text, 0o644); err != nil {
			return err
		}
		found = found || !strings.HasPrefix(name, "PATENTS")
	}
	if !found {
		return fmt.Errorf("%s has no licence file", from)
	}
	return nil
}

// Package sample checks, for the tests of the shelf, that the sample NAME.toml
// beside a plugin says what the plugin says.
package sample

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"vitrine/sdk"
)

// Agrees fails the test unless the [config] table of the file has exactly the
// plugin's keys, each with its default. Values are scalars on one line, so a
// reader of lines does.
func Agrees(t *testing.T, define func(p *sdk.Plugin), file string) {
	t.Helper()
	h, err := sdk.NewHarness(define, nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := h.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if file != manifest.Name+".toml" {
		t.Errorf("%s lies beside plugin %s", file, manifest.Name)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	_, table, _ := strings.Cut(string(text), "[config]\n")
	for line := range strings.Lines(table) {
		line, _, _ = strings.Cut(line, "#")
		if key, value, found := strings.Cut(line, "="); found {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	for _, k := range manifest.Config {
		want, err := json.Marshal(k.Default)
		if err != nil {
			t.Fatal(err)
		}
		if values[k.Key] != string(want) {
			t.Errorf("%s: %s = %q, the default is %s", file, k.Key, values[k.Key], want)
		}
		delete(values, k.Key)
	}
	for key := range values {
		t.Errorf("%s: the plugin has no key %s", file, key)
	}
}

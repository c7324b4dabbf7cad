package config

import (
	"strings"
	"testing"
)

func TestNamesOfTopics(t *testing.T) {
	for name, want := range map[string]bool{
		"items-2": true, "shop.events_2": true, "": true, strings.Repeat("t", 249): true,
		strings.Repeat("t", 250): false, "user events": false, "klicks\u00e4": false, "a/b": false,
	} {
		_, err := Load(Sources{Set: []string{"kafka.items_topic=" + name}, DataDir: t.TempDir()})
		if want != (err == nil) || err != nil && !strings.Contains(err.Error(), "kafka.items_topic") {
			t.Errorf("%q: %v, want it to be taken: %v", name, err, want)
		}
	}
}

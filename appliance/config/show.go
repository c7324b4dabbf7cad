package config

import (
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Show is the effective configuration as TOML, every key with its value.
func (c *Config) Show() string { return c.write(false) }

// Sample is the annotated sample: every key with its meaning and default,
// commented out.
func Sample() string {
	return "# Vitrine's configuration. Every key is optional; what stands here is the default.\n" +
		"# Sizes are numbers of bytes or \"32MiB\"; times are \"30s\", \"6h\" or \"7d\".\n\n" + Default().write(true)
}

func (c *Config) write(sample bool) string {
	var b strings.Builder
	lead := ""
	if sample {
		lead = "# "
	}
	table := ""
	for _, k := range keys() {
		dot := strings.LastIndexByte(k.name, '.')
		if t := k.name[:dot]; t != table {
			if table == "ingest" {
				c.writeTypes(&b, lead)
			}
			if table != "" {
				b.WriteByte('\n')
			}
			table = t
			b.WriteString("[" + t + "]\n")
		}
		if sample {
			b.WriteString("# " + k.doc + "\n")
		}
		b.WriteString(lead + k.name[dot+1:] + " = " + k.show(c) + "\n")
	}
	return b.String()
}

func (c *Config) writeTypes(b *strings.Builder, lead string) {
	names := make([]string, 0, len(c.Ingest.Types))
	for name := range c.Ingest.Types {
		names = append(names, name)
	}
	sort.Strings(names)
	b.WriteString("\n[ingest.types]\n")
	if lead != "" {
		b.WriteString("# Weight of one event of each type; further types may be added. 0 is kept but does not rank.\n")
	}
	for _, name := range names {
		b.WriteString(lead + name + " = " + weight(name).show(c) + "\n")
	}
}

// Map is the effective configuration as nested maps, for JSON.
func (c *Config) Map() map[string]any {
	out := map[string]any{}
	// Show is TOML by construction, so this cannot fail.
	_ = toml.Unmarshal([]byte(c.Show()), &out)
	return out
}

package pluginhost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"vitrine/internal/nearest"
	"vitrine/sdk/abi"
)

const (
	onErrorSkip = "skip"
	onErrorDeny = "deny"
	// maxSidecar bounds NAME.toml.
	maxSidecar = 64 << 10
)

// sidecar is NAME.toml: what the operator says about a plugin. It can narrow
// what the module asks for, never widen it.
type sidecar struct {
	// Enabled is true unless the file says otherwise.
	Enabled *bool `toml:"enabled"`
	// Kinds, when given, are the only kinds of the module that are used.
	Kinds []string `toml:"kinds"`
	// OnError is "skip" (default: without the plugin's opinion) or "deny"
	// (nothing that it did not approve of is shown).
	OnError string `toml:"on_error"`
	// Budget is the time one call may take; at most the host's.
	Budget string `toml:"budget"`
	// Config is handed to the module as JSON.
	Config map[string]any `toml:"config"`

	budget time.Duration
	// absent says that no operator is there to ask: the module is inspected.
	absent bool
}

func (s *sidecar) enabled() bool { return s.Enabled == nil || *s.Enabled }

func (s *sidecar) deny() bool { return s.OnError == onErrorDeny }

// allows says whether the operator lets the plugin do that kind.
func (s *sidecar) allows(k abi.Kind) bool {
	return s == nil || len(s.Kinds) == 0 || slices.Contains(s.Kinds, k.String())
}

// inherit completes a file that does not parse by the last one that did: an
// operator's slip of the pen neither ends a denial nor enables a plugin.
func (s *sidecar) inherit(last *sidecar) {
	if last == nil {
		return
	}
	if s.Enabled == nil {
		s.Enabled = last.Enabled
	}
	if !s.deny() {
		s.OnError = last.OnError
	}
}

// parseSidecar decodes and checks NAME.toml; no bytes mean the defaults. On an
// error the result still holds what could be read, so that a filter that must
// deny goes on denying while its file is wrong.
func parseSidecar(data []byte, maxBudget time.Duration) (*sidecar, error) {
	s := &sidecar{}
	if len(data) > maxSidecar {
		return s, fmt.Errorf("more than %d KiB", maxSidecar>>10)
	}
	if err := toml.Unmarshal(data, s); err != nil {
		return s, tomlFault(err)
	}
	if err := checkKeys(data); err != nil {
		return s, err
	}
	if !slices.Contains([]string{"", onErrorSkip, onErrorDeny}, s.OnError) {
		return s, fmt.Errorf("on_error is %q, want %q or %q", s.OnError, onErrorSkip, onErrorDeny)
	}
	if _, err := json.Marshal(s.Config); err != nil { // as for an infinite number
		return s, fmt.Errorf("[config]: %w", err)
	}
	if s.Budget != "" {
		budget, err := time.ParseDuration(s.Budget)
		if err != nil || budget <= 0 {
			return s, fmt.Errorf("budget is %q, want a time such as %q", s.Budget, "2ms")
		}
		if budget > maxBudget {
			return s, fmt.Errorf("budget %v is above the %v that the configuration allows", budget, maxBudget)
		}
		s.budget = budget
	}
	return s, nil
}

// tomlFault is one line for what the decoder found.
func tomlFault(err error) error {
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		row, _ := decode.Position()
		if key := decode.Key(); len(key) == 1 && wanted(key[0]) != "" {
			return fmt.Errorf("line %d: %s is not %s", row, key[0], wanted(key[0]))
		}
		return fmt.Errorf("line %d: %s", row, firstLine(strings.TrimPrefix(decode.Error(), "toml: ")))
	}
	return errors.New(firstLine(err.Error()))
}

// wanted are the words for the values of a known key, "" for another.
func wanted(key string) string {
	for f := range reflect.TypeFor[sidecar]().Fields() {
		if f.Tag.Get("toml") != key {
			continue
		}
		switch f.Type.Kind() {
		case reflect.Pointer:
			return "true or false"
		case reflect.Slice:
			return "an array of texts"
		case reflect.Map:
			return "a table"
		}
		return "a text"
	}
	return ""
}

// checkKeys finds the first key that NAME.toml does not have. The decoder's own
// check takes "Enabled" for "enabled", which the next tool would not.
func checkKeys(data []byte) error {
	known := sidecarKeys()
	var p unstable.Parser
	p.Reset(data)
	for table := false; p.NextExpression(); {
		e := p.Expression()
		if e.Kind == unstable.KeyValue && table {
			continue
		}
		table = e.Kind != unstable.KeyValue
		key := e.Key()
		if !key.Next() {
			continue
		}
		name := string(key.Node().Data)
		if slices.Contains(known, name) {
			continue
		}
		line := bytes.Count(data[:key.Node().Raw.Offset], []byte("\n")) + 1
		if near := nearest.Name(name, known); near != "" {
			return fmt.Errorf("line %d: unknown key %s (nearest key: %s)", line, name, near)
		}
		return fmt.Errorf("line %d: unknown key %s", line, name)
	}
	return nil
}

// sidecarKeys are the known keys, from the struct's own tags.
func sidecarKeys() []string {
	var keys []string
	for f := range reflect.TypeFor[sidecar]().Fields() {
		if tag := f.Tag.Get("toml"); tag != "" {
			keys = append(keys, tag)
		}
	}
	return keys
}

// withEnabled is the text of NAME.toml with enabled set, and every other byte
// as it was, so that comments survive.
func withEnabled(data []byte, enabled bool) ([]byte, error) {
	line := fmt.Sprintf("enabled = %t", enabled)
	var p unstable.Parser
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.KeyValue {
			break // a table begins: top-level keys are over
		}
		if keyOf(e) != "enabled" {
			continue
		}
		raw := e.Value().Raw
		if raw.Length == 0 {
			raw = p.Range(e.Value().Data)
		}
		out := append([]byte{}, data[:raw.Offset]...)
		out = fmt.Appendf(out, "%t", enabled)
		return append(out, data[raw.Offset+raw.Length:]...), nil
	}
	if err := p.Error(); err != nil {
		return nil, errors.New(firstLine(err.Error()))
	}
	return append([]byte(line+"\n"), data...), nil
}

// keyOf is a key that is one word, "" for a dotted one.
func keyOf(e *unstable.Node) string {
	word, words := "", 0
	for keys := e.Key(); keys.Next(); words++ {
		word = string(keys.Node().Data)
	}
	if words != 1 {
		return ""
	}
	return word
}

// firstLine keeps one line of a text that others wrote.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}

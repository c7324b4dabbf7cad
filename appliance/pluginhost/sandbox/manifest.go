package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"vitrine/appliance/pluginhost/guard"
	"vitrine/internal/nearest"
	"vitrine/sdk/abi"
)

// Prepare checks and rewrites a module, and checks that it exports what the
// ABI asks for, before anything of it runs.
func Prepare(wasm []byte) (*guard.Module, error) {
	m, err := guard.Prepare(wasm, guard.Limits{MaxPages: maxPages, StartFuel: setupFuel, Allowed: importable})
	if err != nil {
		return nil, err
	}
	wanted := map[string]string{
		abi.ExportInitialize: "()",
		abi.ExportABI:        "() -> (i32)",
		abi.ExportDescribe:   "() -> (i64)",
		abi.ExportBuffer:     "(i32) -> (i32)",
		abi.ExportConfigure:  "(i32 i32) -> (i32)",
		abi.ExportReserve:    "(i32) -> (i32)",
	}
	for k := abi.Feature; k <= abi.Event; k++ {
		wanted[k.Export()] = "(i32) -> (i32)"
	}
	missing := []string{abi.ExportABI, abi.ExportDescribe, abi.ExportBuffer, abi.ExportConfigure, abi.ExportReserve}
	memory := false
	for _, e := range m.Exports {
		if e.Name == abi.ExportMemory {
			memory = e.Kind == guard.KindMemory
		}
		signature, known := wanted[e.Name]
		if !known {
			continue
		}
		if e.Kind != guard.KindFunction || e.Signature != signature {
			return nil, fmt.Errorf("exports %s as %s, want a function %s", e.Name, e.Signature, signature)
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == e.Name })
	}
	if !memory {
		return nil, fmt.Errorf("no Vitrine plugin: exports no memory %q", abi.ExportMemory)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("no Vitrine plugin: exports no %s", missing[0])
	}
	return m, nil
}

// parseManifest decodes what vitrine_describe answered, strictly.
func parseManifest(text string) (*abi.Manifest, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	m := &abi.Manifest{}
	if err := decoder.Decode(m); err != nil {
		return nil, fmt.Errorf("manifest: %s", firstLine(err.Error()))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("manifest: text after the object")
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	for _, k := range m.Kinds {
		if !k.Works() {
			return nil, fmt.Errorf("manifest: kind %s does not work in ABI %d", k, abi.Version)
		}
	}
	if m.Pages > maxPages {
		return nil, fmt.Errorf("manifest: asks for %d pages of memory, at most %d", m.Pages, maxPages)
	}
	return m, nil
}

// configFor is the configuration of a plugin as JSON: every declared key with
// the operator's value or the default. A key without either is a fault, or
// empty where that is allowed.
func configFor(m *abi.Manifest, operator map[string]any, allowMissing bool) ([]byte, error) {
	names := make([]string, len(m.Config))
	values := make(map[string]any, len(m.Config))
	for i, k := range m.Config {
		names[i] = k.Key
		value, given := operator[k.Key]
		if !given {
			values[k.Key] = k.Default
			if k.Default == nil && allowMissing {
				values[k.Key] = empty(k.Type)
			} else if k.Default == nil {
				return nil, fmt.Errorf("config.%s is missing (%s, %s)", k.Key, k.Type, k.Help)
			}
			continue
		}
		converted, ok := convert(k.Type, value)
		if !ok {
			return nil, fmt.Errorf("config.%s is %v, want %s", k.Key, value, wantType(k.Type))
		}
		values[k.Key] = converted
	}
	for key := range operator {
		if _, known := values[key]; !known {
			if near := nearest.Name(key, names); near != "" {
				return nil, fmt.Errorf("unknown key config.%s (nearest key: config.%s)", key, near)
			}
			return nil, fmt.Errorf("unknown key config.%s", key)
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return text, nil
}

func empty(t string) any {
	switch t {
	case abi.KeyNumber:
		return 0.0
	case abi.KeyText:
		return ""
	case abi.KeyFlag:
		return false
	}
	return []any{}
}

func wantType(t string) string {
	switch t {
	case abi.KeyNumber:
		return "a number"
	case abi.KeyText:
		return "a text"
	case abi.KeyFlag:
		return "true or false"
	}
	return "an array of texts"
}

// convert takes a value from TOML or JSON to the type of a key.
func convert(t string, value any) (any, bool) {
	switch t {
	case abi.KeyNumber:
		if i, ok := value.(int64); ok {
			return float64(i), true
		}
		f, ok := value.(float64)
		return f, ok && f-f == 0
	case abi.KeyText:
		s, ok := value.(string)
		return s, ok
	case abi.KeyFlag:
		b, ok := value.(bool)
		return b, ok
	}
	list, ok := value.([]any)
	for _, v := range list {
		if _, text := v.(string); !text {
			return nil, false
		}
	}
	if list == nil {
		list = []any{}
	}
	return list, ok
}

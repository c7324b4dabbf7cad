package plugins

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/sdk/abi"
)

// maxBytes is what a module of the shelf may weigh. Go's runtime is 1.8 MB.
const maxBytes = 2_300_000

// TestModules builds every plugin as the Makefile does, and looks at the
// module's import and export sections: it must be what a host of this ABI
// takes.
func TestModules(t *testing.T) {
	samples, err := filepath.Glob("*/*.toml")
	if err != nil || len(samples) < 3 {
		t.Fatalf("found %v, %v", samples, err)
	}
	for _, path := range samples {
		name := filepath.Dir(path)
		t.Run(name, func(t *testing.T) {
			if want := name + ".toml"; filepath.Base(path) != want {
				t.Errorf("sample is %s, want %s", path, want)
			}
			module := build(t, name)
			if len(module) > maxBytes {
				t.Errorf("%d bytes, at most %d", len(module), maxBytes)
			}
			m, err := parse(module)
			if err != nil {
				t.Fatal(err)
			}
			checkImports(t, m)
			checkExports(t, m)
		})
	}
}

func build(t *testing.T, name string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), name+".wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, "./"+name)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func checkImports(t *testing.T, m *module) {
	t.Helper()
	for _, got := range m.imports {
		if !slices.Contains(abi.Imports(), got) {
			t.Errorf("imports %+v, which the host does not offer", got)
		}
	}
}

func checkExports(t *testing.T, m *module) {
	t.Helper()
	want := map[string]string{
		abi.ExportMemory:     "memory",
		abi.ExportInitialize: "() -> ()",
		abi.ExportABI:        "() -> (i)",
		abi.ExportDescribe:   "() -> (I)",
		abi.ExportBuffer:     "(i) -> (i)",
		abi.ExportConfigure:  "(ii) -> (i)",
		abi.ExportReserve:    "(i) -> (i)",
		abi.Feature.Export(): "(i) -> (i)",
		abi.Scorer.Export():  "(i) -> (i)",
		abi.Filter.Export():  "(i) -> (i)",
	}
	for name, what := range want {
		if m.exports[name] != what {
			t.Errorf("export %s is %q, want %q", name, m.exports[name], what)
		}
	}
	for name := range m.exports {
		if _, known := want[name]; !known || strings.HasPrefix(name, abi.ReservedPrefix) {
			t.Errorf("unexpected export %s", name)
		}
	}
}

// module is what the test needs to know of one.
type module struct {
	imports []abi.Import
	exports map[string]string
}

var errShort = errors.New("module ends early")

// parse reads the type, import, function and export sections.
func parse(data []byte) (m *module, err error) {
	defer func() {
		if e, ok := recover().(error); ok {
			m, err = nil, e
		}
	}()
	if !bytes.HasPrefix(data, []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errors.New("no WebAssembly module")
	}
	m = &module{exports: map[string]string{}}
	r := &reader{data[8:]}
	var types []signature
	var functions []uint32
	for len(r.data) > 0 {
		id := r.byte()
		s := &reader{r.bytes(r.number())}
		switch id {
		case 1:
			for n := s.number(); n > 0; n-- {
				s.byte() // 0x60, a function
				types = append(types, signature{s.values(), s.values()})
			}
		case 2:
			for n := s.number(); n > 0; n-- {
				i := abi.Import{Module: s.name(), Name: s.name()}
				if kind := s.byte(); kind != 0 {
					return nil, fmt.Errorf("import %s.%s is no function", i.Module, i.Name)
				}
				of := s.number()
				functions = append(functions, of)
				i.Params, i.Results = types[of].params, types[of].results
				m.imports = append(m.imports, i)
			}
		case 3:
			for n := s.number(); n > 0; n-- {
				functions = append(functions, s.number())
			}
		case 7:
			for n := s.number(); n > 0; n-- {
				name, kind, index := s.name(), s.byte(), s.number()
				switch kind {
				case 0:
					t := types[functions[index]]
					m.exports[name] = "(" + t.params + ") -> (" + t.results + ")"
				case 2:
					m.exports[name] = "memory"
				default:
					m.exports[name] = "other"
				}
			}
		}
	}
	return m, nil
}

type signature struct{ params, results string }

// reader panics with errShort at the end of the data.
type reader struct{ data []byte }

func (r *reader) byte() byte { return r.bytes(1)[0] }

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.data)) {
		panic(errShort)
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) name() string { return string(r.bytes(r.number())) }

// number is an unsigned LEB128.
func (r *reader) number() uint32 {
	var v uint32
	for shift := 0; ; shift += 7 {
		b := r.byte()
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
}

// values are the types of parameters or results, a letter each.
func (r *reader) values() string {
	letters := map[byte]byte{0x7f: 'i', 0x7e: 'I', 0x7d: 'f', 0x7c: 'F'}
	types := slices.Clone(r.bytes(r.number()))
	for i, t := range types {
		types[i] = letters[t]
	}
	return string(types)
}

package archtest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"go/ast"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// profiled is the name of a function of ours in a profile: folder, receiver, name; of
// a closure: folder, the function that it is in, name.
var profiled = regexp.MustCompile(`^vitrine/([a-z0-9/]+)\.(?:\(?\*?(\w+)(?:\[.*\])?\)?\.)?(\w+)(?:\.|\[|$)`)

// TestProfile tells when the compiler's profile is of functions that are no more, of
// which what it says is lost without a word, and when it names a machine's folders.
func TestProfile(t *testing.T) {
	declared := declarations(t)
	n, gone := 0, []string(nil)
	for _, text := range profileStrings(t, "../../cmd/vitrine/default.pgo") {
		if filepath.Ext(text) == ".go" {
			if filepath.IsAbs(text) {
				t.Fatalf("cmd/vitrine/default.pgo names the folder of %s; run `make profile`, which builds with -trimpath", text)
			}
			continue
		}
		m := profiled.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		n++
		if names := declared[m[1]]; !names[m[2]] && !names[m[3]] {
			gone = append(gone, text)
		}
	}
	if n < 100 || len(gone) > n/10 {
		t.Errorf("of %d functions in cmd/vitrine/default.pgo %d are not in the sources; run `make profile` on a quiet machine:\n%s", n, len(gone), strings.Join(gone, "\n"))
	}
}

// profileStrings are the texts of a profile: the sixth field of its message
// (profile.proto of github.com/google/pprof).
func profileStrings(t *testing.T, path string) (out []string) {
	t.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	message, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	number := func() uint64 {
		v, n := binary.Uvarint(message)
		if n <= 0 {
			t.Fatalf("%s: this is no profile", path)
		}
		message = message[n:]
		return v
	}
	for len(message) > 0 {
		const varint, sized, strings = 0, 2, 6
		switch key := number(); key & 7 {
		case varint:
			number()
		case sized:
			size := min(number(), uint64(len(message)))
			if key>>3 == strings {
				out = append(out, string(message[:size]))
			}
			message = message[size:]
		}
	}
	return out
}

// declarations are the names of the functions and methods of each folder.
func declarations(t *testing.T) map[string]map[string]bool {
	t.Helper()
	names := map[string]map[string]bool{}
	for _, src := range sources(t) {
		if names[src.pkg] == nil {
			names[src.pkg] = map[string]bool{}
		}
		for _, d := range src.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				names[src.pkg][f.Name.Name] = true
			}
		}
	}
	return names
}

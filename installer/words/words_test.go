package words

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTranslations: each sentence that the program can say is known in
// Chinese, with the same values in the same order, and no other is.
func TestTranslations(t *testing.T) {
	verbs := regexp.MustCompile(`%[a-z]`)
	said := map[string]bool{}
	for _, root := range []string{"..", "../../cmd/vitrine/setup"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				f, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || f.Sel.Name != "New" {
					return true
				}
				if pkg, ok := f.X.(*ast.Ident); !ok || pkg.Name != "words" {
					return true
				}
				literal, ok := call.Args[0].(*ast.BasicLit)
				if !ok {
					t.Errorf("%s: words.New of something else than a literal", name)
					return true
				}
				format, _ := strconv.Unquote(literal.Value)
				said[format] = true
				chinese, ok := Translation(format)
				if !ok {
					t.Errorf("%s: no Chinese for %q", name, format)
				} else if !slices.Equal(verbs.FindAllString(format, -1), verbs.FindAllString(chinese, -1)) {
					t.Errorf("%s: other values in Chinese: %q, %q", name, format, chinese)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(said) < 20 {
		t.Fatalf("%d sentences found: the search is broken", len(said))
	}
	for line := range strings.Lines(zh) {
		if english, _, _ := strings.Cut(line, "\t"); !said[english] {
			t.Errorf("nobody says %q", english)
		}
	}
}

func TestLanguage(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	for _, c := range []struct {
		flag string
		env  func(string) string
		want Language
	}{
		{"", env(), English},
		{"", env("LANG", "zh_CN.UTF-8"), Chinese},
		{"", env("LC_ALL", "C", "LANG", "zh_CN.UTF-8"), English},
		{"zh", env("LANG", "C"), Chinese},
	} {
		if got, err := Parse(c.flag, c.env); got != c.want || err != nil {
			t.Errorf("Parse(%q) = %s, %v", c.flag, got, err)
		}
	}
	if _, err := Parse("fr", env()); err == nil {
		t.Error("fr passes")
	}
	text := New("%d or more", 3)
	if text.In(English) != "3 or more" || text.In(Chinese) == text.In(English) {
		t.Error(text.In(English), text.In(Chinese))
	}
}

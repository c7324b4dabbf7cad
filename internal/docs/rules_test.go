package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// importRule is a row of the table in internal/archtest.
type importRule struct {
	pkg          string
	own, foreign []string
}

// parseRules reads the variable rules out of the source that enforces them, so
// that it need not be exported.
func parseRules(t *testing.T, name string) []importRule {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(name)), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rules []importRule
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || spec.Names[0].Name != "rules" || len(spec.Values) != 1 {
			return true
		}
		for _, row := range spec.Values[0].(*ast.CompositeLit).Elts {
			var r importRule
			for _, field := range row.(*ast.CompositeLit).Elts {
				kv := field.(*ast.KeyValueExpr)
				switch name := kv.Key.(*ast.Ident).Name; name {
				case "pkg":
					r.pkg = literal(t, kv.Value)
				case "own":
					r.own = literals(t, kv.Value)
				case "foreign":
					r.foreign = literals(t, kv.Value)
				default:
					t.Fatalf("%s: a rule has a field %s, which the table of %s does not show", file.Name.Name, name, design)
				}
			}
			rules = append(rules, r)
		}
		return false
	})
	if len(rules) < 10 {
		t.Fatalf("found only %d rules in %s: the search is broken", len(rules), name)
	}
	return rules
}

func literals(t *testing.T, e ast.Expr) []string {
	t.Helper()
	var out []string
	for _, el := range e.(*ast.CompositeLit).Elts {
		out = append(out, literal(t, el))
	}
	return out
}

// literal is the value of a string literal, or the name of a constant.
func literal(t *testing.T, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return s
	case *ast.Ident:
		return e.Name
	}
	t.Fatalf("a rule holds a %T", e)
	return ""
}

// importTable is the rules as a table in Markdown.
func importTable(rules []importRule) string {
	var b strings.Builder
	b.WriteString("| package | of this module | foreign |\n|---|---|---|\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.pkg, list(r.own), list(r.foreign))
	}
	return b.String()
}

func list(names []string) string {
	switch {
	case len(names) == 0:
		return "none"
	case names[0] == "anything":
		return "anything"
	}
	return "`" + strings.Join(names, "` `") + "`"
}

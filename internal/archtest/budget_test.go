package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The budget of docs/DESIGN.md. Generated files and tests are exempt.
const (
	maxFileLines    = 600
	maxFuncLines    = 120
	maxParams       = 5
	maxKernelParams = 8 // als/internal/f32 only
	maxPackageLines = 2500
)

// source is one parsed Go file.
type source struct {
	name      string // slash path from the module's root
	pkg       string // folder from the module's root
	lines     int
	test      bool
	generated bool
	ast       *ast.File
	fset      *token.FileSet
}

// sources parses every Go file of this module; nested modules are left out.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() {
			base := d.Name()
			if rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "var" || base == "dist") {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && rel != "." {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{
			name: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)),
			lines: strings.Count(string(text), "\n"), test: strings.HasSuffix(p, "_test.go"),
			generated: ast.IsGenerated(file), ast: file, fset: fset,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("found only %d Go files: the walk is broken", len(out))
	}
	return out
}

// TestBudget fails on what is over the size budget, and prints the rest.
func TestBudget(t *testing.T) {
	packages := map[string]int{}
	documented := map[string]bool{}
	var fileLines, funcLines []int
	for _, f := range sources(t) {
		if f.test || f.generated {
			continue
		}
		packages[f.pkg] += f.lines
		if f.ast.Doc != nil {
			documented[f.pkg] = true
		}
		fileLines = append(fileLines, f.lines)
		if f.lines > maxFileLines {
			t.Errorf("%s: %d lines, at most %d", f.name, f.lines, maxFileLines)
		}
		for _, problem := range fileProblems(f) {
			t.Error(problem)
		}
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				funcLines = append(funcLines, span(f, fn))
			}
		}
	}
	for pkg, lines := range packages {
		if lines > maxPackageLines {
			t.Errorf("package %s: %d lines, at most %d", pkg, lines, maxPackageLines)
		}
		if !documented[pkg] {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
	slices.Sort(fileLines)
	slices.Sort(funcLines)
	t.Logf("files: %d, lines p50 %d p90 %d max %d", len(fileLines), quantile(fileLines, 50), quantile(fileLines, 90), quantile(fileLines, 100))
	t.Logf("functions: %d, lines p50 %d p90 %d p99 %d max %d", len(funcLines), quantile(funcLines, 50), quantile(funcLines, 90), quantile(funcLines, 99), quantile(funcLines, 100))
}

func quantile(sorted []int, percent int) int {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}

func span(f source, n ast.Node) int {
	return f.fset.Position(n.End()).Line - f.fset.Position(n.Pos()).Line + 1
}

// fileProblems lists what one file breaks.
func fileProblems(f source) []string {
	var out []string
	complain := func(n ast.Node, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s:%d: ", f.name, f.fset.Position(n.Pos()).Line)+fmt.Sprintf(format, args...))
	}
	for _, decl := range f.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			checkFunc(f, d, complain)
		case *ast.GenDecl:
			checkGen(f, d, complain)
		}
	}
	return out
}

func checkFunc(f source, d *ast.FuncDecl, complain func(ast.Node, string, ...any)) {
	if d.Name.Name == "init" && d.Recv == nil {
		complain(d, "init() is not allowed")
	}
	if lines := span(f, d); lines > maxFuncLines {
		complain(d, "function %s has %d lines, at most %d", d.Name.Name, lines, maxFuncLines)
	}
	limit := maxParams
	if f.pkg == "als/internal/f32" {
		limit = maxKernelParams
	}
	if n := d.Type.Params.NumFields(); n > limit {
		complain(d, "function %s has %d parameters, at most %d", d.Name.Name, n, limit)
	}
	if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
		complain(d, "exported %s has no comment", d.Name.Name)
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

func checkGen(f source, d *ast.GenDecl, complain func(ast.Node, string, ...any)) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				complain(s, "exported type %s has no comment", s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					complain(s, "exported %s has no comment", name.Name)
				}
			}
			if d.Tok == token.VAR {
				checkVar(f, d, s, complain)
			}
		}
	}
}

// checkVar allows sentinels, compile-time guards, embedded files and tables
// that nothing writes.
func checkVar(f source, d *ast.GenDecl, s *ast.ValueSpec, complain func(ast.Node, string, ...any)) {
	if d.Doc != nil && strings.Contains(docText(d.Doc), "//go:embed") {
		return
	}
	for i, name := range s.Names {
		if name.Name == "_" {
			continue
		}
		if i >= len(s.Values) {
			complain(name, "package variable %s has no value: mutable package variables are not allowed", name.Name)
			continue
		}
		if written(f, name) {
			complain(name, "package variable %s is written: mutable package variables are not allowed", name.Name)
		}
	}
}

func docText(g *ast.CommentGroup) string {
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text + "\n")
	}
	return b.String()
}

// written tells whether the file assigns to the variable, to a part of it, or
// takes its address.
func written(f source, name *ast.Ident) bool {
	found := false
	hit := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				found = found || (x.Obj != nil && x.Obj == name.Obj)
				return
			default:
				return
			}
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.AssignStmt:
			for _, lhs := range x.Lhs {
				hit(lhs)
			}
		case *ast.IncDecStmt:
			hit(x.X)
		case *ast.UnaryExpr:
			if x.Op == token.AND {
				hit(x.X)
			}
		}
		return !found
	})
	return found
}

// TestBudgetBites proves that the checks can fail.
func TestBudgetBites(t *testing.T) {
	const bad = `package p
func init() {}
func Exported(a, b, c, d, e, f int) {}
type T struct{}
var counter = 0
var unset int
func g() { counter++ }
`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "bad.go", bad, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	got := fileProblems(source{name: "bad.go", pkg: "p", ast: file, fset: fset})
	for _, want := range []string{"init()", "6 parameters", "Exported has no comment", "type T has no comment", "counter is written", "unset has no value"} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("no complaint about %q in %q", want, got)
		}
	}
}

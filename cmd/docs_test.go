package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	inBackticks = regexp.MustCompile("`([^`\n]+)`")
	// identifiers have a dot or a capital, which tells them from fields of
	// rules, metrics and commands.
	identifiers = regexp.MustCompile(`^(?:[A-Za-z]+(?:\.[A-Za-z]+)+|[a-z]*[A-Z][A-Za-z]*)$`)
	folders     = regexp.MustCompile(`^[a-z]+(?:/[a-z]+)+(?:\.go|_test\.go)?$`)
)

// theirs are names of Prometheus's that the pages use.
var theirs = map[string]bool{"storage.Queryable": true}

// TestPagesNameWhatIsThere holds the names of functions, types, files and
// folders in the pages about the code against the sources.
func TestPagesNameWhatIsThere(t *testing.T) {
	declared := names(t)
	f := func(page string, least int) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, m := range inBackticks.FindAllStringSubmatch(string(text), -1) {
			switch name := m[1]; {
			case identifiers.MatchString(name) && filepath.Ext(name) != ".go":
				found++
				if !declared[name] && !theirs[name] {
					t.Errorf("%s names %s, which nothing declares", page, name)
				}
			case folders.MatchString(name):
				found++
				if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(name))); err != nil {
					t.Errorf("%s names %s: %v", page, name, err)
				}
			}
		}
		if found < least {
			t.Errorf("%s: found only %d names, want at least %d: the patterns are broken", page, found, least)
		}
	}
	f("how-a-sample-becomes-an-alert.md", 35)
	f("architecture.md", 30)
}

// names returns what the sources declare, in each form in which a page may
// write it: `Step`, `Rule.Step` and `eval.Rule.Step`.
func names(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for declared := range maps.Keys(declarations(parsed)) {
			all[declared] = true
			all[parsed.Name.Name+"."+declared] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// declarations are the functions, types, methods and fields of a file.
func declarations(file *ast.File) map[string]bool {
	out := map[string]bool{}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				out[d.Name.Name] = true
			} else {
				out[typeName(d.Recv.List[0].Type)+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					out[s.Name.Name] = true
					for _, member := range members(s.Type) {
						out[s.Name.Name+"."+member] = true
					}
				}
			}
		}
	}
	return out
}

// members are the methods of an interface, or the fields of a structure.
func members(x ast.Expr) (out []string) {
	var list *ast.FieldList
	switch x := x.(type) {
	case *ast.InterfaceType:
		list = x.Methods
	case *ast.StructType:
		list = x.Fields
	default:
		return nil
	}
	for _, field := range list.List {
		for _, name := range field.Names {
			out = append(out, name.Name)
		}
	}
	return out
}

// typeName is the name of a receiver's type.
func typeName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

package cmd

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// cores are the folders whose code is a function of its arguments, and what of
// the standard library they must not import. Package detect may lock, as what it
// remembers of types changes no result, and draw from generators with a seed.
var cores = []struct {
	folder  string
	without []string
}{
	{"rules/eval", []string{"os/...", "io/...", "net/...", "log/...", "sync/...", "context", "syscall", "runtime/...", "math/rand/...", "crypto/rand", "plugin", "embed"}},
	{"rules/detect", []string{"os/...", "io/...", "net/...", "log/...", "sync/atomic", "context", "syscall", "runtime/...", "crypto/rand", "plugin", "embed"}},
	{"rules/detect/auto", []string{"os/...", "io/...", "net/...", "log/...", "sync/atomic", "context", "syscall", "runtime/...", "crypto/rand", "plugin", "embed"}},
}

// clockReaders are the functions of package time that know what time it is.
var clockReaders = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

func TestCoresArePure(t *testing.T) {
	for _, core := range cores {
		files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(core.folder), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		looked := 0
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found, err := impurities(file, source, core.without)
			if err != nil {
				t.Fatal(err)
			}
			for _, what := range found {
				t.Errorf("%s: %s", what, pure)
			}
			looked++
		}
		if looked < 5 {
			t.Errorf("%s has only %d files: the walk is broken", core.folder, looked)
		}
	}
}

// impurities lists what a file has that a pure core has not.
func impurities(name string, source []byte, without []string) (found []string, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	say := func(at ast.Node, format string, args ...any) {
		found = append(found, fmt.Sprintf("%s: %s", set.Position(at.Pos()), fmt.Sprintf(format, args...)))
	}
	clock := "" // the name of package time in this file
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(without, func(pattern string) bool { return matches(pattern, path) }) {
			say(spec, "imports %s", path)
		}
		if path == "time" {
			if clock = "time"; spec.Name != nil {
				clock = spec.Name.Name
			}
			if clock == "." {
				say(spec, "imports all names of time")
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n, "starts a goroutine")
		case *ast.ChanType:
			say(n, "has a channel")
		case *ast.SelectStmt:
			say(n, "waits for channels")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && slices.Contains(clockReaders, n.Sel.Name) {
				say(n, "asks time.%s", n.Sel.Name)
			}
		}
		return true
	})
	return found, nil
}

// TestImpuritiesAreFound shows the test above what it is there to find.
func TestImpuritiesAreFound(t *testing.T) {
	f := func(source string, want ...string) {
		t.Helper()
		found, err := impurities("f.go", []byte("package f\n"+source), cores[0].without)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != len(want) {
			t.Errorf("%s\nhas %q, want %q", source, found, want)
			return
		}
		for i, w := range want {
			if !strings.HasSuffix(found[i], w) {
				t.Errorf("%s\nhas %q, want %q", source, found[i], w)
			}
		}
	}
	f(`import "time"; const hour = time.Hour; func g(t time.Time) bool { return t.After(t) }`)
	f(`import "time"; func g() int64 { return time.Now().Unix() }`, "asks time.Now")
	f(`import "time"; var now = time.Now`, "asks time.Now")
	f(`import clock "time"; func g() { clock.Sleep(1); <-clock.After(1) }`, "asks time.Sleep", "asks time.After")
	f(`import "time"; func g(t time.Time) { _ = time.NewTicker(1); _ = time.NewTimer(1); time.AfterFunc(1, nil); _ = time.Since(t); _ = time.Until(t) }`,
		"asks time.NewTicker", "asks time.NewTimer", "asks time.AfterFunc", "asks time.Since", "asks time.Until")
	f(`import . "time"`, "imports all names of time")
	f(`func g() { go g() }`, "starts a goroutine")
	f(`var c chan int`, "has a channel")
	f(`func g() { select {} }`, "waits for channels")
	f(`import "sync"`, "imports sync")
	f(`import "sync/atomic"`, "imports sync/atomic")
	f(`import "log/slog"`, "imports log/slog")
	f(`import "os"`, "imports os")
	f(`import "net/http"`, "imports net/http")
	f(`import "math/rand/v2"`, "imports math/rand/v2")
}

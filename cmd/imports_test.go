// Package cmd holds the commands; this test holds the arrows between packages.
package cmd

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/chironhq/chiron"

// forbidden lists the arrows that must not exist. A pattern that ends in /...
// means the package and all below it; an import counts however many of our
// packages lie between. Tests may import what they like.
var forbidden = []struct{ from, to, why string }{
	{"tsdbcache/...", module + "/...", "the ring knows nobody of ours"},
	{"receiver/remotewrite", module + "/...", "bytes and labels only"},
	{"receiver/...", module + "/rules/...", "ingest never depends on rules"},
	{"receiver/...", module + "/remediation/...", "the two halves meet only at Alertmanager"},
	{"receiver/...", module + "/internal/upstream", "the hot path stays light"},
	{"rules/...", module + "/remediation/...", "the two halves meet only at Alertmanager"},
	{"rules/...", module + "/receiver", "roots import each other only downwards; the encoders are receiver/remotewrite"},
	{"rules/...", module + "/internal/promapi", "rules do not know who shows them"},
	{"rules/detect/...", module + "/...", "points to verdicts; standard library and gonum only"},
	{"rules/detect/...", "github.com/prometheus/...", "points to verdicts; standard library and gonum only"},
	{"rules/lang", module + "/tsdbcache", "text to checked rules; runs nothing"},
	{"rules/lang", module + "/rules", "a part never imports its root"},
	{"rules/lang", module + "/rules/detect", "text to checked rules; runs nothing"},
	{"rules/lang", "github.com/prometheus/prometheus/promql", "text to checked rules; runs nothing"},
	{"rules/eval", module + "/tsdbcache", pure},
	{"rules/eval", module + "/rules", "a part never imports its root"},
	{"rules/eval", module + "/rules/stream", pure},
	{"rules/eval", module + "/rules/emit", pure},
	{"rules/eval", module + "/rules/modelstore", pure},
	{"rules/eval", module + "/internal/upstream", pure},
	{"rules/eval", module + "/internal/promql", pure},
	{"rules/eval", "github.com/prometheus/prometheus/rules", pure},
	{"rules/eval", "github.com/prometheus/prometheus/promql", pure},
	{"rules/eval", "github.com/prometheus/prometheus/storage/...", pure},
	{"rules/eval", "github.com/prometheus/prometheus/tsdb/...", pure},
	{"rules/eval", "github.com/prometheus/client_golang/...", pure},
	{"rules/eval", "go.etcd.io/...", pure},
	{"rules/stream", module + "/rules", "a part never imports its root"},
	{"rules/emit", module + "/rules", "a part never imports its root"},
	{"rules/emit", module + "/internal/upstream", "the sender is handed in"},
	{"remediation/...", module + "/rules/...", "the two halves meet only at Alertmanager"},
	{"remediation/...", module + "/receiver/...", "the two halves meet only at Alertmanager"},
	{"remediation/...", module + "/tsdbcache", "the two halves meet only at Alertmanager"},
	{"remediation/...", module + "/internal/upstream", "the right half knows no PromQL engine"},
	{"remediation/action", module + "/remediation", "a part never imports its root"},
	{"remediation/policy", module + "/remediation", "a part never imports its root"},
	{"remediation/webhook", module + "/remediation", "a part never imports its root"},
	{"remediation/kube", module + "/remediation", "a part never imports its root"},
	{"remediation/sim", module + "/remediation", "a part never imports its root"},
	{"internal/diag", module + "/...", "a leaf that everybody may share"},
	{"internal/promql", module + "/...", "range queries over any store, as Prometheus's engine answers them"},
	{"internal/machine", module + "/...", "a leaf that knows nobody of ours"},
	{"internal/promparse", module + "/...", "a leaf that both halves share"},
	{"internal/promparse", "github.com/prometheus/prometheus/promql", "a parser runs nothing"},
	{"internal/config", module + "/internal/upstream", "configuration is checked without building anything"},
}

// pure is why the step of a rule is kept from the world: the same frames give
// the same results, wherever they are stepped.
const pure = "a pure core: no clock, goroutine, file, lock or logger, and the same frames give the same results"

// doors lists packages that only some of ours may import directly.
var doors = []struct {
	to    string
	users []string
	why   string
}{
	{"k8s.io/...", []string{"remediation/kube", "internal/testenv"}, "one package talks to the API server"},
	{"github.com/prometheus/prometheus/rules", []string{"internal/upstream"}, "one door to heavy packages, one file a constructor"},
	{"github.com/prometheus/prometheus/notifier", []string{"internal/upstream"}, "one door to heavy packages"},
	{"github.com/prometheus/prometheus/storage/remote", []string{"internal/upstream"}, "one door to heavy packages"},
	{"github.com/prometheus/prometheus/web/...", []string{"internal/upstream"}, "one door to heavy packages"},
	{"github.com/prometheus/prometheus/config", []string{"internal/upstream"}, "one door to heavy packages"},
	{"github.com/prometheus/prometheus/tsdb", []string{"internal/upstream", "bench"}, "one door to heavy packages"},
	{module + "/internal/promql", []string{"internal/upstream", "internal/server"}, "built with the engine it stands before, by upstream.NewQueryEngine"},
	{"go.etcd.io/bbolt", []string{"remediation", "rules/modelstore"}, "one store of runs, one of models"},
}

func TestImportsFollowTheArrows(t *testing.T) {
	direct := sources(t)
	for from, imports := range direct {
		for _, d := range doors {
			for _, to := range imports {
				if matches(d.to, to) && !slices.ContainsFunc(d.users, func(u string) bool { return matches(u+"/...", from) }) {
					t.Errorf("%s imports %s; only %s may: %s", from, to, strings.Join(d.users, ", "), d.why)
				}
			}
		}
	}
	for _, f := range forbidden {
		for from := range direct {
			if !matches(f.from, from) {
				continue
			}
			if chain := find(direct, from, f, map[string]bool{}); chain != nil {
				t.Errorf("%s: %s", strings.Join(chain, " -> "), f.why)
			}
		}
	}
}

// find returns the shortest way down from a package to a forbidden import.
func find(direct map[string][]string, from string, f struct{ from, to, why string }, seen map[string]bool) []string {
	for _, to := range direct[from] {
		inside := strings.HasPrefix(to, module+"/") && matches(f.from, strings.TrimPrefix(to, module+"/"))
		leaf := to == module+"/internal/diag" && !strings.HasPrefix(f.from, "tsdbcache") && f.from != "receiver/remotewrite"
		if matches(f.to, to) && !inside && !leaf {
			return []string{from, to}
		}
	}
	for _, to := range direct[from] {
		ours, ok := strings.CutPrefix(to, module+"/")
		if !ok || seen[ours] || !strings.HasPrefix(f.to, module) {
			continue // how a library reaches another is its own affair
		}
		seen[ours] = true
		if chain := find(direct, ours, f, seen); chain != nil {
			return append([]string{from}, chain...)
		}
	}
	return nil
}

func matches(pattern, pkg string) bool {
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	}
	return pkg == pattern
}

// sources returns the imports of every package's non-test files, by folder.
// It reads the sources itself: the test cache does not see what a child
// process reads, so asking the go command would keep a broken arrow green.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	const root = ".."
	direct := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "tools") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Clean(filepath.ToSlash(rel))
		for _, spec := range parsed.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			direct[pkg] = append(direct[pkg], to)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(direct) < 10 {
		t.Fatalf("found only %d packages: the walk is broken", len(direct))
	}
	return direct
}

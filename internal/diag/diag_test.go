package diag

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestNearest(t *testing.T) {
	words := []string{"seasonal", "spectral", "zscore", "mad", "count"}
	f := func(in, want string) {
		t.Helper()
		if got := Nearest(in, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
	f("seasnal", "seasonal")
	f("zsocre", "zscore")
	f("made", "mad")
	f("prophet", "")
	f("", "")
}

func TestDocReportsEveryProblemWithItsPlace(t *testing.T) {
	d, root := Parse("f.yaml", []byte("name: a\nintervall: 3s\nname: b\nlimit: x\ninterval: 1 hour\n"))
	var name string
	d.Object(root, "group", map[string]Field{
		"name":     func(_, v *yaml.Node) { name = d.String(v, "name") },
		"interval": func(_, v *yaml.Node) { d.Duration(v, "interval") },
		"limit":    func(_, v *yaml.Node) { d.Int(v, "limit") },
	})
	if name != "a" {
		t.Errorf("name = %q", name)
	}
	want := `f.yaml:2:1: group: unknown key "intervall"; did you mean "interval"? [yaml/unknown-key]
f.yaml:3:1: group: "name" stands here for the second time, first in line 1 [yaml/duplicate]
f.yaml:4:8: limit must be a whole number, not "x" [yaml/type]
f.yaml:5:11: interval must be a duration such as 30s or 1h30m, not "1 hour" [yaml/type]
`
	if got := d.Problems.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestSyntaxErrorNamesItsLine(t *testing.T) {
	d, root := Parse("f.yaml", []byte("a: 1\nb: [1, 2\nc: 3\n"))
	if root != nil || len(d.Problems) != 1 || d.Problems[0].Line == 0 {
		t.Fatalf("root %v, problems %v", root, d.Problems)
	}
}

func TestSelfReferenceEnds(t *testing.T) {
	d, root := Parse("f.yaml", []byte("a: &a [*a, *a]\n"))
	if root == nil {
		return // refused by the YAML parser: fine as well
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		n = d.Resolve(n)
		if n.Kind == yaml.SequenceNode && !d.Problems.HasErrors() {
			d.List(n, "a", walk)
		}
	}
	d.Map(root, "root", func(_, v *yaml.Node) { walk(v) })
	if !strings.Contains(d.Problems.String(), "aliases") {
		t.Errorf("problems: %v", d.Problems)
	}
}

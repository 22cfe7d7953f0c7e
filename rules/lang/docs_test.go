package lang

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chironhq/chiron/internal/diag"
)

const docs = "../../docs"

func page(check string) string {
	return filepath.Join(docs, "checks", strings.ReplaceAll(check, "/", "-")+".md")
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEveryCheckIsInTheTable reads the sources, of diag as well: its checks
// speak through Load.
func TestEveryCheckIsInTheTable(t *testing.T) {
	var sources []string
	for _, pattern := range []string{"*.go", "../../internal/diag/*.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, names...)
	}
	used := map[string]bool{}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") || name == "checks.go" {
			continue
		}
		for _, m := range regexp.MustCompile(`"((?:model|rule|yaml|lint)/[a-z-]+)"`).FindAllStringSubmatch(read(t, name), -1) {
			used[m[1]] = true
			if findCheck(m[1]) == nil {
				t.Errorf("%s reports %s, which is not in the table", name, m[1])
			}
		}
	}
	for _, c := range Checks {
		if !used[c.Name] {
			t.Errorf("nothing reports %s", c.Name)
		}
	}
}

// TestEveryCheckHasItsPage also runs the page's example, which must be
// reported by that very check.
func TestEveryCheckHasItsPage(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(docs, "checks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks {
		text := read(t, page(c.Name))
		pages = slices.DeleteFunc(pages, func(p string) bool { return p == page(c.Name) })
		if !strings.HasPrefix(text, "# "+c.Name+"\n") {
			t.Errorf("the page of %s has another title", c.Name)
		}
		if got := strings.Contains(text, "# chiron disable "+c.Name+"\n"); got != (c.Severity == diag.Warning) {
			t.Errorf("the page of %s is wrong about turning it off", c.Name)
		}
		example := blocks(text, "yaml")[0]
		f, problems := Options{Interval: time.Minute, Retention: day}.Load("f.yaml", []byte(wrap(example)))
		if f != nil {
			problems = append(problems, CheckFiles(f)...)
		}
		if !slices.ContainsFunc(problems, func(p diag.Problem) bool { return p.Check == c.Name }) {
			t.Errorf("%s: its example is not reported\n%s\n%s", c.Name, wrap(example), problems)
		}
	}
	for _, p := range pages {
		if name := filepath.Base(p); regexp.MustCompile(`^(model|rule|yaml|lint)-`).MatchString(name) {
			t.Errorf("%s describes no check", name)
		}
	}
}

// wrap makes a file of a part of one: of rules, or of fields of an anomaly rule.
func wrap(example string) string {
	switch {
	case strings.HasPrefix(example, "groups:"), strings.HasPrefix(example, "a:"):
		return example
	case strings.HasPrefix(example, "- "):
		return "groups:\n- name: g\n  rules:\n  " + strings.ReplaceAll(example, "\n", "\n  ")
	}
	for _, field := range []string{"direction: both", "expr: up", "anomaly: X"} {
		if key, _, _ := strings.Cut(field, " "); !strings.Contains("\n"+example, "\n"+key) {
			example = field + "\n" + example
		}
	}
	return wrap("- " + strings.ReplaceAll(example, "\n", "\n  "))
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

func TestReferenceExamplesAreRight(t *testing.T) {
	text := read(t, filepath.Join(docs, "rules.md"))
	for _, example := range blocks(text, "yaml") {
		if _, problems := Load("rules.md", []byte(example)); len(problems) > 0 {
			t.Errorf("%s\n%s", problems, example)
		}
	}
	for model := range strings.FieldsSeq(strings.ReplaceAll(strings.Join(blocks(text, "model"), ""), " ", "\x00")) {
		model = strings.ReplaceAll(model, "\x00", " ")
		e, err := ParseModel(model)
		if err != nil {
			t.Errorf("%s: %v", model, err)
		} else if len(Calls(e)) == 0 {
			t.Errorf("%s: no calls", model)
		}
	}
}

// TestReferenceEqualsTables holds the generated parts of the reference against
// the tables; with -rewrite it writes them.
func TestReferenceEqualsTables(t *testing.T) {
	name := filepath.Join(docs, "rules.md")
	text := read(t, name)
	var models bytes.Buffer
	if err := RenderModels(&models); err != nil {
		t.Fatal(err)
	}
	checks := "| check | reports |\n| --- | --- |\n"
	for _, c := range Checks {
		severity := ""
		if c.Severity == diag.Warning {
			severity = " (can be turned off)"
		}
		checks += fmt.Sprintf("| [%s](checks/%s) | %s%s |\n", c.Name, filepath.Base(page(c.Name)), c.Help, severity)
	}
	want := replaceSection(t, text, "models", "```text\n"+models.String()+"```\n")
	want = replaceSection(t, want, "checks", checks)
	if want == text {
		return
	}
	if flag.Lookup("rewrite").Value.String() != "true" {
		t.Fatal("docs/rules.md differs from the tables; go test ./rules/lang -rewrite writes it")
	}
	if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replaceSection(t *testing.T, text, section, body string) string {
	t.Helper()
	begin, end := "<!-- "+section+" -->\n", "<!-- /"+section+" -->\n"
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("no section %s", section)
	}
	return before + begin + body + end + after
}

package lang

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"
)

// prometheusView is what a file means to Prometheus: our types, filled by it.
func prometheusView(rgs *rulefmt.RuleGroups) *File {
	l, _ := newLoader("f.yaml", nil, Options{})
	return l.fromPrometheus(rgs, nil)
}

var sameRules = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(Pos{}), cmpopts.IgnoreFields(File{}, "Name"), cmpopts.IgnoreUnexported(File{}),
}

// agree loads content and holds it against Prometheus, both by Load and by the
// reader of files with anomaly rules, which must read Prometheus rules alike.
func agree(t *testing.T, content []byte) {
	t.Helper()
	rgs, errs := parsePrometheus(content, PromQL())
	f, problems := Load("f.yaml", content)
	l, root := newLoader("f.yaml", content, Options{})
	own := l.file(root)
	if len(errs) > 0 {
		if !l.hasAnomalies && !problems.HasErrors() {
			t.Fatalf("Prometheus refuses what Load accepts: %v", errs)
		}
		return
	}
	if problems.HasErrors() {
		t.Fatalf("Load refuses what Prometheus accepts:\n%s", problems)
	}
	if d := cmp.Diff(prometheusView(rgs), f, sameRules); d != "" {
		t.Fatalf("Load reads other rules (-prometheus +load)\n%s", d)
	}
	if l.doc.Problems.HasErrors() {
		t.Fatalf("beside anomaly rules we would refuse what Prometheus accepts:\n%s", l.doc.Problems)
	}
	if d := cmp.Diff(prometheusView(rgs), own, sameRules); d != "" {
		t.Fatalf("beside anomaly rules we would read other rules (-prometheus +own)\n%s", d)
	}
}

func fixtures(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "files", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(name)] = content
	}
	return out
}

func TestPrometheusFilesMeanTheSame(t *testing.T) {
	for name, content := range fixtures(t, "*.y*ml") {
		t.Run(name, func(t *testing.T) { agree(t, content) })
	}
	// What YAML allows and nobody writes.
	for _, content := range []string{
		"", "---\n", "{}", "groups:", "groups: []", "groups: [{name: a}]", "groups: [{name: a, rules: }]",
		"groups: [{name: 1, limit: 0x10, rules: [{record: true, expr: 1}]}]",
		"groups: [{name: a, limit: , interval: , query_offset: , labels: , rules: [{alert: x, expr: 1, for: , labels: , annotations: {a: }}]}]",
		"groups: [{name: a, rules: [&r {record: x, expr: 1}, *r, {<<: *r, record: y}, {<<: [*r, {labels: {a: b}}]}]}]",
		"groups: [{name: a, query_offset: 0, rules: [{record: x, expr: 1, for: 0, keep_firing_for: 0s}]}]",
		"groups: [{name: !!str 5, rules: [{record: !!binary eA==, expr: 1}]}]",
		"groups: [, {name: a, rules: [, {record: x, expr: 1}, ]}]", "groups:\n-\n",
		"{: x, groups: [{: , name: a, rules: [{record: x, expr: 1, : x}]}]}",
		"a: &a {name: x}\ngroups: [*a]",
		"groups: [{name: a, rules: [3]}]", "groups: [[]]", "groups: [{name: a, rules: [{record: x}]}]",
		"groups: [{name: a, rules: [{record: x, expr: up}]}]\n---\n]",
		"groups: [{name: a, limit: 1.0, rules: []}]", "groups: [{name: a, limit: 1e2, rules: []}]",
	} {
		agree(t, []byte(content))
	}
}

// TestPrometheusRulesBesideAnomalies puts an anomaly rule into every gap of a
// Prometheus file: the other rules stay what they are, in their order.
func TestPrometheusRulesBesideAnomalies(t *testing.T) {
	for name, content := range fixtures(t, "node.yaml") {
		rgs, errs := parsePrometheus(content, PromQL())
		if len(errs) > 0 {
			t.Fatal(name, errs)
		}
		for g := range rgs.Groups {
			for at := 0; at <= len(rgs.Groups[g].Rules); at++ {
				var root yaml.Node
				if err := yaml.Unmarshal(content, &root); err != nil {
					t.Fatal(err)
				}
				rules := value(items(value(root.Content[0], "groups"))[g], "rules")
				var extra yaml.Node
				if err := yaml.Unmarshal([]byte("{anomaly: X, expr: up, direction: both}"), &extra); err != nil {
					t.Fatal(err)
				}
				rules.Content = append(rules.Content[:at:at], append([]*yaml.Node{extra.Content[0]}, rules.Content[at:]...)...)
				quote(&root)
				text, err := yaml.Marshal(&root)
				if err != nil {
					t.Fatal(err)
				}
				f, problems := Load(name, text)
				if len(problems) > 0 {
					t.Fatalf("%s\n%s", problems, text)
				}
				if f.Groups[g].Rules[at].Anomaly == nil {
					t.Fatalf("rule %d of group %d is no anomaly", at, g)
				}
				f.Groups[g].Rules = append(f.Groups[g].Rules[:at:at], f.Groups[g].Rules[at+1:]...)
				if d := cmp.Diff(prometheusView(rgs), f, sameRules); d != "" {
					t.Fatalf("group %d, place %d: (-prometheus +load)\n%s", g, at, d)
				}
			}
		}
	}
}

// quote gives strings the one style that the YAML printer does not change.
func quote(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		quote(c)
	}
}

// TestAlertShorthandIsAPrometheusRule has Prometheus accept what the shorthand
// expands to.
func TestAlertShorthandIsAPrometheusRule(t *testing.T) {
	f, problems := Load("shop.anomaly.yaml", fixtures(t, "shop.anomaly.yaml")["shop.anomaly.yaml"])
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	rules := f.Groups[0].Expand()
	if rules[1].Anomaly == nil || rules[2].Prometheus.Alert != "ErrorRatio" {
		t.Fatalf("the alert does not stand behind its anomaly: %+v", rules)
	}
	text, err := yaml.Marshal(rulefmt.RuleGroups{Groups: []rulefmt.RuleGroup{{Name: "a", Rules: []rulefmt.Rule{rules[2].Prometheus}}}})
	if err != nil {
		t.Fatal(err)
	}
	rgs, errs := parsePrometheus(text, PromQL())
	if len(errs) > 0 {
		t.Fatalf("%v\n%s", errs, text)
	}
	want := `anomaly_score{anomaly_name="ErrorRatio",team="shop"} > 1`
	if got := rgs.Groups[0].Rules[0]; got.Expr != want || time.Duration(got.For) != 5*time.Minute {
		t.Errorf("got %+v", got)
	}
}

func TestAnomalyFixturesHaveNoProblems(t *testing.T) {
	for name, content := range fixtures(t, "*.anomaly.yaml") {
		_, problems := Load(name, content)
		if problems.HasErrors() || (name != "smallest.anomaly.yaml" && len(problems) > 0) {
			t.Errorf("%s", problems)
		}
	}
}

func TestFilesTogether(t *testing.T) {
	load := func(name, rules string) *File {
		t.Helper()
		f, problems := Load(name, []byte("groups: [{name: g, rules: ["+rules+"]}]"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return f
	}
	a := load("a.yaml", "{anomaly: A, expr: b, direction: both}, {anomaly: Twice, expr: up, direction: both}")
	b := load("b.yaml", "{record: b, expr: max(anomaly_score)}, {anomaly: Twice, expr: up, direction: both}")
	want := `a.yaml:1:47: anomaly "A" reads record "b" of b.yaml reads anomaly "A": an anomaly rule must not depend on its own output [rule/cycle]
b.yaml:1:67: warning: anomaly "Twice" has the name and the labels of another rule (group "g", line 1 of a.yaml); give one of them another name or label [rule/duplicate]
`
	if d := cmp.Diff(want, CheckFiles(a, b).String()); d != "" {
		t.Error(d)
	}
	if ps := CheckFiles(a); len(ps) > 0 {
		t.Error(ps)
	}
}

// What Load has said of a file is not said again, and comments turn off what
// shows over several files as well.
func TestWarningsOverFilesAreSaidOnce(t *testing.T) {
	load := func(name, text string) (*File, string) {
		t.Helper()
		f, problems := Load(name, []byte(text))
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		return f, problems.String()
	}
	const rule = "{anomaly: A, expr: up, direction: both}"
	a, said := load("a.yaml", "groups: [{name: a, rules: ["+rule+"]}, {name: b, rules: ["+rule+"]}]")
	if want := "a.yaml:1:89: warning: anomaly \"A\" has the name and the labels of another rule (group \"a\", line 1 of a.yaml); give one of them another name or label [rule/duplicate]\n"; said != want {
		t.Errorf("got %s, want %s", said, want)
	}
	if ps := CheckFiles(a); len(ps) > 0 {
		t.Errorf("said again: %s", ps)
	}
	b, _ := load("b.yaml", "groups:\n- name: c\n  rules:\n  - "+rule+"\n")
	if ps := CheckFiles(a, b); len(ps) != 1 || ps[0].File != "b.yaml" {
		t.Errorf("got %s", ps)
	}
	b, _ = load("b.yaml", "groups:\n- name: c\n  rules:\n  # chiron disable rule/duplicate\n  - "+rule+"\n")
	if ps := CheckFiles(a, b); len(ps) > 0 {
		t.Errorf("turned off: %s", ps)
	}
}

// isComplete holds a loaded file against what the package promises.
func isComplete(t *testing.T, f *File) {
	t.Helper()
	for i := range f.Groups {
		for _, r := range f.Groups[i].Expand() {
			a := r.Anomaly
			if a == nil {
				if errs := r.Prometheus.Validate(rulefmt.RuleNode{}, model.UTF8Validation, PromQL()); len(errs) > 0 {
					t.Fatalf("%+v: %v", r.Prometheus, &errs[0])
				}
				continue
			}
			if a.Name == "" || a.Expr == nil || a.Model == nil || a.Output == 0 || a.Limit < 1 || !(a.Width[0] > 0 && a.Width[1] > 0) || !(a.Range[0] < a.Range[1]) ||
				!(min(a.MinDev[0], a.MinDev[1], a.MinRelDev[0], a.MinRelDev[1]) >= 0) {
				t.Fatalf("%+v", a)
			}
			again, err := ParseModel(a.Model.String())
			if err != nil {
				t.Fatalf("%s: %v", a.Model, err)
			}
			if d := equalTrees(a.Model, again); d != "" {
				t.Fatal(d)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, content := range fixtures(f, "*.y*ml") {
		f.Add(content)
	}
	f.Add([]byte("groups: [{name: a, rules: [{anomaly: X, expr: up, model: mad(1h), alert: {when: \"> 2\"}, min_dev: [1, 2]}]}]"))
	f.Add([]byte("groups: [{name: a, rules: [{anomaly: X, inputs: {a: up, b: 'sum(up)'}, join: [pod], explain: 2, cohort: [pod], width: [1, 2]}]}]"))
	f.Add([]byte("groups: [{name: a, rules: [{anomaly: X, ratio: {errors: e, total: t}, model: ratio, forecast: {horizons: [1h], limit: '0.1', confidence: 90%}, exclude: [{holidays: [12-25], tz: UTC}, {from: 2026-01-01T00:00:00Z, to: 2026-01-02T00:00:00Z}]}]}]"))
	f.Add([]byte("groups: [{name: a, query_offset: 1m, rules: [{anomaly: X, expr: up, alert: {labels: {a: '{{ $score }}'}, annotations: {summary: '{{ if gt $actual $upper }}{{ end }}'}}}]}]"))
	f.Add([]byte("groups: [{name: a, rules: [{anomaly: X, expr: up, exclude: [{times: [{start_time: '02:00', end_time: '24:00'}], weekdays: ['monday:friday', sunday], days_of_month: ['1:-1'], months: ['may:7'], years: [2026], location: UTC}]}]}]"))
	f.Add([]byte("a: &a {<<: *a}\ngroups: [*a]"))
	f.Add([]byte("groups:\n- &g {name: a, rules: [&r {record: x, expr: 1}, {<<: *r}]}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		agree(t, content)
		file, problems := Options{Interval: time.Minute, Retention: day}.Load("f.yaml", content)
		if file != nil {
			CheckFiles(file)
			isComplete(t, file)
		}
		for _, p := range problems {
			if findCheck(p.Check) == nil || p.Message == "" || p.Line < 0 || p.Column < 0 {
				t.Fatalf("problem %+v", p)
			}
		}
	})
}

package policy

import (
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestLoad shows every message a policy file can meet, with its place.
func TestLoad(t *testing.T) {
	datadriven.Walk(t, "testdata/load", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			_, problems := Load("p.yaml", []byte(d.Input+"\n"))
			if len(problems) == 0 {
				return "ok\n"
			}
			return problems.String()
		})
	})
}

func TestLoadAllHoldsFilesTogether(t *testing.T) {
	one := File{"a.yaml", []byte("guardrails: { kill_switch: true }\n")}
	two := File{"b.yaml", []byte("guardrails: { kill_switch: false }\n")}
	if set, problems := (Options{}).LoadAll(one); problems.HasErrors() || !set.Guardrails.KillSwitch {
		t.Errorf("one file: %v", problems)
	}
	if _, problems := (Options{}).LoadAll(one, two); problems.String() != "b.yaml: guardrails stand in a.yaml already; write them once [policy/guardrails]\n" {
		t.Errorf("two files: %v", problems)
	}
}

func TestTemplates(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		tmpl, err := ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tmpl.Expand(Values{Labels: map[string]string{"a": "x"}, StartsAt: time.Unix(0, 0).UTC()}, func(string) (float64, error) { return 7, nil })
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%s gives %q, want %q", text, got, want)
		}
	}
	f(`{{ .Labels.a }}-y`, "x-y")
	f(`{{ .Labels.b }}`, `error: the alert has no label "b"`)
	f(`{{ ceil (div (query "x") 2) }}`, "4")
	f(`{{ .StartsAt.Unix }}`, "0")
}

func TestQueriesTakePlainValuesOnly(t *testing.T) {
	tmpl, err := ParseTemplate(`up{pod="{{ .Labels.pod }}"} > 0`)
	if err != nil {
		t.Fatal(err)
	}
	for value, ok := range map[string]bool{"cart-7": true, `x"} or vector(1)`: false, "a|b": false, `\`: false, "": true} {
		if _, err := tmpl.ExpandQuery(Values{Labels: map[string]string{"pod": value}}, nil); (err == nil) != ok {
			t.Errorf("value %q: err = %v", value, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	b, err := os.ReadFile("testdata/load/good")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("guardrails: { windows: { deny: [{ weekdays: ['monday:friday'], location: Europe/Berlin }] } }"))
	f.Add([]byte("policies: [{ name: a, match: ['a=\"b\"'], actions: [{ scale: { replicas: '{{ query \"x\" }}' } }] }]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		set, problems := Load("f.yaml", content)
		if problems.HasErrors() {
			return
		}
		for _, p := range set.Policies {
			if p.Target.Kind == "" || p.Target.Name == nil || p.Action.Spec.Name == "" || len(p.Match) == 0 {
				t.Fatalf("a policy without error is not whole: %+v", p)
			}
			if p.Mode == Auto && len(p.Verify.Checks) == 0 {
				t.Fatal("auto without verify")
			}
			p.Matches(map[string]string{"a": "b"})
			_, _, _ = p.Target.Expand(Values{Labels: map[string]string{"a": "b"}})
		}
	})
}

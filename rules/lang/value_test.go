package lang

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEveryTypeOfValue covers types that no model of today takes.
func TestEveryTypeOfValue(t *testing.T) {
	f := func(p ParamSpec, text string, want any, problem string) {
		t.Helper()
		p.Name = "p"
		spec := ModelSpec{Name: "m", Params: []ParamSpec{p}}
		n, err := parseTree("m(p=" + text + ")")
		if err != nil {
			t.Fatal(err)
		}
		var r resolver
		args := Args{}
		r.arguments(&spec, n, args)
		got := ""
		if len(r.errs) > 0 {
			got = r.errs[0].Message
		}
		if got != problem {
			t.Errorf("%s: problem %q, want %q", text, got, problem)
		}
		if d := cmp.Diff(want, args["p"]); d != "" {
			t.Errorf("%s: (-want +got)\n%s", text, d)
		}
		if problem == "" && len(spec.Params) > 0 {
			again, err := parseTree("m(p=" + formatValue(want) + ")")
			if err != nil {
				t.Fatal(err)
			}
			args := Args{}
			r.arguments(&spec, again, args)
			if d := cmp.Diff(want, args["p"]); d != "" {
				t.Errorf("%s prints as %s: %s", text, formatValue(want), d)
			}
		}
	}
	trees := &Bounds{Min: 1, Max: 1000}
	f(ParamSpec{Type: Integer, Bounds: trees}, "100", 100.0, "")
	f(ParamSpec{Type: Integer, Bounds: trees}, "1e2", 100.0, "")
	f(ParamSpec{Type: Integer, Bounds: trees}, "1.5", nil, `m: p must be a whole number, not "1.5"`)
	f(ParamSpec{Type: Integer, Bounds: trees}, "0", nil, `m: p must be at least 1 and at most 1000, not "0"`)
	f(ParamSpec{Type: Text}, "word", "word", "")
	f(ParamSpec{Type: Text}, `"two words"`, "two words", "")
	f(ParamSpec{Type: Text}, `'"'`, `"`, "")
	f(ParamSpec{Type: Text}, `'it\'s'`, "it's", "")
	f(ParamSpec{Type: Text}, "3", nil, `m: p must be a word or a quoted string, not "3"`)
	f(ParamSpec{Type: Text, List: true}, "[a, 'b c']", []string{"a", "b c"}, "")
	f(ParamSpec{Type: Text, List: true}, "a", []string{"a"}, "")
	f(ParamSpec{Type: Text, List: true}, "[a, a]", nil, `m: p holds "a" twice`)
	f(ParamSpec{Type: Text, List: true}, "[a, [b]]", nil, `m: p must be a word or a quoted string, not a list`)
	f(ParamSpec{Type: Number, List: true}, "[-1, .5, 2e-3]", []float64{-1, .5, 2e-3}, "")
	f(ParamSpec{Type: Duration, List: true}, "[1d, 90s]", []time.Duration{24 * time.Hour, 90 * time.Second}, "")
	f(ParamSpec{Type: Fraction, List: true}, "[1%, 0.5]", []float64{0.01, 0.5}, "")
	f(ParamSpec{Type: Fraction, Bounds: &Bounds{Max: 1, MaxOpen: true}}, "100%", nil, `m: p must be at least 0 and below 1, not "100%"`)
	f(ParamSpec{Type: Choice, Choices: []string{"mad", "zscore"}}, "zscor", nil, `m: p must be mad or zscore, not "zscor"; did you mean "zscore"?`)
	f(ParamSpec{Type: Choice, Choices: []string{"mad", "zscore"}}, `"mad"`, "mad", "")
}

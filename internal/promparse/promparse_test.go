package promparse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// TestExperimentalFunctions asks for every one that Prometheus has, so that a
// new version which words its refusal differently is found.
func TestExperimentalFunctions(t *testing.T) {
	off, on := New(Options{}), New(Options{ExperimentalFunctions: true})
	f := func(expr, what string) {
		t.Helper()
		want := fmt.Sprintf("1:1: parse error: %s is experimental; query: {experimental_functions: true} in the configuration switches it on at the next start", what)
		if _, err := off.ParseExpr(expr); err == nil || err.Error() != want {
			t.Errorf("%s without the setting: %v, want %s", expr, err, want)
		}
		if _, err := on.ParseExpr(expr); err != nil {
			t.Errorf("%s with the setting: %v", expr, err)
		}
	}
	f(`limitk(3, up)`, `aggregation "limitk"`)
	f(`limit_ratio(0.5, up)`, `aggregation "limit_ratio"`)
	count := 0
	for name, fn := range parser.Functions {
		if fn.Experimental {
			count++
			f(name+"("+strings.Join(arguments(fn), ", ")+")", fmt.Sprintf("function %q", name))
		}
	}
	if count == 0 {
		t.Error("Prometheus has no experimental function any more; the setting can go")
	}
}

// arguments are the least that a function takes.
func arguments(fn *parser.Function) []string {
	n := len(fn.ArgTypes)
	if fn.Variadic != 0 {
		n--
	}
	var out []string
	for _, t := range fn.ArgTypes[:n] {
		out = append(out, map[parser.ValueType]string{
			parser.ValueTypeVector: "up", parser.ValueTypeMatrix: "up[1h]", parser.ValueTypeScalar: "1", parser.ValueTypeString: `"a"`,
		}[t])
	}
	return out
}

// What is not experimental is refused as Prometheus refuses it, and other
// features of Prometheus stay off with the setting on.
func TestOtherMessagesStay(t *testing.T) {
	f := func(o Options, expr string) {
		t.Helper()
		_, want := parser.NewParser(parser.Options{EnableExperimentalFunctions: o.ExperimentalFunctions}).ParseExpr(expr)
		_, err := New(o).ParseExpr(expr)
		if err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", expr, err, want)
		}
	}
	for _, o := range []Options{{}, {ExperimentalFunctions: true}} {
		f(o, `rate(up)`)
		f(o, `ratte(up[5m])`)
		f(o, `up + on (job) fill (0) up`)
		f(o, `up{`)
	}
}

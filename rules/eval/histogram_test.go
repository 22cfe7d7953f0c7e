package eval

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/chironhq/chiron/rules/lang"
)

// TestNativeHistogramsAreSkippedAndCounted steps a rule with a vector in which
// some series hold native histograms: the others are scored as if these were
// not there, and one of them is named.
func TestNativeHistogramsAreSkippedAndCounted(t *testing.T) {
	f := func(what string, fields []string, with, without Frame, count int, named string) {
		t.Helper()
		r, want := newRule(t, ruleOf(t, fields...)), newRule(t, ruleOf(t, fields...))
		for n := range 40 {
			out, err := r.Step(at(n).t, with)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if c := out.Changes; c.Histograms != count || c.Histogram.String() != named {
				t.Fatalf("%s: %d histograms, one is %s; want %d and %s", what, c.Histograms, c.Histogram, count, named)
			}
			got := see(out, err)
			plain, err := want.Step(at(n).t, without)
			plain.Changes.Histograms, plain.Changes.Histogram = out.Changes.Histograms, out.Changes.Histogram
			if err := got.differ(see(plain, err)); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if err := sameRecords(r, want); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	one, two := sample(10, "__name__", "m", "x", "1"), sample(20, "__name__", "m", "x", "2")
	h := histogram("__name__", "m", "x", "h")
	const name = `{__name__="m", x="h"}`
	frame := func(v ...[]Sample) Frame { return Frame{Vectors: v} }
	v := func(s ...Sample) []Sample { return s }

	f("series", []string{"expr: m", "model: zscore"}, frame(v(one, two, h)), frame(v(one, two)), 1, name)
	f("two of them", []string{"expr: m", "model: zscore"}, frame(v(h, one, histogram("x", "i"))), frame(v(one)), 2, name)
	f("a group", []string{"expr: m", "model: presence(learn=1m)"}, frame(v(one, two, h)), frame(v(one, two)), 1, name)
	f("beside its number", []string{"expr: m", "model: zscore"}, frame(v(one, histogram("__name__", "n", "x", "1"))), frame(v(one)), 1, `{__name__="n", x="1"}`)
	inputs := []string{"inputs: {a: m, b: n}", "join: [x]", "model: zscore"}
	f("one input", inputs, frame(v(one, h), v(one, two)), frame(v(one), v(one, two)), 1, name)
	f("all inputs of one", inputs, frame(v(one, h), v(h, two)), frame(v(one), v(two)), 2, name)
	ratio := []string{"ratio: {errors: m, total: n}", "model: zscore"}
	f("total", ratio, frame(v(one), v(two, h)), frame(v(one), v(two)), 1, name)
	nan := one
	nan.V = math.NaN()
	broken := histogram("__name__", "m", "x", "1")
	f("errors are no number", ratio, frame(v(broken, two), v(one, two)), frame(v(nan, two), v(one, two)), 1, broken.Labels.String())
	f("errors beside their number", ratio, frame(v(histogram("__name__", "k", "x", "1"), one), v(one)), frame(v(one), v(one)), 1, `{__name__="k", x="1"}`)
	limited := func(limit ...Sample) Frame { return Frame{Vectors: [][]Sample{v(one, two)}, Limit: limit} }
	f("limit", []string{"expr: m", "model: zscore(window=10m)", "forecast: {horizons: [1h], limit: n}"},
		limited(histogram("__name__", "n", "x", "1"), two), limited(two), 1, `{__name__="n", x="1"}`)
}

// TestErrorsThatAreAHistogramAreNotNone holds that unknown errors give no ratio.
func TestErrorsThatAreAHistogramAreNotNone(t *testing.T) {
	r := newRule(t, ruleOf(t, "ratio: {errors: m, total: n}", "model: zscore"))
	out, err := r.Step(at(0).t, Frame{Vectors: [][]Sample{{histogram("x", "1")}, {sample(10, "x", "1"), sample(10, "x", "2")}}})
	if err != nil {
		t.Fatal(err)
	}
	actual := map[string]float64{}
	for _, o := range out.Outputs {
		if o.Labels.Get(labels.MetricName) == lang.MetricActual {
			actual[o.Labels.Get("x")] = o.V
		}
	}
	if !math.IsNaN(actual["1"]) || actual["2"] != 0 {
		t.Errorf("ratios %v, want none of 1 and 0 of 2", actual)
	}
}

package lang

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBudget(t *testing.T) {
	f := func(fields string, want float64) {
		t.Helper()
		file, problems := Load("f.yaml", []byte("groups: [{name: g, rules: [{anomaly: A, direction: both, "+fields+"}]}]"))
		if problems.HasErrors() {
			t.Fatalf("%s: %s", fields, problems)
		}
		got, known := file.Groups[0].Rules[0].Anomaly.Budget()
		if known != (want > 0) || known && math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: %v false alerts a week, known is %v, want %v", fields, got, known, want)
		}
	}
	const usual = 7.0 / 30
	f("expr: x", usual)
	f("expr: x, model: auto", usual)
	f(`expr: x, model: "zscore(alerts=2/1w)"`, 2)
	f(`expr: x, model: "zscore(alerts=2/1w) + mad"`, 2+usual)
	f(`expr: x, model: "zscore(alerts=2/1w) & mad"`, usual)
	f(`expr: x, model: "zscore(alerts=2/1w) & mad(threshold=3)"`, 2)
	f(`expr: x, model: "zscore + mad(threshold=3)"`, 0)
	f("expr: x, model: trend", 0)
	f("inputs: {a: x, b: y}, join: [pod]", usual)
	f("inputs: {a: x, b: y}, join: [pod], model: mad", 2*usual)
}

func TestFrequencyReadsWhatItPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Frequency{rapid.Float64Range(1e-9, 1e9).Draw(t, "count"), time.Duration(rapid.Int64Range(1, 1e12).Draw(t, "ms")) * time.Millisecond}
		if got, ok := parseFrequency(want.String()); !ok || got != want {
			t.Fatalf("%v reads as %v, %v", want, got, ok)
		}
	})
	if got := (Frequency{1, 30 * day}).PerDay(); got != 1.0/30 {
		t.Errorf("1/30d is %v a day", got)
	}
}

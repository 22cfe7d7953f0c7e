package rules

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/rules/detect"
	"github.com/chironhq/chiron/rules/lang"
)

// A clock that was years ahead for a moment must not stop the models for years;
// one that goes back a little is an ordinary day.
func TestModelsStartOverWhenTheClockWentBack(t *testing.T) {
	for _, model := range []string{"zscore", "auto", "mad", "seasonal(1h)", "peers", "presence(learn=1m)", "novelty(learn=1m)"} {
		t.Run(model, func(t *testing.T) {
			text := fmt.Sprintf("groups: [{name: g, rules: [{anomaly: A, expr: 'rate(x[1m])', model: '%s', direction: both}]}]", model)
			file, problems := lang.Load("a.yaml", []byte(text))
			if problems.HasErrors() {
				t.Fatal(problems)
			}
			r := ruleOf(t, file)
			query := func(_ context.Context, _ string, at time.Time) (v promql.Vector, _ error) {
				for i := range 4 {
					value := 100 + 10*math.Sin(float64(at.Unix()+int64(i))/7)
					v = append(v, promql.Sample{F: value, Metric: labels.FromStrings("pod", fmt.Sprint(i))})
				}
				return v, nil
			}
			var out promql.Vector
			eval := func(at time.Time, n int) {
				for i := range n {
					var err error
					if out, err = r.Eval(t.Context(), 0, at.Add(time.Duration(i)*time.Minute), query, nil, 0); err != nil {
						t.Fatal(err)
					}
				}
			}
			start := time.Unix(1_700_000_000, 0)
			eval(start, 300)
			eval(start.Add(250*time.Minute), 60)
			if n := testutil.ToFloat64(r.metrics.startedOver); n != 0 {
				t.Fatalf("models started over %v times after 50 minutes back", n)
			}
			eval(start.AddDate(25, 0, 0), 3)
			eval(start.Add(312*time.Minute), 300)
			if n := testutil.ToFloat64(r.metrics.startedOver); n != 1 {
				t.Errorf("models started over %v times after 25 years back", n)
			}
			scores := 0
			for _, s := range out {
				if s.Metric.Get(labels.MetricName) == lang.MetricScore && s.F <= 1 {
					scores++
				}
			}
			if scores != 4 && model != "presence(learn=1m)" && model != "novelty(learn=1m)" {
				t.Errorf("%d of 4 series have a score of at most 1 again: %v", scores, out)
			}
			if n := r.report.Load().stages[detect.Ready]; n != 4 && !strings.HasPrefix(model, "presence") && !strings.HasPrefix(model, "novelty") {
				t.Errorf("%d of 4 models are ready", n)
			}
		})
	}
}

// ruleOf is the first anomaly rule of a file, outside any group.
func ruleOf(t *testing.T, file *lang.File) *anomalyRule {
	t.Helper()
	m := &Manager{metrics: newMetrics(nil, nil), o: Options{Clock: wallClock{}}}
	a, err := newAnomalyRule(file.Groups[0].Expand()[0].Anomaly, "f", "g", m, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

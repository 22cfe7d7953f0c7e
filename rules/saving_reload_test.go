package rules

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/chironhq/chiron/rules/lang"
)

// savedRule is a rule of n series that come and go, after some evaluations.
func savedRule(t *testing.T, n, evaluations int) *anomalyRule {
	t.Helper()
	file, problems := lang.Load("a.yaml", []byte("groups: [{name: g, rules: [{anomaly: A, expr: 'rate(x[1m])', model: mad, direction: both}]}]"))
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	a := ruleOf(t, file)
	for i := range evaluations {
		query := func(context.Context, string, time.Time) (v promql.Vector, _ error) {
			for k := range n {
				v = append(v, promql.Sample{F: float64(i % 7), Metric: labels.FromStrings("pod", fmt.Sprint(i/10, k))})
			}
			return v, nil
		}
		if _, err := a.Eval(t.Context(), 0, time.Unix(1_700_000_000+int64(i)*600, 0), query, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// A batch that was on its way to the store when its rule was replaced may have
// been lost: the rule that goes on sends all of it again.
func TestABatchUnderWayAtAReloadIsSentAgain(t *testing.T) {
	const series = 5
	old := savedRule(t, series, 3)
	old.id.Store(1)
	if b, err := old.records(1); err != nil || len(b.entries) != 1 || b.complete {
		t.Fatalf("%+v, %v", b, err)
	}
	a := savedRule(t, 0, 0)
	if _, err := a.inherit(old); err != nil {
		t.Fatal(err)
	}
	b, err := a.records(1 << 20)
	if err != nil || !b.complete || len(b.entries) != series {
		t.Errorf("%d records of %d, complete %v, %v", len(b.entries), series, b.complete, err)
	}
}

// Without a store nothing of what has ended is kept for it.
func TestWithoutAStoreNothingWaitsForIt(t *testing.T) {
	a := savedRule(t, 3, 60)
	if n := len(a.saving.ended) + len(a.saving.urgent); n > 0 || a.models.Len() > 9 {
		t.Errorf("%d records of %d series wait", n, a.models.Len())
	}
}

package upstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
)

// FiringAlert is what must be known of a firing alert to go on with it in
// another process.
type FiringAlert struct {
	Labels            labels.Labels // all of them, alertname included
	Value             float64       // when the condition held last
	ActiveAt, FiredAt time.Time
	KeepFiringSince   time.Time // zero: the condition held
}

// Firing returns the alerts of a rule that fire.
func Firing(r *AlertingRule) (out []FiringAlert) {
	r.ForEachActiveAlert(func(a *RuleAlert) {
		if a.State == rules.StateFiring {
			out = append(out, FiringAlert{Labels: a.Labels, Value: a.Value, ActiveAt: a.ActiveAt, FiredAt: a.FiredAt, KeepFiringSince: a.KeepFiringSince})
		}
	})
	return out
}

// AlertSeries are the series that a group writes for a firing alert.
func AlertSeries(r *AlertingRule, alert labels.Labels) []labels.Labels {
	b := labels.NewBuilder(r.Labels())
	alert.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
	b.Set(labels.AlertName, r.Name())
	b.Set(labels.MetricName, "ALERTS_FOR_STATE")
	state := b.Labels()
	b.Set(labels.MetricName, "ALERTS")
	b.Set("alertstate", rules.StateFiring.String())
	return []labels.Labels{b.Labels(), state}
}

// Resume gives a rule that has not been evaluated yet the alerts that fired
// when an earlier process last evaluated it, so that its first evaluation finds
// them as if there had been no other process. It returns the labels of those
// that the rule as it is now cannot have.
//
// A rule makes its alerts itself, from what its expression returns, and keeps
// them under a hash of their labels. So the rule is evaluated once over a
// vector made up for it, of which it makes alerts with just these labels, and
// the alerts get their times afterwards. Only what the rule holds changes: the
// group neither writes nor sends anything of it.
func (e *RuleEnvironment) Resume(ctx context.Context, r *AlertingRule, at time.Time, alerts []FiringAlert) (refused []labels.Labels, err error) {
	if n := r.ActiveAlertsCount(); n > 0 {
		return nil, fmt.Errorf("cannot give alert rule %s its alerts back: it has %d of its own", r.Name(), n)
	}
	saved := map[uint64]FiringAlert{}
	var vector promql.Vector
	for _, a := range alerts {
		sample := promql.Sample{Metric: sampleLabels(r, a.Labels), T: at.UnixMilli(), F: a.Value}
		// What the templates of the rule's labels make of the sample, a rule
		// of the same text shows. Labels that were something else before the
		// rule's templates replaced them are not known any more.
		probe := rules.NewAlertingRule(r.Name(), r.Query(), 0, 0, r.Labels(), labels.EmptyLabels(), e.externalLabels, e.externalURL, false, e.opts.Logger)
		if _, err := probe.Eval(ctx, 0, at, e.returning(promql.Vector{sample}), e.opts.ExternalURL, 0); err != nil {
			return nil, fmt.Errorf("cannot expand the labels of alert rule %s: %w", r.Name(), err)
		}
		if made := probe.ActiveAlerts(); len(made) != 1 || !labels.Equal(made[0].Labels, a.Labels) {
			refused = append(refused, a.Labels)
			continue
		}
		saved[a.Labels.Hash()] = a
		vector = append(vector, sample)
	}
	if len(vector) == 0 {
		return refused, nil
	}
	if _, err := r.Eval(ctx, 0, at, e.returning(vector), e.opts.ExternalURL, 0); err != nil {
		return refused, fmt.Errorf("cannot give alert rule %s its alerts back: %w", r.Name(), err)
	}
	r.ForEachActiveAlert(func(a *RuleAlert) {
		if s, ok := saved[a.Labels.Hash()]; ok {
			a.State, a.ActiveAt, a.FiredAt, a.KeepFiringSince = rules.StateFiring, s.ActiveAt, s.FiredAt, s.KeepFiringSince
		}
	})
	return refused, nil
}

// returning answers the first query, which is the rule's expression, with v,
// and the others, which are those of its templates, as usual.
func (e *RuleEnvironment) returning(v promql.Vector) RuleQueryFunc {
	asked := false
	return func(ctx context.Context, qs string, t time.Time) (promql.Vector, error) {
		if asked {
			return e.opts.QueryFunc(ctx, qs, t)
		}
		asked = true
		return v, nil
	}
}

// sampleLabels are those that the expression must have returned for the rule to
// make an alert with these labels of it. Plain labels of the rule are its own;
// those of templates stay, for the templates may read them.
func sampleLabels(r *AlertingRule, alert labels.Labels) labels.Labels {
	b := labels.NewBuilder(alert)
	b.Del(labels.AlertName)
	r.Labels().Range(func(l labels.Label) {
		if !strings.Contains(l.Value, "{{") {
			b.Del(l.Name)
		}
	})
	return b.Labels()
}

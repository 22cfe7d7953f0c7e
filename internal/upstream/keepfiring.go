package upstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	HeldAt            time.Time     // the evaluation that found it; not known by Firing
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
// them under a hash of their labels. So the rule is evaluated over vectors made
// up for it, of which it makes alerts with just these labels, and the alerts
// get their times afterwards. It is evaluated for the time at which the
// condition held last, so that templates that ask the ring get the answers of
// then. Only what the rule holds changes: the group neither writes nor sends
// anything of it.
func (e *RuleEnvironment) Resume(ctx context.Context, r *AlertingRule, alerts []FiringAlert) (refused []labels.Labels, err error) {
	if n := r.ActiveAlertsCount(); n > 0 {
		return nil, fmt.Errorf("cannot give alert rule %s its alerts back: it has %d of its own", r.Name(), n)
	}
	saved := map[uint64]FiringAlert{}
	vectors := map[time.Time]promql.Vector{}
	for _, a := range alerts {
		sample := promql.Sample{Metric: sampleLabels(r, a.Labels), T: a.HeldAt.UnixMilli(), F: a.Value}
		// What the templates of the rule's labels make of the sample, a rule
		// of the same text shows. Labels that were something else before the
		// rule's templates replaced them are not known any more.
		probe := rules.NewAlertingRule(r.Name(), r.Query(), 0, 0, r.Labels(), labels.EmptyLabels(), e.externalLabels, e.externalURL, false, e.opts.Logger)
		if _, err := probe.Eval(ctx, 0, a.HeldAt, e.returning(promql.Vector{sample}), e.opts.ExternalURL, 0); err != nil {
			return nil, fmt.Errorf("cannot expand the labels of alert rule %s: %w", r.Name(), err)
		}
		if made := probe.ActiveAlerts(); len(made) != 1 || !labels.Equal(made[0].Labels, a.Labels) {
			refused = append(refused, a.Labels)
			continue
		}
		saved[a.Labels.Hash()] = a
		vectors[a.HeldAt] = append(vectors[a.HeldAt], sample)
	}
	for _, at := range slices.SortedFunc(maps.Keys(vectors), time.Time.Compare) {
		if _, err := r.Eval(ctx, 0, at, e.returning(vectors[at]), e.opts.ExternalURL, 0); err != nil {
			return refused, fmt.Errorf("cannot give alert rule %s its alerts back: %w", r.Name(), err)
		}
		// Those of the evaluations before have just met one that did not find
		// them; this takes back what that did to them.
		r.ForEachActiveAlert(func(a *RuleAlert) {
			if s, ok := saved[a.Labels.Hash()]; ok {
				a.State, a.ActiveAt, a.FiredAt, a.ResolvedAt, a.KeepFiringSince = rules.StateFiring, s.ActiveAt, s.FiredAt, time.Time{}, s.KeepFiringSince
			}
		})
	}
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

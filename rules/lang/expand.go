package lang

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
)

// AlertRule is the Prometheus alert rule that the shorthand stands for; ok is
// false when the anomaly has none.
func (a *Anomaly) AlertRule() (rule rulefmt.Rule, ok bool) {
	if a.Alert == nil {
		return rulefmt.Rule{}, false
	}
	return rulefmt.Rule{
		Alert:         a.Alert.Name,
		Expr:          a.scoreSelector() + " " + a.Alert.When,
		For:           model.Duration(a.Alert.For),
		KeepFiringFor: model.Duration(a.Alert.KeepFiringFor),
		Labels:        a.Alert.Labels,
		Annotations:   a.Alert.Annotations,
	}, true
}

// scoreSelector selects the score of this rule and no other: rules of equal
// name differ in their labels.
func (a *Anomaly) scoreSelector() string {
	matchers := []string{matchEqual(LabelAnomalyName, a.Name)}
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		matchers = append(matchers, matchEqual(name, a.Labels[name]))
	}
	return MetricScore + "{" + strings.Join(matchers, ",") + "}"
}

func matchEqual(name, value string) string {
	return labels.MustNewMatcher(labels.MatchEqual, name, value).String()
}

// Expand returns the group's rules with every alert shorthand as a rule of its
// own, right after its anomaly rule.
func (g *Group) Expand() []Rule {
	out := make([]Rule, 0, len(g.Rules))
	for _, r := range g.Rules {
		out = append(out, r)
		if r.Anomaly == nil {
			continue
		}
		if alert, ok := r.Anomaly.AlertRule(); ok {
			out = append(out, Rule{Prometheus: alert, Pos: r.Anomaly.Alert.Pos})
		}
	}
	return out
}

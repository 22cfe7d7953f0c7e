package lang

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
)

// Texts are the labels and annotations of an alert shorthand as they are
// written: what Prometheus expands has the text before it that asks for the
// rule's outputs.
type Texts struct{ Labels, Annotations map[string]string }

// alertRule is the Prometheus alert rule that the shorthand stands for, in its
// group.
func (a *Anomaly) alertRule(g *Group) (rule rulefmt.Rule, written *Texts) {
	texts := alertTexts{alert: a.Alert.Name, interval: g.Interval}
	if g.QueryOffset != nil {
		texts.offset = *g.QueryOffset
	}
	for _, set := range []map[string]string{g.Labels, a.Alert.Labels} {
		texts.sets = slices.AppendSeq(texts.sets, maps.Keys(set))
	}
	slices.Sort(texts.sets)
	expanded := func(from map[string]string) map[string]string {
		out := make(map[string]string, len(from))
		for name, text := range from {
			out[name] = texts.text(text)
		}
		return out
	}
	annotations := map[string]string{annotationSummary: a.summary()}
	maps.Copy(annotations, a.Alert.Annotations)
	return rulefmt.Rule{
		Alert:         a.Alert.Name,
		Expr:          a.scoreSelector() + " " + a.Alert.When,
		For:           model.Duration(a.Alert.For),
		KeepFiringFor: model.Duration(a.Alert.KeepFiringFor),
		Labels:        expanded(a.Alert.Labels),
		Annotations:   expanded(annotations),
	}, &Texts{a.Alert.Labels, annotations}
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
// own, right after its anomaly rule. Interval and QueryOffset should be what
// holds, the group's own or the global one: templates ask for series as of then.
func (g *Group) Expand() []Rule {
	out := make([]Rule, 0, len(g.Rules))
	for _, r := range g.Rules {
		out = append(out, r)
		if r.Anomaly != nil && r.Anomaly.Alert != nil {
			rule, written := r.Anomaly.alertRule(g)
			out = append(out, Rule{Prometheus: rule, Written: written, Pos: r.Anomaly.Alert.Pos})
		}
	}
	return out
}

package lang

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/internal/diag"
)

// outputs are the metrics of anomaly rules, and what makes a rule write them.
var outputs = map[string]string{
	MetricScore: "output without score", MetricOnset: "output without score", MetricState: "only output: [all] has it",
	MetricActual: "", MetricExpected: "", MetricLower: "", MetricUpper: "", // whyNoBand
	MetricForecast: "the rule has no forecast", MetricTimeToLimit: "the rule has no forecast with a limit",
	MetricContribution: "the rule has no inputs to explain",
}

// checkUnwritten is the check rule/unwritten: a rule that reads an output by
// anomaly_name which no rule of the files writes never has a value.
func checkUnwritten(files []*File) diag.Problems {
	rules := vertices(files)
	writes := map[string]map[string]bool{} // anomaly -> metrics
	recorded := map[string]bool{}
	for _, v := range rules {
		for _, s := range v.writes {
			if !v.anomaly {
				recorded[s.metric] = true
				continue
			}
			name := s.fixed[LabelAnomalyName]
			if writes[name] == nil {
				writes[name] = map[string]bool{}
			}
			writes[name][s.metric] = true
		}
	}
	var ps diag.Problems
	for _, v := range rules {
		for _, sel := range v.reads {
			metric, name := readsOutput(sel)
			if name == "" || recorded[metric] {
				continue
			}
			why := ""
			switch reason, known := outputs[metric]; {
			case writes[name] == nil:
				why = fmt.Sprintf("no file that is loaded defines anomaly %q%s", name, diag.DidYouMean(name, slices.Sorted(maps.Keys(writes))))
			case known && !writes[name][metric]:
				why = fmt.Sprintf("anomaly %q does not write %s: %s", name, metric, reason)
				if reason == "" {
					why = fmt.Sprintf("anomaly %q does not write %s: %s", name, metric, findAnomaly(files, name).whyNoBand())
				}
			default:
				continue
			}
			ps = append(ps, diag.Problem{
				File: v.file, Line: v.pos.Line, Column: v.pos.Column, Severity: diag.Warning, Check: "rule/unwritten",
				Message: fmt.Sprintf("%s reads %s, which has no series: %s", v.title, sel, why),
			})
		}
	}
	return ps
}

// readsOutput returns the metric and the anomaly of a selector that names both.
func readsOutput(sel *parser.VectorSelector) (metric, anomaly string) {
	metric, ok := metricName(sel)
	if !ok || !strings.HasPrefix(metric, "anomaly_") {
		return "", ""
	}
	for _, m := range sel.LabelMatchers {
		if m.Name == LabelAnomalyName && m.Type == labels.MatchEqual {
			return metric, m.Value
		}
	}
	return "", ""
}

// findAnomaly returns the first rule of that name.
func findAnomaly(files []*File, name string) *Anomaly {
	for _, f := range files {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if r.Anomaly != nil && r.Anomaly.Name == name {
					return r.Anomaly
				}
			}
		}
	}
	return nil
}

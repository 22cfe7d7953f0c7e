package lang

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// aliases are vmanomaly's words for fields of ours.
var aliases = map[string]string{
	"detection_direction":       "direction",
	"min_dev_from_expected":     "min_dev",
	"min_rel_dev_from_expected": "min_rel_dev",
	"data_range":                "range",
	"scale":                     "width",
}

// anomaly reads an anomaly rule of the group.
func (l *loader) anomaly(n *yaml.Node, g *Group) *Anomaly {
	a := NewAnomaly(DefaultModel())
	a.Pos = pos(n)
	if g.Limit > 0 {
		a.Limit = g.Limit
	}
	var labels, alert *yaml.Node
	var own map[string]string
	alertKey := n
	fields := map[string]diag.Field{
		"anomaly":     func(_, v *yaml.Node) { a.Name = l.anomalyName(v) },
		"expr":        func(_, v *yaml.Node) { a.Expr, a.Query = l.expression(v, "expr", false); a.exprPos = pos(v) },
		"model":       func(_, v *yaml.Node) { a.Model = l.model(v) },
		"direction":   func(_, v *yaml.Node) { a.Direction = l.direction(v) },
		"min_dev":     func(_, v *yaml.Node) { a.MinDev = l.deviation(v, "min_dev", l.doc.Float) },
		"min_rel_dev": func(_, v *yaml.Node) { a.MinRelDev = l.deviation(v, "min_rel_dev", l.percent) },
		"range":       func(_, v *yaml.Node) { a.Range = l.dataRange(v, "range") },
		"width":       func(_, v *yaml.Node) { a.Width = l.widths(v, "width") },
		"warmup":      func(_, v *yaml.Node) { a.Warmup = l.doc.Duration(v, "warmup") },
		"accept":      func(_, v *yaml.Node) { a.Accept = l.accept(v) },
		"output":      func(_, v *yaml.Node) { a.Output = l.output(v) },
		"limit":       func(_, v *yaml.Node) { a.Limit = l.limit(v) },
		"labels":      func(_, v *yaml.Node) { labels = v; own = l.stringMap(v, "labels") },
		"ratio":       func(_, v *yaml.Node) { a.Ratio = l.ratio(v) },
		"inputs":      func(_, v *yaml.Node) { a.Inputs = l.inputs(v) },
		"join":        func(_, v *yaml.Node) { a.Join = l.labelNames(v, "join", "rule/inputs") },
		"explain":     func(_, v *yaml.Node) { a.Explain = l.explain(v) },
		"cohort":      func(_, v *yaml.Node) { a.Cohort = l.labelNames(v, "cohort", "rule/cohort") },
		"exclude":     func(_, v *yaml.Node) { a.Exclude = l.exclude(v) },
		"forecast":    func(_, v *yaml.Node) { a.Forecast = l.forecast(v) },
		"alert":       func(k, v *yaml.Node) { alertKey, alert = k, v },
		"record": func(k, _ *yaml.Node) {
			l.doc.Errorf(k, "rule/kind", "a rule is one of record, alert and anomaly, not two")
		},

		"detection_direction":       func(_, v *yaml.Node) { a.Direction = l.direction(v) },
		"min_dev_from_expected":     func(_, v *yaml.Node) { a.MinDev = l.deviation(v, "min_dev_from_expected", l.doc.Float) },
		"min_rel_dev_from_expected": func(_, v *yaml.Node) { a.MinRelDev = l.deviation(v, "min_rel_dev_from_expected", l.points) },
		"data_range":                func(_, v *yaml.Node) { a.Range = l.dataRange(v, "data_range") },
		"scale":                     func(_, v *yaml.Node) { a.Width = l.widths(v, "scale") },
	}
	l.modelText = "auto"
	if v := value(n, "model"); v != nil {
		l.modelText = l.doc.Resolve(v).Value
	}
	l.doc.Object(n, whatAnomaly, fields)
	l.checkAliases(n)
	l.checkSources(n, a)
	l.checkDirectionGiven(n, a)
	l.checkModelFits(n, a)
	l.checkCohort(n, a)
	l.checkSeason(n, a)
	l.checkCounters(a)
	l.checkEffect(n, a)
	l.checkLabels(labels, own)
	l.checkReserved(labels, own)
	l.warnTemplates(labels, own)
	a.Labels = map[string]string{}
	maps.Copy(a.Labels, g.Labels)
	maps.Copy(a.Labels, own)
	if alert != nil {
		a.Alert = l.alert(alertKey, alert, a, g)
	}
	return a
}

// checkAliases is the check rule/alias: one field, one word.
func (l *loader) checkAliases(n *yaml.Node) {
	for _, alias := range slices.Sorted(maps.Keys(aliases)) {
		key, _ := entry(n, alias)
		if key != nil && value(n, aliases[alias]) != nil {
			l.doc.Errorf(key, "rule/alias", "%s is another word for %s, which is given as well", alias, aliases[alias])
		}
	}
}

// model checks the model string; its problems are the checks model/….
func (l *loader) model(n *yaml.Node) ModelExpr {
	text := ""
	if !l.clean(func() { text = l.doc.String(n, "model") }) {
		return nil
	}
	e, err := ParseModel(text)
	if errs, ok := AsModelErrors(err); ok {
		for _, e := range errs {
			l.errorIn(n, e.Offset, e.Check, "%s", e.Message)
		}
	}
	return e
}

package lang

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// defaultKeepFiring is for how long an alert that does not say goes on firing:
// longer than Alertmanager waits before it first sends a group, so that what is
// over soon is told as well, and one incident with a pause is one alert.
const defaultKeepFiring = 5 * time.Minute

// alert reads the alert shorthand of an anomaly rule. What it stands for is
// checked by Prometheus's own code, templates included.
func (l *loader) alert(key, n *yaml.Node, a *Anomaly, g *Group) *AlertClause {
	c := &AlertClause{Name: a.Name, When: "> 1", KeepFiringFor: defaultKeepFiring, Pos: pos(key)}
	n = l.merged(n)
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		l.doc.Errorf(n, "rule/alert", "in an anomaly rule alert is a mapping of when, for, keep_firing_for, labels, annotations and name; alert: {} takes the defaults")
		return c
	}
	ok := l.clean(func() {
		l.doc.Object(n, whatAlert, map[string]diag.Field{
			"name": func(_, v *yaml.Node) { c.Name = l.alertName(v) },
			"when": func(_, v *yaml.Node) { c.When = l.when(v) },
			"for":  func(_, v *yaml.Node) { c.For = l.duration(v, "for") },
			"keep_firing_for": func(_, v *yaml.Node) {
				if !isNull(v) {
					c.KeepFiringFor = l.duration(v, "keep_firing_for")
				}
			},
			"labels": func(_, v *yaml.Node) {
				c.Labels = l.stringMap(v, "labels")
				l.checkLabels(v, c.Labels)
				l.checkReserved(v, c.Labels)
			},
			"annotations": func(_, v *yaml.Node) { c.Annotations = l.stringMap(v, "annotations") },
		})
		if a.Output&OutputScore == 0 {
			l.doc.Errorf(key, "rule/output", "alert reads the score, which output leaves out; add score to output")
		}
	})
	if ok && c.Name != "" {
		l.checkVariables(value(n, "labels"), "label", c.Labels, a)
		l.checkVariables(value(n, "annotations"), "annotation", c.Annotations, a)
		l.checkTemplates(n, c, a, g)
		l.checkWhen(value(n, "when"), c, a)
		l.checkFor(value(n, "for"), c, a)
	}
	return c
}

func (l *loader) alertName(n *yaml.Node) string {
	name := ""
	if l.clean(func() { name = l.doc.String(n, "name") }) && (name == "" || !model.LabelValue(name).IsValid()) {
		l.doc.Errorf(n, "rule/alert", "the alert's name is empty or not valid UTF-8; without name it is the anomaly's")
	}
	return name
}

// checkTemplates lets Prometheus check the rule that the shorthand becomes,
// labels and annotations above all.
func (l *loader) checkTemplates(n *yaml.Node, c *AlertClause, a *Anomaly, g *Group) {
	with := *a
	with.Alert = c
	r, _ := with.alertRule(g)
	for _, err := range r.Validate(rulefmt.RuleNode{}, model.UTF8Validation, l.promQL) {
		at := l.fieldOf(n, err.Error())
		l.doc.Errorf(at, "rule/alert", "%s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
}

// when reads the condition on the score: a number, which the score must
// exceed, or PromQL comparisons with numbers such as "> 1.5". It returns the
// comparison as PromQL prints it.
func (l *loader) when(n *yaml.Node) string {
	text := ""
	if isNull(n) || !l.clean(func() { text = l.doc.String(n, "when") }) {
		return "> 1"
	}
	if v, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
		return "> " + strconv.FormatFloat(v, 'g', -1, 64)
	}
	if comparison, ok := withoutName(text); ok {
		l.doc.Errorf(n, "rule/alert", "when is compared with the score without naming it: write when: %q", comparison)
		return "> 1"
	}
	prefix := MetricScore + " "
	e, err := l.promQL.ParseExpr(prefix + text)
	if pe, ok := errors.AsType[parser.ParseErrors](err); ok {
		l.promQLErrors(n, "rule/alert", len(prefix), pe)
		return "> 1"
	}
	if err != nil || !comparesScore(e) {
		l.doc.Errorf(n, "rule/alert", `when must be a number or a comparison of the score with a number, such as "> 1.5", not %q`, text)
		return "> 1"
	}
	return strings.TrimPrefix(e.String(), prefix)
}

// comparesScore accepts score > 1 and score > 1 < 5, nothing else.
func comparesScore(e parser.Expr) bool {
	b, ok := e.(*parser.BinaryExpr)
	if !ok || !b.Op.IsComparisonOperator() || b.ReturnBool || !constant(b.RHS) {
		return false
	}
	return b.LHS.String() == MetricScore || comparesScore(b.LHS)
}

func constant(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.NumberLiteral:
		return !math.IsNaN(e.Val)
	case *parser.UnaryExpr:
		return constant(e.Expr)
	case *parser.ParenExpr:
		return constant(e.Expr)
	}
	return false
}

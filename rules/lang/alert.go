package lang

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// alert reads the alert shorthand of an anomaly rule. What it stands for is
// checked by Prometheus's own code, templates included.
func (l *loader) alert(key, n *yaml.Node, a *Anomaly, g *Group) *AlertClause {
	c := &AlertClause{Name: a.Name, When: "> 1", Pos: pos(key)}
	n = l.merged(n)
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		l.doc.Errorf(n, "rule/alert", "in an anomaly rule alert is a mapping of when, for, keep_firing_for, labels, annotations and name; alert: {} takes the defaults")
		return c
	}
	var when *yaml.Node
	ok := l.clean(func() {
		l.doc.Object(n, "alert", map[string]diag.Field{
			"name":            func(_, v *yaml.Node) { c.Name = l.alertName(v) },
			"when":            func(_, v *yaml.Node) { when, c.When = v, l.when(v) },
			"for":             func(_, v *yaml.Node) { c.For = l.duration(v, "for") },
			"keep_firing_for": func(_, v *yaml.Node) { c.KeepFiringFor = l.duration(v, "keep_firing_for") },
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
	if ok && a.newsOnly() && c.For > 0 {
		l.lasting(when, c)
	}
	if ok && c.Name != "" {
		l.checkVariables(value(n, "labels"), "label", c.Labels, a)
		l.checkVariables(value(n, "annotations"), "annotation", c.Annotations, a)
		l.checkTemplates(n, c, a, g)
	}
	return c
}

// newsOnly reports whether the rule's score is above 1 for one evaluation and
// then rests: auto of one series.
func (a *Anomaly) newsOnly() bool {
	c, ok := a.Model.(Call)
	return ok && c.Name == "auto" && a.Inputs == nil && a.Ratio == nil
}

// lastingWhen is the condition of an alert that waits on auto: what lasts stays
// above it after it was news.
const lastingWhen = 0.5

// lasting fits the condition of an alert that waits to a score that says news
// once, or says that it could never fire.
func (l *loader) lasting(when *yaml.Node, c *AlertClause) {
	if when == nil {
		c.When = fmt.Sprintf("> %v", lastingWhen)
		return
	}
	e, err := l.promQL.ParseExpr(MetricScore + " " + c.When)
	if err != nil {
		return // a problem of its own
	}
	b, ok := e.(*parser.BinaryExpr)
	if !ok {
		return
	}
	if v, ok := b.RHS.(*parser.NumberLiteral); ok && (b.Op == parser.GTR || b.Op == parser.GTE) && v.Val >= nearlyNews {
		l.doc.Errorf(when, "rule/alert", "the alert can never fire: auto says news once, so its score is above %v for one evaluation and for is %s; "+
			"leave for out and set keep_firing_for, or leave when out to alert on what lasts", v.Val, model.Duration(c.For))
	}
}

// nearlyNews is from where on auto's score does not last.
const nearlyNews = 0.9

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

package lang

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/chironhq/chiron/internal/diag"
)

// Source is one expression whose series a rule models.
type Source struct {
	Name string // what the rule calls it; of inputs, the label input
	Expr parser.Expr
	Pos  Pos
}

// String holds everything that makes two sources the same.
func (s Source) String() string { return s.Name + ": " + s.Expr.String() }

// Ratio is a part and its total, two expressions with the same labels.
type Ratio struct{ Errors, Total Source }

const (
	mostInputs     = 64 // as many as a model takes
	defaultExplain = 3
)

// Sources returns the expressions that the rule models, in the order in which
// its models take them.
func (a *Anomaly) Sources() []Source {
	switch {
	case a.Ratio != nil:
		return []Source{a.Ratio.Errors, a.Ratio.Total}
	case a.Inputs != nil:
		return a.Inputs
	}
	return []Source{{Name: "expr", Expr: a.Expr, Pos: a.exprPos}}
}

// ratio is the check rule/ratio.
func (l *loader) ratio(n *yaml.Node) *Ratio {
	r := &Ratio{Errors: Source{Name: "errors"}, Total: Source{Name: "total"}}
	fields := map[string]diag.Field{}
	for _, s := range []*Source{&r.Errors, &r.Total} {
		fields[s.Name] = func(_, v *yaml.Node) { s.Expr, _ = l.expression(v, s.Name, false); s.Pos = pos(v) }
	}
	n = l.merged(n)
	if !l.clean(func() { l.doc.Object(n, "ratio", fields) }) {
		return r
	}
	for _, s := range []Source{r.Errors, r.Total} {
		if s.Expr == nil {
			l.doc.Errorf(n, "rule/ratio", "ratio needs %s, a PromQL expression", s.Name)
		}
	}
	return r
}

// inputs is the check rule/inputs.
func (l *loader) inputs(n *yaml.Node) []Source {
	out := []Source{}
	ok := l.clean(func() {
		l.doc.Map(l.merged(n), "inputs", func(k, v *yaml.Node) {
			s := Source{Name: k.Value, Pos: pos(v)}
			if s.Name == "" || !utf8.ValidString(s.Name) || strings.ContainsFunc(s.Name, unicode.IsControl) {
				l.doc.Errorf(k, "rule/inputs", "the name of an input must be text without control characters, not %q", s.Name)
			}
			s.Expr, _ = l.expression(v, s.Name, false)
			out = append(out, s)
		})
	})
	switch {
	case ok && len(out) == 0:
		l.doc.Errorf(n, "rule/inputs", "inputs is empty; it maps names to PromQL expressions")
	case len(out) > mostInputs:
		l.doc.Errorf(n, "rule/inputs", "%d inputs; a model takes at most %d", len(out), mostInputs)
	}
	return out
}

// labelNames reads a list of different label names.
func (l *loader) labelNames(n *yaml.Node, what, check string) []string {
	out := []string{}
	l.doc.List(n, what, func(n *yaml.Node) {
		name := ""
		switch ok := l.clean(func() { name = l.doc.String(n, what) }); {
		case !ok:
		case !validLabelName(name):
			l.doc.Errorf(n, check, "%s: invalid label name %q", what, name)
		case slices.Contains(out, name):
			l.doc.Errorf(n, check, "%s: label %s is given twice", what, name)
		default:
			out = append(out, name)
		}
	})
	return out
}

func (l *loader) explain(n *yaml.Node) int {
	e := defaultExplain
	if l.clean(func() { e = l.doc.Int(n, "explain") }) && (e < 0 || e > mostInputs) {
		l.doc.Errorf(n, "rule/inputs", "explain must be 0 to %d, not %d", mostInputs, e)
	}
	return e
}

// checkSources is what expr, ratio and inputs demand of each other: the checks
// rule/expr, rule/ratio and rule/inputs. The expression of a rule without expr
// is made up.
func (l *loader) checkSources(n *yaml.Node, a *Anomaly) {
	first := ""
	for _, name := range []string{"expr", "ratio", "inputs"} {
		key, _ := entry(n, name)
		switch {
		case key == nil:
		case first != "":
			l.doc.Errorf(key, "rule/expr", "%s is given and %s as well; a rule models one of expr, ratio and inputs", name, first)
		default:
			first = name
		}
	}
	switch first {
	case "":
		key, _ := entry(n, "anomaly")
		l.doc.Errorf(key, "rule/expr", "an anomaly rule needs expr, a PromQL expression, or ratio or inputs")
	case "ratio":
		if a.Ratio.Errors.Expr != nil && a.Ratio.Total.Expr != nil {
			l.madeUp(a, fmt.Sprintf("(%s) / (%s)", a.Ratio.Errors.Expr, a.Ratio.Total.Expr), a.Ratio.Errors.Pos)
		}
	case "inputs":
		l.checkInputs(n, a)
	}
	if first == "inputs" {
		return
	}
	for _, name := range []string{"join", "explain"} {
		if key, _ := entry(n, name); key != nil {
			l.doc.Errorf(key, "rule/inputs", "%s belongs to inputs, which the rule does not have", name)
		}
	}
}

// madeUp sets the expression that stands for several ones where one is shown.
func (l *loader) madeUp(a *Anomaly, text string, at Pos) {
	e, err := l.promQL.ParseExpr(text)
	if err == nil { // each part has been parsed
		a.Expr, a.Query, a.exprPos = e, e.String(), at
	}
}

// checkInputs also finds the labels that join inputs which do not say.
func (l *loader) checkInputs(n *yaml.Node, a *Anomaly) {
	var parts []string
	for _, s := range a.Inputs {
		if s.Expr == nil {
			return // a problem of its own
		}
		parts = append(parts, "("+s.Expr.String()+")")
	}
	if len(parts) == 0 {
		return
	}
	l.madeUp(a, strings.Join(parts, " or "), a.Inputs[0].Pos)
	if value(n, "explain") == nil {
		a.Explain = defaultExplain
	}
	if value(n, "join") != nil {
		return
	}
	for i, s := range a.Inputs {
		names := resultLabels(s.Expr)
		slices.Sort(names.names)
		names.names = slices.Compact(names.names)
		key, _ := entry(n, "inputs")
		switch {
		case names.open:
			l.doc.Errorf(key, "rule/inputs", "say which labels join the inputs, such as join: [instance]; those of %s do not show from its expression", s.Name)
			return
		case i > 0 && !slices.Equal(names.names, a.Join):
			l.doc.Errorf(key, "rule/inputs", "say which labels join the inputs, such as join: [instance]; %s and %s have different ones", a.Inputs[0].Name, s.Name)
			return
		}
		a.Join = names.names
	}
}

// noBand takes the band from the output of models that have none: the check
// rule/output.
func (l *loader) noBand(n *yaml.Node, a *Anomaly, why string) {
	for _, word := range items(value(n, "output")) {
		if word.Value == "band" {
			l.doc.Errorf(word, "rule/output", "%s no band; output: [score] or [all]", why)
		}
	}
	a.Output &^= OutputBand
}

package lang

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/chironhq/chiron/internal/diag"
)

// counterSuffixes end the names of counters by custom.
var counterSuffixes = []string{"_total", "_count", "_bucket", "_sum"}

// checkCounters is the check rule/counter: a counter as it is, or a sum of some,
// only grows, and a model that expects a gauge finds every value too high.
func (l *loader) checkCounters(a *Anomaly) {
	if a.Model == nil {
		return // a problem of its own
	}
	calls := Calls(a.Model)
	i := slices.IndexFunc(calls, func(c Call) bool { return !takesCounters(c.Name, a) })
	if i < 0 {
		return
	}
	for _, s := range a.Sources() {
		if s.Expr == nil {
			continue
		}
		if name := cumulative(s.Expr); name != "" {
			l.doc.Problems = append(l.doc.Problems, diag.Problem{
				File: l.doc.File, Line: s.Pos.Line, Column: s.Pos.Column, Severity: diag.Warning, Check: "rule/counter",
				Message: name + " is a counter by its name, which only grows, and " + calls[i].Name + " takes its values as they are: put rate() or increase() around it",
			})
		}
	}
}

// takesCounters tells which models know what to do with a counter: auto, of one
// series, sees that it is one; trend follows a line that grows; and some do not
// look at the value.
func takesCounters(name string, a *Anomaly) bool {
	switch name {
	case "auto":
		return a.Inputs == nil && a.Ratio == nil
	case "trend":
		return true
	}
	return TraitsOf(name).Sideless
}

// cumulative returns the name of the counter that an expression returns as it
// is, or sums up; "" when it does something else.
func cumulative(e parser.Expr) string {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return cumulative(e.Expr)
	case *parser.AggregateExpr:
		if slices.Contains([]parser.ItemType{parser.SUM, parser.AVG, parser.MIN, parser.MAX, parser.TOPK, parser.BOTTOMK}, e.Op) {
			return cumulative(e.Expr)
		}
	case *parser.VectorSelector:
		name, _ := metricName(e)
		if slices.ContainsFunc(counterSuffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) }) {
			return name
		}
	}
	return ""
}

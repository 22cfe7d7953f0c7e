package lang

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// differences are the functions that need two samples in their range.
var differences = []string{"rate", "irate", "increase", "delta", "idelta", "deriv"}

// checkRange is the check rule/rate: a range shorter than two evaluation
// intervals often holds one sample, of which there is no difference. Samples
// come about as often as rules are evaluated, or nearly so, where somebody has
// said how often that is; where nobody has, nothing is said here either.
func (l *loader) checkRange(n *yaml.Node, e parser.Expr) {
	if l.interval == 0 {
		return
	}
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		c, ok := node.(*parser.Call)
		if !ok || len(c.Args) == 0 || !slices.Contains(differences, c.Func.Name) {
			return nil
		}
		m, ok := unparen(c.Args[0]).(*parser.MatrixSelector)
		if !ok || m.RangeExpr != nil || m.Range >= 2*l.interval {
			return nil
		}
		l.warnIn(n, int(c.PosRange.Start), "rule/rate",
			"%s looks back %s, less than two intervals of the group (%s), and has no value when one sample is in the range; use [%s] or more",
			c.Func.Name, model.Duration(m.Range), model.Duration(l.interval), model.Duration(2*l.interval))
		return nil
	})
}

// checkRangeOf is checkRange of a record or alert rule.
func (l *loader) checkRangeOf(n *yaml.Node, r rulefmt.Rule) {
	expr := value(l.doc.Resolve(n), "expr")
	e, err := l.promQL.ParseExpr(r.Expr)
	if expr == nil || err != nil {
		return // a problem of its own
	}
	l.checkRange(l.doc.Resolve(expr), e)
}

func unparen(e parser.Expr) parser.Expr {
	for {
		p, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

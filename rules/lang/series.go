package lang

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// series describes what a rule may write under one metric name: labels that
// are known from the rule's text, and which others there can be.
type series struct {
	metric string
	fixed  map[string]string
	others labelSet
}

// mayMatch reports whether a selector can select such a series. It errs on the
// side of yes: a label of unknown value may have any.
func (s series) mayMatch(matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		v, known := s.fixed[m.Name]
		switch {
		case m.Name == labels.MetricName:
			v = s.metric
		case known:
		case s.others.mayHave(m.Name):
			continue
		}
		if !m.Matches(v) {
			return false
		}
	}
	return true
}

// labelSet is a set of label names; open means that there can be any.
type labelSet struct {
	open  bool
	names []string
}

var anyLabels = labelSet{open: true}

func (s labelSet) mayHave(name string) bool { return s.open || slices.Contains(s.names, name) }

func (s labelSet) with(names ...string) labelSet {
	return labelSet{open: s.open, names: append(slices.Clone(s.names), names...)}
}

// resultLabels tells which labels the result of an expression can have, as far
// as its outer operators say.
func resultLabels(e parser.Expr) labelSet {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return resultLabels(e.Expr)
	case *parser.UnaryExpr:
		return resultLabels(e.Expr)
	case *parser.SubqueryExpr:
		return resultLabels(e.Expr)
	case *parser.AggregateExpr:
		return aggregateLabels(e)
	case *parser.BinaryExpr:
		return binaryLabels(e)
	case *parser.Call:
		return callLabels(e)
	case *parser.NumberLiteral:
		return labelSet{}
	}
	return anyLabels
}

// pickingOps return some of their input series with all labels.
var pickingOps = []parser.ItemType{parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO}

func aggregateLabels(e *parser.AggregateExpr) labelSet {
	result := labelSet{names: e.Grouping}
	if e.Without { // the labels that it drops stay allowed: erring on the side of yes
		result = resultLabels(e.Expr)
	}
	if slices.Contains(pickingOps, e.Op) {
		return resultLabels(e.Expr)
	}
	if e.Op == parser.COUNT_VALUES {
		if s, ok := e.Param.(*parser.StringLiteral); ok {
			return result.with(s.Val)
		}
		return anyLabels
	}
	return result
}

func binaryLabels(e *parser.BinaryExpr) labelSet {
	left, right := e.LHS.Type() == parser.ValueTypeVector, e.RHS.Type() == parser.ValueTypeVector
	switch {
	case left && !right:
		return resultLabels(e.LHS)
	case right && !left:
		return resultLabels(e.RHS)
	case e.Op == parser.LAND, e.Op == parser.LUNLESS:
		return resultLabels(e.LHS)
	case e.VectorMatching != nil && e.VectorMatching.Card == parser.CardOneToOne && e.VectorMatching.On:
		return labelSet{names: e.VectorMatching.MatchingLabels}
	}
	return anyLabels
}

func callLabels(e *parser.Call) labelSet {
	switch e.Func.Name {
	case "vector", "time":
		return labelSet{}
	case "absent", "absent_over_time", "info":
		return anyLabels
	}
	result := labelSet{}
	for _, arg := range e.Args {
		if t := arg.Type(); t == parser.ValueTypeVector || t == parser.ValueTypeMatrix {
			result = resultLabels(arg)
			break
		}
	}
	if e.Func.Name == "label_replace" || e.Func.Name == "label_join" || e.Func.Name == "histogram_quantiles" {
		for _, arg := range e.Args {
			if s, ok := arg.(*parser.StringLiteral); ok {
				result = result.with(s.Val) // one of them is the new label
			}
		}
	}
	return result
}

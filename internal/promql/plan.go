package promql

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// part is one operand of the short way: agg(call(selector[rng])), where agg and
// call may be missing.
type part struct {
	selector *parser.VectorSelector
	call     *parser.Call // nil: the selector itself
	fn       promql.FunctionCall
	rng      time.Duration
	agg      *parser.AggregateExpr // nil: every series by itself
}

// newPlan returns the operands of an expression that the short way knows, in
// the order in which "or" joins them, or nil.
func newPlan(e parser.Expr) []*part {
	e = unparen(e)
	if b, ok := e.(*parser.BinaryExpr); ok {
		m := b.VectorMatching
		if b.Op != parser.LOR || m == nil || m.On || len(m.MatchingLabels) > 0 {
			return nil
		}
		l, r := newPlan(b.LHS), newPlan(b.RHS)
		if l == nil || r == nil {
			return nil
		}
		return append(l, r...)
	}
	if p := newPart(e); p != nil {
		return []*part{p}
	}
	return nil
}

func newPart(e parser.Expr) *part {
	p := &part{}
	if a, ok := e.(*parser.AggregateExpr); ok {
		if !slices.Contains(aggregations, a.Op) || a.Param != nil {
			return nil
		}
		p.agg, e = a, unparen(a.Expr)
	}
	if c, ok := e.(*parser.Call); ok {
		if len(c.Args) != 1 || c.Func.Name == "absent_over_time" {
			return nil
		}
		m, ok := unparen(c.Args[0]).(*parser.MatrixSelector)
		if !ok || m.RangeExpr != nil {
			return nil
		}
		p.call, p.fn, p.rng, e = c, promql.FunctionCalls[c.Func.Name], m.Range, m.VectorSelector
		if p.fn == nil {
			return nil
		}
	}
	v, ok := e.(*parser.VectorSelector)
	if !ok || v.Timestamp != nil || v.StartOrEnd != 0 || v.OriginalOffsetExpr != nil || v.Anchored || v.Smoothed {
		return nil
	}
	v.Offset = v.OriginalOffset // as the engine sets it before it evaluates
	p.selector = v
	return p
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

// named tells whether a matcher fixes the metric's name, so that label sets
// stay distinct without it.
func (p *part) named() bool {
	for _, m := range p.selector.LabelMatchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return true
		}
	}
	return false
}

// keepsName tells whether the metric's name stays.
func (p *part) keepsName() bool {
	return p.call == nil || p.call.Func.Name == "last_over_time" || p.call.Func.Name == "first_over_time"
}

// isCounterRate tells whether the call is one of those that have a loop of
// their own.
func (p *part) isCounterRate() bool {
	return p.call != nil && (p.call.Func.Name == "rate" || p.call.Func.Name == "increase")
}

// Package stream keeps what a PromQL expression returns up to date from the
// samples that taps queue, so that no query is run at a tick.
//
// It promises the same vector as Prometheus's engine over the same ring at the
// same time, or a reason why it does not even try. It knows nothing of rules.
package stream

import (
	"github.com/prometheus/prometheus/promql/parser"
)

// Reasons why an expression is run as a query; the same words in
// `chiron check --explain`, metrics and the API.
const (
	ReasonSelector    = "selector"    // streamed: the newest sample of each series
	ReasonFunction    = "function"    // calls a function
	ReasonAggregation = "aggregation" // aggregates series
	ReasonBinary      = "binary"      // combines vectors
	ReasonAt          = "at-modifier" // looks at a fixed time
	ReasonExtended    = "extended"    // anchored or smoothed selector
	ReasonOther       = "other"       // none of the above
)

// Explain reports whether an expression can be streamed, and why.
func Explain(expr parser.Expr) (streamed bool, reason string) {
	_, reason = selector(expr)
	return reason == ReasonSelector, reason
}

// selector returns the plain vector selector that expr is.
func selector(expr parser.Expr) (*parser.VectorSelector, string) {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return selector(e.Expr)
	case *parser.VectorSelector:
		switch {
		case e.Timestamp != nil || e.StartOrEnd != 0:
			return nil, ReasonAt
		case e.Anchored || e.Smoothed || e.OriginalOffsetExpr != nil:
			return nil, ReasonExtended
		}
		return e, ReasonSelector
	case *parser.Call:
		return nil, ReasonFunction
	case *parser.AggregateExpr:
		return nil, ReasonAggregation
	case *parser.BinaryExpr:
		return nil, ReasonBinary
	}
	return nil, ReasonOther
}
